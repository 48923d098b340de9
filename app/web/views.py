"""Pages that belong to no room: the start, health, metrics, and what a stale form gets."""

from __future__ import annotations

import time

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.views.decorators.http import require_GET


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Send people to their projects, guests of a panel to their work, and others to the sign-in page."""
    if getattr(request.user, "is_guest", False):
        return redirect("work:index")
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


def readiness() -> dict[str, dict]:
    """State ("ok" or what is wrong) and milliseconds of each thing the process cannot work without."""
    parts: dict[str, dict] = {}
    for name, check in (("database", _check_database), ("broker", _check_broker)):
        started = time.monotonic()
        try:
            state = check()
        except Exception as error:  # the page must answer whatever is broken
            state = type(error).__name__
        parts[name] = {"state": state, "ms": round(1000 * (time.monotonic() - started))}
    return parts


@require_GET
def readyz(request: HttpRequest) -> JsonResponse:
    """The process can work: database reachable and migrated, broker reachable; 503 otherwise."""
    parts = readiness()
    ready = all(part["state"] == "ok" for part in parts.values())
    return JsonResponse({"ready": ready, **parts}, status=200 if ready else 503)


@require_GET
def favicon(request: HttpRequest) -> HttpResponse:
    """Pages that are not ours, such as the admin's, ask for it here."""
    return redirect(static("img/mark.svg"))
