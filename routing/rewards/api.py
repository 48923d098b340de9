"""Reward models and their trainings over the API."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from annotations.datasets.models import Snapshot
from annotations.projects.access import project_for
from app.jobs.api import ACCEPTED, LOCATION, accepted
from app.jobs.models import Job
from app.web.api import (
    SLUG,
    ApiView,
    FieldsQuery,
    PageQuery,
    bad,
    in_path,
    many,
    one,
    page_of,
    parse,
    parse_query,
)
from app.web.problems import Problem

from . import artefacts, scoring
from .jobs import BadTraining, start_training
from .models import RewardModel, TrainingRun
from .serializers import (
    BestAnswer,
    BestRequest,
    NewTraining,
    RewardModelResource,
    ScoreAnswer,
    ScoreRequest,
    TrainingRunResource,
)

OPTIONS = (
    "backend", "judgments", "aspect", "lm_weight", "note", "strength_map", "extrapolate", "use_ratings", "propensity",
    "options",
)  # fmt: skip


class RewardModels(ApiView):
    """The reward models of a project."""

    @extend_schema(
        tags=["reward models"], summary="List reward models, newest first", parameters=[SLUG, PageQuery],
        operation_id="reward_models_list", responses=page_of(RewardModelResource),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug)
        query = parse_query(PageQuery, request)
        rows = RewardModel.objects.filter(project=project).select_related("snapshot")
        return many(RewardModelResource, rows, query, order_by=("-number",))


class RewardModelOne(ApiView):
    """One reward model."""

    @extend_schema(
        tags=["reward models"], summary="Read a reward model", operation_id="reward_models_retrieve",
        parameters=[SLUG, in_path("public_id", "The model's id, rm_…."), FieldsQuery],
        responses=RewardModelResource,
    )  # fmt: skip
    def get(self, request, slug, public_id):
        project = project_for(request, slug)
        rows = RewardModel.objects.select_related("snapshot")
        return one(
            request, RewardModelResource, get_object_or_404(rows, project=project, public_id=public_id)
        )


class RewardModelScore(ApiView):
    """Scores of responses, which are stored nowhere."""

    @extend_schema(
        tags=["reward models"], summary="Score responses", request=ScoreRequest, operation_id="reward_models_score",
        parameters=[SLUG, in_path("public_id", "The model's id, rm_….")], responses=ScoreAnswer,
    )  # fmt: skip
    def post(self, request, slug, public_id):
        """Up to 256 rows of up to 64 responses. A pair's `probability` is that of the second being better."""
        model = _model(project_for(request, slug), public_id)
        body = parse(ScoreRequest, request.data)
        return Response({"model": model.public_id, "rows": _ranked(model, body["rows"], body.get("all_of"))})


class RewardModelBest(ApiView):
    """The best of n responses."""

    @extend_schema(
        tags=["reward models"], summary="Choose the best of n", request=BestRequest, operation_id="reward_models_best",
        parameters=[SLUG, in_path("public_id", "The model's id, rm_….")], responses=BestAnswer,
    )  # fmt: skip
    def post(self, request, slug, public_id):
        """The response with the highest score, or with `all_of` the one that is best in all respects; of equal ones the first."""
        model = _model(project_for(request, slug), public_id)
        row = parse(BestRequest, request.data)
        (found,) = _ranked(model, [row], row.get("all_of"))
        text = row["responses"][found["best"]]
        told = {name: found[name] for name in ("best", "scores", "in_all")}
        return Response({"model": model.public_id, "text": text, **told})


def _model(project, public_id: str) -> RewardModel:
    return get_object_or_404(RewardModel, project=project, public_id=public_id)


def _ranked(model: RewardModel, rows: list[dict], all_of: list[str] | None) -> list[dict]:
    wanted = list(dict.fromkeys(all_of or []))
    known = RewardModel.objects.filter(project=model.project_id, public_id__in=wanted).in_bulk(
        field_name="public_id"
    )
    if missing := [name for name in wanted if name not in known or name == model.public_id]:
        raise bad("all_of", f"This project has no other model {missing[0]}.")
    try:
        return scoring.rank(
            model,
            [(row.get("prompt", ""), row["responses"], row.get("source", "")) for row in rows],
            [known[name] for name in wanted],
        )
    except scoring.NoReference as error:
        raise bad("all_of", str(error)) from None
    except artefacts.ArtefactError as error:
        raise Problem(409, f"{model.public_id} cannot be loaded", str(error)) from None


class TrainingRuns(ApiView):
    """The trainings of a project."""

    @extend_schema(
        tags=["reward models"], summary="List trainings, newest first", parameters=[SLUG, PageQuery],
        operation_id="training_runs_list", responses=page_of(TrainingRunResource),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug)
        query = parse_query(PageQuery, request)
        rows = TrainingRun.objects.filter(project=project).select_related("snapshot", "reward_model")
        return many(TrainingRunResource, rows, query, order_by=("-pk",))

    @extend_schema(
        tags=["reward models"], summary="Train a reward model", request=NewTraining,
        parameters=[SLUG, LOCATION], operation_id="training_runs_create", responses={202: ACCEPTED},
    )  # fmt: skip
    def post(self, request, slug):
        """The job's result names the model. The same data and seed give the same model."""
        project = project_for(request, slug)
        body = parse(NewTraining, request.data)
        snapshot = None
        if body.get("snapshot"):
            snapshot = Snapshot.objects.filter(project=project, public_id=body["snapshot"]).first()
            if snapshot is None:
                raise bad("snapshot", "This project has no such snapshot.")
        try:
            run = start_training(
                project=project,
                actor=request.user,
                snapshot=snapshot,
                options={key: body[key] for key in OPTIONS if key in body},
                **{key: body[key] for key in ("loss", "seed") if key in body},
            )
        except BadTraining as error:
            raise bad(_field_of(str(error)), str(error)) from None
        return accepted(Job.objects.get(pk=run.job_id))


def _field_of(words: str) -> str:
    """Which field a refusal of `start_training` is about."""
    for name in ("snapshot", "backend", "option"):
        if name in words:
            return "options" if name == "option" else name
    return "lm_weight"


class TrainingRunOne(ApiView):
    """One training."""

    @extend_schema(
        tags=["reward models"], summary="Read a training", operation_id="training_runs_retrieve",
        parameters=[SLUG, in_path("id", "The training's id.", OpenApiTypes.INT), FieldsQuery],
        responses=TrainingRunResource,
    )  # fmt: skip
    def get(self, request, slug, pk):
        project = project_for(request, slug)
        rows = TrainingRun.objects.select_related("snapshot", "reward_model")
        return one(request, TrainingRunResource, get_object_or_404(rows, project=project, pk=pk))
