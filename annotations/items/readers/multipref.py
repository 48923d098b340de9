"""MultiPref: one comparison a row, with the annotations of ordinary and of expert workers (allenai/multipref, ODC-BY)."""

from collections.abc import Iterator
from datetime import UTC, datetime

from .checks import (
    Bad,
    entries,
    identifier,
    moment,
    name,
    number,
    optional_text,
    plain,
    responses_of,
    shown,
    text,
    with_extras,
)
from .files import json_rows, records
from .records import MAX_NAME, ComparisonRecord, JudgmentRecord, Problem, Record

ASPECTS = ("overall", "helpful", "truthful", "harmless")
STEPS = {
    "A-is-clearly-better": -2,
    "A-is-slightly-better": -1,
    "Tie": 0,
    "B-is-slightly-better": 1,
    "B-is-clearly-better": 2,
}
CONFIDENCE = {"absolutely-confident": "absolutely", "fairly-confident": "fairly", "not-confident": "not"}
WORKERS = {"normal_worker_annotations": "normal", "expert_worker_annotations": "expert"}
KEYS = frozenset(
    ["comparison_id", "text", "model_a", "completion_a", "model_b", "completion_b", "source", *WORKERS]
)
KNOWN = frozenset(
    ["evaluator", "time_spent", "timestamp"]
    + [
        f"{aspect}_{key}"
        for aspect in ASPECTS
        for key in ("pref", "confidence", "checked_reasons", "own_reason")
    ]
)
SECONDS_OR_MS = 1e11  # a number of seconds beyond this would be after the year 5000


def is_row(row: dict) -> bool:
    return row.keys() >= {"comparison_id", "completion_a", "completion_b"}


def read(path, mapping=None) -> Iterator[Record | Problem]:
    return records(json_rows(path), parse)


def parse(row: dict, line: int, problems: list[Problem]) -> Record:
    prompt = text(row.get("text"), "text")
    judgments = []
    for key, worker in WORKERS.items():
        try:
            given = entries(row.get(key), key)
        except Bad as bad:
            problems.append(Problem(line, bad.field, bad.message))
            continue
        for index, entry in enumerate(given):
            try:
                judgments.append(parse_annotation(entry, worker))
            except Bad as bad:
                complaint = bad.within(f"{key}[{index}]")
                problems.append(Problem(line, complaint.field, complaint.message))
    meta = with_extras({}, {key: value for key, value in row.items() if value is not None}, KEYS)
    prompt_id = identifier(row.get("prompt_id"), "prompt_id")
    return Record(
        line=line,
        external_id=identifier(row.get("comparison_id"), "comparison_id"),
        source=optional_text(row.get("source"), "source", MAX_NAME) or "",
        prompt=prompt,
        group=prompt_id,
        responses=responses_of(
            [(key, row.get(key)) for key in ("completion_a", "completion_b")],
            tuple(optional_text(row.get(key), key, MAX_NAME) or "" for key in ("model_a", "model_b")),
        ),
        meta=meta,
        judgments=tuple(judgments),
    )


def parse_annotation(entry, worker: str) -> JudgmentRecord:
    """One worker's answers; an expert is named in `answers.source_meta.worker`."""
    if type(entry) is not dict:
        raise Bad("", f"expected an object, found {shown(entry)}")
    comparisons, answers = [], {}
    for aspect in ASPECTS:
        given = entry.get(f"{aspect}_pref")
        if given is not None:
            if type(given) is not str or given not in STEPS:
                raise Bad(f"{aspect}_pref", f"expected one of {', '.join(STEPS)}, found {shown(given)}")
            step = STEPS[given]
            tie = None if step else "equal"
            comparisons.append(ComparisonRecord(0, 1, aspect, step or None, 2 if step else None, tie))
        sure = optional_text(entry.get(f"{aspect}_confidence"), f"{aspect}_confidence")
        if sure:
            answers[f"{aspect}_confidence"] = CONFIDENCE.get(sure, sure)
        reasons = entries(entry.get(f"{aspect}_checked_reasons"), f"{aspect}_checked_reasons")
        if reasons:
            key = f"{aspect}_checked_reasons"
            answers[key] = [text(reason, f"{key}[{index}]") for index, reason in enumerate(reasons)]
        own = optional_text(entry.get(f"{aspect}_own_reason"), f"{aspect}_own_reason")
        if own:
            answers[f"{aspect}_own_reason"] = own
    if not comparisons:
        raise Bad("overall_pref", "expected a preference in at least one aspect")
    more = {key: value for key, value in entry.items() if key not in KNOWN and value is not None}
    source = plain(more, "") if more else {}
    if worker == "expert":
        source = {**source, "worker": worker}
    if source:
        answers["source_meta"] = source
    seconds = entry.get("time_spent")
    return JudgmentRecord(
        annotator=name(entry.get("evaluator"), "evaluator"),
        comparisons=tuple(comparisons),
        answers=answers,
        created_at=time_of(entry.get("timestamp"), "timestamp"),
        wall_ms=None if seconds is None else round(number(seconds, "time_spent", 0, 1e9) * 1000),
    )


def time_of(value, field: str) -> datetime | None:
    """A time in ISO 8601, or as seconds or milliseconds since 1970."""
    if type(value) is int or type(value) is float:
        seconds = number(value, field, 0)
        try:
            return datetime.fromtimestamp(seconds / 1000 if seconds > SECONDS_OR_MS else seconds, UTC)
        except (ValueError, OverflowError, OSError):
            raise Bad(field, f"expected a time, found {shown(value)}") from None
    return moment(value, field)
