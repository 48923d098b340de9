"""The native form in lines and in Parquet: everything, without loss."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import pyarrow as pa
from msgspec.json import encode

from ..rows import CALL_COUNTS, RESERVED
from .base import ANNOTATORS, JSON_AND_PARQUET, JSON_TEXT, MESSAGES, Conversion, Format, Table

FREE = ("prompt", "meta", "answers")
"""Keys whose values are JSON of any shape."""


def native_rows(item: dict[str, Any], conversion: Conversion) -> Iterator[dict[str, Any]]:
    """The item itself, people under their names where that was asked for."""
    if conversion.names:
        for judgment in item["judgments"]:
            judgment["annotator"] = conversion.name(judgment["annotator"])
        if "experts" in item[RESERVED]:
            item[RESERVED]["experts"] = [conversion.name(one) for one in item[RESERVED]["experts"]]
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
    review = pa.struct(
        [("decision", pa.string()), ("outcome", pa.string()), ("comparisons", pa.list_(comparison)),
         ("scores", pa.list_(score)), ("answers", JSON_TEXT), ("causes", pa.list_(pa.string())),
         ("created_at", pa.timestamp("us", tz="UTC"))]
    )  # fmt: skip
    reserved = pa.struct(
        [("item", pa.int64()), ("route", pa.string()), ("is_audit", pa.bool_()), ("human_propensity", pa.float64()),
         ("group", pa.string()), ("experts", pa.list_(pa.string())), ("label_by", pa.string()),
         ("split", pa.string()), ("review", review)]
    )  # fmt: skip
    return pa.schema(
        [("id", pa.string()), ("source", pa.string()), ("prompt", MESSAGES), ("prompt_json", JSON_TEXT),
         ("context", pa.string()), ("group", pa.string()), ("responses", pa.list_(response)), ("meta", JSON_TEXT),
         ("judgments", pa.list_(judgment)), (RESERVED, reserved)]
    )  # fmt: skip


def _shape(kind: pa.DataType, name: str) -> Any:
    """What a value of an Arrow type is decoded as: structs field by field, free objects as the JSON they stand in."""
    if pa.types.is_list(kind):
        inner = _shape(kind.value_type, name)
        return list[inner] if inner is not Any else Any
    if pa.types.is_struct(kind) and name != "prompt":
        fields = [
            (field.name, msgspec.Raw if field.name in FREE else _shape(field.type, field.name), None)
            for field in kind
        ]
        return msgspec.defstruct(name, fields, omit_defaults=True, forbid_unknown_fields=True)
    return Any


@cache
def _decoder() -> msgspec.json.Decoder:
    return msgspec.json.Decoder(_shape(pa.struct(native_schema({})), "item"))


def native_to_arrow(line: bytes) -> bytes:
    """Prompts as messages (and whole in `prompt_json`, unless they are one text), free objects as JSON text.

    Leaves out what is null, which Arrow would read only to find nothing, and copies free objects unread: a third of
    the time that dicts would take. Raises msgspec.ValidationError for a key that the schema lacks.
    """
    item = _decoder().decode(line)
    prompt = bytes(item.prompt)
    if prompt.startswith(b'"'):
        item.prompt = [{"role": "user", "content": item.prompt}]
    else:
        item.prompt_json = prompt.decode()
    item.meta = _text(item.meta)
    for response in item.responses:
        response.meta = _text(response.meta)
    for judgment in item.judgments:
        judgment.answers = _text(judgment.answers)
        judgment.calls = judgment.calls or []
        for call in judgment.calls:
            call.meta = _text(call.meta)
    review = item.plumbline.review
    if review is not None:
        review.answers = _text(review.answers)
    return encode(item)


def _text(value: msgspec.Raw | None) -> str:
    return bytes(value).decode() if value is not None else "{}"


NATIVE = Format(
    label="Plumbline native",
    description="Every item with every judgment, as frozen. Can be imported again without loss.",
    family="Everything",
    containers=JSON_AND_PARQUET,
    options={"annotators": ANNOTATORS},
    tables=(Table(native_rows, native_schema, native_to_arrow),),
    holds=None,
    columns="""\
One row is one item: its prompt, its responses in canonical order, and every judgment. In a comparison a negative
`preference` means that the first response is better, in steps up to `scale_max`; exactly one of `preference` and
`tie` is set. A judgment named by another's `supersedes` was corrected. `plumbline` holds the item's number, route,
audit mark, the probability that a person was to judge it, its group and split, and who of its annotators is an
expert. In Parquet, free-form objects (`meta`, `answers`) are JSON text, and `prompt_json` holds prompts that were
messages.""",
)
