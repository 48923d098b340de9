"""A project's items as native JSONL rows, streamed in keyset batches: the content of a snapshot.

A row holds every key of the native form, null where there is nothing, and the reserved key `plumbline` with the
item's number, route, audit mark, propensity, group and split, and a reviewer's decision where there is one. People stand under their pseudonym; models under
their name. A judgment that another one supersedes is in the row too, and the other names it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Max, Model
from django.db.models.functions import Coalesce

from annotations.items.content import group_of
from annotations.items.models import Item, Response
from annotations.judging.models import Comparison, Judgment, LMCall, Review, Score
from annotations.projects.models import Annotator, CriteriaRelease, Guideline, Project, TaskSchema

from .aggregate import current_judgments
from .reading import fetch
from .splits import split_of

BATCH = 1000
KEYS_AT_ONCE = 1000
BATCH_CHARACTERS = 16_000_000  # of prompts and responses; long texts make batches of fewer items
RESERVED = "plumbline"
EXPERT = "expert"
"""The tag of an annotator who knows the field, as MultiPref's expert workers do."""
CALL_COUNTS = ("prompt_hash", "tokens_in", "tokens_out", "cost_micros", "latency_ms")


class BadQuery(ValueError):
    """A filter nobody knows, or with a value it cannot have; the text names it."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which items and judgments a snapshot holds. Empty lists and None do not restrict."""

    kinds: tuple[str, ...] = ()
    """Kinds of annotators whose judgments are kept."""
    outcomes: tuple[str, ...] = ()
    """Outcomes kept; an annotator's superseded judgments stay with the one that replaced them."""
    only_judged: bool = False
    """Leave out items without a judgment that is kept."""
    exclude_flagged: bool = False
    """Leave out items with a current flag."""
    withdrawn: bool = False
    """Keep items that were withdrawn."""
    first_item: int | None = None
    last_item: int | None = None

    @classmethod
    def parse(cls, query: dict) -> Query:
        """The checked query. Raises BadQuery naming the key and what was expected."""
        known = {field.name: field for field in fields(cls)}
        for key in query:
            if key not in known:
                raise BadQuery(f"{key}: not a filter; expected one of {', '.join(known)}")
        values = dict(query)
        for key, choices in (("kinds", Annotator.Kind.values), ("outcomes", Judgment.Outcome.values)):
            wanted = values.get(key) or ()
            if isinstance(wanted, str) or not set(wanted) <= set(choices):
                raise BadQuery(f"{key}: expected some of {', '.join(choices)}")
            values[key] = tuple(choice for choice in choices if choice in wanted)
        for key in ("only_judged", "exclude_flagged", "withdrawn"):
            if not isinstance(values.get(key, False), bool):
                raise BadQuery(f"{key}: expected true or false")
        for key in ("first_item", "last_item"):
            value = values.get(key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise BadQuery(f"{key}: expected the number of an item")
        return cls(**values)

    def as_json(self) -> dict:
        """Only what restricts, ready to store and to show."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items() if v}


@dataclass(frozen=True, slots=True)
class Names:
    """What rows name by a word instead of a key, read once for a snapshot."""

    annotators: dict[int, tuple[str, str]]
    """id → (name in the row, kind)."""
    experts: frozenset[str]
    """Names in rows of people who carry the tag `expert`."""
    schemas: dict[int, str]
    guidelines: dict[int, str]
    releases: dict[int, str]

    @classmethod
    def read(cls, project: Project, reader: BaseDatabaseWrapper) -> Names:
        people = fetch(
            Annotator.objects.filter(project=project).values_list("pk", "kind", "name", "pseudonym", "tags"),
            reader,
        )
        schemas = TaskSchema.objects.filter(project=project)
        return cls(
            annotators={
                pk: (str(pseudonym) if kind == Annotator.Kind.HUMAN else name, kind)
                for pk, kind, name, pseudonym, _ in people
            },
            experts=frozenset(str(pseudonym) for _, _, _, pseudonym, tags in people if EXPERT in tags),
            schemas={
                pk: TaskSchema(number=number, origin=origin).label
                for pk, number, origin in fetch(schemas.values_list("pk", "number", "origin"), reader)
            },
            guidelines=_numbers(Guideline, project, reader),
            releases=_numbers(CriteriaRelease, project, reader),
        )


def _numbers(model, project: Project, reader: BaseDatabaseWrapper) -> dict[int, str]:
    rows = model.objects.filter(project=project).values_list("pk", "number")
    return {pk: str(number) for pk, number in fetch(rows, reader)}


@dataclass(frozen=True, slots=True)
class Row:
    """One item's native row, and what the manifest counts but the row does not say."""

    native: dict
    route_ref: str
    releases: tuple[str, ...]


def last_judgment(project: Project, reader: BaseDatabaseWrapper) -> int:
    """The highest id of a judgment in view: the cut-off of a snapshot."""
    highest = Judgment.objects.filter(project=project).values("project").annotate(last=Max("pk"))
    rows = fetch(highest.values_list("last"), reader)
    return rows[0][0] if rows else 0


def items_of(project: Project, query: Query):
    """The items a query looks at."""
    items = Item.objects.filter(project=project, purpose=Item.Purpose.DATA)
    if not query.withdrawn:
        items = items.filter(withdrawn_at__isnull=True)
    if query.exclude_flagged:
        items = items.filter(n_flagged=0)
    if query.first_item is not None:
        items = items.filter(pk__gte=query.first_item)
    if query.last_item is not None:
        items = items.filter(pk__lte=query.last_item)
    return items


def item_rows(
    project: Project, query: Query, *, cutoff: int, reader: BaseDatabaseWrapper, batch: int = BATCH
) -> Iterator[Row]:
    """Yield the project's items in the order of their numbers, with judgments up to the cut-off id.

    A dozen or two of queries a batch of at most `batch` items; memory holds one batch. Deterministic for unchanged data.
    """
    names = Names.read(project, reader)
    items = (
        items_of(project, query)
        .order_by("pk")
        .annotate(family=Coalesce("duplicate_of__duplicate_of__group", "duplicate_of__group", "group"))
    )
    after, size = 0, batch
    while True:
        found = fetch(
            items.filter(pk__gt=after).values_list(
                "pk", "source", "external_id", "prompt", "context", "group", "meta",
                "route", "route_ref", "is_audit", "human_propensity", "family", "label_by_id",
                "label_fallback_id",
            )[:size],
            reader,
        )  # fmt: skip
        if not found:
            return
        after = found[-1][0]
        ids = [row[0] for row in found]
        responses, characters = _responses(ids, reader)
        judgments, releases = _judgments(ids, query, cutoff, names, reader)
        reviews = _reviews(ids, cutoff, reader)
        for (
            pk,
            source,
            external_id,
            prompt,
            context,
            group,
            meta,
            route,
            ref,
            audit,
            propensity,
            family,
            *standing,
        ) in found:
            own = judgments.get(pk, [])
            if query.only_judged and not own:
                continue
            family = group_of(family, prompt)
            native = {
                "id": external_id,
                "source": source,
                "prompt": prompt,
                "context": context or None,
                "group": group or None,
                "responses": responses.get(pk, []),
                "meta": {key: value for key, value in meta.items() if key != RESERVED},
                "judgments": own,
                RESERVED: {
                    "item": pk,
                    "route": route,
                    "is_audit": audit,
                    "human_propensity": propensity,
                    "group": family,
                    **_experts(own, names),
                    **_label_by(
                        own, [names.annotators[model][0] for model in standing if model in names.annotators]
                    ),
                    "split": split_of(family),
                },
            }
            if pk in reviews:
                native[RESERVED]["review"] = reviews[pk]
            yield Row(native, ref, releases.get(pk, ()))
        size = max(10, min(batch, int(size * BATCH_CHARACTERS / max(characters, 1))))


def _experts(judgments: list[dict], names: Names) -> dict[str, list[str]]:
    """Who of the item's annotators is an expert; nothing where nobody is."""
    found = {judgment["annotator"] for judgment in judgments} & names.experts if names.experts else ()
    return {"experts": sorted(found)} if found else {}


def _label_by(judgments: list[dict], standing: list[str]) -> dict[str, str]:
    """The first of the models whose label is to stand that answered; the first of them where none did."""
    if len(standing) > 1:
        answered = {
            each["annotator"] for each in current_judgments({"judgments": judgments}) if each["kind"] == "lm"
        }
        standing = [name for name in standing if name in answered] or standing
    return {"label_by": standing[0]} if standing else {}


def _responses(ids: list[int], reader: BaseDatabaseWrapper) -> tuple[dict[int, list[dict]], int]:
    rows = Response.objects.filter(item_id__in=ids).order_by("item_id", "index")
    found: dict[int, list[dict]] = defaultdict(list)
    characters = 0
    for item, text, model, meta in fetch(rows.values_list("item_id", "text", "model", "meta"), reader):
        found[item].append({"text": text, "model": model or None, "meta": meta})
        characters += len(text)
    return found, characters


def _judgments(
    ids: list[int], query: Query, cutoff: int, names: Names, reader: BaseDatabaseWrapper
) -> tuple[dict[int, list[dict]], dict[int, tuple[str, ...]]]:
    """Per item its judgments in the order they were stored, and the criteria releases they were given under."""
    judgments = Judgment.objects.filter(item_id__in=ids, pk__lte=cutoff, aside="").order_by("item_id", "pk")
    if query.kinds:
        judgments = judgments.filter(annotator__kind__in=query.kinds)
    found = fetch(
        judgments.values_list(
            "pk", "item_id", "uuid", "annotator_id", "schema_id", "guideline_id", "criteria_release_id", "outcome",
            "answers", "reason", "probability", "order_consistent", "presented_order", "propensity",
            "supersedes_id", "created_at", "active_ms", "wall_ms",
        ),
        reader,
    )  # fmt: skip
    if query.outcomes:
        found = _with_current_outcome(found, query.outcomes)
    uuids = {row[0]: str(row[2]) for row in found}
    comparisons, scores, calls = (read(list(uuids), reader) for read in (_comparisons, _scores, _calls))
    by_item: dict[int, list[dict]] = defaultdict(list)
    releases: dict[int, set[str]] = defaultdict(set)
    for (
        pk, item, uuid, annotator, schema, guideline, release, outcome, answers, reason, probability, consistent,
        presented, propensity, supersedes, created_at, active_ms, wall_ms,
    ) in found:  # fmt: skip
        name, kind = names.annotators[annotator]
        judgment = {
            "id": str(uuid),
            "annotator": name,
            "kind": kind,
            "outcome": outcome,
            "comparisons": comparisons.get(pk, []),
            "scores": scores.get(pk, []),
            "answers": answers,
            "reason": reason or None,
            "probability": probability,
            "order_consistent": consistent,
            "presented_order": [int(index) for index in presented] if presented else None,
            "schema_version": names.schemas[schema],
            "guideline_version": names.guidelines.get(guideline),
            "supersedes": uuids.get(supersedes),
            "propensity": propensity,
            "created_at": moment(created_at),
            "active_ms": active_ms,
            "wall_ms": wall_ms,
        }
        if pk in calls:
            judgment["calls"] = calls[pk]
        by_item[item].append(judgment)
        if release is not None:
            releases[item].add(names.releases[release])
    return by_item, {item: tuple(sorted(found)) for item, found in releases.items()}


def _reviews(ids: list[int], cutoff: int, reader: BaseDatabaseWrapper) -> dict[int, dict]:
    """Per item the review in force: the reviewer's answer, or that the votes stand, and why people disagreed."""
    rows = Review.objects.filter(item_id__in=ids).order_by("pk")
    newest: dict[int, tuple] = {}
    for row in fetch(
        rows.values_list(
            "item_id", "judgment_id", "judgment__outcome", "judgment__answers", "causes", "created_at"
        ),
        reader,
    ):
        if row[1] is None or row[1] <= cutoff:
            newest[row[0]] = row
    decided = [row[1] for row in newest.values() if row[1] is not None]
    comparisons, scores = _comparisons(decided, reader), _scores(decided, reader)
    return {
        item: {
            "decision": "votes_stand" if judgment is None else "answer",
            "outcome": outcome,
            "comparisons": comparisons.get(judgment, []),
            "scores": scores.get(judgment, []),
            "answers": answers or {},
            "causes": causes,
            "created_at": moment(created_at),
        }
        for item, judgment, outcome, answers, causes, created_at in newest.values()
    }


def _with_current_outcome(found: list[tuple], outcomes: tuple[str, ...]) -> list[tuple]:
    """Keep an annotator's judgments of an item if the one nothing supersedes has one of these outcomes.

    Filtering row by row would bring a corrected judgment back to life by dropping its correction.
    """
    superseded = {row[14] for row in found}
    kept = {(row[1], row[3]) for row in found if row[0] not in superseded and row[7] in outcomes}
    return [row for row in found if (row[1], row[3]) in kept]


def _parts(
    model: type[Model], columns: tuple[str, ...], judgments: list[int], reader: BaseDatabaseWrapper
) -> Iterator[tuple]:
    """(judgment, *columns) of what hangs on these judgments, in stored order.

    By the judgments' keys, some at a time: asked by items or for all at once, PostgreSQL reads the whole table.
    """
    for start in range(0, len(judgments), KEYS_AT_ONCE):
        rows = model.objects.filter(judgment_id__in=judgments[start : start + KEYS_AT_ONCE])
        yield from fetch(rows.order_by("judgment_id", "pk").values_list("judgment_id", *columns), reader)


def _comparisons(judgments: list[int], reader: BaseDatabaseWrapper) -> dict[int, list[dict]]:
    found: dict[int, list[dict]] = defaultdict(list)
    columns = ("first", "second", "aspect", "preference", "scale_max", "tie")
    for judgment, *row in _parts(Comparison, columns, judgments, reader):
        found[judgment].append(dict(zip(columns, row, strict=True)))
    return found


def _scores(judgments: list[int], reader: BaseDatabaseWrapper) -> dict[int, list[dict]]:
    found: dict[int, list[dict]] = defaultdict(list)
    columns = ("response", "attribute", "value", "scale_min", "scale_max")
    for judgment, response, attribute, value, low, high in _parts(Score, columns, judgments, reader):
        found[judgment].append(
            {
                "response": response,
                "attribute": attribute,
                "value": number(value),
                "scale": [number(low), number(high)],
            }
        )
    return found


def _calls(judgments: list[int], reader: BaseDatabaseWrapper) -> dict[int, list[dict]]:
    found: dict[int, list[dict]] = defaultdict(list)
    columns = ("order", "label", "raw", "reason", "meta", *CALL_COUNTS)
    for judgment, order, label, raw, reason, meta, *counts in _parts(LMCall, columns, judgments, reader):
        call = {"order": order, "label": label or None, "raw": raw, "reason": reason, "meta": meta}
        call.update(
            (key, value) for key, value in zip(CALL_COUNTS, counts, strict=True) if value not in (None, "")
        )
        found[judgment].append(call)
    return found


def number(value: float | None) -> float | int | None:
    """A whole number as an int, so that a rating of 4 reads 4 and not 4.0."""
    return int(value) if value is not None and value == int(value) else value


def moment(value: datetime) -> str:
    """ISO 8601 in UTC, ending in Z."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
