"""A person's own pages: the start page, their figures, the file with everything of theirs, and erasure."""

from __future__ import annotations

from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from app.jobs import runner

from . import entry, erase, own_data, start


@login_required
@require_GET
def start_page(request: HttpRequest) -> HttpResponse:
    """My projects: what is left for me, what it brought, why something is stopped, and what I may join."""
    context = {"rows": start.rows_of(request.user), "open": entry.open_projects(request.user)}
    return render(request, "people/start.html", context)


def _data_page(request: HttpRequest, error: str = "", status: int = 200) -> HttpResponse:
    context = {
        "figures": own_data.figures_of(request.user),
        "error": error,
        "what_stays": erase.WHAT_STAYS,
        "policies": own_data.policies_of(request.user),
    }
    return render(request, "people/my_data.html", context, status=status)


@never_cache
@login_required
@require_GET
def my_data(request: HttpRequest) -> HttpResponse:
    """One's own work in figures, and what one may take away or have erased."""
    return _data_page(request)


@never_cache
@login_required
@require_GET
def export_data(request: HttpRequest) -> StreamingHttpResponse:
    """Everything of the person as a JSON file."""
    response = StreamingHttpResponse(own_data.export(request.user), content_type="application/json")
    response["Content-Disposition"] = 'attachment; filename="my-plumbline-data.json"'
    return response


@require_POST
@login_required
def erase_me(request: HttpRequest) -> HttpResponse:
    """Close the account at once and erase the person in a job; the username must be typed."""
    user = request.user
    if request.POST.get("confirm", "").strip() != user.get_username():
        return _data_page(
            request,
            _("Type {name} to have everything of yours erased.").format(name=user.get_username()),
            400,
        )
    try:
        erase.request(user=user)
    except erase.CannotErase as error:
        return _data_page(request, str(error), 400)
    runner.start(kind="people.erase", title="Erase a person", args={"user_id": user.pk})
    logout(request)
    return render(request, "people/erased.html")
