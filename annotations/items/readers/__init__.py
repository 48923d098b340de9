"""Readers of preference-data files: each turns one format into plain Records and Problems.

Nothing here touches the database or Django. `read` is lazy and holds about one row at a time.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from . import (
    arena,
    benchmarks,
    helpsteer,
    llmbar,
    multipref,
    native,
    pandalm,
    parquet,
    potato,
    potato_files,
    summeval,
    tables,
    tools,
    training,
    transcripts,
    ukp,
)
from .files import BOM, head, json_rows
from .files import records as records_of
from .labels import Merged, merge_calls
from .native import to_native
from .records import (
    MAX_TEXT,
    SPANS,
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
    "SPANS",
    "TABLES",
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
    "helpsteer3": Format(
        "HelpSteer3 preferences",
        "Conversations with two responses, an overall strength and up to three individual ones.",
        ("train.jsonl", "validation.jsonl"),
        helpsteer.read_helpsteer3,
    ),
    "multipref": Format(
        "MultiPref",
        "One comparison a row with the annotations of ordinary and expert workers.",
        ("*.parquet", "*.jsonl"),
        multipref.read,
    ),
    "lmarena": Format(
        "LMArena votes",
        "One vote a row: model_a, model_b, tie, or both bad, with both conversations.",
        ("*.parquet", "*.jsonl"),
        arena.read,
    ),
    "trl_implicit": Format(
        "TRL preference, implicit prompt",
        "Whole conversations, chosen and rejected, that differ in their last turn; also MultiPref's binarised rows.",
        ("*.parquet", "*.jsonl"),
        training.read_implicit,
    ),
    "trl_unpaired": Format(
        "TRL unpaired preference",
        "prompt, completion and label: one response a row that is good or bad.",
        ("*.parquet", "*.jsonl"),
        training.read_unpaired,
    ),
    "prompt_completion": Format(
        "Prompt and completion",
        "prompt and completion: one text a row, without a judgment.",
        ("*.parquet", "*.jsonl"),
        training.read_completions,
    ),
    "nemo_ranking": Format(
        "NeMo-RL ranking",
        "context and completions with ranks, the lowest the best.",
        ("*.jsonl",),
        training.read_rankings,
    ),
    "rewardbench": Format(
        "RewardBench",
        "Pairs whose right answer is known, with the models that wrote them and a subset.",
        ("*.parquet", "*.jsonl"),
        benchmarks.read_pairs,
    ),
    "rewardbench2": Format(
        "RewardBench 2",
        "Lists of right and of wrong completions.",
        ("*.parquet", "*.jsonl"),
        benchmarks.read_rewardbench2,
    ),
    "rm_bench": Format(
        "RM-Bench",
        "Three right and three wrong completions in three styles.",
        ("*.json",),
        benchmarks.read_rm_bench,
    ),
    "autoj": Format(
        "Auto-J test set",
        "Pairs with one person's label: 0, 1, or 2 for a tie.",
        ("testdata_pairwise.jsonl",),
        benchmarks.read_autoj,
    ),
    "alpaca_eval": Format(
        "AlpacaEval annotations",
        "A judge's preference from 1 to 2 for each pair of outputs.",
        ("annotations.json",),
        benchmarks.read_alpaca,
    ),
    "label_studio": Format(
        "Label Studio export",
        "Tasks with their annotations: pairwise, choices, ratings, texts.",
        ("project-*.json",),
        tools.read_label_studio,
    ),
    "argilla": Format(
        "Argilla records",
        "Records with fields and everybody's responses to the questions.",
        ("*.json", "*.jsonl"),
        tools.read_argilla,
    ),
    "potato": Format(
        "Potato study",
        "A zip or folder with the data file, annotation_output and, best, the configuration.",
        potato.PATTERNS,
        potato.read,
    ),
    "csv": Format("CSV table", "Any comma-separated table; you map its columns.", ("*.csv",), tables.read),
    "tsv": Format("TSV table", "Any tab-separated table; you map its columns.", ("*.tsv",), tables.read),
    "table": Format(
        "Rows with keys of their own",
        "JSON lines, a JSON list, Parquet or Arrow in no known shape; you map the keys.",
        ("*.jsonl", "*.json", "*.parquet"),
        tables.read_objects,
    ),
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
    ("label_studio", tools.is_label_studio),
    ("argilla", tools.is_argilla),
    ("potato", potato_files.is_row),
    ("lmarena", arena.is_row),
    ("native", lambda row: "responses" in row or row.keys() >= {"response_a", "response_b"}),
    ("multipref", multipref.is_row),
    ("helpsteer3", helpsteer.is_helpsteer3),
    ("nemo_ranking", training.is_ranking),
    ("alpaca_eval", benchmarks.is_alpaca),
    ("autoj", benchmarks.is_autoj),
    ("pandalm", lambda row: pandalm.is_testset(row) or pandalm.is_results(row)),
    ("helpsteer2_preference", helpsteer.is_preference),
    ("helpsteer2_ratings", helpsteer.is_ratings),
    ("llmbar", llmbar.is_pair),
    ("summeval_op", summeval.is_row),
    ("hh", transcripts.is_pair),
    ("trl_implicit", training.is_implicit),
    ("rewardbench2", benchmarks.is_rewardbench2),
    ("rm_bench", benchmarks.is_lists),
    ("rewardbench", benchmarks.is_pair),
    ("trl_unpaired", training.is_unpaired),
    ("prompt_completion", training.is_completion),
    ("native", lambda row: row.keys() >= {"chosen", "rejected"} or "response" in row),
)
SNIFFED_ROWS = 20
TABLES = ("csv", "tsv", "table")
"""Formats whose columns a person maps."""
OTHER_FILES = (
    (b"PK\x03\x04", "this is a zip or Excel file, and no zip of a Potato study; save the table as CSV"),
    (b"\xff\xfe", "this file is UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "this file is UTF-16; save it as UTF-8"),
)


def sniff(path) -> str:
    """The name of the format in FORMATS. Raises UnknownFormat, saying what was expected."""
    start = head(path, 1 << 16)
    if start.startswith(parquet.SIGNS):
        return sniff_json(path)
    start = start.removeprefix(BOM)
    if start.startswith(OTHER_FILES[0][0]) and potato_files.is_zip_of_study(path):
        return "potato"
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
    """The first format whose sign a row bears; rows of other keys are a `table`, for which a person says what they are."""
    keys, wrong = False, ""
    for line, row in islice(json_rows(path), SNIFFED_ROWS):
        if isinstance(row, Problem):
            wrong = wrong or f"; row {line}: {row.message}"
        if not isinstance(row, dict):
            continue
        for name, holds in JSON_SIGNS:
            if holds(row):
                if name == "pandalm" and pandalm.is_results(row):
                    pandalm.testset_beside(path)
                return name
        keys = keys or bool(row)
    if keys:
        return "table"
    raise UnknownFormat(path, f"expected rows that are JSON objects, found none in the first rows{wrong}")


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
    if name == "table" and mapping is None:
        return _unmapped(path)
    return FORMATS[name].read(path, mapping)


def _unmapped(path) -> Iterator[Record | Problem]:
    """Rows of unknown keys whose names alone may say what they are."""
    columns = tables.columns_of_rows(path)
    try:
        return tables.read_objects(path, guess_mapping(columns))
    except UnknownFormat:
        found = ", ".join(repr(column[:30]) for column in columns[:12])
        raise UnknownFormat(
            path,
            "expected rows with prompt and responses, response_a and response_b, response and ratings, chosen and "
            "rejected, or completion, a known data set's own keys, or a mapping that says what the keys are; "
            f"found the keys {found}",
        ) from None


def read_rows(rows: Iterable[object]) -> Iterator[Record | Problem]:
    """Records of native rows that are in memory already; `line` counts them from 1."""
    return records_of(enumerate(rows, 1), native.parse)


def read_many(
    paths: Iterable, format: str | None = None, mapping: dict[str, str] | None = None
) -> Iterator[tuple[Path, Record | Problem]]:
    """(path, record or problem) of several files; PandaLM's result files join the test set given with them.

    A folder stands for the data files in it. Every file is looked at before the first is read, so UnknownFormat comes at once.
    """
    plain, testsets, results = [], [], []
    given, paths = [Path(path) for path in paths], []
    for path in given:
        if path.is_dir() and format in (None, "potato") and potato_files.is_study(path):
            plain.append((path, potato.read(path, mapping)))
        else:
            paths += parquet.data_files(path) if path.is_dir() else [path]
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


def preview(path, n: int = 5, format: str | None = None) -> dict:
    """What a person needs to see before an import: {format, columns, rows, mapping, problems}.

    For tables the file's own columns and a guessed mapping; else id, prompt, responses, judgments
    of the first `n` items. Cells are cut to 300 characters. Raises UnknownFormat.
    """
    name = format or sniff(path)
    if name in TABLES:
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
