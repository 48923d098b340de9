"""The page of features: which texts are read, what prompts are tagged with, and starting both."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from annotations.lm.annotate import CannotAnnotate
from annotations.projects import rules
from annotations.projects.access import project_for, require

from . import filling, tagger
from .forms import TagForm
from .models import ItemTags


@login_required
@require_http_methods(["GET", "POST"])
def features(request: HttpRequest, slug: str) -> HttpResponse:
    """What is known of the items before anybody judges; a post starts tagging."""
    project = project_for(request, slug)
    here = reverse("features:features", args=[slug])
    form = TagForm(request.POST or None, project=project)
    if request.method == "POST":
        require(project, rules.of(project).budget.runs_by, "Running models")
        if form.is_valid():
            try:
                tagger.start(
                    detail=form.detail(),
                    instructions=form.cleaned_data["instructions"].strip(),
                    limit=form.cleaned_data["limit"],
                    cap=form.cleaned_data["cap"],
                    actor=request.user,
                    result_url=here,
                )
            except CannotAnnotate as error:
                form.add_error(None, str(error))
            else:
                return redirect(here)
    used = tagger.in_use(project)
    rows = ItemTags.objects.filter(tagging=used)
    last = filling.last_job(project)
    return render(
        request,
        "features/features.html",
        {
            "project": project,
            "role": project.role,
            "rail": "routing",
            "crumbs": [("Routing", reverse("plans:list", args=[slug])), ("Features", "")],
            "total": filling.wanted(project).count(),
            "read": (last.result or {}) if last else {},
            "reading": filling.live_job(project),
            "used": used,
            "tagged": rows.exclude(mode="").count() if used else 0,
            "unread": rows.filter(mode="").count() if used else 0,
            "repaired": rows.filter(mode="repaired").count() if used else 0,
            "left": tagger.untagged(used).count() if used else None,
            "table": tagger.table(used) if used else [],
            "job": tagger.last_job(project),
            "form": form,
        },
        status=422 if request.method == "POST" else 200,
    )


@login_required
@require_POST
def read_texts(request: HttpRequest, slug: str) -> HttpResponse:
    """Start reading the texts of new items."""
    project = project_for(request, slug)
    here = reverse("features:features", args=[slug])
    filling.start(project, actor=request.user, result_url=here)
    return redirect(here)
