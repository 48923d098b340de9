"""Pages of reward models: list, train, a run with live progress, one model."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations.projects.access import project_for
from annotations.projects.models import Membership, Project

from . import artefacts, jobs, queries, registry, score
from .forms import OverrideForm, ScoreForm, TrainForm
from .models import RewardModel, TrainingRun

STOP_POLLING = 286


@login_required
@require_GET
def model_list(request: HttpRequest, slug: str) -> HttpResponse:
    """Every reward model with its figures, and the runs in progress."""
    project = project_for(request, slug)
    found = queries.models_of(project)
    context = {
        "models": found,
        "headline": queries.headline(found[0] if found else None),
        "plot": queries.gain_plot(found),
        "live": queries.live_runs(project),
        "ended": queries.ended_runs(project),
    }
    return render(request, "rewards/list.html", _page(project, [("Reward models", "")], **context))


@login_required
@require_http_methods(["GET", "POST"])
def train_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose data, judgments and loss, and start the training."""
    project = project_for(request, slug)
    form = TrainForm(request.POST or None, project=project)
    if request.method == "POST" and form.is_valid():
        try:
            run = jobs.start_training(project=project, actor=request.user, **form.training())
        except jobs.BadTraining as error:
            form.add_error(None, str(error))
        else:
            return redirect("rewards:run", project.slug, run.pk)
    crumbs = [("Reward models", reverse("rewards:list", args=[slug])), ("Train", "")]
    status = 400 if form.errors else 200
    return render(request, "rewards/train.html", _page(project, crumbs, form=form), status=status)


@login_required
@require_GET
def run_detail(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One training: its steps, loss curve and log, live."""
    project = project_for(request, slug)
    view = queries.run_view(_run(project, pk))
    crumbs = [("Reward models", reverse("rewards:list", args=[slug])), (f"Training rm_{pk}", "")]
    return render(request, "rewards/run.html", _page(project, crumbs, view=view))


@login_required
@require_GET
def run_live(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """The part of a run's page that polls itself; reloads the page once the training is over."""
    project = project_for(request, slug)
    view = queries.run_view(_run(project, pk))
    response = render(request, "rewards/run_live.html", {"project": project, "view": view})
    if not view.is_live:
        response.status_code = STOP_POLLING
        response["HX-Refresh"] = "true"
    return response


@login_required
@require_GET
def model_detail(request: HttpRequest, slug: str, public_id: str) -> HttpResponse:
    """One model: figures, warnings, lineage, files, and a box to score a text."""
    project = project_for(request, slug)
    return _detail(request, project, _model(project, public_id))


@login_required
@require_POST
def model_score(request: HttpRequest, slug: str, public_id: str) -> HttpResponse:
    """Score two responses with this model."""
    project = project_for(request, slug)
    model = _model(project, public_id)
    form = ScoreForm(request.POST)
    scored, status = None, 400
    if form.is_valid():
        data = form.cleaned_data
        try:
            (first, second), status = _scores(model, data), 200
            scored = {"first": first, "second": second, "probability": score.probability(first, second)}
        except artefacts.ArtefactError as error:
            form.add_error(None, f"This model cannot be loaded. {error}")
    if request.htmx:
        context = {"project": project, "model": model, "score_form": form, "scored": scored}
        return render(request, "rewards/score_box.html", context, status=status)
    return _detail(request, project, model, status=status, score_form=form, scored=scored)


@login_required
@require_POST
def model_promote(request: HttpRequest, slug: str, public_id: str) -> HttpResponse:
    """Promote this model if it passes every gate; an owner may give a reason and promote it all the same."""
    project = project_for(request, slug)
    model = _model(project, public_id)
    is_owner = project.role == Membership.Role.OWNER
    override = OverrideForm(request.POST if "reason" in request.POST else None)
    reason = override.cleaned_data["reason"] if override.is_bound and override.is_valid() else ""
    try:
        registry.promote(model=model, actor=request.user, may_override=is_owner, reason=reason)
    except registry.GatesFailed as error:
        may = is_owner and all(gate.name != "files" for gate in error.gates)
        context = {"failed": error.gates, "override": override if may else None}
        return _detail(request, project, model, status=409, **context)
    except registry.Refused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{model.public_id} is promoted.")
    return redirect("rewards:detail", project.slug, model.public_id)


@login_required
@require_POST
def model_archive(request: HttpRequest, slug: str, public_id: str) -> HttpResponse:
    """Put this model away."""
    project = project_for(request, slug)
    model = _model(project, public_id)
    try:
        registry.archive(model=model, actor=request.user)
    except registry.Refused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{model.public_id} is archived.")
    return redirect("rewards:detail", project.slug, model.public_id)


@login_required
@require_POST
def roll_back(request: HttpRequest, slug: str) -> HttpResponse:
    """Go back to the model that was promoted before."""
    project = project_for(request, slug)
    try:
        model = registry.roll_back(project=project, actor=request.user)
    except registry.Refused as error:
        messages.error(request, str(error))
        return redirect("rewards:list", project.slug)
    messages.success(request, f"{model.public_id} is promoted again.")
    return redirect("rewards:detail", project.slug, model.public_id)


@login_required
@require_GET
def model_file(request: HttpRequest, slug: str, public_id: str, name: str) -> HttpResponse:
    """Download one of the model's registered files."""
    project = project_for(request, slug)
    model = _model(project, public_id)
    if name not in model.files_sha256:
        raise Http404("No such file.")
    try:
        handle = (registry.directory(model) / name).open("rb")
    except OSError:
        raise Http404("The file is missing.")
    return FileResponse(handle, as_attachment=True, filename=f"{model.public_id}-{name}")


def _detail(
    request: HttpRequest, project: Project, model: RewardModel, *, status: int = 200, **more
) -> HttpResponse:
    context = {
        "model": model,
        "metrics": model.metrics,
        "headline": queries.headline(model),
        "cautions": queries.cautions(model),
        "parts": queries.parts_plot(model),
        "calibration": queries.calibration_plot(model),
        "notes": queries.preflight_notes(model),
        "score_form": ScoreForm(),
        "scored": None,
        **more,
    }
    crumbs = [("Reward models", reverse("rewards:list", args=[project.slug])), (model.public_id, "")]
    return render(request, "rewards/detail.html", _page(project, crumbs, **context), status=status)


def _page(project: Project, crumbs: list, **more) -> dict:
    return {"project": project, "role": project.role, "rail": "rewards", "crumbs": crumbs, **more}


def _scores(model: RewardModel, data: dict) -> list[float]:
    rows = [(data["prompt"], [data["first"], data["second"]])]
    return next(score.score_rows(score.load(model), rows))


def _run(project: Project, pk: int) -> TrainingRun:
    found = TrainingRun.objects.filter(project=project, pk=pk)
    run = found.select_related("snapshot", "reward_model", "created_by").first()
    if run is None:
        raise Http404("No such training.")
    return run


def _model(project: Project, public_id: str) -> RewardModel:
    found = RewardModel.objects.filter(project=project, public_id=public_id)
    model = found.select_related("snapshot", "parent", "replaced", "run", "project").first()
    if model is None:
        raise Http404("No such reward model.")
    return model
