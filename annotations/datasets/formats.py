"""The formats a snapshot can be written in: what a row looks like, what is left out and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from annotations.items.content import prompt_text

from .aggregate import METHODS, THUMB, current_judgments, label_pairs
from .rows import CALL_COUNTS, RESERVED

JUDGED_BY = ("final", "human", "lm")
STYLES = ("conversational", "standard")
ANNOTATORS = ("pseudonym", "name")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class BadOption(ValueError):
    """A format, container or option nobody knows; the text says what was expected."""


@dataclass(slots=True)
class Conversion:
    """One export's settings and what it left out: {reason: how many}."""

    options: dict[str, str]
    names: dict[str, str] = field(default_factory=dict)
    """Pseudonym → name, empty where pseudonyms stay."""
    dropped: Counter = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Format:
    label: str
    description: str
    containers: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    """Option → what it may be, the default first; () is any short text (an aspect)."""
    rows: Callable[[dict[str, Any], Conversion], Iterator[dict[str, Any]]]
    """A native item → rows as JSON lines hold them."""
    schema: Callable[[dict[str, str]], pa.Schema]
    """Options → the Parquet schema."""
    to_arrow: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """A row → the same row as the Parquet schema wants it, where the two differ."""


# --- Native ------------------------------------------------------------------------------------------------
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
JSON_TEXT = pa.string()  # free-form objects have no schema: Parquet holds them as JSON text


def native_rows(item: dict[str, Any], conversion: Conversion) -> Iterator[dict[str, Any]]:
    """The item itself, people under their names where that was asked for."""
    if conversion.names:
        for judgment in item["judgments"]:
            judgment["annotator"] = conversion.names.get(judgment["annotator"], judgment["annotator"])
    yield item


def native_schema(options: dict[str, str]) -> pa.Schema:
    comparison = pa.struct(
        [("first", pa.int8()), ("second", pa.int8()), ("aspect", pa.string()), ("preference", pa.int8()),
         ("scale_max", pa.int8()), ("tie", pa.string())]
    )  # fmt: skip
    score = pa.struct(
        [("response", pa.int8()), ("attribute", pa.string()), ("value", pa.float64()),
         ("scale", pa.list_(pa.float64()))]
    )  # fmt: skip
    call = pa.struct(
        [("order", pa.string()), ("label", pa.string()), ("raw", pa.string()), ("reason", pa.string()),
         ("meta", JSON_TEXT), ("prompt_hash", pa.string()),
         *((name, pa.int64()) for name in CALL_COUNTS if name != "prompt_hash")]
    )  # fmt: skip
    judgment = pa.struct(
        [("id", pa.string()), ("annotator", pa.string()), ("kind", pa.string()), ("outcome", pa.string()),
         ("comparisons", pa.list_(comparison)), ("scores", pa.list_(score)), ("answers", JSON_TEXT),
         ("reason", pa.string()), ("probability", pa.float64()), ("order_consistent", pa.bool_()),
         ("presented_order", pa.list_(pa.int8())), ("schema_version", pa.string()),
         ("guideline_version", pa.string()), ("supersedes", pa.string()), ("propensity", pa.float64()),
         ("created_at", pa.timestamp("us", tz="UTC")), ("active_ms", pa.int64()), ("wall_ms", pa.int64()),
         ("calls", pa.list_(call))]
    )  # fmt: skip
    response = pa.struct([("text", pa.string()), ("model", pa.string()), ("meta", JSON_TEXT)])
    reserved = pa.struct(
        [("item", pa.int64()), ("route", pa.string()), ("is_audit", pa.bool_()), ("human_propensity", pa.float64()),
         ("group", pa.string()), ("split", pa.string())]
    )  # fmt: skip
    return pa.schema(
        [("id", pa.string()), ("source", pa.string()), ("prompt", MESSAGES), ("prompt_json", JSON_TEXT),
         ("context", pa.string()), ("group", pa.string()), ("responses", pa.list_(response)), ("meta", JSON_TEXT),
         ("judgments", pa.list_(judgment)), (RESERVED, reserved)]
    )  # fmt: skip


def native_to_arrow(item: dict[str, Any]) -> dict[str, Any]:
    """Prompts as messages (and whole in `prompt_json`, unless they are one text), free objects as JSON text."""
    prompt = item["prompt"]
    is_text = isinstance(prompt, str)
    return {
        **item,
        "prompt": [{"role": "user", "content": prompt}] if is_text else prompt,
        "prompt_json": None if is_text else _json(prompt),
        "responses": [{**response, "meta": _json(response["meta"])} for response in item["responses"]],
        "meta": _json(item["meta"]),
        "judgments": [
            {
                **judgment,
                "answers": _json(judgment["answers"]),
                "created_at": datetime.fromisoformat(judgment["created_at"]),
                "calls": [{**call, "meta": _json(call["meta"])} for call in judgment.get("calls", ())],
            }
            for judgment in item["judgments"]
        ],
    }


def _json(value: Any) -> str:
    return "{}" if not value else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# --- TRL ---------------------------------------------------------------------------------------------------
def preference_rows(item: dict[str, Any], conversion: Conversion) -> Iterator[dict[str, Any]]:
    """One row per decided pair: TRL's preference format with an explicit prompt, and who decided how."""
    options = conversion.options
    labels = label_pairs(
        item, aspect=options["aspect"], method=options["method"], ties="keep", judged_by=options["judged_by"]
    )
    if not labels:
        conversion.dropped["items without a judged pair"] += 1
        return
    standard = options["style"] == "standard"
    prompt = _prompt(item, standard)
    for label in labels:
        if label.verdict == "tie" or label.verdict == "disagreement":
            conversion.dropped["ties" if label.verdict == "tie" else "pairs without agreement"] += 1
            continue
        first, tie, second = label.votes
        first_wins = label.verdict == "first"
        chosen = item["responses"][label.first if first_wins else label.second]["text"]
        rejected = item["responses"][label.second if first_wins else label.first]["text"]
        if chosen == rejected:
            conversion.dropped["pairs of equal texts"] += 1
            continue
        margin = label.margin()
        yield {
            "prompt": prompt,
            "chosen": chosen if standard else [{"role": "assistant", "content": chosen}],
            "rejected": rejected if standard else [{"role": "assistant", "content": rejected}],
            "margin": margin,
            "id": name_of(item),
            "group": item[RESERVED]["group"],
            "split": item[RESERVED]["split"],
            "strength": max(1, int(margin + 0.5)),
            "votes": {
                "chosen": first if first_wins else second,
                "tie": tie,
                "rejected": second if first_wins else first,
            },
            "annotator_kind": label.kind,
        }


def preference_schema(options: dict[str, str]) -> pa.Schema:
    text = pa.string() if options["style"] == "standard" else MESSAGES
    votes = pa.struct([("chosen", pa.int32()), ("tie", pa.int32()), ("rejected", pa.int32())])
    return pa.schema(
        [("prompt", text), ("chosen", text), ("rejected", text), ("margin", pa.float64()), ("id", pa.string()),
         ("group", pa.string()), ("split", pa.string()), ("strength", pa.int8()), ("votes", votes),
         ("annotator_kind", pa.string())]
    )  # fmt: skip


def unpaired_rows(item: dict[str, Any], conversion: Conversion) -> Iterator[dict[str, Any]]:
    """One row per response that is good or bad: by thumbs where there are any, else by wins and losses."""
    options = conversion.options
    balance, kinds = _thumbs(item, options["judged_by"])
    if not balance:
        for label in label_pairs(
            item, aspect=options["aspect"], method=options["method"], judged_by=options["judged_by"]
        ):
            sign = -1 if label.verdict == "second" else 1
            for index, gain in ((label.first, sign), (label.second, -sign)):
                balance[index] = balance.get(index, 0) + gain
                kinds[index] = label.kind
    standard = options["style"] == "standard"
    prompt = _prompt(item, standard)
    for index, response in enumerate(item["responses"]):
        if not balance.get(index):
            conversion.dropped["responses neither good nor bad"] += 1
            continue
        text = response["text"]
        yield {
            "prompt": prompt,
            "completion": text if standard else [{"role": "assistant", "content": text}],
            "label": balance[index] > 0,
            "id": name_of(item),
            "response": index,
            "group": item[RESERVED]["group"],
            "split": item[RESERVED]["split"],
            "annotator_kind": kinds[index],
        }


def _thumbs(item: dict[str, Any], judged_by: str) -> tuple[dict[int, int], dict[int, str]]:
    """Thumbs up minus thumbs down per response, people's where people gave any, and whose they are."""
    given: dict[str, dict[int, int]] = {"human": {}, "lm": {}}
    for judgment in current_judgments(item):
        for row in judgment["scores"]:
            if row["attribute"] == THUMB:
                counts = given[judgment["kind"]]
                counts[row["response"]] = counts.get(row["response"], 0) + (1 if row["value"] > 0 else -1)
    balance: dict[int, int] = {}
    kinds: dict[int, str] = {}
    for kind in ("lm", "human") if judged_by == "final" else (judged_by,):
        balance.update(given[kind])
        kinds.update(dict.fromkeys(given[kind], kind))
    return balance, kinds


def unpaired_schema(options: dict[str, str]) -> pa.Schema:
    text = pa.string() if options["style"] == "standard" else MESSAGES
    return pa.schema(
        [("prompt", text), ("completion", text), ("label", pa.bool_()), ("id", pa.string()), ("response", pa.int8()),
         ("group", pa.string()), ("split", pa.string()), ("annotator_kind", pa.string())]
    )  # fmt: skip


def _prompt(item: dict[str, Any], standard: bool) -> str | list[dict[str, str]]:
    """The prompt as text or as messages; what accompanies it (`context`) opens it, in the first user's words.

    Not as a system message: some chat templates know none, and others only one.
    """
    prompt, context = item["prompt"], item["context"]
    if standard or isinstance(prompt, str):
        text = f"{context}\n\n{prompt_text(prompt)}" if context else prompt_text(prompt)
        return text if standard else [{"role": "user", "content": text}]
    turns = [{"role": turn["role"], "content": turn["content"]} for turn in prompt]
    if context:
        said = next((turn for turn in turns if turn["role"] == "user"), None)
        if said is None:
            return [{"role": "user", "content": context}, *turns]
        said["content"] = f"{context}\n\n{said['content']}"
    return turns


def name_of(item: dict[str, Any]) -> str:
    """The item's own id, else its number in the house."""
    return item["id"] if item["id"] is not None else f"item-{item[RESERVED]['item']}"


# --- CSV of judgments --------------------------------------------------------------------------------------
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
            "annotator": conversion.names.get(judgment["annotator"], judgment["annotator"]),
            "is_current": judgment["id"] not in superseded,
            "presented_order": "".join(map(str, order)) if order else None,
            "answers": _json(judgment["answers"]) if judgment["answers"] else None,
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


LABEL_OPTIONS = {"style": STYLES, "aspect": (), "method": METHODS, "judged_by": JUDGED_BY}
JSON_AND_PARQUET = ("jsonl", "jsonl.gz", "parquet")

FORMATS: dict[str, Format] = {
    "native": Format(
        "Plumbline native",
        "Every item with every judgment, as frozen. Can be imported again without loss.",
        JSON_AND_PARQUET,
        {"annotators": ANNOTATORS},
        native_rows,
        native_schema,
        native_to_arrow,
    ),
    "trl_preference": Format(
        "TRL preference",
        "prompt, chosen, rejected: one row per pair with a decision. Ties are left out and counted.",
        JSON_AND_PARQUET,
        LABEL_OPTIONS,
        preference_rows,
        preference_schema,
    ),
    "trl_unpaired": Format(
        "TRL unpaired preference",
        "prompt, completion, label: one row per response that was found good or bad.",
        JSON_AND_PARQUET,
        LABEL_OPTIONS,
        unpaired_rows,
        unpaired_schema,
    ),
    "csv": Format(
        "Table of judgments",
        "One line per comparison and score, for spreadsheets and R.",
        ("csv", "csv.gz"),
        {"annotators": ANNOTATORS},
        judgment_rows,
        lambda options: CSV_SCHEMA,
    ),
}
CONTAINERS = {
    "jsonl": "JSON lines",
    "jsonl.gz": "JSON lines, gzip",
    "parquet": "Parquet",
    "csv": "CSV",
    "csv.gz": "CSV, gzip",
}
DEFAULT_ASPECT = "overall"


def check_options(format: str, container: str | None, options: dict[str, str]) -> tuple[str, dict[str, str]]:
    """(container, every option with its value), defaults filled in. Raises BadOption saying what was expected."""
    if format not in FORMATS:
        raise BadOption(f"format {format!r} is not known; expected one of {', '.join(FORMATS)}")
    known = FORMATS[format]
    container = container or known.containers[0]
    if container not in known.containers:
        raise BadOption(f"{format} is written as {', '.join(known.containers)}, not as {container!r}")
    for key in options:
        if key not in known.options:
            raise BadOption(f"{format} has no option {key!r}; it has {', '.join(known.options)}")
    checked = {}
    for key, choices in known.options.items():
        value = options.get(key) or (choices[0] if choices else DEFAULT_ASPECT)
        if not isinstance(value, str) or (choices and value not in choices) or len(value) > 64:
            expected = f"one of {', '.join(choices)}" if choices else "at most 64 characters"
            raise BadOption(f"{key} {value!r}: expected {expected}")
        checked[key] = value
    return container, checked
