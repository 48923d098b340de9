"""What operators look at: health as a page, and metrics for Prometheus."""

from __future__ import annotations

import hmac
import platform
import shutil

import django
from django.conf import settings
from django.contrib.admin.views.decorators import staff_member_required
from django.db import connection
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from annotations.judging.models import Assignment
from annotations.projects.models import Annotator
from app.jobs.models import Job, WorkerBeat
from app.jobs.views import ALIVE
from app.web.views import readiness


class DatabaseCollector(Collector):
    """Figures read from the database at each scrape: true whatever number of web processes runs."""

    def collect(self):
        jobs = GaugeMetricFamily("plumbline_jobs", "Jobs by kind and state.", labels=["kind", "state"])
        for row in Job.objects.values("kind", "state").annotate(n=Count("pk")):
            jobs.add_metric([row["kind"], row["state"]], row["n"])
        yield jobs
        judged = GaugeMetricFamily(
            "plumbline_judgments", "Current judgments with an answer, by kind of annotator.", labels=["kind"]
        )
        for row in Annotator.objects.values("kind").annotate(n=Sum("n_judged")):
            judged.add_metric([row["kind"]], row["n"] or 0)
        yield judged
        yield GaugeMetricFamily(
            "plumbline_live_leases",
            "Items leased to people right now.",
            value=Assignment.objects.filter(
                state=Assignment.State.LEASED, expires_at__gt=timezone.now()
            ).count(),
        )
        yield GaugeMetricFamily(
            "plumbline_workers_alive", "Workers that answered in the last minute.", value=_alive()
        )


def _alive() -> int:
    return WorkerBeat.objects.filter(seen_at__gt=timezone.now() - ALIVE).count()


@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text: for scrapers that show METRICS_TOKEN, and for signed-in site admins."""
    shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
    token = settings.METRICS_TOKEN
    if not (token and hmac.compare_digest(shown.encode(), token.encode())) and not request.user.is_staff:
        return HttpResponse("Forbidden\n", status=403, content_type="text/plain")
    registry = CollectorRegistry()
    registry.register(DatabaseCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


@staff_member_required(login_url="account_login")
@require_GET
def health(request: HttpRequest) -> HttpResponse:
    """Whether this installation can work, and what it runs on."""
    parts = readiness()
    disk = shutil.disk_usage(settings.DATA_DIR)
    alive = _alive()
    facts = [
        ("Database", f"{connection.vendor} {'.'.join(map(str, connection.get_database_version()))}"),
        ("Broker", settings.CELERY_BROKER_URL.split("://")[0]),
        ("Workers alive", alive),
        ("Free disk", f"{disk.free / 2**30:,.1f} of {disk.total / 2**30:,.1f} GiB"),
        ("Python", platform.python_version()),
        ("Django", django.get_version()),
    ]
    ready = all(part["state"] == "ok" for part in parts.values())
    return render(
        request,
        "system/health.html",
        {"parts": parts, "facts": facts, "ready": ready and alive > 0, "alive": alive},
    )
