"""Pages of jobs: list, one job with live progress, cancel, retry; and the workers."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from app.accounts import audit
from app.web.paging import BadCursorError, keyset_page

from . import runner
from .access import job_for, visible_jobs
from .models import Job, WorkerBeat

ALIVE = timedelta(seconds=60)
STOP_POLLING = 286


@login_required
@require_GET
def job_list(request: HttpRequest) -> HttpResponse:
    """Jobs this person may see, newest first."""
    jobs = visible_jobs(request.user).defer("log", "events", "result")
    state = request.GET.get("state", "")
    if state in Job.State.values:
        jobs = jobs.filter(state=state)
    try:
        page = keyset_page(jobs, cursor=request.GET.get("cursor"), size=50, order_by=("-created_at", "-pk"))
    except BadCursorError as error:
        return render(request, "400.html", {"reason": str(error)}, status=400)
    return render(request, "jobs/list.html", {"page": page, "state": state, "states": Job.State.choices})


@login_required
@require_GET
def job_detail(request: HttpRequest, pk) -> HttpResponse:
    """One job: what it does, how far it is, its log, its result."""
    return render(request, "jobs/detail.html", {"job": job_for(request.user, pk)})


@login_required
@require_GET
def job_progress(request: HttpRequest, pk) -> HttpResponse:
    """The part that polls itself; answers 286 once the job is over, which ends the polling."""
    return _progress(request, job_for(request.user, pk))


def _progress(request: HttpRequest, job: Job) -> HttpResponse:
    full, renew = (request.GET.get(name) == "1" for name in ("full", "renew"))
    response = render(request, "jobs/progress.html", {"job": job, "full": full, "renew": renew})
    if job.is_finished:
        response.status_code = STOP_POLLING
        if full or renew:
            response["HX-Refresh"] = "true"
    return response


@login_required
@require_POST
def job_cancel(request: HttpRequest, pk) -> HttpResponse:
    """Ask the job to stop; htmx gets the part that shows its progress."""
    job = runner.cancel(job_for(request.user, pk))
    audit.record(
        actor=request.user, action="job.cancelled", scope=job.scope, target=str(job.pk), kind=job.kind
    )
    return _progress(request, job) if request.htmx else redirect("jobs:detail", pk=job.pk)


@login_required
@require_POST
def job_retry(request: HttpRequest, pk) -> HttpResponse:
    """Queue a failed or cancelled job again."""
    job = runner.retry(job_for(request.user, pk))
    audit.record(actor=request.user, action="job.retried", scope=job.scope, target=str(job.pk), kind=job.kind)
    return redirect("jobs:detail", pk=job.pk)


@staff_member_required(login_url="account_login")
@require_GET
def workers(request: HttpRequest) -> HttpResponse:
    """Workers with their last sign of life, and how many jobs wait in each queue."""
    now = timezone.now()
    beats = list(WorkerBeat.objects.order_by("-seen_at")[:50])
    for beat in beats:
        beat.is_alive = now - beat.seen_at < ALIVE
    queues = (
        Job.objects.filter(state__in=[Job.State.QUEUED, Job.State.RUNNING])
        .values("queue", "state")
        .annotate(n=Count("pk"))
        .order_by("queue", "state")
    )
    running = Job.objects.filter(state=Job.State.RUNNING).defer("log", "events").order_by("started_at")[:50]
    alive = sum(beat.is_alive for beat in beats)
    return render(
        request, "jobs/workers.html", {"beats": beats, "queues": queues, "running": running, "alive": alive}
    )
