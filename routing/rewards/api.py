"""Reward models and their trainings over the API."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema

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

from .jobs import BadTraining, start_training
from .models import RewardModel, TrainingRun
from .serializers import NewTraining, RewardModelResource, TrainingRunResource

OPTIONS = ("backend", "judgments", "aspect", "lm_weight", "note")


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
            raise bad("snapshot" if "snapshot" in str(error) else "lm_weight", str(error)) from None
        return accepted(Job.objects.get(pk=run.job_id))


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
