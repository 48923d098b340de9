"""Benchmarks of reward models and judges: RewardBench, RewardBench 2, RM-Bench, Auto-J, AlpacaEval's annotations."""

from collections.abc import Iterator

from .checks import (
    Bad,
    count,
    entries,
    identifier,
    name,
    number,
    optional_text,
    prompt_of,
    responses_of,
    shown,
    text,
    with_extras,
)
from .files import json_rows, records
from .labels import VERDICTS, labelled
from .records import MAX_NAME, JudgmentRecord, Problem, Record, ResponseRecord, ScoreRecord

GOLD = "benchmark"
STYLES = ("concise", "detailed_plain", "detailed_markdown")
PAIR_KEYS = frozenset("id prompt chosen chosen_model rejected rejected_model".split())
LIST_KEYS = frozenset("id prompt chosen rejected models num_correct num_incorrect total_completions".split())
AUTOJ_KEYS = frozenset(("prompt", "response 1", "response 2", "label"))
AUTOJ_LABELS = {0: "a", 1: "b", 2: "tie"}
ALPACA_KEYS = frozenset("instruction output_1 output_2 generator_1 generator_2 annotator preference".split())


# --- RewardBench -------------------------------------------------------------------------------------------
def is_pair(row: dict) -> bool:
    return row.keys() >= {"prompt", "chosen", "rejected", "chosen_model", "rejected_model", "subset"}


def read_pairs(path, mapping=None) -> Iterator[Record | Problem]:
    """RewardBench: pairs whose right answer is known."""
    return records(json_rows(path), parse_pair)


def parse_pair(row: dict, line: int, problems: list[Problem]) -> Record:
    sides = ("chosen", "rejected")
    return Record(
        line=line,
        external_id=identifier(row.get("id"), "id"),
        source="rewardbench",
        prompt=prompt_of(row.get("prompt")),
        responses=responses_of(
            [(key, row.get(key)) for key in sides],
            tuple(optional_text(row.get(f"{key}_model"), f"{key}_model", MAX_NAME) or "" for key in sides),
        ),
        meta=with_extras({}, row, PAIR_KEYS),
        judgments=(labelled("a", GOLD),),
    )


# --- RewardBench 2 and RM-Bench ----------------------------------------------------------------------------
def is_lists(row: dict) -> bool:
    both = (row.get("chosen"), row.get("rejected"))
    return "prompt" in row and all(isinstance(side, list) and side and type(side[0]) is str for side in both)


def is_rewardbench2(row: dict) -> bool:
    return is_lists(row) and ("num_correct" in row or "total_completions" in row)


def read_rewardbench2(path, mapping=None) -> Iterator[Record | Problem]:
    """Lists of right and of wrong completions; each gets a thumb."""
    return records(json_rows(path), lambda row, line, problems: parse_lists(row, line, "rewardbench2"))


def read_rm_bench(path, mapping=None) -> Iterator[Record | Problem]:
    """Three right and three wrong completions, of three styles each."""
    return records(json_rows(path), lambda row, line, problems: parse_lists(row, line, "rm_bench", STYLES))


def parse_lists(row: dict, line: int, source: str, styles: tuple[str, ...] = ()) -> Record:
    right, wrong = (entries(row.get(key), key) for key in ("chosen", "rejected"))
    if styles and not len(right) == len(wrong) == len(styles):
        raise Bad("chosen", f"expected {len(styles)} chosen and {len(styles)} rejected")
    count(len(right) + len(wrong), "chosen and rejected")
    models = entries(row.get("models"), "models")
    if len(models) != len(right) + len(wrong):
        models = [None] * (len(right) + len(wrong))
    responses = []
    for key, side in (("chosen", right), ("rejected", wrong)):
        for index, found in enumerate(side):
            model = optional_text(models[len(responses)], "models", MAX_NAME) or ""
            meta = {"style": styles[index]} if styles else {}
            responses.append(ResponseRecord(text(found, f"{key}[{index}]"), model, meta))
    scores = [ScoreRecord(i, "thumb", int(i < len(right)), 0, 1) for i in range(len(responses))]
    return Record(
        line=line,
        external_id=identifier(row.get("id"), "id"),
        source=source,
        prompt=prompt_of(row.get("prompt")),
        responses=tuple(responses),
        meta=with_extras({}, row, LIST_KEYS),
        judgments=(JudgmentRecord(GOLD, scores=tuple(scores)),),
    )


# --- Auto-J ------------------------------------------------------------------------------------------------
def is_autoj(row: dict) -> bool:
    return row.keys() >= AUTOJ_KEYS


def read_autoj(path, mapping=None) -> Iterator[Record | Problem]:
    """Auto-J's pairwise test set: label 0 the first, 1 the second, 2 a tie."""
    return records(json_rows(path), parse_autoj)


def parse_autoj(row: dict, line: int, problems: list[Problem]) -> Record:
    label = row.get("label")
    judgments: tuple[JudgmentRecord, ...] = ()
    if type(label) is int and label in AUTOJ_LABELS:
        judgments = (labelled(AUTOJ_LABELS[label], "auto-j"),)
    else:
        problems.append(Problem(line, "label", f"expected 0, 1 or 2, found {shown(label)}"))
    return Record(
        line=line,
        external_id=None,
        source="autoj",
        prompt=text(row.get("prompt"), "prompt"),
        responses=responses_of([(key, row.get(key)) for key in ("response 1", "response 2")]),
        meta=with_extras({}, row, AUTOJ_KEYS),
        judgments=judgments,
    )


# --- AlpacaEval --------------------------------------------------------------------------------------------
def is_alpaca(row: dict) -> bool:
    return row.keys() >= {"instruction", "output_1", "output_2", "preference"}


def read_alpaca(path, mapping=None) -> Iterator[Record | Problem]:
    """AlpacaEval's annotations.json: a judge's preference from 1 (the first output) to 2 (the second)."""
    return records(json_rows(path), parse_alpaca)


def parse_alpaca(row: dict, line: int, problems: list[Problem]) -> Record:
    instruction = text(row.get("instruction"), "instruction")
    judgments: tuple[JudgmentRecord, ...] = ()
    try:
        judgments = (alpaca_judgment(row),)
    except Bad as bad:
        problems.append(Problem(line, bad.field, bad.message))
    return Record(
        line=line,
        external_id=None,
        source="alpaca_eval",
        prompt=instruction,
        responses=responses_of(
            [(key, row.get(key)) for key in ("output_1", "output_2")],
            tuple(optional_text(row.get(f"generator_{n}"), f"generator_{n}", MAX_NAME) or "" for n in (1, 2)),
        ),
        meta=with_extras({}, row, ALPACA_KEYS),
        judgments=judgments,
    )


def alpaca_judgment(row: dict) -> JudgmentRecord:
    """1 to 2 is P(second) + 1; 0 is a draw in old files; null is an answer nobody could parse."""
    annotator = name(row.get("annotator") or "alpaca_eval", "annotator")
    value = row.get("preference")
    if value is None:
        return labelled(None, annotator, kind="lm")
    value = number(value, "preference")
    if value != 0 and not 1 <= value <= 2:
        raise Bad("preference", f"expected 1 to 2, or 0 for a draw, found {shown(value)}")
    probability = 0.5 if value == 0 else value - 1
    label = "tie" if probability == 0.5 else "a" if probability < 0.5 else "b"
    return JudgmentRecord(annotator, kind="lm", comparisons=VERDICTS[label], probability=probability)
