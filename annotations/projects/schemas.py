"""What a TaskSchema's definition may say, checked; and how versions are made.

A definition is plain JSON:

    {"title": str, "responses": {"min": 2, "max": 2},
     "questions": [
        {"kind": "comparison", "name": "overall", "label": str, "scale_max": 3, "ties": ["equal"], "words": [...]},
        {"kind": "rating", "name": "helpfulness", "label": str, "min": 0, "max": 4, "words": ["…", …]},
        {"kind": "ranking", "name": "rank", "label": str, "ties": true},
        {"kind": "thumb", "name": "thumb", "label": str},
        {"kind": "choice", "name": "confidence", "label": str, "options": [{"value", "label"}], "multiple": false},
        {"kind": "text", "name": "reason", "label": str, "min_chars": 0, "chips": [...]}],
     "cannot_judge": [{"value", "label"}], "skip": [...], "flag": [...]}

A comparison compares the first two responses; ratings, thumbs and ranking ask about every response. The text
question named `reason` is stored as the judgment's reason, every other choice and text in `answers`.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Annotated, Literal

from django.db import IntegrityError, transaction
from django.db.models import Max
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .models import Project, TaskSchema

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Words = Annotated[str, Field(max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Option(_Strict):
    value: Name
    label: Annotated[str, Field(min_length=1, max_length=120)]


class _Question(_Strict):
    name: Name
    label: Annotated[str, Field(min_length=1, max_length=200)]
    help: Annotated[str, Field(max_length=2000)] = ""
    required: bool = True


class ComparisonQuestion(_Question):
    kind: Literal["comparison"]
    scale_max: Literal[1, 2, 3] = 3
    ties: tuple[Literal["equal_good", "equal_bad", "equal"], ...] = ()
    words: tuple[Words, ...] = Field(default=(), description="From weakest to strongest: slightly better, …")

    @model_validator(mode="after")
    def _one_word_per_strength(self):
        if self.words and len(self.words) != self.scale_max:
            raise ValueError(f"words: expected {self.scale_max}, one per strength, or none")
        return self


class RatingQuestion(_Question):
    kind: Literal["rating"]
    min: int
    max: int
    words: tuple[Words, ...] = ()

    @model_validator(mode="after")
    def _bounds(self):
        if not 1 <= self.max - self.min <= 100:
            raise ValueError("max: expected min + 1 to min + 100")
        if self.words and len(self.words) != self.max - self.min + 1:
            raise ValueError(f"words: expected {self.max - self.min + 1}, one per value, or none")
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


class TextQuestion(_Question):
    kind: Literal["text"]
    required: bool = False
    min_chars: Annotated[int, Field(ge=0, le=10_000)] = 0
    max_chars: Annotated[int, Field(ge=1, le=100_000)] = 20_000
    chips: Annotated[tuple[Words, ...], Field(max_length=20)] = ()


Question = Annotated[
    ComparisonQuestion | RatingQuestion | RankingQuestion | ThumbQuestion | ChoiceQuestion | TextQuestion,
    Field(discriminator="kind"),
]


class ResponseCount(_Strict):
    min: Annotated[int, Field(ge=1, le=8)] = 2
    max: Annotated[int, Field(ge=1, le=8)] = 2


class Definition(_Strict):
    """A checked definition; `Definition.model_validate(json)` raises pydantic's ValidationError."""

    title: Annotated[str, Field(max_length=200)] = ""
    responses: ResponseCount = ResponseCount()
    questions: Annotated[tuple[Question, ...], Field(min_length=1, max_length=40)]
    cannot_judge: tuple[Option, ...] = (
        Option(value="not_valid", label="No response is valid"),
        Option(value="lacks_knowledge", label="I lack the knowledge"),
        Option(value="unclear_prompt", label="The prompt is unclear"),
        Option(value="other", label="Something else"),
    )
    skip: tuple[Option, ...] = (
        Option(value="not_now", label="Not now"),
        Option(value="language", label="Not a language I read"),
        Option(value="uncomfortable", label="I would rather not judge this"),
    )
    flag: tuple[Option, ...] = (
        Option(value="harmful", label="Harmful content"),
        Option(value="personal_data", label="Personal data"),
        Option(value="broken", label="Broken or empty text"),
        Option(value="other", label="Something else"),
    )

    @model_validator(mode="after")
    def _names_once(self):
        names = [question.name for question in self.questions]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"questions: the name {twice[0]!r} is used twice")
        kinds = [question.kind for question in self.questions]
        if kinds.count("ranking") > 1 or kinds.count("thumb") > 1:
            raise ValueError("questions: expected at most one ranking and at most one thumb question")
        if "comparison" in kinds and self.responses.min < 2:
            raise ValueError("responses: a comparison needs at least two")
        if self.responses.min > self.responses.max:
            raise ValueError("responses: expected min <= max")
        return self

    def of_kind(self, kind: str) -> list[Question]:
        return [question for question in self.questions if question.kind == kind]


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces, the form every hash of ours is taken over."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def describe_errors(error: ValidationError) -> list[str]:
    """Pydantic's complaints as `where: what` lines."""
    return [
        f"{'.'.join(str(part) for part in e['loc']) or 'definition'}: {e['msg'].removeprefix('Value error, ')}"
        for e in error.errors()
    ]


def add_schema(
    *,
    project: Project,
    definition: dict,
    origin: str = TaskSchema.Origin.DESIGNED,
    actor=None,
) -> TaskSchema:
    """Return the project's schema version with this definition, made if it is new.

    Raises pydantic.ValidationError if the definition is not valid. Does not change what the queue asks: see
    `use_schema`.
    """
    content = Definition.model_validate(definition).model_dump(mode="json")
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
