"""MultiPref as released (one row per comparison, ordinary and expert annotations apart) and as its converter writes it.

allenai/multipref; the converter's shape is that of the configuration `human_overall_binarized`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from ..aggregate import current_judgments
from .base import (
    ANNOTATORS,
    EXPORT_METHODS,
    JUDGED_BY,
    MESSAGES,
    Conversion,
    Format,
    Holds,
    Row,
    Table,
    messages_of,
    name_of,
    pair_name,
    plain_prompt,
)
from .pairs import labels_of

ASPECTS = ("overall", "helpful", "truthful", "harmless")
STEPS = 2
WORDS = {
    -2: "A-is-clearly-better",
    -1: "A-is-slightly-better",
    0: "Tie",
    1: "B-is-slightly-better",
    2: "B-is-clearly-better",
}
CONFIDENT = "-confident"


def release_rows(item: Row, conversion: Conversion) -> Iterator[Row]:
    """One row per item with two responses that somebody compared in five steps."""
    drop = conversion.dropped
    if len(item["responses"]) != 2:
        drop["items that do not have two responses"] += 1
        return
    text = one_text(item)
    if text is None:
        drop["items whose prompt has several messages"] += 1
        return
    experts = set(item["plumbline"].get("experts", ()))
    workers: dict[str, list[Row]] = {"normal": [], "expert": []}
    judged_by = conversion.options["judged_by"]
    for judgment in current_judgments(item):
        if judgment["kind"] != judged_by:
            continue
        given = {row["aspect"]: row for row in judgment["comparisons"] if row["aspect"] in ASPECTS}
        if not given:
            continue
        if any(row["tie"] is None and row["scale_max"] != STEPS for row in given.values()):
            drop["judgments on another scale than MultiPref's five steps"] += 1
            continue
        side = "expert" if judgment["annotator"] in experts or _said_expert(judgment) else "normal"
        workers[side].append(annotation(judgment, given, conversion))
    if not workers["normal"] and not workers["expert"]:
        drop["items without a comparison in five steps"] += 1
        return
    first, second = item["responses"]
    meta = item["meta"]
    yield {
        "comparison_id": name_of(item),
        "prompt_id": _text(meta.get("prompt_id")) or item["plumbline"]["group"],
        "text": text,
        "model_a": first["model"],
        "completion_a": first["text"],
        "model_b": second["model"],
        "completion_b": second["text"],
        "source": item["source"] or None,
        "category": _text(meta.get("category")),
        "subject_study": _text(meta.get("subject_study")),
        "highest_level_degree": _text(meta.get("highest_level_degree")),
        "normal_worker_annotations": workers["normal"],
        "expert_worker_annotations": workers["expert"],
    }


def annotation(judgment: Row, given: dict[str, Row], conversion: Conversion) -> Row:
    """One person's answers under MultiPref's keys, null where nothing was asked."""
    answers = judgment["answers"]
    time = judgment["wall_ms"] if judgment["wall_ms"] is not None else judgment["active_ms"]
    row: Row = {"evaluator": conversion.name(judgment["annotator"])}
    for aspect in ASPECTS:
        compared = given.get(aspect)
        row[f"{aspect}_pref"] = compared and WORDS[0 if compared["tie"] else compared["preference"]]
        row[f"{aspect}_confidence"] = confidence_words(answers.get(f"{aspect}_confidence"))
        if aspect == "overall":
            row["overall_confidence"] = row["overall_confidence"] or confidence_words(
                answers.get("confidence")
            )
            continue
        reasons = answers.get(f"{aspect}_checked_reasons")
        row[f"{aspect}_checked_reasons"] = reasons if isinstance(reasons, list) else []
        row[f"{aspect}_own_reason"] = _text(answers.get(f"{aspect}_own_reason"))
    row["time_spent"] = None if time is None else time / 1000
    row["timestamp"] = judgment["created_at"]
    return row


def one_text(item: Row) -> str | None:
    """The prompt as one text, None where it is a conversation."""
    if isinstance(item["prompt"], str):
        return plain_prompt(item)
    turns = messages_of(item)
    return turns[0]["content"] if len(turns) == 1 and turns[0]["role"] == "user" else None


def confidence_words(value: Any) -> str | None:
    """`absolutely` as `absolutely-confident`."""
    if not isinstance(value, str) or not value:
        return None
    words = value.replace("_", "-")
    return words if words.endswith(CONFIDENT) else words + CONFIDENT


def _said_expert(judgment: Row) -> bool:
    source = judgment["answers"].get("source_meta")
    return isinstance(source, dict) and source.get("worker") == "expert"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def release_schema(options: dict[str, str]) -> pa.Schema:
    fields = [("evaluator", pa.string())]
    for aspect in ASPECTS:
        fields += [(f"{aspect}_pref", pa.string()), (f"{aspect}_confidence", pa.string())]
        if aspect != "overall":
            fields += [
                (f"{aspect}_checked_reasons", pa.list_(pa.string())),
                (f"{aspect}_own_reason", pa.string()),
            ]
    fields += [("time_spent", pa.float64()), ("timestamp", pa.string())]
    people = pa.list_(pa.struct(fields))
    names = (
        "comparison_id prompt_id text model_a completion_a model_b completion_b source category subject_study"
    )
    return pa.schema(
        [*((name, pa.string()) for name in names.split()), ("highest_level_degree", pa.string()),
         ("normal_worker_annotations", people), ("expert_worker_annotations", people)]
    )  # fmt: skip


def binarized_rows(item: Row, conversion: Conversion) -> Iterator[Row]:
    """One row per decided pair: two whole conversations and who wrote which."""
    labels = labels_of(item, conversion.options)
    if not labels:
        conversion.dropped["items without a judged pair"] += 1
    for label in labels:
        if label.verdict not in ("first", "second"):
            conversion.dropped["ties" if label.verdict == "tie" else "pairs without agreement"] += 1
            continue
        swapped = label.verdict == "second"
        better, worse = (label.second, label.first) if swapped else (label.first, label.second)
        prompt = messages_of(item)
        chosen, rejected = item["responses"][better], item["responses"][worse]
        meta = item["meta"]
        yield {
            "id": pair_name(item, label.first, label.second),
            "source": item["source"] or None,
            "highest_level_degree": _text(meta.get("highest_level_degree")),
            "prompt": plain_prompt(item),
            "chosen": [*prompt, {"role": "assistant", "content": chosen["text"]}],
            "chosen_model": chosen["model"],
            "rejected": [*prompt, {"role": "assistant", "content": rejected["text"]}],
            "rejected_model": rejected["model"],
            "features_used": _text(meta.get("features_used")),
            "is_swapped": swapped,
        }


def binarized_schema(options: dict[str, str]) -> pa.Schema:
    return pa.schema(
        [("id", pa.string()), ("source", pa.string()), ("highest_level_degree", pa.string()), ("prompt", pa.string()),
         ("chosen", MESSAGES), ("chosen_model", pa.string()), ("rejected", MESSAGES),
         ("rejected_model", pa.string()), ("features_used", pa.string()), ("is_swapped", pa.bool_())]
    )  # fmt: skip


def _release_holds(options: dict[str, str]) -> Holds:
    answers = {"confidence", *(f"{aspect}_confidence" for aspect in ASPECTS)}
    answers |= {f"{aspect}_{key}" for aspect in ASPECTS[1:] for key in ("checked_reasons", "own_reason")}
    return Holds(frozenset(ASPECTS), frozenset(), frozenset(answers))


MULTIPREF = Format(
    label="MultiPref",
    description="One comparison a row with everybody's answers: overall, helpful, truthful, harmless, how sure, why.",
    family="Public data sets",
    containers=("parquet", "jsonl", "jsonl.gz"),
    options={"judged_by": ("human", "lm"), "annotators": ANNOTATORS},
    tables=(Table(release_rows, release_schema),),
    holds=_release_holds,
    columns="""\
The keys of allenai/multipref. `A` is the first response. An annotation stands under `expert_worker_annotations` where
its annotator has the tag `expert` in the project, else under `normal_worker_annotations`. `time_spent` is in seconds.
`category`, `subject_study` and `highest_level_degree` come from the item's own details, null where it has none.""",
)
MULTIPREF_BINARIZED = Format(
    label="MultiPref, binarised",
    description="The converter's shape: one decided pair a row as two whole conversations.",
    family="Public data sets",
    containers=("parquet", "jsonl", "jsonl.gz"),
    options={"aspect": (), "method": EXPORT_METHODS, "judged_by": JUDGED_BY},
    tables=(Table(binarized_rows, binarized_schema),),
    holds=lambda options: Holds(frozenset((options["aspect"],)), None),
    columns="""\
The keys of allenai/multipref's `human_overall_binarized`: `chosen` and `rejected` are whole conversations;
`is_swapped` is true where the second response won. Ties are left out and counted.""",
)
