"""Items, judgments and imports as the API shows them; what it takes is in `api_requests.py`.

Two views of a judgment: `JudgmentResource`, canonical and whole, for who may see everything; `OwnJudgment`, in the
order the person saw and without a word about models or other people, for who gave it.
"""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotations.items.models import Item
from annotations.projects.models import Annotator
from app.web.api import Resource

from .api_answers import answers_as_displayed, as_displayed
from .models import Comparison, Judgment
from .pages import is_latest


class AnnotatorResource(Resource):
    """Who judged."""

    id = serializers.CharField(source="pk")
    kind = serializers.ChoiceField(choices=Annotator.Kind.choices)
    name = serializers.CharField()

    class Meta:
        ref_name = "Annotator"


class ComparisonResource(Resource):
    """Two responses in one aspect: a signed strength (negative: the first is better), or a tie."""

    first = serializers.IntegerField()
    second = serializers.IntegerField()
    aspect = serializers.CharField()
    preference = serializers.IntegerField(allow_null=True)
    scale_max = serializers.IntegerField(allow_null=True)
    tie = serializers.ChoiceField(choices=Comparison.Tie.choices, allow_null=True)

    class Meta:
        ref_name = "Comparison"


class ScoreResource(Resource):
    """One response, one attribute, one value; `scale` is [lowest, highest], null where there is no bound."""

    response = serializers.IntegerField()
    attribute = serializers.CharField()
    value = serializers.FloatField()
    scale = serializers.SerializerMethodField()

    class Meta:
        ref_name = "Score"

    def get_scale(self, score) -> list[float | None]:
        return score["scale"] if isinstance(score, dict) else [score.scale_min, score.scale_max]


class CallResource(Resource):
    """One call of a model behind a judgment."""

    order = serializers.CharField()
    label = serializers.CharField()
    raw = serializers.CharField()
    reason = serializers.CharField()
    tokens_in = serializers.IntegerField(allow_null=True)
    tokens_out = serializers.IntegerField(allow_null=True)
    cost_micros = serializers.IntegerField(allow_null=True)
    latency_ms = serializers.IntegerField(allow_null=True)

    class Meta:
        ref_name = "Call"


class _JudgmentCore(Resource):
    id = serializers.UUIDField(source="uuid")
    item = serializers.CharField(source="item_id")
    outcome = serializers.ChoiceField(choices=Judgment.Outcome.choices)
    schema_version = serializers.CharField(source="schema.label")
    guideline_version = serializers.IntegerField(source="guideline.number", default=None, allow_null=True)
    answers = serializers.DictField()
    reason = serializers.CharField()
    supersedes = serializers.UUIDField(source="supersedes.uuid", default=None, allow_null=True)
    is_current = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    active_ms = serializers.IntegerField(allow_null=True)
    wall_ms = serializers.IntegerField(allow_null=True)


class JudgmentResource(_JudgmentCore):
    """A judgment in canonical order, the order an item's responses are stored in."""

    order = serializers.SerializerMethodField(help_text="canonical, or displayed: as shown to who judged.")
    annotator = AnnotatorResource()
    origin = serializers.ChoiceField(choices=Judgment.Origin.choices)
    comparisons = ComparisonResource(many=True)
    scores = ScoreResource(many=True)
    probability = serializers.FloatField(allow_null=True, help_text="P(second better), ties counted half.")
    order_consistent = serializers.BooleanField(allow_null=True)
    presented_order = serializers.SerializerMethodField(help_text="Canonical places, left first.")
    propensity = serializers.FloatField()
    received_at = serializers.DateTimeField()

    class Meta:
        ref_name = "Judgment"

    def get_order(self, judgment: Judgment) -> str:
        return "canonical"

    def get_presented_order(self, judgment: Judgment) -> list[int]:
        return [int(index) for index in judgment.presented_order]


class JudgmentDetail(JudgmentResource):
    """A judgment with the calls of the model that gave it."""

    calls = CallResource(many=True)

    class Meta:
        ref_name = "JudgmentDetail"


class OwnJudgment(_JudgmentCore):
    """A judgment of your own, in the order the responses were shown to you."""

    order = serializers.SerializerMethodField(help_text="displayed: as shown to who judged.")
    is_current = serializers.BooleanField(help_text="Whether it is your last word on the item.")
    comparisons = ComparisonResource(many=True)
    scores = ScoreResource(many=True)

    class Meta:
        ref_name = "OwnJudgment"

    def get_order(self, judgment: Judgment) -> str:
        return "displayed"

    def to_representation(self, judgment: Judgment) -> dict:
        shown = _Displayed(judgment)
        return super().to_representation(shown)


class _Displayed:
    """A judgment whose comparisons and scores stand in the order its annotator saw."""

    def __init__(self, judgment: Judgment):
        self._judgment = judgment
        self.comparisons, self.scores = as_displayed(judgment)
        self.answers = answers_as_displayed(judgment)
        # Whether an answer is data would tell gold from the rest; whether it was replaced does not.
        latest = getattr(judgment, "is_latest", None)
        self.is_current = is_latest(judgment) if latest is None else latest

    def __getattr__(self, name: str):
        return getattr(self._judgment, name)


class ResponseResource(Resource):
    """One response of an item, at its canonical place."""

    index = serializers.IntegerField()
    text = serializers.CharField()
    model = serializers.CharField()
    meta = serializers.DictField()

    class Meta:
        ref_name = "Response"


class ItemSummary(Resource):
    """An item with its route and counts."""

    id = serializers.CharField(source="pk")
    external_id = serializers.CharField(allow_null=True)
    source = serializers.CharField()
    prompt = serializers.JSONField(help_text="A text, or messages [{role, content}].")
    group = serializers.CharField()
    n_responses = serializers.IntegerField()
    route = serializers.ChoiceField(choices=Item.Route.choices)
    route_ref = serializers.CharField(help_text="What set the route.")
    human_propensity = serializers.FloatField()
    is_audit = serializers.BooleanField()
    priority = serializers.IntegerField()
    wanted = serializers.IntegerField(help_text="Human judgments wanted.")
    n_human = serializers.IntegerField()
    n_lm = serializers.IntegerField()
    n_skipped = serializers.IntegerField()
    n_flagged = serializers.IntegerField()
    n_leased = serializers.IntegerField()
    open_slots = serializers.IntegerField()
    withdrawn_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class ItemResource(ItemSummary):
    """An item with its responses and judgments (at most 200; `judgments?item=` has all)."""

    context = serializers.CharField()
    meta = serializers.DictField()
    duplicate_of = serializers.CharField(source="duplicate_of_id", allow_null=True)
    responses = ResponseResource(many=True)
    judgments = serializers.SerializerMethodField()

    class Meta:
        ref_name = "Item"

    @extend_schema_field(JudgmentDetail(many=True))
    def get_judgments(self, item: Item) -> list[dict]:
        return JudgmentDetail(self.context["judgments"], many=True).data


class MessageResource(Resource):
    """One message of a prompt."""

    role = serializers.CharField()
    content = serializers.CharField()

    class Meta:
        ref_name = "Message"


class ShownResponse(Resource):
    """A response as people see it: its text."""

    text = serializers.CharField()


class NextItem(Resource):
    """An item to judge: what it is about, and what is asked. Answer in the order the responses stand here."""

    assignment = serializers.CharField(help_text="Give it back with the judgment.")
    expires_at = serializers.DateTimeField(help_text="Until then nobody else gets this place.")
    prompt = MessageResource(many=True)
    context = serializers.CharField()
    responses = ShownResponse(many=True)
    compared = serializers.ListField(
        child=serializers.IntegerField(), allow_null=True, help_text="Places of the two responses compared."
    )
    schema_version = serializers.CharField()
    definition = serializers.DictField(help_text="What is asked.")


class RowError(Resource):
    """What is wrong with one row, or with one judgment in it."""

    row = serializers.IntegerField(source="line", help_text="From 1.")
    field = serializers.CharField()
    message = serializers.CharField()


class ItemsReport(Resource):
    """What came of the rows; those without an error are stored, whatever is wrong with others."""

    new = serializers.IntegerField()
    updated = serializers.IntegerField()
    duplicate = serializers.IntegerField()
    invalid = serializers.IntegerField(help_text="Rows with at least one error.")
    judgments = serializers.IntegerField(help_text="Judgments stored.")
    errors = RowError(many=True)


class LogHead(Resource):
    """The last sealed block of a project's judgment log."""

    seals = serializers.IntegerField(help_text="Blocks so far.")
    hash = serializers.CharField(
        help_text="SHA-256 in hex, over this block and all before; empty where none is."
    )
    at = serializers.DateTimeField(allow_null=True)
