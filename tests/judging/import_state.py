"""A row of a file, and what a project holds in values that two imports of the same files must agree on."""

from __future__ import annotations

import hashlib

from annotations.items.models import Item, Response
from annotations.judging.models import Comparison, Judgment, LMCall, Score
from annotations.judging.verify import ITEM_COUNTERS, verify_counts
from annotations.projects.models import Annotator, Project, TaskSchema


def pair(key="p1", a="Yes.", b="No.", **fields):
    row = {"id": key, "source": "s", "prompt": "Is it?", "response_a": a, "response_b": b, **fields}
    return {name: value for name, value in row.items() if value is not None}


def state(project) -> dict:
    """Everything an import writes but keys and times of arrival; equal states are equal projects.

    `ids` holds what also depends on the project itself: the judgments' UUIDs and the items' places in the queue.
    """
    items = Item.objects.filter(project=project)
    judged = Judgment.objects.filter(project=project)
    item = ("source", "external_id", "content_hash")
    response = ("item__content_hash", "item__external_id", "index", "text", "model", "meta")
    return {
        "items": _sorted(
            items.values_list(*item, "prompt", "context", "group", "meta", "wanted", *ITEM_COUNTERS)
        ),
        "copies": _sorted(items.values_list(*item, "duplicate_of__external_id")),
        "responses": _sorted(Response.objects.filter(item__project=project).values_list(*response)),
        "annotators": _sorted(
            Annotator.objects.filter(project=project).values_list("kind", "name", "meta", "n_judged")
        ),
        "schemas": _sorted(TaskSchema.objects.filter(project=project).values_list("origin", "sha256")),
        "judgments": _sorted(
            judged.values_list(
                "item__content_hash",
                "item__external_id",
                "annotator__name",
                "schema__sha256",
                "outcome",
                "answers",
                "reason",
                "probability",
                "order_consistent",
                "presented_order",
                "propensity",
                "supersedes__reason",
                "is_current",
                "active_ms",
                "wall_ms",
                "meta",
            )
        ),
        "comparisons": _sorted(_parts(Comparison, project, "first second aspect preference scale_max tie")),
        "scores": _sorted(_parts(Score, project, "response attribute value scale_min scale_max")),
        "calls": _sorted(_parts(LMCall, project, "order label raw reason meta")),
        "ids": _sorted(
            [*judged.values_list("uuid", "supersedes__uuid"), *items.values_list(*item, "order_key")]
        ),
    }


def _parts(model, project, fields: str):
    judgment = ("item__content_hash", "item__external_id", "annotator__name", "outcome", "is_current")
    return model.objects.filter(judgment__project=project).values_list(
        *(f"judgment__{name}" for name in judgment), *fields.split()
    )


def _sorted(rows) -> list[tuple]:
    return sorted((tuple(row) for row in rows), key=repr)


def counts(project) -> dict[str, int]:
    """How many rows of each kind the project has."""
    return {name: len(rows) for name, rows in state(project).items()}


def assert_counted_right(project) -> None:
    assert list(verify_counts(project=project)) == []


def digests(slug: str) -> dict[str, str]:
    """A hash of each part of a project's state but `ids`, to compare across processes."""
    found = state(Project.objects.get(slug=slug))
    return {
        name: hashlib.sha256(repr(rows).encode()).hexdigest() for name, rows in found.items() if name != "ids"
    }
