"""Reward-augmented pairs: every rated pair twice, once for each of the two scores as the goal (arXiv 2410.08067)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import pyarrow as pa

from ..aggregate import PRIMARY
from .base import (
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
from .ratings import judged_in

LOW, HIGH = 1, 10
GOAL = (
    "You are an assistant that generates responses for the instruction while implicitly achieving the following "
    "target scores (on a scale of 1-10, where 1 is lowest and 10 is highest):\nOverall score: {score:g}."
)


def goal_rows(item: Row, conversion: Conversion) -> Iterator[Row]:
    """Two rows per pair with different scores: the better one wins at its own score, the other one at its own."""
    options = conversion.options
    scores = scores_of(item, options["aspect"], options["judged_by"])
    if len(scores) < 2:
        conversion.dropped["items without two responses rated on a bounded scale"] += 1
        return
    for first, second in combinations(sorted(scores), 2):
        if scores[first] == scores[second]:
            conversion.dropped["pairs of equal scores"] += 1
            continue
        better, worse = (first, second) if scores[first] > scores[second] else (second, first)
        for wins, loses in ((better, worse), (worse, better)):
            goal = GOAL.format(score=scores[wins])
            yield {
                "prompt": [{"role": "system", "content": goal}, *messages_of(item)],
                "chosen": reply(item["responses"][wins]["text"], False),
                "rejected": reply(item["responses"][loses]["text"], False),
                "goal": scores[wins],
                "score_chosen": scores[wins],
                "score_rejected": scores[loses],
                **origin_of(item),
            }


def scores_of(item: Row, aspect: str, judged_by: str) -> dict[int, float]:
    """Each response's mean rating, moved to 1 to 10, by the aspect's own attribute or the primary one."""
    judgments = judged_in(item, judged_by)
    given = {row["attribute"] for judgment in judgments for row in judgment["scores"]}
    name = next((name for name in (aspect, *PRIMARY) if name in given), None)
    found: dict[int, list[float]] = {}
    for judgment in judgments:
        for row in judgment["scores"]:
            low, high = row["scale"]
            if row["attribute"] == name and low is not None and high is not None and low < high:
                found.setdefault(row["response"], []).append(
                    LOW + (row["value"] - low) * (HIGH - LOW) / (high - low)
                )
    return {response: round(sum(values) / len(values), 2) for response, values in found.items()}


GOALS = Format(
    label="Goal-conditioned preference",
    description="Every rated pair twice, each response once chosen for its own score as the goal.",
    family="Training",
    containers=JSON_AND_PARQUET,
    options={"aspect": (), "judged_by": JUDGED_BY},
    tables=(
        Table(
            goal_rows,
            lambda options: pa.schema(
                [("prompt", MESSAGES), ("chosen", MESSAGES), ("rejected", MESSAGES), ("goal", pa.float64()),
                 ("score_chosen", pa.float64()), ("score_rejected", pa.float64()), *ORIGIN]
            ),
        ),
    ),
    holds=lambda options: Holds(frozenset(), frozenset((options["aspect"], *PRIMARY))),
    columns="""\
Two rows are one pair of responses with different scores. A system message names a target score from 1 to 10 (`goal`);
the chosen response is the one whose own score that is, so in the second row of a pair the worse response is chosen.
Scores are mean ratings, moved from their own scale to 1 to 10. Do not mix these rows with plain preferences.""",
    read=read_votes,
)  # fmt: skip
