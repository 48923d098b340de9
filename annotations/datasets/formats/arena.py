"""LMArena's battles: one vote a row (lmsys/chatbot_arena_conversations)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa

from ..aggregate import current_judgments
from .base import (
    ANNOTATORS,
    JSON_AND_PARQUET,
    MESSAGES,
    Conversion,
    Format,
    Holds,
    Row,
    Table,
    messages_of,
    name_of,
)

TIES = {"equal": "tie", "equal_good": "tie", "equal_bad": "tie (bothbad)"}


def battle_rows(item: Row, conversion: Conversion) -> Iterator[Row]:
    """One row per judgment that compares the item's two responses."""
    options = conversion.options
    if len(item["responses"]) != 2:
        conversion.dropped["items that do not have two responses"] += 1
        return
    battles = [
        (judgment, row)
        for judgment in current_judgments(item)
        if judgment["kind"] == options["judged_by"]
        for row in judgment["comparisons"]
        if row["aspect"] == options["aspect"]
    ]
    if not battles:
        conversion.dropped["items without a vote"] += 1
        return
    first, second = item["responses"]
    prompt = messages_of(item)
    language = item["meta"].get("language")
    for judgment, row in battles:
        if row["preference"] is not None and row["scale_max"] > 1:
            conversion.left_out["strengths, beyond who won"] += 1
        winner = TIES[row["tie"]] if row["tie"] else "model_a" if row["preference"] < 0 else "model_b"
        yield {
            "question_id": name_of(item),
            "model_a": first["model"],
            "model_b": second["model"],
            "winner": winner,
            "judge": conversion.name(judgment["annotator"]),
            "conversation_a": [*prompt, {"role": "assistant", "content": first["text"]}],
            "conversation_b": [*prompt, {"role": "assistant", "content": second["text"]}],
            "turn": sum(turn["role"] == "user" for turn in prompt),
            "anony": True,
            "language": language if isinstance(language, str) else None,
            "tstamp": datetime.fromisoformat(judgment["created_at"]).timestamp(),
        }


def battle_schema(options: dict[str, str]) -> pa.Schema:
    return pa.schema(
        [("question_id", pa.string()), ("model_a", pa.string()), ("model_b", pa.string()), ("winner", pa.string()),
         ("judge", pa.string()), ("conversation_a", MESSAGES), ("conversation_b", MESSAGES), ("turn", pa.int64()),
         ("anony", pa.bool_()), ("language", pa.string()), ("tstamp", pa.float64())]
    )  # fmt: skip


ARENA = Format(
    label="LMArena battles",
    description="One vote a row: model_a, model_b, tie, or both bad, with both conversations.",
    family="Public data sets",
    containers=JSON_AND_PARQUET,
    options={"aspect": (), "judged_by": ("human", "lm"), "annotators": ANNOTATORS},
    tables=(Table(battle_rows, battle_schema),),
    holds=lambda options: Holds(frozenset((options["aspect"],))),
    columns="""\
The keys of lmsys/chatbot_arena_conversations. One row is one vote. `tie` stands for equal and equally good, `tie
(bothbad)` for equally bad. `anony` is true: nobody sees the models' names while judging. `tstamp` is in seconds.""",
)
