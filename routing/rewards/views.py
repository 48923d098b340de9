"""Pages of reward models: list, train, a run with live progress, one model."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations.lm.annotate import CannotAnnotate
from annotations.projects.access import project_for
from annotations.projects.models import Membership, Project

from . import artefacts, comparison, figures, jobs, judge, learning, loop, queries, registry, scoring
from .forms import LoopForm, OverrideForm, ScoreForm, TrainForm, loss_words
from .models import Loop, LoopRound, RewardModel, TrainingRun

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
        "plot": figures.gain_plot(found),
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
    return render(
        request, "rewards/run.html", _page(project, crumbs, view=view, loss=loss_words(view.run.loss))
    )


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
    form = ScoreForm(request.POST, model=model)
    scored, status = None, 400
    if form.is_valid():
        try:
            scored, status = scoring.playground(model, **form.texts()), 200
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
        messages.success(
            request,
            f"{model.public_id} is promoted. If a routing plan is in force, what this means for it is asked here within a minute.",
        )
    return redirect("rewards:detail", project.slug, model.public_id)


@login_required
@require_POST
def model_curve(request: HttpRequest, slug: str, public_id: str) -> HttpResponse:
    """Measure this model's learning curve."""
    project = project_for(request, slug)
    job = learning.start(model=_model(project, public_id), actor=request.user)
    return redirect("jobs:detail", pk=job.pk)


@login_required
@require_GET
def compare(request: HttpRequest, slug: str) -> HttpResponse:
    """Two models on the same held-out pairs."""
    project = project_for(request, slug)
    found = queries.models_of(project)
    chosen = [next((m for m in found if m.public_id == request.GET.get(side)), None) for side in ("a", "b")]
    view, refused = None, ""
    if all(chosen) and chosen[0] != chosen[1]:
        try:
            view = comparison.compare(*chosen)
        except artefacts.ArtefactError as error:
            refused = f"They cannot be compared. {error}"
    elif any(request.GET.get(side) for side in ("a", "b")):
        refused = "Choose two different models of this project."
    crumbs = [("Reward models", reverse("rewards:list", args=[slug])), ("Compare", "")]
    choices = [(model, loss_words(model.loss)) for model in found]
    context = {"models": found, "choices": choices, "chosen": chosen, "view": view, "refused": refused}
    return render(
        request, "rewards/compare.html", _page(project, crumbs, **context), status=400 if refused else 200
    )


@login_required
@require_http_methods(["GET", "POST"])
def loop_page(request: HttpRequest, slug: str) -> HttpResponse:
    """When the project trains anew, its rounds, and what waits for a decision."""
    project = project_for(request, slug)
    form = LoopForm(
        request.POST or None, instance=Loop.objects.filter(project=project).first() or Loop(project=project)
    )
    if request.method == "POST" and form.is_valid():
        loop.change(project=project, form=form, actor=request.user)
        messages.success(request, "Saved.")
        return redirect("rewards:loop", slug)
    crumbs = [("Reward models", reverse("rewards:list", args=[slug])), ("Rounds of training", "")]
    context = {"form": form, **queries.loop_view(project)}
    return render(
        request, "rewards/loop.html", _page(project, crumbs, **context), status=400 if form.errors else 200
    )


@login_required
@require_POST
def loop_begin(request: HttpRequest, slug: str) -> HttpResponse:
    """Begin a round now."""
    project = project_for(request, slug)
    if (
        loop.begin(project=project, reason=f"Asked for by {request.user.username}", actor=request.user)
        is None
    ):
        messages.error(request, "A round is open already.")
    return redirect("rewards:loop", slug)


@login_required
@require_POST
def loop_decide(request: HttpRequest, slug: str, number: int, what: str) -> HttpResponse:
    """Approve or decline what a round proposes."""
    project = project_for(request, slug)
    round_ = LoopRound.objects.filter(project=project, number=number).first()
    if round_ is None or what not in ("approve", "decline"):
        raise Http404("No such round.")
    try:
        (loop.approve if what == "approve" else loop.decline)(round_=round_, actor=request.user)
    except (loop.NotNow, registry.Refused) as error:
        messages.error(request, str(error))
    return redirect("rewards:loop", slug)


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
def model_judge(request: HttpRequest, slug: str, public_id: str) -> HttpResponse:
    """Let this promoted model judge the items it has not judged."""
    project = project_for(request, slug)
    model = _model(project, public_id)
    back = reverse("rewards:detail", args=[slug, public_id])
    try:
        job = judge.start(model=model, actor=request.user, result_url=back)
    except CannotAnnotate as error:
        messages.error(request, str(error))
        return redirect(back)
    return redirect("jobs:detail", pk=job.pk)


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
        "loss": loss_words(model.loss),
        "headline": queries.headline(model),
        "cautions": queries.cautions(model),
        "parts": figures.parts_plot(model),
        "calibration": figures.calibration_plot(model),
        "notes": queries.preflight_notes(model),
        "sources": figures.sources_plot(model),
        "rated": figures.ratings_plot(model),
        "between": figures.attributes_between(model),
        "changes": figures.perturbation_plot(model),
        "curves": figures.curve_plots(model),
        "curve_job": learning.live(model),
        "score_form": ScoreForm(model=model),
        "scored": None,
        **more,
    }
    crumbs = [("Reward models", reverse("rewards:list", args=[project.slug])), (model.public_id, "")]
    return render(request, "rewards/detail.html", _page(project, crumbs, **context), status=status)


def _page(project: Project, crumbs: list, **more) -> dict:
    return {"project": project, "role": project.role, "rail": "rewards", "crumbs": crumbs, **more}


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
