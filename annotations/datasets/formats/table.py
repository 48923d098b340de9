"""Judgments as one flat table, for spreadsheets and R."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from ..rows import RESERVED
from .base import ANNOTATORS, JSON_TEXT, Conversion, Format, Table, json_of, name_of

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
CSV_ITEM = (("item_id", pa.string()), ("source", pa.string()), ("group", pa.string()), ("split", pa.string()))
CSV_JUDGMENT = (
    ("judgment_id", pa.string()), ("annotator", pa.string()), ("kind", pa.string()), ("outcome", pa.string()),
    ("is_current", pa.bool_()), ("supersedes", pa.string()),
)  # fmt: skip
CSV_ANSWER = (
    ("aspect", pa.string()), ("first", pa.int8()), ("second", pa.int8()), ("preference", pa.int8()),
    ("tie", pa.string()), ("attribute", pa.string()), ("response", pa.int8()), ("value", pa.float64()),
    ("scale_min", pa.float64()), ("scale_max", pa.float64()),
)  # fmt: skip
CSV_REST = (
    ("reason", pa.string()), ("probability", pa.float64()), ("order_consistent", pa.bool_()),
    ("presented_order", pa.string()), ("schema_version", pa.string()), ("guideline_version", pa.string()),
    ("propensity", pa.float64()), ("created_at", pa.string()), ("active_ms", pa.int64()), ("wall_ms", pa.int64()),
    ("answers", JSON_TEXT),
)  # fmt: skip
CSV_SCHEMA = pa.schema([*CSV_ITEM, *CSV_JUDGMENT, *CSV_ANSWER, *CSV_REST])
CSV_TEXTS = ("item_id", "source", "group", "annotator", "aspect", "attribute", "reason")
NOTHING = dict.fromkeys(CSV_SCHEMA.names)


def judgment_rows(item: dict[str, Any], conversion: Conversion) -> Iterator[dict[str, Any]]:
    """One row per comparison and per score, and one for a judgment that has neither."""
    reserved = item[RESERVED]
    superseded = {judgment["supersedes"] for judgment in item["judgments"]}
    for judgment in item["judgments"]:
        order = judgment["presented_order"]
        row = {
            **NOTHING,
            "item_id": name_of(item),
            "source": item["source"],
            "group": reserved["group"],
            "split": reserved["split"],
            **{key: judgment[key] for key, _ in (*CSV_JUDGMENT, *CSV_REST) if key in judgment},
            "judgment_id": judgment["id"],
            "annotator": conversion.name(judgment["annotator"]),
            "is_current": judgment["id"] not in superseded,
            "presented_order": "".join(map(str, order)) if order else None,
            "answers": json_of(judgment["answers"]) if judgment["answers"] else None,
        }
        parts = [*judgment["comparisons"]]
        for score in judgment["scores"]:
            low, high = score["scale"]
            rest = {key: score[key] for key in ("response", "attribute", "value")}
            parts.append({**rest, "scale_min": low, "scale_max": high})
        for part in parts or [{}]:
            yield {
                key: _inert(value) if key in CSV_TEXTS else value for key, value in {**row, **part}.items()
            }


def _inert(value: str | None) -> str | None:
    """The text, with an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{value}" if value and value.startswith(FORMULA_STARTS) else value


CSV = Format(
    label="Table of judgments",
    description="One line per comparison and score, for spreadsheets and R.",
    family="Everything",
    containers=("csv", "csv.gz"),
    options={"annotators": ANNOTATORS},
    tables=(Table(judgment_rows, lambda options: CSV_SCHEMA),),
    holds=None,
    columns="""\
One line is one comparison or one score of a judgment; texts of prompts and responses are not in it. Texts that a
spreadsheet would run as a formula begin with an apostrophe.""",
)
