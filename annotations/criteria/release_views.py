"""Pages of releases: what was released, releasing the best set, going back, exports."""

from __future__ import annotations

import json

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations.projects.access import project_for
from annotations.projects.models import CriteriaRelease
from app.web import posted

from . import cards, exports, lab, material, settling, watch
from . import releases as released
from .models import ReleasedSet
from .views import context


@login_required
@require_http_methods(["GET", "POST"])
def releases(request: HttpRequest, slug: str) -> HttpResponse:
    """What was released, and releasing the set of criteria in force."""
    project = project_for(request, slug)
    typed = {"note": posted.text(request, "note"), "override": posted.text(request, "override")}
    refused = False
    if request.method == "POST":
        try:
            made = settling.release_set(project, **typed, actor=request.user)
        except (lab.BadCriterion, material.NoMaterial) as error:
            refused = getattr(error, "field", "") == "override"
            if not refused:
                messages.error(request, str(error))
        else:
            messages.success(request, f"Release {made.number} is in use.")
        if not refused:
            return redirect("criteria:releases", slug)
    rows = list(
        CriteriaRelease.objects.filter(project=project)
        .select_related("lab_set__back_to")
        .order_by("-number")[:100]
    )
    known = set(ReleasedSet.objects.filter(release__in=rows).values_list("release_id", flat=True))
    return render(
        request, "criteria/releases.html",
        {**context(project, "releases", ("Releases", "")), "rows": rows, "known": known, "n_live": len(cards.board(project)),
         "alarms": watch.standing_alarms(project), "refused": refused, "typed": typed},
        status=422 if refused else 200,
    )  # fmt: skip


@login_required
@require_POST
def roll_back(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Use an older release again, as a new number."""
    project = project_for(request, slug)
    to = get_object_or_404(CriteriaRelease, project=project, number=number)
    try:
        made = released.roll_back(project=project, to=to, actor=request.user)
    except lab.BadCriterion as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Release {made.number} is in use: the words of release {number}.")
    return redirect("criteria:releases", slug)


@login_required
@require_GET
def export(request: HttpRequest, slug: str, number: int, form: str) -> HttpResponse:
    """A release in another tool's form."""
    project = project_for(request, slug)
    release = get_object_or_404(CriteriaRelease, project=project, number=number, lab_set__isnull=False)
    if form == "assertions":
        body, kind, ending = exports.assertions(project), "text/x-python; charset=utf-8", "py"
    elif form in exports.FORMATS:
        rows = exports.prometheus(release) if form == "prometheus" else exports.critiq(release)
        body, kind, ending = json.dumps(rows, ensure_ascii=False, indent=2), "application/json", "json"
    else:
        raise Http404("No such format.")
    response = HttpResponse(body, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{slug}-criteria-{number}-{form}.{ending}"'
    return response
