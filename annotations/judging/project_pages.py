"""The list of projects, and what follows for items from a changed setting; `people.overview` has the page of one."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from annotations.items import batches
from annotations.projects import lifecycle
from annotations.projects.access import only_judges, project_for
from annotations.projects.models import Membership
from annotations.projects.views import page_context
from app.jobs.models import Job

from . import moving
from .project_queries import projects_for

JOBS_SHOWN = 5


@login_required
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """The projects a person belongs to; who only annotates is sent to their work."""
    if only_judges(request.user):
        return redirect("work:index")
    cards = projects_for(request.user)
    any_deleted = lifecycle.deleted_projects(request.user).exists()
    return render(request, "projects/index.html", {"cards": cards, "any_deleted": any_deleted})


@login_required
@require_http_methods(["GET", "POST"])
def overlap(request: HttpRequest, slug: str, before: int) -> HttpResponse:
    """After the number of people per item was changed: whether the items that are here follow it."""
    project = project_for(request, slug, at_least=Membership.Role.OWNER)
    if request.method == "POST":
        done = moving.follow_overlap(project=project, before=before, actor=request.user)
        if isinstance(done, Job):
            return redirect("jobs:detail", pk=done.pk)
        messages.success(request, f"{done:,} item{'' if done == 1 else 's'} changed.")
        return redirect("projects:settings", slug=slug)
    items = batches.following(project, before)
    n = items.count() if before != project.overlap else 0
    if not n:
        return redirect("projects:settings", slug=slug)
    crumbs = ("Settings", reverse("projects:settings", args=[slug])), ("People per item", "")
    context = {
        **page_context(project, "overview", *crumbs),
        "before": before,
        "n": n,
        "n_done": items.filter(n_human__gte=before).count(),
    }
    return render(request, "projects/overlap.html", context)
