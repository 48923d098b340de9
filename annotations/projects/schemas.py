"""What a TaskSchema's definition may say, checked; and how versions are made.

A definition is plain JSON:

    {"title": str, "responses": {"min": 2, "max": 2},
     "questions": [
        {"kind": "comparison", "name": "overall", "label": str, "scale_max": 3, "ties": ["equal"], "words": [...]},
        {"kind": "rating", "name": "helpfulness", "label": str, "min": 0, "max": 4, "words": ["…", …]},
        {"kind": "ranking", "name": "rank", "label": str, "ties": true},
        {"kind": "thumb", "name": "thumb", "label": str},
        {"kind": "choice", "name": "confidence", "label": str, "options": [{"value", "label"}], "multiple": false},
        {"kind": "text", "name": "reason", "label": str, "min_chars": 0, "chips": [...]},
        {"kind": "span", "name": "false_parts", "label": str, "options": [{"value", "label"}], "note": true},
        {"kind": "rewrite", "name": "better_text", "label": str, "of": "best"}],
     "cannot_judge": [{"value", "label"}], "skip": [...], "flag": [...]}

A comparison compares the first two responses; ratings, thumbs and ranking ask about every response, and so do
choices and texts with `per_response`. The text question named `reason` is stored as the judgment's reason; every
other choice, text, span and rewrite in `answers`, under the question's name:

    choice   "value", or ["value", …] where `multiple`; with `per_response` a list of these by canonical index
    text     "…"; with `per_response` a list of texts by canonical index, "" where nothing was said
    span     [{"response": canonical index, "start": int, "end": int, "quote": str, "label": str, "note": str}],
             offsets in code points of the response's rendered text (`rendering.plain_text`)
    rewrite  {"response": canonical index of the text it started from, "text": str}

A question with `when` is asked only if the earlier question it names was answered so; see `Condition`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Literal

from django.db import IntegrityError, transaction
from django.db.models import Max
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from . import clashes
from .models import Project, TaskSchema


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("holds a NUL character; remove it")
    return text


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("write something")
    return text


def _wrong(places: Iterable[tuple[clashes.Path, str]]) -> None:
    """Raise what pydantic reports as one error, with its places kept apart for `errors_by_path`."""
    found = list(places)
    if found:
        message = "; ".join(f"{'.'.join(map(str, path))}: {words}" for path, words in found)
        raise PydanticCustomError("clash", "{message}", {"message": message, "places": found})


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Text = Annotated[str, AfterValidator(_storable)]
Label = Annotated[Text, AfterValidator(_said)]
Words = Annotated[Text, Field(max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Option(_Strict):
    value: Name
    label: Annotated[Label, Field(min_length=1, max_length=120)]


class Condition(_Strict):
    """When a question is asked: if the answer to an earlier `question` fits.

    `answered`: it has any answer. `is`: it is one of `values` (a tie's name, a choice's value, a whole number as
    text, `first` or `second` for the canonical side that a comparison prefers). `at_least`, `at_most`: some value
    of it reaches `number`: the strength of a comparison without its sign (a tie is 0), a rating of any response.
    """

    question: Name
    op: Literal["answered", "is", "at_least", "at_most"] = "answered"
    values: Annotated[tuple[Words, ...], Field(max_length=40)] = ()
    number: int | None = None

    @model_validator(mode="after")
    def _operand(self):
        if self.op == "is" and not self.values:
            _wrong([(("values",), "expected at least one")])
        if self.op in {"at_least", "at_most"} and self.number is None:
            _wrong([(("number",), "expected a whole number")])
        return self


class _Question(_Strict):
    name: Name
    label: Annotated[Label, Field(min_length=1, max_length=200)]
    help: Annotated[Text, Field(max_length=2000)] = ""
    required: bool = True
    when: Condition | None = None


class ComparisonQuestion(_Question):
    kind: Literal["comparison"]
    scale_max: Literal[1, 2, 3, 4] = 3
    ties: tuple[Literal["equal_good", "equal_bad", "equal"], ...] = ()
    words: tuple[Words, ...] = Field(default=(), description="From weakest to strongest: slightly better, …")

    @model_validator(mode="after")
    def _one_word_per_strength(self):
        if self.words and len(self.words) != self.scale_max:
            _wrong([(("words",), f"expected {self.scale_max}, one per strength, or none")])
        return self


class RatingQuestion(_Question):
    kind: Literal["rating"]
    min: int
    max: int
    words: tuple[Words, ...] = ()

    @model_validator(mode="after")
    def _bounds(self):
        if not 1 <= self.max - self.min <= 100:
            _wrong([(("max",), "expected min + 1 to min + 100")])
        if self.words and len(self.words) != self.max - self.min + 1:
            _wrong([(("words",), f"expected {self.max - self.min + 1}, one per value, or none")])
        return self


class RankingQuestion(_Question):
    kind: Literal["ranking"]
    ties: bool = True


class ThumbQuestion(_Question):
    kind: Literal["thumb"]


class ChoiceQuestion(_Question):
    kind: Literal["choice"]
    options: Annotated[tuple[Option, ...], Field(min_length=2, max_length=40)]
    multiple: bool = False
    per_response: bool = False


class TextQuestion(_Question):
    kind: Literal["text"]
    required: bool = False
    min_chars: Annotated[int, Field(ge=0, le=10_000)] = 0
    max_chars: Annotated[int, Field(ge=1, le=100_000)] = 20_000
    chips: Annotated[tuple[Words, ...], Field(max_length=20)] = ()
    per_response: bool = False


class SpanQuestion(_Question):
    """Marked parts of responses, each with one of the labels and, where `note`, a reason in words."""

    kind: Literal["span"]
    required: bool = False
    options: Annotated[tuple[Option, ...], Field(min_length=1, max_length=12)]
    note: bool = True


class RewriteQuestion(_Question):
    """A better text, starting from the response preferred so far (`best`) or from the one the person picks."""

    kind: Literal["rewrite"]
    required: bool = False
    of: Literal["best", "any"] = "best"


Question = Annotated[
    ComparisonQuestion
    | RatingQuestion
    | RankingQuestion
    | ThumbQuestion
    | ChoiceQuestion
    | TextQuestion
    | SpanQuestion
    | RewriteQuestion,
    Field(discriminator="kind"),
]


Reasons = Annotated[tuple[Option, ...], Field(max_length=40)]


class ResponseCount(_Strict):
    min: Annotated[int, Field(ge=1, le=8)] = 2
    max: Annotated[int, Field(ge=1, le=8)] = 2


class Definition(_Strict):
    """A checked definition; `Definition.model_validate(json)` raises pydantic's ValidationError."""

    title: Annotated[Text, Field(max_length=200)] = ""
    responses: ResponseCount = ResponseCount()
    layout: Annotated[
        Literal["columns", "stacked"],
        Field(description="How responses stand at first; the person may change it."),
    ] = "columns"
    questions: Annotated[tuple[Question, ...], Field(min_length=1, max_length=40)]
    cannot_judge: Reasons = (
        Option(value="not_valid", label="No response is valid"),
        Option(value="lacks_knowledge", label="I lack the knowledge"),
        Option(value="unclear_prompt", label="The prompt is unclear"),
        Option(value="other", label="Something else"),
    )
    skip: Reasons = (
        Option(value="not_now", label="Not now"),
        Option(value="language", label="Not a language I read"),
        Option(value="uncomfortable", label="I would rather not judge this"),
    )
    flag: Reasons = (
        Option(value="harmful", label="Harmful content"),
        Option(value="personal_data", label="Personal data"),
        Option(value="broken", label="Broken or empty text"),
        Option(value="other", label="Something else"),
    )

    @model_validator(mode="after")
    def _no_contradictions(self):
        _wrong(clashes.contradictions(self))
        return self

    def of_kind(self, kind: str) -> list[Question]:
        return [question for question in self.questions if question.kind == kind]


class Design(Definition):
    """A definition as people may design it: also without answers that share a key and names that are taken."""

    model_config = ConfigDict(title="Task design", extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _no_key_clashes(self):
        _wrong(clashes.key_clashes(self))
        return self


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces, the form every hash of ours is taken over."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


KINDS = frozenset(("comparison", "rating", "ranking", "thumb", "choice", "text", "span", "rewrite"))


PLAIN = {
    "extra_forbidden": "there is no such field",
    "missing": "this field is missing",
    "string_pattern_mismatch": "expected small letters, digits and _, a letter first",
    "string_too_short": "write something",
    "string_too_long": "at most {max_length} characters",
    "string_type": "expected a text",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "int_parsing_size": "the number is too long",
    "greater_than_equal": "expected at least {ge}",
    "less_than_equal": "expected at most {le}",
    "too_short": "expected at least {min_length}",
    "too_long": "expected at most {max_length}",
    "tuple_type": "expected a list",
    "literal_error": "expected {expected}",
    "model_type": "expected an object",
    "model_attributes_type": "expected an object",
    "union_tag_invalid": "kind: expected one of {expected_tags}",
    "union_tag_not_found": "kind: this field is missing",
}


def errors_by_path(error: ValidationError) -> list[tuple[clashes.Path, str]]:
    """Pydantic's complaints as (path in the definition, what is wrong), in the definition's own order."""
    found = []
    for each in error.errors(include_url=False, include_input=False):
        path = tuple(each["loc"])
        if len(path) > 2 and path[0] == "questions" and path[2] in KINDS:
            path = (*path[:2], *path[3:])  # pydantic names the kind, which stands in no definition
        if each["type"] == "clash":
            found += [((*path, *tuple(rest)), words) for rest, words in each["ctx"]["places"]]
        else:
            words = PLAIN.get(each["type"], "")
            found.append(
                (path, words.format(**each.get("ctx", {})) or each["msg"].removeprefix("Value error, "))
            )
    # Pydantic counts only the entries that are right: a list of wrong ones is not also too short.
    return [
        (path, words)
        for path, words in found
        if not any(len(other) > len(path) and other[: len(path)] == path for other, _ in found)
    ]


def add_schema(
    *,
    project: Project,
    definition: dict,
    origin: str = TaskSchema.Origin.DESIGNED,
    actor=None,
) -> TaskSchema:
    """Return the project's schema version with this definition, made if it is new.

    Raises pydantic.ValidationError if the definition is not valid, or nothing people may design. Does not change what
    the queue asks: see `use_schema`.
    """
    form = Design if origin == TaskSchema.Origin.DESIGNED else Definition
    content = form.model_validate(definition).model_dump(mode="json")
    digest = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    for _ in range(5):
        known = TaskSchema.objects.filter(project=project, origin=origin, sha256=digest).first()
        if known is not None:
            return known
        try:
            with transaction.atomic():
                last = TaskSchema.objects.filter(project=project).aggregate(n=Max("number"))["n"] or 0
                return TaskSchema.objects.create(
                    project=project,
                    number=last + 1,
                    origin=origin,
                    definition=content,
                    sha256=digest,
                    created_by=actor,
                )
        except IntegrityError:
            continue  # somebody else took the number: look again
    raise RuntimeError("could not number the schema after five tries")


def use_schema(*, project: Project, schema: TaskSchema) -> Project:
    """Make the queue ask this version from now on."""
    project.schema = schema
    project.save(update_fields=["schema"])
    return project


@lru_cache(maxsize=512)
def _parsed(schema_id: int) -> tuple[TaskSchema, Definition]:
    schema = TaskSchema.objects.get(pk=schema_id)
    return schema, Definition.model_validate(schema.definition)


def load(schema_id: int) -> tuple[TaskSchema, Definition]:
    """The schema version and its parsed definition, cached in the process: versions never change."""
    return _parsed(schema_id)
