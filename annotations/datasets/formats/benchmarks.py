"""The shapes of reward-model benchmarks: RewardBench, RewardBench 2 and RM-Bench."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from .base import (
    EXPORT_METHODS,
    JSON_AND_PARQUET,
    JUDGED_BY,
    Conversion,
    Format,
    Holds,
    Row,
    Table,
    name_of,
    pair_name,
    plain_prompt,
)
from .pairs import labels_of, merits_of

OPTIONS = {"aspect": (), "method": EXPORT_METHODS[:-1], "judged_by": JUDGED_BY}
STYLES = ("concise", "detailed_plain", "detailed_markdown")


def pair_rows(item: Row, conversion: Conversion) -> Iterator[Row]:
    """RewardBench: one row per decided pair."""
    labels = labels_of(item, conversion.options)
    if not labels:
        conversion.dropped["items without a judged pair"] += 1
    for label in labels:
        if label.verdict not in ("first", "second"):
            conversion.dropped["ties" if label.verdict == "tie" else "pairs without agreement"] += 1
            continue
        first_wins = label.verdict == "first"
        chosen = item["responses"][label.first if first_wins else label.second]
        rejected = item["responses"][label.second if first_wins else label.first]
        yield {
            "id": pair_name(item, label.first, label.second),
            "prompt": plain_prompt(item),
            "chosen": chosen["text"],
            "chosen_model": chosen["model"],
            "rejected": rejected["text"],
            "rejected_model": rejected["model"],
            "subset": subset_of(item),
        }


def best_of_rows(item: Row, conversion: Conversion) -> Iterator[Row]:
    """RewardBench 2: one row per item with good and bad responses."""
    good, bad = sides_of(item, conversion)
    if not good or not bad:
        conversion.dropped["items without both a good and a bad response"] += 1
        return
    responses = item["responses"]
    yield {
        "id": name_of(item),
        "prompt": plain_prompt(item),
        "chosen": [responses[index]["text"] for index in good],
        "rejected": [responses[index]["text"] for index in bad],
        "num_correct": len(good),
        "num_incorrect": len(bad),
        "total_completions": len(good) + len(bad),
        "models": [responses[index]["model"] or "" for index in (*good, *bad)],
        "subset": subset_of(item),
    }


def styled_rows(item: Row, conversion: Conversion) -> Iterator[Row]:
    """RM-Bench: one row per item with three good and three bad responses, one of each style."""
    good, bad = sides_of(item, conversion)
    sides = []
    for side in (good, bad):
        by_style = {item["responses"][index]["meta"].get("style"): index for index in side}
        if len(side) == len(STYLES) and by_style.keys() == set(STYLES):
            sides.append([item["responses"][by_style[style]]["text"] for style in STYLES])
    if len(sides) != 2:
        conversion.dropped["items without a good and a bad response of each of the three styles"] += 1
        return
    yield {
        "id": name_of(item),
        "prompt": plain_prompt(item),
        "chosen": sides[0],
        "rejected": sides[1],
        "domain": subset_of(item),
    }


def sides_of(item: Row, conversion: Conversion) -> tuple[list[int], list[int]]:
    """(good responses, bad ones): by thumbs where there are any, else by wins minus losses."""
    balance, _ = merits_of(item, conversion.options)
    neither = len(item["responses"]) - sum(balance.get(i, 0) != 0 for i in range(len(item["responses"])))
    if neither and any(balance.values()):
        conversion.dropped["responses neither good nor bad"] += neither
    return [i for i in sorted(balance) if balance[i] > 0], [i for i in sorted(balance) if balance[i] < 0]


def subset_of(item: Row) -> str | None:
    """What the item's own details call its subset or domain, else its source."""
    for key in ("subset", "domain"):
        value: Any = item["meta"].get(key)
        if isinstance(value, str) and value:
            return value
    return item["source"] or None


def _holds(options: dict[str, str]) -> Holds:
    return Holds(frozenset((options["aspect"],)), None)


REWARDBENCH = Format(
    label="RewardBench",
    description="prompt, chosen, rejected with the models that wrote them: one row per decided pair.",
    family="Benchmarks",
    containers=JSON_AND_PARQUET,
    options=OPTIONS,
    tables=(
        Table(
            pair_rows,
            lambda options: pa.schema(
                [(name, pa.string()) for name in "id prompt chosen chosen_model rejected rejected_model subset".split()]
            ),
        ),
    ),
    holds=_holds,
    columns="""\
The keys of allenai/reward-bench. `subset` comes from the item's own details, else it is its source. Ties are left out
and counted.""",
)  # fmt: skip
REWARDBENCH2 = Format(
    label="RewardBench 2",
    description="Lists of good and of bad responses: one row per item that has both.",
    family="Benchmarks",
    containers=JSON_AND_PARQUET,
    options=OPTIONS,
    tables=(
        Table(
            best_of_rows,
            lambda options: pa.schema(
                [("id", pa.string()), ("prompt", pa.string()), ("chosen", pa.list_(pa.string())),
                 ("rejected", pa.list_(pa.string())), ("num_correct", pa.int64()), ("num_incorrect", pa.int64()),
                 ("total_completions", pa.int64()), ("models", pa.list_(pa.string())), ("subset", pa.string())]
            ),
        ),
    ),
    holds=_holds,
    columns="""\
The keys of allenai/reward-bench-2. A response is good (`chosen`) or bad by its thumbs where there are any, else by its
wins minus losses; one that is neither is left out and counted. `models` names who wrote them, good ones first.""",
)  # fmt: skip
RM_BENCH = Format(
    label="RM-Bench",
    description="Three good and three bad responses in three styles: one row per item that has all six.",
    family="Benchmarks",
    containers=JSON_AND_PARQUET,
    options=OPTIONS,
    tables=(
        Table(
            styled_rows,
            lambda options: pa.schema(
                [("id", pa.string()), ("prompt", pa.string()), ("chosen", pa.list_(pa.string())),
                 ("rejected", pa.list_(pa.string())), ("domain", pa.string())]
            ),
        ),
    ),
    holds=_holds,
    columns="""\
The keys of THU-KEG/RM-Bench: three good and three bad responses, each concise, detailed in plain text, and detailed in
Markdown. The style of a response is the `style` in its own details: `concise`, `detailed_plain`, `detailed_markdown`.""",
)  # fmt: skip
