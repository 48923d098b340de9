"""Items, judgments and imports as the API shows and takes them.

Two views of a judgment: `JudgmentResource`, canonical and whole, for who may see everything; `OwnJudgment`, in the
order the person saw and without a word about models or other people, for who gave it.
"""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from annotations.items.models import Item
from annotations.items.readers import FORMATS
from annotations.projects.models import Annotator
from app.web.api import (
    Body,
    IdField,
    NumberField,
    ObjectField,
    PageQuery,
    Resource,
    TextField,
    UuidField,
    WholeNumberField,
    unstorable,
)

from .api_answers import as_displayed
from .forms import LONGEST_MS
from .importing import MAX_WANTED
from .models import Comparison, Judgment

MAX_ANSWERS = 100


# --- What is read -------------------------------------------------------------------------------------------
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


# --- What is asked for --------------------------------------------------------------------------------------
class ItemQuery(PageQuery):
    """Which items."""

    route = serializers.ChoiceField(required=False, choices=Item.Route.choices)
    state = serializers.ChoiceField(
        required=False,
        choices=["open", "complete", "none", "withdrawn"],
        help_text="open: more human judgments are wanted; none: no person judged it yet.",
    )
    source = serializers.CharField(required=False, max_length=200)
    q = serializers.CharField(required=False, max_length=200, help_text="Id or prompt contains.")


class JudgmentQuery(PageQuery):
    """Which judgments; annotators get their own whatever they ask for."""

    annotator = serializers.RegexField(r"^[0-9]{1,18}$", required=False, help_text="An annotator's id.")
    kind = serializers.ChoiceField(required=False, choices=Annotator.Kind.choices)
    outcome = serializers.ChoiceField(required=False, choices=Judgment.Outcome.choices)
    item = serializers.RegexField(r"^[0-9]{1,18}$", required=False, help_text="An item's id.")
    current = serializers.ChoiceField(
        required=False, choices=["true", "false"], help_text="Only those in force, or only those superseded."
    )


# --- What is written ----------------------------------------------------------------------------------------
class NewComparison(Body):
    """Which of the two compared responses is better: a signed strength (negative: the one further left), or a tie."""

    aspect = TextField(max_length=64, default="overall")
    preference = WholeNumberField(
        required=False, allow_null=True, help_text="Not 0; negative: the one further left is better."
    )
    tie = serializers.ChoiceField(
        required=False,
        allow_null=True,
        choices=Comparison.Tie.choices,
        help_text="Instead of a preference, where the question has ties.",
    )
    first = WholeNumberField(required=False, help_text="If given, the place of the one further left.")
    second = WholeNumberField(required=False)


class NewScore(Body):
    """A value of one attribute for the response at this place."""

    response = WholeNumberField(help_text="Its place in `next`'s list, from 0.")
    attribute = TextField(max_length=64)
    value = NumberField()


class AnswersField(ObjectField):
    """Answers to choices and texts by the question's name: a text, or a list of texts."""

    def to_internal_value(self, data: object) -> dict:
        answers = super().to_internal_value(data)
        if len(answers) > MAX_ANSWERS:
            raise serializers.ValidationError(f"{len(answers)} answers; at most {MAX_ANSWERS}.")
        for name, value in answers.items():
            parts = value if isinstance(value, list) else [value]
            if not all(isinstance(part, str) for part in parts):
                raise serializers.ValidationError({name[:100]: ["Expected a text, or a list of texts."]})
        return answers


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Example",
            {
                "id": "0b8c1a52-6f0e-4d2b-9a53-3a0c1a5e7f10",
                "assignment": "12",
                "comparisons": [{"aspect": "overall", "preference": -2}],
                "scores": [
                    {"response": 0, "attribute": "helpfulness", "value": 4},
                    {"response": 1, "attribute": "helpfulness", "value": 1},
                ],
                "reason": "The left one answers the question.",
            },
            request_only=True,
        )
    ]
)
class NewJudgment(Body):
    """One answer: to the item leased as `assignment`, or a correction of the judgment `supersedes`."""

    id = UuidField(help_text="Made by you; the same id again answers with what is stored.")
    assignment = IdField(required=False, help_text="From `next`: the item this answers.")
    supersedes = UuidField(
        required=False, allow_null=True, help_text="Instead of `assignment`: your judgment this corrects."
    )
    outcome = serializers.ChoiceField(
        required=False, choices=Judgment.Outcome.choices, help_text="`answered` if it is not given."
    )
    comparisons = NewComparison(many=True, required=False, max_length=MAX_ANSWERS)
    scores = NewScore(many=True, required=False, max_length=8 * MAX_ANSWERS)
    answers = AnswersField(
        required=False,
        help_text="By question; for other outcomes the reason's code under `skip`, `flag` or `cannot_judge`.",
    )
    reason = TextField(required=False, allow_blank=True, help_text="In your words.")
    schema_version = TextField(
        required=False, max_length=40, help_text="As in `next`; else the one in force."
    )
    guideline_version = WholeNumberField(
        required=False, allow_null=True, help_text="The version you read; else your latest."
    )
    active_ms = WholeNumberField(
        required=False, allow_null=True, min_value=0, max_value=LONGEST_MS, help_text="Time spent looking."
    )
    wall_ms = WholeNumberField(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=LONGEST_MS,
        help_text="Time since it was shown.",
    )

    def validate(self, values: dict) -> dict:
        if ("assignment" in values) == (values.get("supersedes") is not None):
            raise serializers.ValidationError(
                {"assignment": ["Give the assignment, or the judgment it supersedes, and not both."]}
            )
        return values


class MappingField(serializers.CharField):
    """A JSON object {column: role}, as the text of a form field."""

    def to_internal_value(self, data: object) -> dict:
        text = super().to_internal_value(data)
        field = serializers.JSONField(binary=True)
        mapping = field.to_internal_value(text)
        if not isinstance(mapping, dict) or not all(isinstance(role, str) for role in mapping.values()):
            raise serializers.ValidationError(
                'Expected a JSON object of texts, such as {"question": "prompt"}.'
            )
        if found := unstorable(mapping):
            raise serializers.ValidationError(found)
        return mapping


class NewImport(serializers.Serializer):
    """A file of items, and of any judgments in it."""

    file = serializers.FileField(allow_empty_file=False, max_length=255)
    format = serializers.ChoiceField(
        required=False, choices=sorted(FORMATS), help_text="Recognised if it is not given."
    )
    mapping = MappingField(required=False, max_length=20_000, help_text="For tables: JSON {column: role}.")
    dry_run = serializers.BooleanField(required=False, default=False)
    ask_again = serializers.BooleanField(
        required=False, default=False, help_text="Want people beyond those whose judgments the file brings."
    )
    wanted = serializers.IntegerField(required=False, min_value=0, max_value=MAX_WANTED)
