"""The rows of the bulk path: judgments with their comparisons, scores and calls, as the tables take them.

What a judgment says is one tuple in the order of `digest.FIELDS`: it is hashed for the log, and the same tuple goes
into the row, so the log and the table cannot come to differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from annotations.items.bulk_insert import insert, json_text, moment_form

from .digest import FIELDS, digest
from .models import Assignment, Comparison, Judgment, LMCall, Score

if TYPE_CHECKING:
    from .answers import Call
    from .bulk import Entry

JUDGMENT = ("id", *FIELDS, "is_current", "aside", "digest")
COMPARISON = ("judgment_id", "first", "second", "aspect", "preference", "scale_max", "tie")
SCORE = ("judgment_id", "response", "attribute", "value", "scale_min", "scale_max")
CALL = tuple(
    """judgment_id annotator_id item_id order label raw reason prompt_hash tokens_in tokens_out cost_micros
    latency_ms meta created_at""".split()
)
ANSWERS, CREATED, RECEIVED, META = map(FIELDS.index, ("answers", "created_at", "received_at", "meta"))
LATE_STATES = (Assignment.State.EXPIRED, Assignment.State.RELEASED)


def insert_rows(
    accepted: Iterable[Entry],
    project_id: int,
    origin: str,
    now: datetime,
    shown: Mapping[int, Assignment],
) -> None:
    """Insert the judgments, then their comparisons, scores and calls; `shown` is what was leased, by judgment."""
    moment = moment_form()
    now_text = moment(now)
    comparisons, scores, calls = [], [], []

    def judgments() -> Iterator[tuple]:
        """One row a judgment, made while the database takes in those before it; notes its parts for later."""
        for entry in accepted:
            answer, pk = entry.answer, entry.pk
            said = _said(entry, project_id, origin, now, shown.get(pk))
            compared = [
                (c.first, c.second, c.aspect, c.preference, c.scale_max, c.tie) for c in answer.comparisons
            ]
            scored = [
                (s.response, s.attribute, float(s.value), s.scale_min, s.scale_max) for s in answer.scores
            ]
            stored = list(said)  # the same, with what the table holds as text written as text
            stored[ANSWERS] = json_text(answer.answers) if entry.answers_text is None else entry.answers_text
            stored[CREATED] = now_text if entry.created_at is None else moment(entry.created_at)
            stored[RECEIVED] = now_text
            stored[META] = json_text(said[META])
            comparisons.extend((pk, *row) for row in compared)
            scores.extend((pk, *row) for row in scored)
            calls.extend(_call(call, entry, now_text) for call in answer.calls)
            yield (pk, *stored, entry.is_current, entry.aside, digest(said, compared, scored))

    insert(Judgment, JUDGMENT, judgments())
    for model, fields, rows in (
        (Comparison, COMPARISON, comparisons),
        (Score, SCORE, scores),
        (LMCall, CALL, calls),
    ):
        if rows:
            insert(model, fields, rows)


def _call(call: Call, entry: Entry, now_text: str) -> tuple:
    return (
        entry.pk,
        entry.annotator_id,
        entry.item_id,
        call.order,
        call.label,
        call.raw,
        call.reason,
        call.prompt_hash,
        call.tokens_in,
        call.tokens_out,
        call.cost_micros,
        call.latency_ms,
        json_text(call.meta),
        now_text,
    )


def _said(entry: Entry, project_id: int, origin: str, now: datetime, assignment: Assignment | None) -> tuple:
    """What the judgment says, in the order of `digest.FIELDS`; no guideline, release, gate or arm comes in bulk."""
    answer = entry.answer
    order, meta = answer.presented_order, answer.meta
    if assignment is not None:
        order = order or assignment.presented_order
        if assignment.state in LATE_STATES:
            meta = {**meta, "late": True}
    return (
        entry.uuid,
        project_id,
        entry.item_id,
        entry.annotator_id,
        entry.schema_id,
        None,  # guideline
        None,  # criteria release
        answer.outcome,
        origin,
        answer.answers,
        answer.reason,
        answer.probability,
        answer.order_consistent,
        order,
        entry.propensity,
        None if entry.before is None else entry.before.pk,
        0,  # occasion
        "",  # arm
        entry.created_at or now,
        now,
        answer.active_ms,
        answer.wall_ms,
        meta,
    )
