"""Pages on which an LM annotator's words are improved: proposals with their tests, duels, accepting and rejecting."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations.lm import configure, runs
from annotations.lm.models import LMAnnotator
from annotations.projects import rules as project_rules
from annotations.projects.access import project_for, require, reviewer_for
from annotations.projects.models import Project
from app.web import posted
from app.web.rendering import render_many, render_messages

from . import duels, improving, lab, material, tasks
from .diffs import wording_diff
from .models import JudgeWording
from .streaming import live_jobs
from .views import context, start_once

HOME = ("Prompts", "criteria:prompts")


@login_required
@require_GET
def prompts(request: HttpRequest, slug: str) -> HttpResponse:
    """The LM annotators whose words can be improved."""
    project = project_for(request, slug)
    rows = []
    for detail in improving.candidates(project):
        made = list(JudgeWording.objects.filter(detail=detail).exclude(state="current").order_by("pk"))
        rows.append({"detail": detail, "open": [w for w in made if w.state == "open"], "n": len(made)})
    return render(
        request, "criteria/prompts.html", {**context(project, "prompts", (HOME[0], "")), "rows": rows}
    )


def _detail(project: Project, pk: int) -> LMAnnotator:
    found = runs.find(pk, project)
    if found is None or found.pk not in {d.pk for d in improving.candidates(project)}:
        raise Http404("No such annotator.")
    return found


@login_required
@require_http_methods(["GET", "POST"])
def prompt(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One annotator's words, what was proposed instead, and how each stood its test; POST adds words of one's own."""
    project = project_for(request, slug)
    detail = _detail(project, pk)
    base, problem, typed = improving.current(detail), "", ""
    if request.method == "POST":
        typed = posted.text(request, "instructions")
        try:
            improving.add_wording(
                detail=detail, instructions=typed, origin="human", parent=base, actor=request.user
            )
        except improving.BadWording as error:
            problem = str(error)
        else:
            messages.success(request, "Added. Test it before it can be accepted.")
            return redirect("criteria:prompt", slug, pk)
    the_lab = lab.lab_of(project)
    page = {
        **context(project, "prompts", (HOME[0], reverse(HOME[1], args=[slug])), (detail.annotator.name, "")),
        "detail": detail, "base": base, "lab": the_lab, "account": lab.account_of(the_lab), "problem": problem,
        "typed": typed or base.instructions, "running": live_jobs(project), "changed": configure.changed_since(detail),
    }  # fmt: skip
    try:
        data = improving.pairs_of(project)
    except material.NoMaterial as error:
        page["no_material"] = str(error)
    else:
        person = reviewer_for(request.user, project)
        page |= {
            "estimate": improving.estimate(detail, data),
            "asked": _asked(duels.next_to_ask(detail, person, data)),
        }
        page["standing"] = duels.standing(detail, data)
    page["rows"] = [
        {"wording": w, "diff": wording_diff(base.instructions, w.instructions), "duels": page.get("standing", {}).get(w.pk)}
        for w in JudgeWording.objects.filter(detail=detail).exclude(state="current").select_related(
            "created_by", "decided_by", "made__annotator"
        ).order_by("-pk")[:50]
    ]  # fmt: skip
    return render(request, "criteria/prompt.html", page, status=422 if problem else 200)


def _asked(asked: duels.Asked | None) -> dict | None:
    if asked is None:
        return None
    said = {-1: "prefers response 1", 0: "finds them equal", 1: "prefers response 2"}
    html = render_many([asked.pair.first, asked.pair.second])
    return {
        "prompt": render_messages(asked.pair.raw_prompt), "responses": html,
        "readings": [
            {"pk": r.pk, "says": said[r.value], "reason": r.reason} for r in (asked.first, asked.second)
        ],
    }  # fmt: skip


@login_required
@require_POST
def propose(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Ask the manager for better words, as a Job."""
    project = project_for(request, slug)
    require(project, project_rules.of(project).budget.runs_by, "Running models")
    detail = _detail(project, pk)
    start_once(
        request, project, kind=tasks.IMPROVE, title=f"Criteria: better words for {detail.annotator.name}",
        args={"detail_id": detail.pk}, result_url=reverse("criteria:prompt", args=[slug, pk]),
    )  # fmt: skip
    return redirect("criteria:prompt", slug, pk)


@login_required
@require_POST
def duel(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Say which of two readings is better."""
    project = project_for(request, slug)
    detail, person = _detail(project, pk), reviewer_for(request.user, project)
    ids = [posted.number(request.POST.get(name)) or 0 for name in ("first", "second")]
    try:
        duels.answer(
            detail=detail, person=person, first=ids[0], second=ids[1], value=posted.text(request, "value")
        )
    except duels.BadDuel as error:
        messages.error(request, str(error))
    return redirect(reverse("criteria:prompt", args=[slug, pk]) + "#duel")


@login_required
@require_POST
def decide(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Test a wording, accept it, or reject it."""
    project = project_for(request, slug)
    wording = get_object_or_404(JudgeWording.objects.exclude(state="current"), project=project, pk=pk)
    act = posted.text(request, "act")
    where = reverse("criteria:prompt", args=[slug, wording.detail_id])
    if act == "test":
        require(project, project_rules.of(project).budget.runs_by, "Running models")
        start_once(
            request, project, kind=tasks.TEST, title="Criteria: test a wording", args={"wording_id": wording.pk},
            result_url=where,
        )  # fmt: skip
    elif act in {"accept", "reject"}:
        try:
            done = improving.decide(
                wording=wording,
                accept=act == "accept",
                actor=request.user,
                reason=posted.text(request, "reason"),
            )
        except improving.BadWording as error:
            messages.error(request, str(error))
        else:
            if done.made:
                messages.success(
                    request,
                    f"{done.made.annotator.name} is asked in these words; the old one stays as it was.",
                )
                return redirect("lm:detail", slug, done.made_id)
    return redirect(where)
