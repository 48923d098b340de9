"""Reward models and their trainings as the API shows and takes them."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from app.web.api import Body, NumberField, Resource, TextField, WholeNumberField

from . import linear, prepare, train
from .models import RewardModel


class RewardModelResource(Resource):
    """A registered scorer with its figures on the frozen hold-out and its lineage."""

    id = serializers.CharField(source="public_id")
    number = serializers.IntegerField()
    backend = serializers.CharField()
    loss = serializers.CharField()
    status = serializers.ChoiceField(choices=RewardModel.Status.choices)
    snapshot = serializers.CharField(source="snapshot.public_id", default=None, allow_null=True)
    data_sha256 = serializers.CharField()
    files_sha256 = serializers.DictField()
    metrics = serializers.DictField(help_text="An estimate is {value, lo, hi, n}.")
    config = serializers.DictField()
    created_at = serializers.DateTimeField()
    promoted_at = serializers.DateTimeField(allow_null=True)

    class Meta:
        ref_name = "RewardModel"


class TrainingRunResource(Resource):
    """One training: what was asked, and the model that came out."""

    id = serializers.CharField(source="pk")
    snapshot = serializers.CharField(source="snapshot.public_id", default=None, allow_null=True)
    backend = serializers.CharField()
    loss = serializers.CharField()
    seed = serializers.IntegerField()
    spec = serializers.DictField()
    reward_model = serializers.CharField(source="reward_model.public_id", default=None, allow_null=True)
    job = serializers.UUIDField(source="job_id", allow_null=True)
    created_at = serializers.DateTimeField()

    class Meta:
        ref_name = "TrainingRun"


@extend_schema_serializer(
    examples=[OpenApiExample("Example", {"loss": "scaled_bt", "seed": 1}, request_only=True)]
)
class NewTraining(Body):
    """What to learn from, and how."""

    snapshot = TextField(
        required=False, allow_null=True, max_length=40, help_text="Its id; else one is frozen first."
    )
    loss = serializers.ChoiceField(required=False, choices=linear.LOSSES)
    backend = serializers.ChoiceField(required=False, choices=train.BACKENDS)
    judgments = serializers.ChoiceField(required=False, choices=prepare.JUDGMENTS)
    aspect = TextField(required=False, max_length=64)
    lm_weight = NumberField(required=False, max_value=1)
    seed = WholeNumberField(required=False, min_value=0, max_value=2**63 - 1)
    note = TextField(required=False, allow_blank=True, max_length=300)
