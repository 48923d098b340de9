"""The bulk path of `submit`: many judgments in one transaction, by the same rules and without model instances.

Same shape check, same counters, one current judgment of an item by an annotator, idempotent by UUID. It differs
in one thing: an answer is not held against a project's questions, since a file brings answers to its own. That
it fits the `imported` schema version follows from how that version is made (`imported_schema.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q

from annotations.items.bulk_insert import allocate
from annotations.projects.models import Annotator

from . import counters
from .answers import Answer, FieldError, check_shape
from .bulk_rows import COMPARISON, SCORE, insert_rows
from .models import Assignment, Comparison, Judgment, Score
from .submit import close_assignment

KEYS_AT_ONCE = 500


@dataclass(slots=True, eq=False)
class Entry:
    """One judgment to write. `uuid` and `supersedes` are 32 hex digits; `tag` is handed back with a refusal."""

    uuid: str
    item_id: int
    annotator_id: int
    kind: str
    schema_id: int
    answer: Answer
    propensity: float = 1.0
    created_at: datetime | None = None
    supersedes: str | None = None
    given: bool = True
    """Whether the UUID came from outside; one made from the item's own identity cannot be another item's."""
    tag: object = None
    answers_text: str | None = None
    """`answer.answers` as `json_text` gives it, where the caller has it."""
    pk: int = 0
    before: Entry | Stored | None = None
    """Set here: the judgment that this one replaces."""
    is_current: bool = True
    aside: str = ""
    """Set here: why it is no data, for who is in quarantine."""

    @property
    def outcome(self) -> str:
        return self.answer.outcome


@dataclass(slots=True, eq=False)
class Stored:
    """The stored current judgment of one item by one annotator."""

    pk: int
    uuid: str
    outcome: str
    created_at: datetime
    reason: str
    content: set[tuple] | None = None
    """Its comparisons and scores, where they were read."""


@dataclass(slots=True)
class Checked:
    """A batch that was held against the rules: what `write_batch` will write."""

    accepted: list[Entry] = field(default_factory=list)
    known: int = 0
    """Stored before: the same UUID, or the same answer of the same annotator."""
    refused: list[tuple[Entry, FieldError]] = field(default_factory=list)
    items: dict[int, counters.Change] = field(default_factory=dict)
    """By item: what is to be added to its counters; a new item is inserted with them."""
    people: dict[int, int] = field(default_factory=dict)
    """By annotator: what is to be added to `n_judged`."""


def check_batch(
    *,
    project_id: int,
    entries: Sequence[Entry],
    n_responses: Mapping[int, int],
    fresh: Set[int],
    closed: Set[int] = frozenset(),
) -> Checked:
    """Hold the entries, in their order, against the rules and what is stored; writes nothing.

    Call in the transaction of `write_batch`. Caller holds the lock of every item that is not in `fresh` (those
    that are made in this transaction), and before those the locks of the people who judge them here.
    `n_responses` and `closed` (withdrawn) are by item.

    A second answer of an annotator to an item replaces the first if it names it in `supersedes`, if the first
    was a skip, or if both carry a time and it is later; otherwise the first stays and the second is refused.
    Answers of who is in quarantine are kept aside: they count for nothing, and for no data until that is lifted.
    """
    result = Checked()
    quarantined = _quarantined({e.annotator_id for e in entries})
    known = stored_uuids([e.uuid for e in entries if e.given or e.item_id not in fresh])
    current: dict[tuple[int, int], Entry | Stored] = _current(
        {e.item_id for e in entries} - fresh, quarantined
    )
    again = {(e.item_id, e.annotator_id) for e in entries if e.uuid not in known} & current.keys()
    _read_contents([current[key] for key in again])
    tally = _Tally()
    for entry in entries:
        key = (entry.item_id, entry.annotator_id)
        place = known.get(entry.uuid)
        before = current.get(key)
        if place is not None:
            if place[1:] == key:
                result.known += 1
            else:
                result.refused.append((entry, FieldError("id", "this id belongs to another judgment")))
            continue
        if before is not None and not entry.supersedes and _same(entry, before):
            result.known += 1
            continue
        errors = check_shape(entry.answer, n_responses[entry.item_id])
        if entry.item_id in closed:
            errors = [FieldError("", "the item was withdrawn")]
        elif not errors and before is not None:
            errors = _clash(entry, before)
        if errors:
            result.refused += [(entry, error) for error in errors]
            continue
        entry.before = before
        if entry.annotator_id in quarantined:
            entry.aside, entry.is_current = Judgment.Aside.QUARANTINE.value, False
        else:
            if before is not None:
                tally.add(entry, before.outcome, -1)
            tally.add(entry, entry.answer.outcome, 1)
        known[entry.uuid] = (project_id, *key)
        current[key] = entry
        result.accepted.append(entry)
    result.items = {item_id: counters.Change(*numbers) for item_id, numbers in tally.items.items()}
    result.people = tally.people
    return result


def write_batch(
    *,
    project_id: int,
    checked: Checked,
    fresh: Set[int],
    now: datetime,
    origin: str = Judgment.Origin.IMPORT.value,
) -> int:
    """Write checked entries with comparisons, scores, calls and counters; returns how many judgments.

    Call in the transaction and under the locks of `check_batch`, after the `fresh` items were inserted with the
    counters in `checked.items`.
    """
    accepted, changes = checked.accepted, dict(checked.items)
    for entry, pk in zip(accepted, allocate(Judgment, len(accepted)), strict=True):
        entry.pk = pk
    _retire([entry.before for entry in accepted if entry.before is not None])
    shown = _settle(accepted, fresh, changes)
    insert_rows(accepted, project_id, origin, now, shown)
    _count(changes, fresh, checked.people)
    return len(accepted)


def stored_uuids(uuids: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """{uuid: (project, item, annotator)} of those that are stored."""
    found = {}
    for start in range(0, len(uuids), KEYS_AT_ONCE):
        rows = Judgment.objects.filter(uuid__in=uuids[start : start + KEYS_AT_ONCE])
        for uuid, *place in rows.values_list("uuid", "project_id", "item_id", "annotator_id"):
            found[uuid.hex] = tuple(place)
    return found


def _quarantined(annotator_ids: Set[int]) -> Set[int]:
    """Those of the annotators who are in quarantine."""
    ordered, found = sorted(annotator_ids), set()
    for start in range(0, len(ordered), KEYS_AT_ONCE):
        people = Annotator.objects.filter(pk__in=ordered[start : start + KEYS_AT_ONCE])
        found |= set(people.filter(quarantined_at__isnull=False).values_list("pk", flat=True))
    return found


def _current(item_ids: Set[int], quarantined: Set[int]) -> dict[tuple[int, int], Entry | Stored]:
    """{(item, annotator): the judgment in force} of these items: the current one, or that kept in quarantine."""
    found: dict[tuple[int, int], Entry | Stored] = {}
    in_force = Q(is_current=True)
    if quarantined:
        in_force |= Q(annotator__in=quarantined, aside=Judgment.Aside.QUARANTINE, superseded_by__isnull=True)
    ordered = sorted(item_ids)
    for start in range(0, len(ordered), KEYS_AT_ONCE):
        rows = Judgment.objects.filter(in_force, item_id__in=ordered[start : start + KEYS_AT_ONCE])
        for item_id, annotator_id, pk, uuid, *rest in rows.values_list(
            "item_id", "annotator_id", "pk", "uuid", "outcome", "created_at", "reason"
        ):
            found[item_id, annotator_id] = Stored(pk, uuid.hex, *rest)
    return found


def _read_contents(stored: list[Stored]) -> None:
    """Read what these judgments compare and score."""
    by_pk = {one.pk: one for one in stored}
    for one in stored:
        one.content = set()
    ids = sorted(by_pk)
    for model, fields in ((Comparison, COMPARISON), (Score, SCORE)):
        for start in range(0, len(ids), KEYS_AT_ONCE):
            rows = model.objects.filter(judgment_id__in=ids[start : start + KEYS_AT_ONCE])
            for pk, *content in rows.values_list(*fields):
                by_pk[pk].content.add(tuple(content))


def _same(entry: Entry, before: Entry | Stored) -> bool:
    """Whether the stored judgment says just this, under another UUID."""
    answer = entry.answer
    return (
        isinstance(before, Stored)
        and before.outcome == answer.outcome != Judgment.Outcome.SKIPPED
        and before.reason == answer.reason
        and before.content
        == {
            *((c.first, c.second, c.aspect, c.preference, c.scale_max, c.tie) for c in answer.comparisons),
            *((s.response, s.attribute, s.value, s.scale_min, s.scale_max) for s in answer.scores),
        }
    )


def _clash(entry: Entry, before: Entry | Stored) -> list[FieldError]:
    """Why the entry may not replace the current judgment; nothing if it may."""
    if entry.supersedes == before.uuid or before.outcome == Judgment.Outcome.SKIPPED:
        return []
    if entry.created_at is None or before.created_at is None:
        message = (
            "this annotator has answered otherwise for this item, and neither times nor supersedes say which "
            "answer holds; the first was kept"
        )
    elif entry.created_at > before.created_at:
        return []
    else:
        message = "this annotator's answer to this item from the same or a later time is stored; it was kept"
    return [FieldError("", message)]


class _Tally:
    """What the accepted judgments add: [humans, models, skipped, flagged] by item, answers by annotator."""

    def __init__(self) -> None:
        self.items: dict[int, list[int]] = {}
        self.people: dict[int, int] = {}
        self._counts: dict[tuple[str, str], list[tuple[int, int]]] = {}

    def add(self, entry: Entry, outcome: str, sign: int) -> None:
        """Add or take back what one current judgment with this outcome counts for."""
        counts = self._counts.get((entry.kind, outcome))
        if counts is None:
            change = counters.counts_of(entry.kind, outcome).astuple()[:4]
            counts = [(place, n) for place, n in enumerate(change) if n]
            self._counts[entry.kind, outcome] = counts
        numbers = self.items.get(entry.item_id)
        if numbers is None:
            numbers = self.items[entry.item_id] = [0, 0, 0, 0]
        for place, n in counts:
            numbers[place] += sign * n
        if outcome in counters.ANSWERS:
            self.people[entry.annotator_id] = self.people.get(entry.annotator_id, 0) + sign


def _retire(replaced: list[Entry | Stored]) -> None:
    """Make these judgments count no more: before their successors go in, for the table allows one."""
    for entry in replaced:
        if isinstance(entry, Entry):
            entry.is_current = False
    stored = [entry.pk for entry in replaced if isinstance(entry, Stored)]
    for start in range(0, len(stored), KEYS_AT_ONCE):
        Judgment.objects.filter(pk__in=stored[start : start + KEYS_AT_ONCE]).update(is_current=False)


def _settle(accepted: list[Entry], fresh: Set[int], changes: dict) -> dict[int, Assignment]:
    """End the assignments that these judgments answer, as `submit` does; returns them by judgment.

    Only people with an account hold assignments, so a file of other people's judgments finds none.
    """
    people = [entry for entry in accepted if entry.kind == "human" and entry.item_id not in fresh]
    item_ids = sorted({entry.item_id for entry in people})
    found: dict[tuple[int, int], Assignment] = {}
    for start in range(0, len(item_ids), KEYS_AT_ONCE):
        for assignment in Assignment.objects.filter(
            item_id__in=item_ids[start : start + KEYS_AT_ONCE],
            occasion=0,
            purpose=Assignment.Purpose.DATA,
        ):
            found[assignment.item_id, assignment.annotator_id] = assignment
    shown = {}
    for entry in people if found else ():
        assignment = found.get((entry.item_id, entry.annotator_id))
        if assignment is None:
            continue
        shown[entry.pk] = Assignment(
            state=assignment.state, presented_order=assignment.presented_order
        )  # as it was before this judgment
        before = entry.before.outcome if entry.before is not None else None
        skipped = entry.outcome == Judgment.Outcome.SKIPPED
        if entry.aside:
            ended, turned = close_assignment(assignment, "", "", skipped=skipped)
        else:
            ended, turned = close_assignment(assignment, before, entry.outcome)
        changes[entry.item_id] = changes.get(entry.item_id, counters.Change()) + ended + turned
        holder = Annotator(pk=entry.annotator_id)
        counters.count_for_annotator(holder, judged=0, turned=turned)
        assignment.state = Assignment.State.SKIPPED if skipped else Assignment.State.SUBMITTED
    return shown


def _count(changes: dict[int, counters.Change], fresh: Set[int], people: dict[int, int]) -> None:
    """Bring the counters of old items and of annotators in line: one UPDATE for each distinct change."""
    groups: dict[counters.Change, list[int]] = {}
    for item_id, change in sorted(changes.items()):
        if item_id not in fresh:
            groups.setdefault(change, []).append(item_id)
    for change, item_ids in groups.items():
        for start in range(0, len(item_ids), KEYS_AT_ONCE):
            counters.apply(item_ids[start : start + KEYS_AT_ONCE], change)
    counters.count_for_annotators(people)
