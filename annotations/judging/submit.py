"""The only write path of judgments: from people, language models, reward models and files alike."""

from __future__ import annotations

import uuid as uuids
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from annotations.items.models import Item
from annotations.projects import schemas
from annotations.projects.models import Annotator
from app.web.prepared import Prepared, PreparedUpdate

from . import counters, locks
from .answers import Answer, InvalidAnswer, check
from .models import Assignment, Comparison, Judgment, LMCall, Score


class Conflict(Exception):
    """The write contradicts what is stored; its text says how. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A stored judgment; `created` is False when this UUID was stored before (a retry)."""

    judgment: Judgment
    created: bool


def submit(
    *,
    annotator: Annotator,
    item_id: int,
    schema_id: int,
    uuid: uuids.UUID,
    answer: Answer,
    origin: str,
    assignment_id: int | None = None,
    guideline_id: int | None = None,
    criteria_release_id: int | None = None,
    supersedes: uuids.UUID | None = None,
    propensity: float | None = None,
    created_at: datetime | None = None,
) -> Submitted:
    """Store one judgment with its comparisons, scores, calls and counters in one transaction.

    Idempotent: the same UUID again returns the stored row. Raises InvalidAnswer if the answer does not fit the
    schema version, Conflict if the UUID belongs to another answer, the annotator has a current judgment of this
    item that `supersedes` does not name, or the item is withdrawn. Takes the annotator's lock, then the item's.
    """
    try:
        judgment = _store(
            annotator=annotator,
            item_id=item_id,
            schema_id=schema_id,
            uuid=uuid,
            answer=answer,
            origin=origin,
            assignment_id=assignment_id,
            guideline_id=guideline_id,
            criteria_release_id=criteria_release_id,
            supersedes=supersedes,
            propensity=propensity,
            created_at=created_at,
        )
    except (Conflict, InvalidAnswer, IntegrityError):
        # A retry always ends here: its judgment is the current one, was replaced, or has the same unique UUID.
        stored = Judgment.objects.filter(uuid=uuid).first()
        if stored is None:
            raise
        if (stored.annotator_id, stored.item_id) != (annotator.pk, item_id):
            raise Conflict("This id belongs to another judgment.") from None
        return Submitted(stored, created=False)
    return Submitted(judgment, created=True)


def _store(
    *,
    annotator: Annotator,
    item_id: int,
    schema_id: int,
    uuid: uuids.UUID,
    answer: Answer,
    origin: str,
    assignment_id: int | None,
    guideline_id: int | None,
    criteria_release_id: int | None,
    supersedes: uuids.UUID | None,
    propensity: float | None,
    created_at: datetime | None,
) -> Judgment:
    """Write the judgment; for a UUID that is stored, the table's own constraint raises IntegrityError."""
    with transaction.atomic():
        holder = locks.lock_annotator(annotator.pk) if annotator.kind == Annotator.Kind.HUMAN else annotator
        item = locks.lock_item(item_id)
        if item.project_id != annotator.project_id:
            raise Conflict("The item belongs to another project.")
        if item.withdrawn_at is not None:
            raise Conflict("The item was withdrawn.")
        schema, definition = schemas.load(schema_id)
        if schema.project_id != item.project_id:
            raise Conflict("The schema belongs to another project.")
        check(definition, answer, item.n_responses)
        before = _before(item, annotator, supersedes)
        assignment = _assignment(item, annotator, assignment_id)
        if assignment is not None and not answer.presented_order:
            presented_order = assignment.presented_order
        else:
            presented_order = answer.presented_order
        if before is not None:
            Judgment.objects.filter(pk=before.pk).update(is_current=False)
        judgment = Judgment(
            uuid=uuid,
            project_id=item.project_id,
            item=item,
            annotator=annotator,
            schema_id=schema_id,
            guideline_id=guideline_id,
            criteria_release_id=criteria_release_id,
            outcome=answer.outcome,
            origin=origin,
            answers=answer.answers,
            reason=answer.reason,
            probability=answer.probability,
            order_consistent=answer.order_consistent,
            presented_order=presented_order,
            propensity=_propensity(item, annotator) if propensity is None else propensity,
            supersedes=before,
            created_at=created_at or timezone.now(),
            active_ms=answer.active_ms,
            wall_ms=answer.wall_ms,
            meta=_meta(answer, assignment),
        )
        judgment.save(force_insert=True)
        write_parts([(judgment, answer)])
        _count(item, holder, before, judgment, assignment)
    return judgment


_CURRENT = Prepared(
    lambda item, annotator: Judgment.objects.filter(item=item, annotator=annotator, is_current=True)[:1]
)
_ASSIGNMENT = Prepared(lambda item, annotator: Assignment.objects.filter(item=item, annotator=annotator))
_CLOSE = PreparedUpdate(
    lambda assignment, state: (
        Assignment.objects.filter(pk=assignment),
        {"state": state, "draft": None, "drafted_at": None},
    ),
    state=str,
)


def _before(item: Item, annotator: Annotator, supersedes: uuids.UUID | None) -> Judgment | None:
    """The annotator's current judgment of the item, which the new one replaces. Raises Conflict if it may not."""
    before = _CURRENT.first(item=item.pk, annotator=annotator.pk)
    if supersedes is not None:
        if before is None or before.uuid != supersedes:
            raise Conflict(
                "The judgment to correct is not the current one; reload and correct the current one."
            )
        return before
    if before is not None and before.outcome != Judgment.Outcome.SKIPPED:
        raise Conflict("You have judged this item already.")
    return before


def _assignment(item: Item, annotator: Annotator, assignment_id: int | None) -> Assignment | None:
    if annotator.kind != Annotator.Kind.HUMAN:
        return None
    found = _ASSIGNMENT.first(item=item.pk, annotator=annotator.pk)
    if assignment_id is not None and (found is None or found.pk != assignment_id):
        raise Conflict("This page belongs to another assignment; reload it.")
    return found


def _propensity(item: Item, annotator: Annotator) -> float:
    """Probability that this item went to this kind of annotator under the route in force."""
    if annotator.kind == Annotator.Kind.HUMAN:
        return item.human_propensity
    return 1.0


def _meta(answer: Answer, assignment: Assignment | None) -> dict:
    meta = dict(answer.meta)
    if assignment is not None and assignment.state in {Assignment.State.EXPIRED, Assignment.State.RELEASED}:
        meta["late"] = True  # the lease had run out; a person's work is kept all the same
    return meta


def write_parts(pairs: list[tuple[Judgment, Answer]]) -> None:
    """Insert the comparisons, scores and calls of judgments that were inserted in this transaction."""
    comparisons = [
        Comparison(
            judgment=judgment,
            first=c.first,
            second=c.second,
            aspect=c.aspect,
            preference=c.preference,
            scale_max=c.scale_max,
            tie=c.tie,
        )
        for judgment, answer in pairs
        for c in answer.comparisons
    ]
    scores = [
        Score(
            judgment=judgment,
            response=s.response,
            attribute=s.attribute,
            value=s.value,
            scale_min=s.scale_min,
            scale_max=s.scale_max,
        )
        for judgment, answer in pairs
        for s in answer.scores
    ]
    calls = [
        LMCall(
            judgment=judgment,
            annotator_id=judgment.annotator_id,
            item_id=judgment.item_id,
            order=call.order,
            label=call.label,
            raw=call.raw,
            reason=call.reason,
            prompt_hash=call.prompt_hash,
            tokens_in=call.tokens_in,
            tokens_out=call.tokens_out,
            cost_micros=call.cost_micros,
            latency_ms=call.latency_ms,
            meta=call.meta,
        )
        for judgment, answer in pairs
        for call in answer.calls
    ]
    if comparisons:
        Comparison.objects.bulk_create(comparisons, batch_size=500)
    if scores:
        Score.objects.bulk_create(scores, batch_size=500)
    if calls:
        LMCall.objects.bulk_create(calls, batch_size=500)


def _count(
    item: Item,
    annotator: Annotator,
    before: Judgment | None,
    judgment: Judgment,
    assignment: Assignment | None,
) -> None:
    """Bring the item's, the annotator's and the assignment's state in line, in the same transaction."""
    change = counters.counts_of(annotator.kind, judgment.outcome)
    if before is not None:
        change = change + -counters.counts_of(annotator.kind, before.outcome)
    turned = counters.Change()
    if assignment is not None:
        ended, turned = close_assignment(assignment, before and before.outcome, judgment.outcome)
        change = change + ended
    counters.apply([item.pk], change + turned)
    counters.count_for_annotator(
        annotator,
        judged=int(judgment.outcome in counters.ANSWERS)
        - int(before is not None and before.outcome in counters.ANSWERS),
        turned=turned,
    )


def close_assignment(
    assignment: Assignment, before: str | None, outcome: str
) -> tuple[counters.Change, counters.Change]:
    """End the assignment behind a judgment; returns what that changes of leases, and of sides shown.

    `before` is the outcome of the judgment it replaces. A side counts while the lease is live, and stays counted
    if the person answered. Caller holds the locks of the annotator and the item.
    """
    shown = counters.presented(assignment.presented_order)
    was_live = assignment.state == Assignment.State.LEASED
    was_counted = was_live or (assignment.state == Assignment.State.SUBMITTED and before in counters.ANSWERS)
    counts = outcome in counters.ANSWERS
    turned = counters.Change()
    if was_counted and not counts:
        turned = -shown
    if counts and not was_counted:
        turned = shown
    skipped = outcome == Judgment.Outcome.SKIPPED
    state = Assignment.State.SKIPPED if skipped else Assignment.State.SUBMITTED
    _CLOSE.run(assignment=assignment.pk, state=state.value)
    return counters.Change(leases=-1) if was_live else counters.Change(), turned
