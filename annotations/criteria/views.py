"""Pages of the criteria lab: the board, one criterion, what graders say while they run, decisions, settings."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations.projects import rules as project_rules
from annotations.projects.access import project_for, require, reviewer_for
from annotations.projects.models import CriteriaRelease, Project
from annotations.projects.views import page_context
from app.jobs import runner
from app.web import plots, posted

from . import cards, graders, judging, lab, material, offers, settling, streaming, tasks, watch
from .diffs import wording_diff
from .forms import CriterionForm, LabForm, WordingForm
from .models import Criterion, Grader, Proposal, Round
from .streaming import live_jobs


def context(project: Project, tab: str, *crumbs: tuple[str, str]) -> dict:
    start = ("Criteria", reverse("criteria:board", args=[project.slug]) if tab != "board" else "")
    return {**page_context(project, "criteria", start, *crumbs), "tab": tab}


@login_required
@require_GET
def board(request: HttpRequest, slug: str) -> HttpResponse:
    """Every criterion with its interval, what waits for a decision, and the newest round."""
    project = project_for(request, slug)
    rows = cards.board(project)
    status = request.GET.get("status", "")
    live = [r for r in rows if r["criterion"].is_live]
    newest = Round.objects.filter(project=project, finished_at__isnull=False).order_by("-number").first()
    running, proposals = live_jobs(project), _open_proposals(project)
    the_lab = lab.lab_of(project)
    account = lab.account_of(the_lab)
    return render(
        request,
        "criteria/board.html",
        {
            **context(project, "board"),
            "rows": [
                r
                for r in rows
                if r["criterion"].status == status or (not status and r["criterion"].status != "banned")
            ],
            "status": status,
            "statuses": Criterion.Status.choices,
            "any": bool(rows),
            "n_live": len(live),
            "n_trusted": sum(r["criterion"].status == "trusted" for r in live),
            "plot": _plot(live),
            "proposals": proposals,
            "n_against": sum(p.evidence.get("recommend") == "reject" for p in proposals),
            "round": newest,
            "measured": newest.report.get("set") if newest else None,
            "running": running,
            "judging": streaming.of_round(project) if _is_round(running) else [],
            "lab": the_lab,
            "account": account,
            "spent": f"{account.spent} of {account.cap} {account.currency}" if account else "",
            "release": CriteriaRelease.objects.filter(project=project).order_by("-number").first(),
        },
    )


def _is_round(running: list) -> bool:
    return any(job.kind == tasks.KIND for job in running)


@login_required
@require_GET
def judging_now(request: HttpRequest, slug: str) -> HttpResponse:
    """What each criterion's grader has said so far in the round that runs; polled by the board."""
    project = project_for(request, slug)
    rows = {"project": project, "judging": streaming.of_round(project), "live": _is_round(live_jobs(project))}
    return render(request, "criteria/so_far_round.html", rows)


@login_required
@require_GET
def said_so_far(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """What one grader has said so far of single responses; polled by its criterion's page."""
    project = project_for(request, slug)
    criterion = _criterion(project, pk)
    grader = Grader.objects.filter(
        version__criterion=criterion, pk=posted.number(request.GET.get("grader"))
    ).first()
    if grader is None:
        raise Http404("No such grader.")
    return render(
        request, "criteria/so_far_grader.html",
        {"project": project, "criterion": criterion, "so_far": streaming.of_grader(grader, reviewer_for(request.user, project)),
         "live": streaming.grader_at_work(criterion, live_jobs(project)) == grader},
    )  # fmt: skip


def _open_proposals(project: Project) -> list[Proposal]:
    rows = Proposal.objects.filter(project=project, state="open").select_related(
        "criterion", "version", "base"
    )
    return list(rows.order_by("kind", "pk")[:60])


def _plot(rows: list[dict]) -> plots.Plot | None:
    drawn = [
        plots.Row(r["criterion"].name, a["value"], a["lo"], a["hi"], a["n"], "accent")
        for r in rows
        if r["facts"] and (a := r["facts"]["accuracy"])
    ]
    if not drawn:
        return None
    return plots.interval_plot(
        drawn, title="How often each criterion in force is right", percent=True, reference=0.5,
        value_label="Share of the pairs it decides on which people decided alike",
        caption="95 % Wilson intervals, on pairs that neither wrote nor chose the criterion. 50 % is chance.",
    )  # fmt: skip


@login_required
@require_POST
def start(request: HttpRequest, slug: str) -> HttpResponse:
    """Start a round as a Job, one at a time."""
    return _start_job(request, slug, tasks.KIND, "Criteria: a round", "criteria:board")


@login_required
@require_POST
def panel(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask the judge's panel again as a Job."""
    return _start_job(request, slug, tasks.PANEL, "Criteria: the judge's panel", "criteria:drift")


def _start_job(request: HttpRequest, slug: str, kind: str, title: str, back: str) -> HttpResponse:
    project = project_for(request, slug)
    the_lab = lab.lab_of(project)
    if the_lab.judge or the_lab.manager:
        require(project, project_rules.of(project).budget.runs_by, "Running models")
    where = reverse(back, args=[slug])
    start_once(request, project, kind=kind, title=title, args={"project_id": project.pk}, result_url=where)
    return redirect(where)


def start_once(request: HttpRequest, project: Project, **job) -> None:
    """Start a job of the lab, one at a time."""
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        if live_jobs(project):
            messages.error(request, "The lab is at work already.")
        else:
            runner.start(**job, scope=project.slug, actor=request.user)


@login_required
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest, slug: str) -> HttpResponse:
    """Write a criterion."""
    project = project_for(request, slug)
    form = CriterionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = lab.add_criterion(project=project, actor=request.user, **form.cleaned_data)
        except lab.BadCriterion as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            messages.success(request, f"{made.name} is in force.")
            return redirect("criteria:detail", slug, made.pk)
    return render(
        request, "criteria/form.html", {**context(project, "new", ("New", "")), "form": form, "what": "Add"}
    )


def _criterion(project: Project, pk: int) -> Criterion:
    return get_object_or_404(Criterion.objects.select_related("current"), project=project, pk=pk)


@login_required
@require_http_methods(["GET", "POST"])
def detail(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One criterion: its wordings with what changed, its graders, people beside the judge, and a new wording."""
    project = project_for(request, slug)
    criterion = _criterion(project, pk)
    initial = {
        "wording": criterion.current.wording,
        "applies_when": criterion.current.applies_when,
        "change": "meaning",
    }
    form = WordingForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            version = lab.edit_criterion(
                criterion=criterion, wording=data["wording"], change=data["change"], applies_when=data["applies_when"],
                actor=request.user,
            )  # fmt: skip
        except lab.BadCriterion as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            Proposal.objects.filter(criterion=criterion, version=None, kind="refine", state="open").update(
                state="accepted", decided_by=request.user
            )
            messages.success(request, f"Version {version.number} is in force.")
            return redirect("criteria:detail", slug, pk)
    versions = list(criterion.versions.select_related("parent", "created_by").order_by("-number"))
    found = list(criterion.current.graders.select_related("model__endpoint").order_by("-pk"))
    tables = []
    for grader in found:
        if grader.is_pairwise:
            try:
                tables.append((grader, cards.people_table(project, grader)))
            except material.NoMaterial:
                break
    places = judging.response_material(offers.graded_places(project)) if criterion.kind != "pairwise" else []
    the_lab = lab.lab_of(project)
    single = [
        (g, judging.estimate(g, the_lab, places) if g.model_id and places else None)
        for g in found
        if not g.is_pairwise
    ]
    facts = next((r["facts"] for r in cards.board(project) if r["criterion"].pk == pk), None)
    running = live_jobs(project)
    at_work = streaming.grader_at_work(criterion, running)
    so_far = streaming.of_grader(at_work, reviewer_for(request.user, project)) if at_work else None
    return render(
        request,
        "criteria/detail.html",
        {
            **context(project, "detail", (criterion.name, "")),
            "criterion": criterion, "facts": facts, "form": form, "tables": tables,
            "versions": [(v, wording_diff(v.parent.wording, v.wording) if v.parent else []) for v in versions],
            "flips": watch.wordings(criterion),
            "running": running, "so_far": so_far, "live": True, "single": single, "n_places": len(places), "judge": the_lab.judge,
            "manager": the_lab.manager,
        },
    )  # fmt: skip


@login_required
@require_GET
def cases(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The items of one cell: what people said and what the grader said."""
    project = project_for(request, slug)
    criterion = _criterion(project, pk)
    grader = criterion.current.graders.filter(pk=posted.number(request.GET.get("grader"))).first()
    people, said = request.GET.get("people", ""), request.GET.get("said", "")
    try:
        items = cards.cell_items(project, grader, people, said) if grader else None
    except (KeyError, material.NoMaterial):
        items = None
    if items is None:
        raise Http404("No such cell.")
    crumbs = ((criterion.name, reverse("criteria:detail", args=[slug, pk])), ("Pairs", ""))
    return render(
        request, "criteria/cases.html",
        {**context(project, "detail", *crumbs), "criterion": criterion, "items": items, "people": people, "said": said},
    )  # fmt: skip


@login_required
@require_POST
def code(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Add a grader of single responses, approve code that was read, or run one."""
    project = project_for(request, slug)
    criterion = _criterion(project, pk)
    grader = (
        Grader.objects.filter(version__criterion=criterion, pk=posted.number(request.POST.get("grader")))
        .exclude(kind__in=["rule", "lm_pair"])
        .first()
    )
    act = posted.text(request, "act")
    try:
        if act == "model":
            examples = None
            if "few_shot" in request.POST:
                examples = offers.pick_examples(offers.examples(criterion), seed=criterion.current_id)
            graders.add_model_grader(
                criterion=criterion, kind=posted.text(request, "kind"), examples=examples, actor=request.user
            )
        elif act == "draft" and criterion.kind == Criterion.Kind.BINARY:
            require(project, project_rules.of(project).budget.runs_by, "Running models")
            start_once(
                request, project, kind=tasks.IMPLEMENT, title=f"Criteria: assertions of {criterion.name}",
                args={"criterion_id": criterion.pk}, result_url=reverse("criteria:detail", args=[slug, pk]),
            )  # fmt: skip
        elif act == "add":
            graders.add_code(criterion=criterion, code=posted.text(request, "code"), actor=request.user)
        elif grader is not None and act == "approve":
            graders.approve_code(grader=grader, actor=request.user)
        elif grader is not None and act == "run" and grader.may_run:
            is_code = grader.kind == Grader.Kind.CODE
            if not is_code:
                require(project, project_rules.of(project).budget.runs_by, "Running models")
            start_once(
                request, project, kind=tasks.CODE if is_code else tasks.GRADE,
                title=f"Criteria: grade by {criterion.name}", args={"grader_id": grader.pk},
                queue=tasks.SANDBOX if is_code else "default", result_url=reverse("criteria:card", args=[slug]),
            )  # fmt: skip
    except lab.BadCriterion as error:
        messages.error(request, str(error))
    return redirect("criteria:detail", slug, pk)


@login_required
@require_POST
def set_status(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Retire a criterion or take it into force again."""
    project = project_for(request, slug)
    status = posted.text(request, "status")
    if status in {"active", "retired"}:
        lab.set_status(criterion=_criterion(project, pk), status=status, actor=request.user)
    return redirect("criteria:detail", slug, pk)


@login_required
@require_POST
def decide(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Accept or reject a proposal."""
    project = project_for(request, slug)
    proposal = get_object_or_404(Proposal, project=project, pk=pk)
    accept = request.POST.get("decision") == "accept"
    if accept and proposal.kind == "refine" and proposal.version_id is None:
        return redirect("criteria:detail", slug, proposal.criterion_id)
    try:
        lab.decide(
            proposal=proposal, accept=accept, actor=request.user, reason=posted.text(request, "reason")[:500]
        )
    except lab.BadCriterion as error:
        messages.error(request, str(error))
    return redirect("criteria:board", slug)


@login_required
@require_POST
def follow(request: HttpRequest, slug: str) -> HttpResponse:
    """Decide all proposals as their evidence recommends; what cannot be told stays open."""
    project = project_for(request, slug)
    done = settling.follow_project(project, actor=request.user)
    messages.success(
        request, f"{done['accepted']} accepted, {done['rejected']} rejected, {done['open']} left to you."
    )
    return redirect("criteria:board", slug)


@login_required
@require_http_methods(["GET", "POST"])
def settings(request: HttpRequest, slug: str) -> HttpResponse:
    """Who judges and manages, the cap, and what was spent of it."""
    project = project_for(request, slug)
    the_lab = lab.lab_of(project)
    account = lab.account_of(the_lab)
    initial = {
        "judge": the_lab.judge_id, "manager": the_lab.manager_id, "pairs_a_round": the_lab.pairs_a_round,
        "cap": account.cap if account else None, "weekly_panel": the_lab.weekly_panel,
        "interviews": the_lab.interviews,
    }  # fmt: skip
    form = LabForm(request.POST or None, project=project, initial=initial)
    if request.method == "POST" and form.is_valid():
        if form.cleaned_data["interviews"] and not the_lab.interviews:
            require(project, project_rules.of(project).budget.runs_by, "Letting people run a model")
        try:
            lab.configure(project=project, actor=request.user, **form.cleaned_data)
        except lab.BadCriterion as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            messages.success(request, "Saved.")
            return redirect("criteria:board", slug)
    return render(
        request, "criteria/settings.html", {**context(project, "settings", ("Models and cap", "")), "form": form, "account": account}
    )  # fmt: skip
