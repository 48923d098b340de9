"""Rankings as NeMo-RL reads them: `context`, and `completions` with ranks from 0 (best)."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from ..aggregate import RANK
from .base import (
    ANNOTATORS,
    JSON_AND_PARQUET,
    JUDGED_BY,
    MESSAGES,
    ORIGIN,
    Conversion,
    Format,
    Holds,
    Row,
    Table,
    messages_of,
    origin_of,
    read_votes,
    reply,
)
from .pairs import merits_of
from .ratings import judged_in

TASK = "preference"


def ranking_rows(item: Row, conversion: Conversion) -> Iterator[Row]:
    """One row per item, or per person's ranking with the method `raw`; completions in the item's own order."""
    options = conversion.options
    count = len(item["responses"])
    found = []
    for judgment in judged_in(item, options["judged_by"]):
        ranks = {row["response"]: row["value"] for row in judgment["scores"] if row["attribute"] == RANK}
        if len(ranks) == count > 1:
            found.append((judgment, [ranks[index] for index in range(count)]))
    if options["method"] == "raw":
        rows = [(places(values), conversion.name(judgment["annotator"])) for judgment, values in found]
    elif found:
        means = [sum(values[index] for _, values in found) / len(found) for index in range(count)]
        rows = [(places(means), None)]
    else:
        balance, _ = merits_of(item, {**options, "method": "majority"})
        rows = (
            [(places([-balance[index] for index in range(count)]), None)] if len(balance) == count > 1 else []
        )
    if not rows:
        conversion.dropped["items whose responses are not all ranked"] += 1
    prompt = messages_of(item)
    for ranks, annotator in rows:
        yield {
            "context": prompt,
            "completions": [
                {"rank": rank, "completion": reply(response["text"], False)}
                for rank, response in zip(ranks, item["responses"], strict=True)
            ],
            "task_name": TASK,
            **origin_of(item),
            "annotator": annotator,
        }


def places(values: list[float]) -> list[int]:
    """Ranks from 0 of values where the least is best; equal ones share the lowest place: 0, 0, 2."""
    return [sum(other < value for other in values) for value in values]


NEMO_RANKING = Format(
    label="Ranking (NeMo-RL)",
    description="context, completions with ranks from 0: one row per ranked item, ties share a rank.",
    family="Training",
    containers=JSON_AND_PARQUET,
    options={
        "aspect": (),
        "method": ("mean", "raw"),
        "judged_by": JUDGED_BY,
        "annotators": ANNOTATORS,
    },
    tables=(
        Table(
            ranking_rows,
            lambda options: pa.schema(
                [
                    ("context", MESSAGES),
                    ("completions", pa.list_(pa.struct([("rank", pa.int64()), ("completion", MESSAGES)]))),
                    ("task_name", pa.string()),
                    *ORIGIN,
                    ("annotator", pa.string()),
                ]
            ),
        ),
    ),
    holds=lambda options: Holds(frozenset((options["aspect"],)), None),
    columns="""\
One row is one item: `completions` in the item's own order, `rank` 0 the best, equal ones share the lowest place (0, 0,
2). Ranks are those of the mean rank; where nobody ranked, of wins minus losses, thumbs or ratings. With the method
`raw` one row is one person's ranking, named by `annotator`.""",
    read=read_votes,
)
