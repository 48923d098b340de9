"""What a format is, what one export of it keeps account of, and the parts that several formats share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypedDict

import pyarrow as pa
from msgspec.json import Decoder, encode

from annotations.items import pii
from annotations.items.content import prompt_text

from .. import truth
from ..aggregate import METHODS
from ..rows import RESERVED

PII_NAMED = 100
JUDGED_BY = ("final", "human", "lm")
STYLES = ("conversational", "standard")
ANNOTATORS = ("pseudonym", "name")
EXPORT_METHODS = (*METHODS, truth.METHOD, "raw")
JSON_AND_PARQUET = ("jsonl", "jsonl.gz", "parquet")
PACKED_FIRST = ("jsonl.gz", "jsonl", "parquet")
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
JSON_TEXT = pa.string()  # free-form objects have no schema: Parquet holds them as JSON text
PER_SPLIT = "data/{split}-00000-of-00001.{container}"
ORIGIN = (("id", pa.string()), ("group", pa.string()), ("split", pa.string()))
"""The columns by which a row of ours says where it comes from."""

NO_ANSWERS = frozenset(("cannot_judge", "source_meta"))
"""Keys among a judgment's answers that answer no question."""

Row = dict[str, Any]


_Judgment = TypedDict(
    "_Judgment",
    dict.fromkeys(
        ("id", "annotator", "kind", "outcome", "comparisons", "scores", "answers", "reason", "supersedes", "created_at"),
        Any,
    ),
    total=False,
)  # fmt: skip
_Item = TypedDict(
    "_Item",
    {**dict.fromkeys(("id", "prompt", "context", "responses", RESERVED), Any), "judgments": list[_Judgment]},
    total=False,
)
read_votes = Decoder(_Item).decode
"""A snapshot's line → the native item without what no label is made from, in two thirds of the time: the judgments'
versions, durations, probabilities and orders, and what is free-form about the item."""


class BadOption(ValueError):
    """A format, container or option nobody knows; the text says what was expected."""


@dataclass(slots=True)
class Conversion:
    """One export's settings and what it could not hold."""

    options: dict[str, str]
    names: dict[str, str] = field(default_factory=dict)
    """Pseudonym → name, empty where pseudonyms stay."""
    dropped: Counter = field(default_factory=Counter)
    """Items, pairs or responses that gave no row: {reason: how many}."""
    left_out: Counter = field(default_factory=Counter)
    """Parts of current judgments that this schema has no place for: {what: how many}."""

    pii: dict[str, dict] = field(default_factory=dict)
    """What looks like personal data in the items: {kind: {items, first: ids of the first hundred}}."""

    def name(self, annotator: str) -> str:
        """Who a judgment's annotator is in this export."""
        return self.names.get(annotator, annotator)


@dataclass(frozen=True, slots=True)
class Holds:
    """Which parts of judgments a schema has a place for; None means every one."""

    aspects: frozenset[str] | None = frozenset()
    attributes: frozenset[str] | None = frozenset()
    answers: frozenset[str] = frozenset()
    reasons: bool = False
    not_valid: bool = False
    """`cannot_judge` with the reason `not_valid`."""
    rewrites: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one shape. A format writes one table, or several side by side (HelpSteer2's three files)."""

    rows: Callable[[Row, Conversion], Iterator[Row]]
    """A native item → rows as JSON lines hold them."""
    schema: Callable[[dict[str, str]], pa.Schema]
    """Options → the Parquet schema."""
    to_arrow: Callable[[bytes], bytes] | None = None
    """A row's JSON → the JSON that the Parquet schema wants, where the two differ."""
    name: str = "default"
    path: str = PER_SPLIT
    """Where its files stand; without `{split}` all splits stand in one file, which has a column for them."""


@dataclass(frozen=True, slots=True)
class Format:
    label: str
    description: str
    family: str
    """The heading it stands under where people choose."""
    containers: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    """Option → what it may be, the default first; () is any short text (an aspect)."""
    tables: tuple[Table, ...]
    holds: Callable[[dict[str, str]], Holds] | None
    """Options → what of a judgment has a place; None: everything."""
    columns: str
    """What the columns mean, for the dataset card."""
    read: Callable[[bytes], Row] | None = None
    """A snapshot's line → the parts of the native item that its rows are made from; None: all of them."""


def note_pii(item: Row, conversion: Conversion) -> None:
    """Count the item under each kind of personal data that its texts, or reasons given for judgments, seem to hold."""
    texts = [
        text
        for _, text in pii.texts_of(item["prompt"], item["context"], [r["text"] for r in item["responses"]])
    ]
    texts += [judgment["reason"] for judgment in item["judgments"] if judgment["reason"]]
    for kind in sorted(set().union(*map(pii.kinds_in, texts))):
        told = conversion.pii.setdefault(kind, {"items": 0, "first": []})
        told["items"] += 1
        if len(told["first"]) < PII_NAMED:
            told["first"].append(name_of(item))


def note_left_out(item: Row, holds: Holds, conversion: Conversion) -> None:
    """Count the parts of the item's judgments that have no place in the format."""
    left, aspects, attributes = conversion.left_out, holds.aspects, holds.attributes
    judgments, reasons = item["judgments"], 0
    superseded = {judgment["supersedes"] for judgment in judgments}
    for judgment in judgments:
        if judgment["id"] in superseded:
            left["judgments that were corrected later"] += 1
            continue
        answers, outcome = judgment["answers"], judgment["outcome"]
        if outcome != "answered" and not (holds.not_valid and answers.get("cannot_judge") == "not_valid"):
            left[f"judgments: {outcome.replace('_', ' ')}"] += 1
            continue
        if judgment["kind"] == "reward_model":
            continue
        if judgment["reason"]:
            reasons += 1
        if aspects is not None:
            for row in judgment["comparisons"]:
                if row["aspect"] not in aspects:
                    left[f"comparisons: {row['aspect']}"] += 1
        if attributes is not None:
            for row in judgment["scores"]:
                if row["attribute"] not in attributes:
                    left[f"scores: {row['attribute']}"] += 1
        if answers and not NO_ANSWERS.issuperset(answers):
            _note_answers(answers, holds, left)
    if reasons and not holds.reasons:
        left["reasons in words"] += reasons


def _note_answers(answers: Row, holds: Holds, left: Counter) -> None:
    for key, answer in answers.items():
        if key in holds.answers or key in NO_ANSWERS:
            continue
        if not (holds.rewrites and is_rewrite(answer)):
            left[f"answers: {key}"] += 1


def is_rewrite(answer: Any) -> bool:
    """Whether a free answer is a better text that somebody wrote."""
    return isinstance(answer, dict) and answer.keys() == {"response", "text"}


def name_of(item: Row) -> str:
    """The item's own id, else its number in the house."""
    return item["id"] if item["id"] is not None else f"item-{item[RESERVED]['item']}"


def pair_name(item: Row, first: int, second: int) -> str:
    """The id of a row about two of the item's responses, another one for each pair."""
    return name_of(item) if len(item["responses"]) == 2 else f"{name_of(item)}#{first}-{second}"


def origin_of(item: Row) -> Row:
    """The columns of ORIGIN."""
    reserved = item[RESERVED]
    return {"id": name_of(item), "group": reserved["group"], "split": reserved["split"]}


def plain_prompt(item: Row) -> str:
    """The prompt as one text, after what accompanies it (`context`)."""
    text = prompt_text(item["prompt"])
    return f"{item['context']}\n\n{text}" if item["context"] else text


def messages_of(item: Row) -> list[dict[str, str]]:
    """The prompt as messages; what accompanies it (`context`) opens it, in the first user's words.

    Not as a system message: some chat templates know none, and others only one.
    """
    prompt, context = item["prompt"], item["context"]
    if isinstance(prompt, str):
        return [{"role": "user", "content": plain_prompt(item)}]
    turns = [{"role": turn["role"], "content": turn["content"]} for turn in prompt]
    if context:
        said = next((turn for turn in turns if turn["role"] == "user"), None)
        if said is None:
            return [{"role": "user", "content": context}, *turns]
        said["content"] = f"{context}\n\n{said['content']}"
    return turns


def prompt_of(item: Row, standard: bool) -> str | list[dict[str, str]]:
    """The prompt as text or as messages."""
    return plain_prompt(item) if standard else messages_of(item)


def reply(text: str, standard: bool) -> str | list[dict[str, str]]:
    """A response as text, or as the one message it is."""
    return text if standard else [{"role": "assistant", "content": text}]


def json_of(value: Any) -> str:
    return encode(value).decode() if value else "{}"


def text_or_messages(options: dict[str, str]) -> pa.DataType:
    return pa.string() if options["style"] == "standard" else MESSAGES
