"""What the API of items, judgments and imports is asked for and given: queries and bodies."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
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
    StrictBooleanField,
    TextField,
    UuidField,
    WholeNumberField,
    unstorable,
)

from .importing import MAX_BATCH, MAX_WANTED
from .models import Comparison, Judgment
from .timing import LONGEST_MS

MAX_ANSWERS = 100
ITEMS_AT_ONCE = 500


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
    """Answers by the question's name; the forms of each kind are in the help of `NewJudgment.answers`."""

    def to_internal_value(self, data: object) -> dict:
        answers = super().to_internal_value(data)
        if len(answers) > MAX_ANSWERS:
            raise serializers.ValidationError(f"{len(answers)} answers; at most {MAX_ANSWERS}.")
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
        help_text=(
            "By question. Choice: a value, or a list where several may be chosen. Text: a text. `per_response`: a "
            "list of these in the order shown. Span: [{response, start, end, quote, label, note}], offsets in code "
            "points of the response's rendered text. Rewrite: {response, text}. For other outcomes the reason's "
            "code under `skip`, `flag` or `cannot_judge`."
        ),
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
    saved_mapping = serializers.CharField(
        required=False,
        max_length=120,
        help_text="The name of a mapping of the project, instead of `mapping`.",
    )
    pii = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Report rows that seem to hold personal data, as `pii` in the result.",
    )
    dry_run = serializers.BooleanField(required=False, default=False)
    ask_again = serializers.BooleanField(
        required=False, default=False, help_text="Want people beyond those whose judgments the file brings."
    )
    wanted = serializers.IntegerField(required=False, min_value=0, max_value=MAX_WANTED)
    batch = serializers.CharField(
        required=False,
        max_length=MAX_BATCH,
        help_text="The batch new items go into, made if it is new; else a row's own `batch` says.",
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Example",
            {
                "items": [
                    {"id": "q1", "prompt": "Say hello.", "response_a": "Hello.", "response_b": "Go away."}
                ]
            },
            request_only=True,
        )
    ]
)
class NewItems(Body):
    """Items, with any judgments of them, as rows of the native JSONL (its short forms too)."""

    items = serializers.ListField(
        child=serializers.JSONField(), min_length=1, max_length=ITEMS_AT_ONCE, help_text="Up to 500 rows."
    )
    ask_again = StrictBooleanField(
        required=False, help_text="Want people beyond those whose judgments the rows bring."
    )
    wanted = WholeNumberField(required=False, min_value=0, max_value=MAX_WANTED)
    batch = TextField(required=False, max_length=MAX_BATCH)
