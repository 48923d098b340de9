"""Pages that belong to no room: the start, health, metrics, and what a stale form gets."""

from __future__ import annotations

import time

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Send people to their projects, or to the sign-in page."""
    return redirect("projects:index" if request.user.is_authenticated else settings.LOGIN_URL)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say in words that the form is stale; what was typed is still in the page."""
    return render(request, "403_csrf.html", {"reason": reason}, status=403)


@require_GET
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


def _check_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return "ok" if not waiting else f"{len(waiting)} migrations are not applied"


def _check_broker() -> str:
    from app.celery import app

    with app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, timeout=2)
    return "ok"


@require_GET
def readyz(request: HttpRequest) -> JsonResponse:
    """The process can work: database reachable and migrated, broker reachable; 503 otherwise."""
    parts: dict[str, object] = {}
    for name, check in (("database", _check_database), ("broker", _check_broker)):
        started = time.monotonic()
        try:
            state = check()
        except Exception as error:  # the page must answer whatever is broken
            state = type(error).__name__
        parts[name] = {"state": state, "ms": round(1000 * (time.monotonic() - started))}
    ready = all(part["state"] == "ok" for part in parts.values())
    return JsonResponse({"ready": ready, **parts}, status=200 if ready else 503)


@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text: for scrapers that show METRICS_TOKEN, and for signed-in site admins."""
    token = settings.METRICS_TOKEN
    shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not (token and shown == token) and not request.user.is_staff:
        return HttpResponse("Forbidden\n", status=403, content_type="text/plain")
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
