"""LLMBar's dataset and the result files of its evaluators (princeton-nlp/LLMBar, MIT)."""

from collections.abc import Iterator
from pathlib import Path

from .checks import Bad, entries, plain, printable, responses_of, shown, text, with_extras
from .files import json_rows, records, stem
from .labels import labelled, model_judgment, numbered_label
from .records import CallRecord, JudgmentRecord, Problem, Record

KEYS = frozenset("input output_1 output_2 label results".split())
ORDERS = {"swap = False": "ab", "swap = True": "ba"}


def is_pair(row: dict) -> bool:
    return row.keys() >= {"input", "output_1", "output_2"}


def evaluator_of(path) -> str:
    """`model · strategy` from …/evaluators/<model>/<strategy>/result.json, else the file's name."""
    parts = Path(path).absolute().parts
    if len(parts) >= 4 and parts[-4] == "evaluators":
        return f"{parts[-3]} · {parts[-2]}"[:200]
    return f"LLMBar evaluator {stem(path)}"[:200]


def read(path, mapping=None) -> Iterator[Record | Problem]:
    evaluator = evaluator_of(path)

    def parse(row, line, problems):
        return parse_pair(row, line, problems, evaluator)

    return records(json_rows(path), parse)


def parse_pair(row: dict, line: int, problems: list[Problem], evaluator: str) -> Record:
    prompt = text(row.get("input"), "input")
    judgments = []
    if "label" in row:
        judgments += attempt(line, problems, lambda: labelled(numbered_label(row["label"], "label"), "gold"))
    if "results" in row:
        judgments += attempt(line, problems, lambda: parse_results(row["results"], evaluator))
    return Record(
        line=line,
        external_id=None,
        source="llmbar",
        prompt=prompt,
        group=prompt,
        responses=responses_of([(key, row.get(key)) for key in ("output_1", "output_2")]),
        meta=with_extras({}, row, KEYS),
        judgments=tuple(judgments),
    )


def attempt(line: int, problems: list[Problem], make) -> list[JudgmentRecord]:
    try:
        return [make()]
    except Bad as bad:
        problems.append(Problem(line, bad.field, bad.message))
        return []


def parse_results(found, evaluator: str) -> JudgmentRecord:
    """Both orders of every run as calls; the file's winners are canonical already."""
    calls = []
    for index, run in enumerate(entries(found, "results")):
        at = f"results[{index}]"
        if type(run) is not dict:
            raise Bad(at, f"expected an object, found {shown(run)}")
        for key, entry in run.items():
            where = f"{at}.{printable(key)}"
            if key not in ORDERS or type(entry) is not dict:
                raise Bad(where, "expected swap = False or swap = True with a winner")
            if "winner" not in entry:
                raise Bad(where, "expected a winner, 1, 2 or null")
            winner = numbered_label(entry["winner"], f"{where}.winner")
            completion = plain(entry.get("completion"), f"{where}.completion")
            raw = completion[0] if isinstance(completion, list) and completion else completion
            meta = with_extras({}, entry, frozenset(("winner", "completion")))
            if isinstance(completion, list) and len(completion) > 1:
                meta["completion"] = completion[1:]
            calls.append(CallRecord(ORDERS[key], winner, raw if type(raw) is str else "", "", meta))
    return model_judgment(evaluator, calls)
