"""Pages of LM annotators: who they are, how they stand beside people, and running the offline baseline."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Avg
from django.db.models.functions import Length
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from annotations.judging.models import Judgment
from annotations.projects import rules
from annotations.projects.access import project_for, require
from app.jobs.models import Job
from app.web import plots
from app.web.paging import BadCursorError, keyset_page

from . import annotate, baseline, canaries, configure, endpoints, registry, report, runs
from .forms import RunForm
from .models import Failure, LMAnnotator


@login_required
@require_GET
def lm_list(request: HttpRequest, slug: str) -> HttpResponse:
    """Every LM annotator with its agreement, consistency and pull to a side."""
    project = project_for(request, slug)
    rows = report.by_agreement(report.reports(project))
    return render(
        request,
        "lm/list.html",
        {
            "project": project,
            "role": project.role,
            "rail": "lm",
            "crumbs": [("LM annotators", "")],
            "rows": rows,
            "best": report.best(rows),
            "models": sum(not row.detail.is_baseline for row in rows),
            "plot": _agreement_plot(rows),
            "can_add": endpoints.usable(project).exists(),
            "has_baseline": any(row.detail.is_baseline for row in rows),
            "baseline_name": baseline.NAMES[baseline.LONGER_WINS],
            "running": _live_jobs(project.slug),
        },
    )


@login_required
@require_GET
def lm_detail(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One LM annotator: the table of verdicts, calibration where it grades, its latest judgments and raw calls."""
    project = project_for(request, slug)
    found = next((row for row in report.reports(project) if row.detail.pk == pk), None)
    if found is None:
        raise Http404("No such annotator.")
    judgments = (
        Judgment.objects.filter(annotator=found.annotator, is_current=True)
        .select_related("item")
        .prefetch_related("comparisons", "calls")
    )
    try:
        page = keyset_page(judgments, cursor=request.GET.get("cursor"), size=20, order_by=("-id",))
    except BadCursorError as error:
        return render(request, "400.html", {"reason": str(error)}, status=400)
    reason = (
        Judgment.objects.filter(annotator=found.annotator, is_current=True)
        .exclude(reason="")
        .aggregate(mean=Avg(Length("reason")))["mean"]
    )
    detail = runs.find(found.detail.pk, project)
    live = _live_jobs(project.slug, found.annotator.pk)
    return render(
        request,
        "lm/detail.html",
        {
            "project": project,
            "role": project.role,
            "rail": "lm",
            "crumbs": [("LM annotators", reverse("lm:list", args=[slug])), (found.annotator.name, "")],
            "row": found,
            "explanation": baseline.EXPLANATIONS.get(found.detail.rule, ""),
            "confusion": report.confusion_rows(found.tally),
            "column_totals": report.column_totals(found.tally),
            "calibration": _calibration_plot(found),
            "reason_length": reason,
            "left": annotate.unjudged(project, found.annotator).count() if detail.is_baseline else 0,
            "page": page,
            "running": live,
            "last_run": None if live else _last_run(found.annotator.pk, project.slug),
            **(_asking(detail, bool(live)) if detail.asks else {}),
        },
    )


def _asking(detail: LMAnnotator, is_running: bool) -> dict:
    """What the page shows of an annotator that asks a model: its frozen parts, the next run, failures, canaries."""
    rates = canaries.rates(detail)
    return {
        "asks": detail,
        "parameters": configure.parameters_of(detail),
        "changed": configure.changed_since(detail),
        "estimate": None if is_running else runs.estimate(detail),
        "run_form": RunForm(),
        "unread": runs.unread(detail).count(),
        "failures": Failure.objects.filter(annotator=detail.annotator)
        .select_related("item")
        .order_by("item_id")[:50],
        "n_failures": Failure.objects.filter(annotator=detail.annotator).count(),
        "canaries": rates,
        "flips": canaries.overall(rates),
        "scanned": report.scanned(detail.annotator),
    }


@login_required
@require_POST
def baseline_add(request: HttpRequest, slug: str) -> HttpResponse:
    """Add the offline baseline and let it judge what it has not judged."""
    project = project_for(request, slug)
    detail = registry.add_baseline(project=project, actor=request.user)
    return _start(request, project, detail)


@login_required
@require_POST
def lm_run(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Start this annotator on the items it has not judged."""
    project = project_for(request, slug)
    detail = _find(project, pk)
    form = RunForm(request.POST)
    if not form.is_valid():
        for field, errors in form.errors.items():
            messages.error(request, f"{form.fields[field].label}: {errors[0]}")
        return redirect("lm:detail", slug, pk)
    return _start(request, project, detail, limit=form.cleaned_data["limit"], cap=form.cleaned_data["cap"])


@login_required
@require_POST
def lm_canaries(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Ask this annotator about tampered items."""
    project = project_for(request, slug)
    require(project, rules.of(project).budget.runs_by, "Running models")
    detail = _find(project, pk)
    back = reverse("lm:detail", args=[slug, pk])
    try:
        canaries.start(detail=detail, actor=request.user, result_url=back)
    except annotate.CannotAnnotate as error:
        messages.error(request, str(error))
    return redirect(back)


def _find(project, pk: int) -> LMAnnotator:
    detail = runs.find(pk, project)
    if detail is None:
        raise Http404("No such annotator.")
    return detail


def _start(request: HttpRequest, project, detail: LMAnnotator, **bounds) -> HttpResponse:
    require(project, rules.of(project).budget.runs_by, "Running models")
    back = reverse("lm:detail", args=[project.slug, detail.pk])
    try:
        runs.start(detail=detail, actor=request.user, result_url=back, **bounds)
    except runs.AlreadyRunning:
        pass  # the page shows the run
    except annotate.CannotAnnotate as error:
        messages.error(request, str(error))
    return redirect(back)


def _live_jobs(slug: str, annotator_id: int | None = None) -> list[Job]:
    jobs = Job.objects.filter(
        scope=slug, kind__in=[runs.KIND, canaries.KIND], state__in=[Job.State.QUEUED, Job.State.RUNNING]
    ).order_by("-created_at")[:20]
    return [job for job in jobs if annotator_id is None or job.args.get("annotator_id") == annotator_id]


def _last_run(annotator_id: int, slug: str) -> Job | None:
    """The run that ended last, whatever its end."""
    return (
        Job.objects.filter(
            scope=slug, kind=runs.KIND, args__annotator_id=annotator_id, finished_at__isnull=False
        )
        .order_by("-created_at")
        .first()
    )


def _agreement_plot(rows: list[report.Report]) -> plots.Plot | None:
    drawn = [
        plots.Row(
            row.annotator.name,
            row.tally.agreement["value"],
            row.tally.agreement["lo"],
            row.tally.agreement["hi"],
            row.tally.agreement["n"],
            "baseline" if row.detail.is_baseline else "lm",
        )
        for row in rows
        if row.tally.agreement
    ]
    if not drawn:
        return None
    return plots.interval_plot(
        drawn,
        title="Agreement with people's majority",
        value_label="Share of items with the same verdict (first, tie, second)",
        percent=True,
        caption="95 % Wilson intervals. Judgments without a verdict are left out here and counted in the table.",
    )


def _calibration_plot(row: report.Report) -> plots.Plot | None:
    if not row.tally.graded:
        return None
    points = [plots.Point(x, e["value"], e["lo"], e["hi"], e["n"]) for x, e in row.tally.calibration()]
    if not points:
        return None
    return plots.calibration_plot(
        points,
        title="Calibration",
        x_label="P(second better) it stated",
        y_label="Share where people chose the second",
        kind="baseline" if row.detail.is_baseline else "lm",
        caption="Items on which people's majority chose a response; 95 % Wilson intervals; area grows with n.",
    )
