"""Reward models and their trainings as the API shows and takes them."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from app.web.api import (
    Body,
    NumberField,
    ObjectField,
    Resource,
    StrictBooleanField,
    TextField,
    WholeNumberField,
)

from . import linear, losses, prepare, train
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
    strength_map = serializers.ChoiceField(required=False, choices=sorted(losses.STRENGTH_MAPS))
    extrapolate = StrictBooleanField(required=False)
    use_ratings = StrictBooleanField(required=False)
    propensity = StrictBooleanField(required=False)
    options = ObjectField(
        required=False, help_text="Of `transformer`: base, max_length, …; of `linear`: embeddings."
    )
    seed = WholeNumberField(required=False, min_value=0, max_value=2**63 - 1)
    note = TextField(required=False, allow_blank=True, max_length=300)


class ScoredRow(Body):
    """A prompt and the responses to score."""

    prompt = TextField(required=False, allow_blank=True, max_length=100_000, trim_whitespace=False)
    responses = serializers.ListField(
        child=TextField(max_length=100_000, trim_whitespace=False), min_length=1, max_length=64
    )
    source = TextField(
        required=False,
        allow_blank=True,
        max_length=120,
        help_text="The items' source, where the model knows several.",
    )


def _all_of() -> serializers.ListField:
    return serializers.ListField(
        child=TextField(max_length=40),
        required=False,
        max_length=8,
        help_text="Ids of further models of this project, of other respects: a response must be good by all of them.",
    )


class BestRequest(ScoredRow):
    """A prompt and the responses of which the best is wanted."""

    all_of = _all_of()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Example",
            {"rows": [{"prompt": "Why?", "responses": ["Because.", "Ask again."]}]},
            request_only=True,
        )
    ]
)
class ScoreRequest(Body):
    """Rows to score: one response, a pair, or n of which the best is wanted."""

    rows = ScoredRow(many=True, min_length=1, max_length=256)
    all_of = _all_of()


class RowScores(serializers.Serializer):
    """A row's scores in the order of its responses."""

    scores = serializers.ListField(
        child=serializers.FloatField(), help_text="Log-odds; compare within a row."
    )
    good = serializers.ListField(
        child=serializers.FloatField(allow_null=True),
        help_text="Against the .85 quantile of the responses it was measured on: 0.5 is as good as that.",
    )
    in_all = serializers.ListField(
        child=serializers.FloatField(),
        allow_null=True,
        help_text="With `all_of`: the product of `good` over all models, by which `best` then goes.",
    )
    best = serializers.IntegerField(
        help_text="Index of the highest score, or with `all_of` of the highest `in_all`."
    )
    probability = serializers.FloatField(allow_null=True, help_text="P(second better), for two responses.")


class ScoreAnswer(serializers.Serializer):
    """The scores of each row, in order."""

    model = serializers.CharField()
    rows = RowScores(many=True)


class BestAnswer(serializers.Serializer):
    """The best of n responses."""

    model = serializers.CharField()
    best = serializers.IntegerField(help_text="Its index.")
    text = serializers.CharField()
    scores = serializers.ListField(child=serializers.FloatField())
    in_all = serializers.ListField(child=serializers.FloatField(), allow_null=True)
