"""GPU hours and their price: jobs of GPU workers are charged to the project's account when they end.

A job's time is known only afterwards, so nothing is held ahead: what the budget does not cover is owed and shown, and
tried again later. The cap holds.
"""

from __future__ import annotations

from decimal import Decimal

from django.db import IntegrityError, transaction

from annotations.projects import rules
from annotations.projects.models import Project
from app.jobs.models import Job
from app.ledger import ledger

from .models import GpuCharge

QUEUE = "gpu"
HOUR = 3600


def charge(project: Project) -> int:
    """Charge the project's GPU jobs that ended and were not, and what is owed; returns how many were paid."""
    price = rules.of(project).budget.gpu_hour
    if not price or project.account_id is None:
        return 0
    known = GpuCharge.objects.filter(project=project).values("job_id")
    ended = Job.objects.filter(
        scope=project.slug, queue=QUEUE, started_at__isnull=False, finished_at__isnull=False
    ).exclude(pk__in=known)
    for job in ended.order_by("finished_at")[:500]:
        seconds = max(0.0, (job.finished_at - job.started_at).total_seconds())
        micros = ledger.to_micros(price * Decimal(seconds) / HOUR)
        GpuCharge.objects.bulk_create(
            [
                GpuCharge(
                    project=project, job_id=job.pk, title=job.title[:200], seconds=seconds, micros=micros
                )
            ],
            ignore_conflicts=True,
        )
    return sum(
        _pay(row, project) for row in GpuCharge.objects.filter(project=project, paid=False).order_by("pk")
    )


@transaction.atomic
def _pay(row: GpuCharge, project: Project) -> bool:
    """Pay one charge, whole; False if the budget does not cover it. The conditional UPDATE pays it once."""
    try:
        with transaction.atomic():
            if not GpuCharge.objects.filter(pk=row.pk, paid=False).update(paid=True):
                return False
            held = ledger.reserve(
                account_id=project.account_id, amount=row.amount, purpose="gpu", reference=str(row.job_id)
            )
            ledger.settle(reservation=held, amount=row.amount)
    except (ledger.BudgetExceeded, IntegrityError):
        return False
    return True


def charge_all() -> int:
    """The periodic job over every project that has a price for GPU hours."""
    projects = Project.objects.filter(rules__budget__gpu_hour__isnull=False, account_id__isnull=False)
    return sum(charge(project) for project in projects.order_by("pk"))
