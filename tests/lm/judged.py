"""People and models that have judged real pairs."""

from __future__ import annotations

import gzip
import json
import uuid
from pathlib import Path

import pytest

from annotations.judging.answers import Answer, Call, ComparisonAnswer
from annotations.judging.submit import submit
from annotations.projects.models import Annotator

SLICE = Path(__file__).parent / "pairs.jsonl.gz"


def pairs() -> list[dict]:
    """Sixty real pairs with people's and models' labels: 40 of PandaLM, 20 of LLMBar."""
    with gzip.open(SLICE, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture
def plain_project(project):
    """The project, asking for one comparison only."""
    from annotations.lm import baseline
    from annotations.projects import schemas

    schema = schemas.add_schema(project=project, definition=baseline.definition("overall"))
    return schemas.use_schema(project=project, schema=schema)


@pytest.fixture
def judge(plain_project):
    """Store a verdict (a, b, tie or None) of a named annotator on an item."""
    known: dict[tuple, Annotator] = {}

    def store(name, kind, item, label, *, calls=(), consistent=None, probability=None, raw=""):
        if (kind, name) not in known:
            meta = {"model": name.split(" ")[0], "strategy": "Vanilla", "backend": "imported"}
            known[kind, name], _ = Annotator.objects.get_or_create(
                project=plain_project, kind=kind, name=name, defaults={"meta": meta if kind == "lm" else {}}
            )
        if label is None:
            answer = Answer(outcome="cannot_judge", answers={"cannot_judge": "other"}, calls=tuple(calls))
        else:
            verdict = (
                ComparisonAnswer(0, 1, tie="equal")
                if label == "tie"
                else ComparisonAnswer(0, 1, preference=-1 if label == "a" else 1, scale_max=1)
            )
            answer = Answer(
                comparisons=(verdict,),
                probability=probability,
                order_consistent=consistent,
                calls=tuple(calls) or ((Call(label=label, raw=raw),) if kind == "lm" else ()),
            )
        return submit(
            annotator=known[kind, name],
            item_id=item.pk,
            schema_id=plain_project.schema_id,
            uuid=uuid.uuid4(),
            answer=answer,
            origin="import",
        ).judgment

    return store


@pytest.fixture
def real_pairs(plain_project, make_item, judge):
    """The sixty real pairs as items with all their judgments; both orders of a model are one judgment."""
    items = []
    for row in pairs():
        item = make_item(row["prompt"], (row["response_a"], row["response_b"]), external_id=row["id"])
        for human in row["human"]:
            judge(human["annotator"], "human", item, human["label"])
        by_name: dict[str, list] = {}
        for lm in row["lm"]:
            by_name.setdefault(f"{lm['model']} {lm.get('strategy', '')}".strip(), []).append(lm)
        for name, given in by_name.items():
            calls = [Call(order=g["order"], label=g["label"] or "", raw=g.get("raw", "")) for g in given]
            labels = {g["label"] for g in given}
            both = len({g["order"] for g in given}) == 2
            label = labels.pop() if len(labels) == 1 else "tie"
            judge(name, "lm", item, label, calls=calls, consistent=label != "tie" if both else None)
        items.append(item)
    return items
