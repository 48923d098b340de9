"""The only write path of judgments: from people, language models, reward models and files alike."""

from __future__ import annotations

import uuid as uuids
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotations.items.models import Item, Response
from annotations.projects import schemas
from annotations.projects.models import Annotator
from app.web.prepared import Prepared, PreparedUpdate
from app.web.rendering import plain_text, render_many

from . import counters, digest, extra_votes, gates, label_cap, locks
from .answers import Answer, InvalidAnswer, check
from .free_answers import TextOf
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
    text_of = _shown_texts(item_id, schema_id, answer)  # before the locks: rendering may take a while
    try:
        judgment = _store(
            text_of=text_of,
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
            raise Conflict(_("This id belongs to another judgment.")) from None
        return Submitted(stored, created=False)
    return Submitted(judgment, created=True)


def _shown_texts(item_id: int, schema_id: int, answer: Answer) -> TextOf | None:
    """The texts that marked parts of the answer are held against; None where nothing was marked."""
    definition = schemas.load(schema_id)[1]
    if not any(
        answer.answers.get(question.name) for question in definition.questions if question.kind == "span"
    ):
        return None
    rows = Response.objects.filter(item_id=item_id).order_by("index").values_list("text", "redacted")
    texts = [plain_text(html) for html in render_many([redacted or text for text, redacted in rows])]
    return texts.__getitem__


def _store(
    *,
    text_of: TextOf | None,
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
            raise Conflict(_("The item belongs to another project."))
        if item.withdrawn_at is not None:
            raise Conflict(_("The item was withdrawn."))
        schema, definition = schemas.load(schema_id)
        if schema.project_id != item.project_id:
            raise Conflict(_("The schema belongs to another project."))
        check(definition, answer, item.n_responses, text_of)
        assignment = _assignment(item, annotator, assignment_id)
        before = _before(item, annotator, assignment, supersedes)
        if before is not None and before.occasion:
            assignment = _OF_OCCASION.first(item=item.pk, annotator=annotator.pk, occasion=before.occasion)
        aside = _aside(before, assignment, holder)
        if assignment is not None and not answer.presented_order:
            presented_order = assignment.presented_order
        else:
            presented_order = answer.presented_order
        if before is not None and before.is_current:
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
            is_current=not aside,
            aside=aside,
            occasion=assignment.occasion if assignment is not None else 0,
            arm=assignment.arm if assignment is not None else "",
            created_at=created_at or timezone.now(),
            active_ms=answer.active_ms,
            wall_ms=answer.wall_ms,
            meta=_meta(answer, assignment, item, holder),
        )
        judgment.digest = _digest(judgment, answer)
        judgment.save(force_insert=True)
        write_parts([(judgment, answer)])
        _count(item, holder, before, judgment, assignment)
        if aside:
            gates.note_answer(judgment=judgment, answer=answer, annotator=holder)
        elif annotator.kind == Annotator.Kind.HUMAN:
            extra_votes.ask_further(item=item, project=holder.project)
    return judgment


_CURRENT = Prepared(
    lambda item, annotator: Judgment.objects.filter(item=item, annotator=annotator, is_current=True)[:1]
)
_OF_OCCASION = Prepared(
    lambda item, annotator, occasion: Assignment.objects.filter(
        item=item, annotator=annotator, occasion=occasion
    )
)
_ASSIGNMENT = Prepared(
    lambda pk, item, annotator: Assignment.objects.filter(pk=pk, item=item, annotator=annotator)
)
_CLOSE = PreparedUpdate(
    lambda assignment, state: (
        Assignment.objects.filter(pk=assignment),
        {"state": state, "draft": None, "drafted_at": None},
    ),
    state=str,
)


def _before(
    item: Item, annotator: Annotator, assignment: Assignment | None, supersedes: uuids.UUID | None
) -> Judgment | None:
    """The annotator's judgment of the item that the new one replaces. Raises Conflict if it may not."""
    if assignment is not None and not assignment.is_data:
        before = _latest_aside(item, annotator, assignment)
    else:
        before = _CURRENT.first(item=item.pk, annotator=annotator.pk)
    if supersedes is not None:
        if before is None or before.uuid != supersedes:
            before = _corrected_aside(item, annotator, supersedes)
        elif before.aside and before.aside not in gates.HIDDEN:
            before = None
        if before is None:
            raise Conflict(
                _("The judgment to correct is not the current one; reload and correct the current one.")
            )
        return before
    if before is not None and before.outcome != Judgment.Outcome.SKIPPED:
        raise Conflict(_("You have judged this item already."))
    if before is None and assignment is not None and assignment.state in _ANSWERED:
        raise Conflict(_("You have judged this item already."))  # quarantined: kept, but not current
    return before


_ANSWERED = {Assignment.State.SUBMITTED, Assignment.State.SKIPPED}


def _latest_aside(item: Item, annotator: Annotator, assignment: Assignment) -> Judgment | None:
    """What the person said on this occasion of a gate item or a hidden repeat, so far."""
    return (
        Judgment.objects.filter(
            item=item,
            annotator=annotator,
            occasion=assignment.occasion,
            aside=assignment.purpose,
            superseded_by=None,
        )
        .order_by("-pk")
        .first()
    )


def _corrected_aside(item: Item, annotator: Annotator, supersedes: uuids.UUID) -> Judgment | None:
    """A gold or repeat judgment that is to be corrected: to the person it is a judgment like any other."""
    return Judgment.objects.filter(
        uuid=supersedes, item=item, annotator=annotator, aside__in=gates.HIDDEN, superseded_by=None
    ).first()


def _aside(before: Judgment | None, assignment: Assignment | None, holder: Annotator) -> str:
    """Why the new judgment is no data; empty where it is. Caller holds the annotator's lock."""
    if before is not None and before.aside:
        return before.aside
    if assignment is not None and not assignment.is_data:
        return assignment.purpose
    if holder.quarantined_at is not None:
        return Judgment.Aside.QUARANTINE
    return Judgment.Aside.NO


def _assignment(item: Item, annotator: Annotator, assignment_id: int | None) -> Assignment | None:
    if annotator.kind != Annotator.Kind.HUMAN:
        return None
    if assignment_id is None:
        return _OF_OCCASION.first(item=item.pk, annotator=annotator.pk, occasion=0)
    found = _ASSIGNMENT.first(pk=assignment_id, item=item.pk, annotator=annotator.pk)
    if found is None:
        raise Conflict(_("This page belongs to another assignment; reload it."))
    return found


def _propensity(item: Item, annotator: Annotator) -> float:
    """Probability that this item went to this kind of annotator under the route in force."""
    if annotator.kind == Annotator.Kind.HUMAN:
        return item.human_propensity
    return 1.0


def _meta(answer: Answer, assignment: Assignment | None, item: Item, holder: Annotator) -> dict:
    meta = dict(answer.meta)
    if assignment is not None and gates.too_fast(holder, item, answer.active_ms):
        meta["fast"] = True
    if assignment is not None and assignment.state in {Assignment.State.EXPIRED, Assignment.State.RELEASED}:
        meta["late"] = True  # the lease had run out; a person's work is kept all the same
    return meta


def _digest(judgment: Judgment, answer: Answer) -> bytes:
    """What the judgment's log entry says of it."""
    return digest.digest(
        [getattr(judgment, name) for name in digest.FIELDS],
        [(c.first, c.second, c.aspect, c.preference, c.scale_max, c.tie) for c in answer.comparisons],
        [(s.response, s.attribute, s.value, s.scale_min, s.scale_max) for s in answer.scores],
    )


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
    """Bring the item's, the annotator's and the assignment's state in line, in the same transaction.

    Only current judgments count; `before.is_current` is as it was before this one replaced it.
    """
    now = judgment.outcome if judgment.is_current else ""
    then = before.outcome if before is not None and before.is_current else ""
    change = counters.counts_of(annotator.kind, now) + -counters.counts_of(annotator.kind, then)
    turned = counters.Change()
    if assignment is not None:
        skipped = judgment.outcome == Judgment.Outcome.SKIPPED
        ended, turned = close_assignment(assignment, then, now, skipped=skipped)
        change = change + ended
    if not judgment.is_current and change == turned == counters.Change():
        return
    counters.apply([item.pk], change + turned)
    judged = int(now in counters.ANSWERS) - int(then in counters.ANSWERS)
    counters.count_for_annotator(annotator, judged=judged, turned=turned)
    if annotator.kind == Annotator.Kind.HUMAN and judgment.origin != Judgment.Origin.IMPORT:
        label_cap.end(annotator.project, freed=-change.leases, given=max(0, judged))


def close_assignment(
    assignment: Assignment, before: str | None, outcome: str, *, skipped: bool | None = None
) -> tuple[counters.Change, counters.Change]:
    """End the assignment behind a judgment; returns what that changes of leases, and of sides shown.

    `before` and `outcome` are those of the current judgment that is replaced, and of the one that counts now;
    empty where none does. A side (and an expert's place) counts while the lease is live, and stays counted if the
    person answered. Gates, hidden repeats and reviews change nothing. Caller holds the locks of the annotator and
    the item.
    """
    if skipped is None:
        skipped = outcome == Judgment.Outcome.SKIPPED
    state = Assignment.State.SKIPPED if skipped else Assignment.State.SUBMITTED
    _CLOSE.run(assignment=assignment.pk, state=state.value)
    if not assignment.is_data:
        return counters.Change(), counters.Change()
    shown = counters.presented(assignment.presented_order)
    reserved = assignment.state == Assignment.State.RESERVED
    was_live = assignment.state == Assignment.State.LEASED
    was_counted = was_live or (assignment.state == Assignment.State.SUBMITTED and before in counters.ANSWERS)
    counts = outcome in counters.ANSWERS
    turned = counters.Change()
    if was_counted and not counts:
        turned = -shown
    if counts and not was_counted:
        turned = shown
    if reserved:
        counters.count_assigned(assignment.annotator_id, -1)
    experts = int(counts) - int(was_counted or reserved) if assignment.expert else 0
    return counters.Change(leases=-int(was_live or reserved), experts=experts), turned
