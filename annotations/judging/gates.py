"""Quality gates: training and qualification before the work, gold and hidden repeats within it, pauses.

A project without gates pays one look at its rules for them. Items of gates and second occasions never touch the
counters of items, nor the balance of sides; their answers are kept `aside` and are never data. What a person is
given of gold and repeats has the same form as everything else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.db.models.functions import Length
from django.utils.translation import gettext_noop

from annotations.items.models import Item, Response
from annotations.projects import rules, schemas
from annotations.projects.models import Annotator, Project
from app.accounts import audit
from app.web.prepared import Prepared

from . import locks
from .answers import Answer
from .expected import Tolerance, consistent, fits_any, from_json
from .locks import HELD
from .models import Assignment, Check, Expectation, Judgment
from .pools import parts_for
from .stored import answer_of

REPEAT_AFTER = 20  # a hidden repeat comes after so many other items at least
REPEAT_WITHIN = 200
POOL = 200
USUAL_CHARACTERS = 1000
HIDDEN = (
    Judgment.Aside.GOLD,
    Judgment.Aside.REPEAT,
)  # asides that a person must not be able to tell from data
CHECKED = {*HIDDEN, Judgment.Aside.TRAINING, Judgment.Aside.QUALIFICATION}
MESSAGES = {
    Judgment.Aside.GOLD: gettext_noop("Some of your recent answers differ from what this project expects."),
    Judgment.Aside.REPEAT: gettext_noop(
        "Some of your recent answers differ from what you said about the same items before."
    ),
}
FAILED = gettext_noop(
    "Your answers in the qualification test differ too often from what this project expects."
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """What the gates say: an assignment, or that nothing is to be given; None of these = the ordinary queue."""

    assignment: Assignment | None = None


def has_gates(project: Project) -> bool:
    """Whether the project has any gate; costs no query."""
    return bool(project.rules.get("gates"))


def claim(annotator: Annotator, *, now: datetime, expires: datetime) -> Claimed | None:
    """What the gates give this person next, None for the ordinary queue. Caller holds the annotator's lock."""
    gates = rules.of(annotator.project).gates
    given = dict(_GIVEN.rows(annotator=annotator.pk))
    if not given and annotator.stage == Annotator.Stage.READY:
        _move(annotator, Annotator.Stage.TRAINING)
    if annotator.stage == Annotator.Stage.TRAINING:
        item = _next_of(annotator, Item.Purpose.TRAINING, 0) if gates.training else None
        if item is not None:
            return Claimed(_lease(annotator, item, now, expires, purpose=Item.Purpose.TRAINING))
        _move(annotator, Annotator.Stage.QUALIFICATION)
    if annotator.stage == Annotator.Stage.QUALIFICATION:
        tested = given.get(Assignment.Purpose.QUALIFICATION, 0)
        if tested < gates.qualification_items:
            item = _next_of(annotator, Item.Purpose.QUALIFICATION, _draw(annotator, tested))
            if item is not None:
                return Claimed(_lease(annotator, item, now, expires, purpose=Item.Purpose.QUALIFICATION))
        _end_of_test(annotator, gates, tested)
    if annotator.stage == Annotator.Stage.FAILED:
        return Claimed()
    return _mixed_in(annotator, gates, given, now, expires)


_GIVEN = Prepared(
    lambda annotator: (
        Assignment.objects.filter(annotator=annotator)
        .exclude(state=Assignment.State.RESERVED)
        .order_by()
        .values_list("purpose")
        .annotate(n=Count("pk"))
    )
)


def _move(annotator: Annotator, stage: str) -> None:
    annotator.stage = stage
    Annotator.objects.filter(pk=annotator.pk).update(stage=stage)


def _end_of_test(annotator: Annotator, gates: rules.Gates, tested: int) -> None:
    """Decide whether the person passed; what was skipped in the test counts as wrong."""
    right = Check.objects.filter(annotator=annotator, kind=Judgment.Aside.QUALIFICATION, passed=True).count()
    if not tested or not gates.qualification_items or right >= gates.qualification_pass * tested:
        _move(annotator, Annotator.Stage.READY)
        return
    annotator.stage, annotator.note = Annotator.Stage.FAILED, gates.message or FAILED
    annotator.save(update_fields=["stage", "note"])
    audit.record(
        actor=None,
        action="annotator.not_qualified",
        scope=annotator.project.slug,
        target=annotator.name,
        right=right,
        of=tested,
    )


def _mixed_in(
    annotator: Annotator, gates: rules.Gates, given: dict[str, int], now: datetime, expires: datetime
) -> Claimed | None:
    """A gold item or a hidden repeat in place of the next item, by the project's shares."""
    n, gold = sum(given.values()), given.get(Assignment.Purpose.GOLD, 0)
    draw = _draw(annotator, n)
    wants_gold = gold < gates.gold_first or draw < gates.gold_share
    wants_repeat = not wants_gold and draw < gates.gold_share + gates.repeat_share
    if not (wants_gold or wants_repeat) or not _work_left(annotator):
        return None
    if wants_gold:
        item = _next_of(annotator, Item.Purpose.GOLD, _draw(annotator, -1 - n))
        if item is not None:
            return Claimed(_lease(annotator, item, now, expires, purpose=Item.Purpose.GOLD))
        return None
    first = _to_repeat(annotator, _draw(annotator, -1 - n))
    if first is None:
        return None
    order = first.presented_order[::-1]
    return Claimed(
        _lease(
            annotator,
            first.item,
            now,
            expires,
            purpose=Assignment.Purpose.REPEAT,
            order=order,
            occasion=1,
        )
    )


def _draw(annotator: Annotator, number: int) -> float:
    """A number in [0, 1) that depends on the project's seed, the person, and how far they are."""
    text = f"{annotator.project.seed}:{annotator.pk}:{number}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7]) / 2**56


def _work_left(annotator: Annotator) -> bool:
    """Whether there is an item to hide among: a gate alone would show itself."""
    return annotator.n_assigned > 0 or any(
        locks.open_items(annotator.pk, annotator.project_id, part).exists() for part in parts_for(annotator)
    )


def _next_of(annotator: Annotator, purpose: str, draw: float) -> Item | None:
    """An item of this purpose that the person has not answered; the `draw` in [0, 1) says which."""
    mine = Assignment.objects.filter(item=OuterRef("pk"), annotator=annotator, state__in=HELD)
    ids = list(
        Item.objects.filter(
            project_id=annotator.project_id,
            purpose=purpose,
            withdrawn_at__isnull=True,
            expectation__isnull=False,
        )
        .filter(~Exists(mine))
        .order_by("pk")
        .values_list("pk", flat=True)[:POOL]
    )
    return Item.objects.get(pk=ids[int(draw * len(ids))]) if ids else None


def _to_repeat(annotator: Annotator, draw: float) -> Assignment | None:
    """The first assignment of an item that the person answered a while ago and was not asked again."""
    again = Assignment.objects.filter(item=OuterRef("item"), annotator=annotator, occasion__gt=0)
    judged = Judgment.objects.filter(
        item=OuterRef("item"), annotator=annotator, is_current=True, outcome=Judgment.Outcome.ANSWERED
    )
    ids = list(
        Assignment.objects.filter(
            annotator=annotator,
            occasion=0,
            purpose=Assignment.Purpose.DATA,
            state=Assignment.State.SUBMITTED,
            item__withdrawn_at__isnull=True,
        )
        .filter(~Exists(again), Exists(judged))
        .order_by("-leased_at", "-pk")
        .values_list("pk", flat=True)[REPEAT_AFTER : REPEAT_AFTER + REPEAT_WITHIN]
    )
    if not ids:
        return None
    return Assignment.objects.select_related("item").get(pk=ids[int(draw * len(ids))])


def _lease(
    annotator: Annotator,
    item: Item,
    now: datetime,
    expires: datetime,
    *,
    purpose: str,
    order: str = "",
    occasion: int = 0,
) -> Assignment:
    """A lease that leaves the item's counters and everybody's sides alone."""
    assignment = Assignment.objects.filter(
        item=item, annotator=annotator, occasion=occasion
    ).first() or Assignment(item=item, annotator=annotator, occasion=occasion)
    assignment.item, assignment.purpose, assignment.state = item, purpose, Assignment.State.LEASED
    assignment.presented_order = order or _order(annotator, item)
    assignment.arm, assignment.expert, assignment.by_hand = annotator.arm, False, False
    assignment.leased_at, assignment.expires_at = now, expires
    assignment.save()
    return assignment


def _order(annotator: Annotator, item: Item) -> str:
    """A random order of the responses: a pair turned or not, more of them rotated."""
    turn = int(_draw(annotator, item.pk) * item.n_responses)
    return "".join(str((turn + place) % item.n_responses) for place in range(item.n_responses))


# --- After an answer ----------------------------------------------------------------------------------------


def note_answer(*, judgment: Judgment, answer: Answer, annotator: Annotator) -> None:
    """Check a gate's answer and pause the person if the project's rules say so. Caller holds the person's lock."""
    if judgment.aside not in CHECKED:
        return
    if judgment.supersedes_id is not None:
        Check.objects.filter(judgment=judgment.supersedes_id).delete()
    passed = _passed(judgment, answer)
    if passed is None:
        return
    Check.objects.create(judgment=judgment, annotator=annotator, kind=judgment.aside, passed=passed)
    if judgment.aside in HIDDEN:
        _pause_if_due(annotator, judgment.aside)


def _passed(judgment: Judgment, answer: Answer) -> bool | None:
    """Whether the answer fits; None where there is nothing to compare, as with a skip."""
    if answer.outcome not in {Judgment.Outcome.ANSWERED, Judgment.Outcome.CANNOT_JUDGE}:
        return None
    if judgment.aside == Judgment.Aside.REPEAT:
        first = (
            Judgment.objects.filter(item=judgment.item_id, annotator=judgment.annotator_id, is_current=True)
            .prefetch_related("comparisons", "scores")
            .first()
        )
        return None if first is None else consistent(answer_of(first), answer)
    wanted = expectation_of(judgment.item_id)
    return None if wanted is None else fits_expectation(wanted, answer, judgment.schema_id)


def expectation_of(item_id: int) -> Expectation | None:
    """What the item is expected to be answered, if it is a gate's."""
    return Expectation.objects.filter(item=item_id).first()


def fits_expectation(wanted: Expectation, answer: Answer, schema_id: int) -> bool:
    """Whether an answer under this schema version is one of those expected, within the item's tolerance."""
    choices = schemas.load(schema_id)[1].of_kind("choice")
    unordered = frozenset(choice.name for choice in choices if choice.multiple and not choice.per_response)
    tolerance = Tolerance(wanted.strength_within, wanted.score_within, unordered)
    return fits_any([from_json(each) for each in (wanted.answer, *wanted.accepted)], answer, tolerance)


def _pause_if_due(annotator: Annotator, kind: str) -> None:
    gates = rules.of(annotator.project).gates
    below = gates.pause_below_gold if kind == Judgment.Aside.GOLD else gates.pause_below_consistency
    if not below or annotator.status != Annotator.Status.ACTIVE:
        return
    checks = Check.objects.filter(annotator=annotator, kind=kind)
    if annotator.checked_since is not None:
        checks = checks.filter(at__gt=annotator.checked_since)
    found = checks.aggregate(n=Count("pk"), right=Count("pk", filter=Q(passed=True)))
    if found["n"] < gates.pause_after_gold or found["right"] >= below * found["n"]:
        return
    annotator.status, annotator.note = Annotator.Status.PAUSED, gates.message or MESSAGES[kind]
    annotator.save(update_fields=["status", "note"])
    audit.record(
        actor=None,
        action="annotator.paused_by_gate",
        scope=annotator.project.slug,
        target=annotator.name,
        gate=str(kind),
        right=found["right"],
        of=found["n"],
    )


def too_fast(annotator: Annotator, item: Item, active_ms: int | None) -> bool:
    """Whether the answer came faster than anybody can have read the responses, by the project's `fastest_ms`.

    That time is for 1,000 characters of responses, and in proportion for shorter and longer ones, from a quarter
    to ten times of it.
    """
    fastest = (annotator.project.rules.get("gates") or {}).get("fastest_ms", 0)
    if not fastest or active_ms is None:
        return False
    length = Response.objects.filter(item=item).aggregate(n=Sum(Length("text")))["n"] or 0
    return active_ms < fastest * min(10.0, max(0.25, length / USUAL_CHARACTERS))
