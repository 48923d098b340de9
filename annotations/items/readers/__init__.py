"""Readers of preference-data files: each turns one format into plain Records and Problems.

Nothing here touches the database or Django. `read` is lazy and holds about one row at a time.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from . import helpsteer, llmbar, native, pandalm, summeval, tables, transcripts, ukp
from .files import BOM, head, json_rows
from .labels import Merged, merge_calls
from .native import to_native
from .records import (
    MAX_TEXT,
    CallRecord,
    ComparisonRecord,
    JudgmentRecord,
    Problem,
    Record,
    ResponseRecord,
    ScoreRecord,
    UnknownFormat,
)
from .tables import guess_mapping

__all__ = [
    "FORMATS",
    "MAX_TEXT",
    "CallRecord",
    "ComparisonRecord",
    "Format",
    "JudgmentRecord",
    "Merged",
    "Problem",
    "Record",
    "ResponseRecord",
    "ScoreRecord",
    "UnknownFormat",
    "guess_mapping",
    "merge_calls",
    "preview",
    "read",
    "read_many",
    "sniff",
    "to_native",
]


@dataclass(frozen=True, slots=True)
class Format:
    label: str
    description: str
    patterns: tuple[str, ...]
    """File names people usually have; every format may also be gzipped."""
    read: Callable[..., Iterator[Record | Problem]]
    """(path, mapping) -> records."""


FORMATS: dict[str, Format] = {
    "native": Format(
        "Plumbline JSONL",
        "One item a line, whole or as pairs, ratings, or chosen and rejected.",
        ("*.jsonl", "*.json"),
        native.read,
    ),
    "pandalm": Format(
        "PandaLM test set",
        "testset-v1.json with three people's labels, and the models' result files beside it.",
        ("testset-v1.json", "*-testset-v1.json"),
        pandalm.read,
    ),
    "helpsteer2_ratings": Format(
        "HelpSteer2 ratings",
        "One response a row with five attributes from 0 to 4; also the disagreements file.",
        ("train.jsonl", "validation.jsonl", "disagreements.jsonl"),
        helpsteer.read_ratings,
    ),
    "helpsteer2_preference": Format(
        "HelpSteer2 preferences",
        "Two responses a row with a strength from -3 to 3 and everyone's justification.",
        ("preference.jsonl",),
        helpsteer.read_preferences,
    ),
    "csv": Format("CSV table", "Any comma-separated table; you map its columns.", ("*.csv",), tables.read),
    "tsv": Format("TSV table", "Any tab-separated table; you map its columns.", ("*.tsv",), tables.read),
    "hh": Format(
        "HH-RLHF transcripts",
        "Two whole conversations a row, chosen and rejected.",
        ("train.jsonl", "test.jsonl"),
        transcripts.read,
    ),
    "llmbar": Format(
        "LLMBar",
        "Pairs with a gold label, or an evaluator's result file with both orders.",
        ("dataset.json", "result.json"),
        llmbar.read,
    ),
    "summeval_op": Format(
        "SummEval-OP",
        "Product reviews with summaries that three people rated on seven attributes.",
        ("summeval-op-detailed.jsonl",),
        summeval.read,
    ),
    "ukp_csv": Format(
        "UKPConvArg1 Strict",
        "Argument pairs with a gold label, tab-separated.",
        ("*.csv",),
        ukp.read_csv,
    ),
    "ukp_xml": Format(
        "UKPConvArg1 full XML",
        "Argument pairs with five workers' votes, reasons and times.",
        ("*.xml",),
        ukp.read_xml,
    ),
}

# The first that holds of the first readable row names a JSON file's format.
JSON_SIGNS: tuple[tuple[str, Callable[[dict], bool]], ...] = (
    ("native", lambda row: "responses" in row or row.keys() >= {"response_a", "response_b"}),
    ("pandalm", lambda row: pandalm.is_testset(row) or pandalm.is_results(row)),
    ("helpsteer2_preference", helpsteer.is_preference),
    ("helpsteer2_ratings", helpsteer.is_ratings),
    ("llmbar", llmbar.is_pair),
    ("summeval_op", summeval.is_row),
    ("hh", transcripts.is_pair),
    ("native", lambda row: row.keys() >= {"chosen", "rejected"} or "response" in row),
)
SNIFFED_ROWS = 20
OTHER_FILES = (
    (b"PK\x03\x04", "this is a zip or Excel file; save the table as CSV"),
    (b"PAR1", "this is a Parquet file; expected JSON lines or CSV"),
    (b"\xff\xfe", "this file is UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "this file is UTF-16; save it as UTF-8"),
)


def sniff(path) -> str:
    """The name of the format in FORMATS. Raises UnknownFormat, saying what was expected."""
    start = head(path, 1 << 16).removeprefix(BOM)
    for magic, message in OTHER_FILES:
        if start.startswith(magic):
            raise UnknownFormat(path, message)
    words = start.lstrip()
    if not words:
        raise UnknownFormat(path, "the file is empty")
    if words[:1] in b"[{":
        return sniff_json(path)
    if words[:1] == b"<":
        if b"annotatedArgumentPair" in words or (words.startswith(b"<?xml") and b"<list>" in words):
            return "ukp_xml"
        raise UnknownFormat(path, "expected UKPConvArg1's XML with <annotatedArgumentPair>")
    if words.split(b"\n", 1)[0].rstrip(b"\r").split(b"\t") == [part.encode() for part in ukp.HEADER]:
        return "ukp_csv"
    delimiter = None if b"\x00" in words[:1024] else tables.delimiter_of(path)
    if delimiter is None:
        raise UnknownFormat(path, "expected JSON lines, a JSON list, a table with a header row, or UKP's XML")
    return "tsv" if delimiter == "\t" else "csv"


def sniff_json(path) -> str:
    keys: list[str] = []
    for _, row in islice(json_rows(path), SNIFFED_ROWS):
        if not isinstance(row, dict):
            continue
        for name, holds in JSON_SIGNS:
            if holds(row):
                if name == "pandalm" and pandalm.is_results(row):
                    pandalm.testset_beside(path)
                return name
        keys = keys or [repr(key[:30]) for key in list(row)[:12]]
    found = f"found the keys {', '.join(keys)}" if keys else "found no JSON object in the first rows"
    raise UnknownFormat(
        path,
        "expected rows with prompt and responses, response_a and response_b, response and ratings, "
        f"or chosen and rejected, or a known data set's own keys; {found}",
    )


def read(
    path, format: str | None = None, mapping: dict[str, str] | None = None
) -> Iterator[Record | Problem]:
    """The file's items and problems, lazily and in the file's order.

    `format` is a name of FORMATS, sniffed when absent; `mapping` {column: role} is for tables.
    Raises UnknownFormat at once for a file or format nobody can read.
    """
    name = format or sniff(path)
    if name not in FORMATS:
        raise UnknownFormat(path, f"format {name!r} is not known; expected one of {', '.join(FORMATS)}")
    head(path, 1)
    return FORMATS[name].read(path, mapping)


def read_many(
    paths: Iterable, format: str | None = None, mapping: dict[str, str] | None = None
) -> Iterator[tuple[Path, Record | Problem]]:
    """(path, record or problem) of several files; PandaLM's result files join the test set given with them.

    Every file is looked at before the first is read, so UnknownFormat comes at once.
    """
    paths = [Path(path) for path in paths]
    plain, testsets, results = [], [], []
    for path in paths:
        try:
            name = format or sniff(path)
        except UnknownFormat:
            if not pandalm.is_results(pandalm.first_row(path)) or len(paths) == 1:
                raise
            name = "pandalm"
        if name != "pandalm":
            plain.append((path, read(path, name, mapping)))
        elif pandalm.is_results(pandalm.first_row(path)):
            results.append(path)
        else:
            testsets.append(path)
    if results and not testsets:
        for path in results:
            found = pandalm.testset_beside(path)
            if found not in testsets:
                testsets.append(found)
    for path in testsets:
        plain.append((path, pandalm.read(path, results=results or None)))
    return ((path, found) for path, rows in plain for found in rows)


SHORT_CELL = 300


def preview(path, n: int = 5) -> dict:
    """What a person needs to see before an import: {format, columns, rows, mapping, problems}.

    For tables the file's own columns and a guessed mapping; else id, prompt, responses, judgments
    of the first `n` items. Cells are cut to 300 characters. Raises UnknownFormat.
    """
    name = sniff(path)
    if name in ("csv", "tsv"):
        columns, rows = tables.preview(path, n)
        return {
            "format": name,
            "columns": columns,
            "rows": [[cell[:SHORT_CELL] for cell in row] for row in rows],
            "mapping": guess_mapping(columns),
            "problems": [],
        }
    found = list(islice(read(path, name), n))
    records = [record for record in found if isinstance(record, Record)]
    return {
        "format": name,
        "columns": ["id", "prompt", "responses", "judgments"],
        "rows": [[cell[:SHORT_CELL] for cell in preview_cells(record)] for record in records],
        "mapping": {},
        "problems": [problem for problem in found if isinstance(problem, Problem)],
    }


def preview_cells(record: Record) -> list[str]:
    prompt = record.prompt if isinstance(record.prompt, str) else record.prompt[-1]["content"]
    texts = "\n\n".join(response.text[: SHORT_CELL // 2] for response in record.responses)
    return [record.external_id or "", prompt, texts, str(len(record.judgments))]
