"""Items given to particular people by hand: they come first for those people and keep a place for them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.utils import timezone

from annotations.items import routes
from annotations.items.models import Item
from annotations.projects.models import Annotator, Project
from app.accounts import audit
from app.accounts.models import User

from . import counters, label_cap, locks, queue
from .models import Assignment, Judgment
from .pools import Pool, pools_of

AT_ONCE = 200
MOST_PAIRS = 100_000
MOST_BYTES = 10_000_000
TAKEN = {
    Assignment.State.LEASED: "has it open already",
    Assignment.State.RESERVED: "was given it already",
    Assignment.State.SUBMITTED: "has judged it",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A pair that was not assigned: where it stood (a line of the file, else its place in the list), and why."""

    line: int
    field: str
    message: str


@dataclass(slots=True)
class Report:
    """What came of it. `known`: pairs that were assigned before."""

    assigned: int = 0
    known: int = 0
    refused: list[Refusal] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pair:
    """One item for one person."""

    line: int
    item_id: int
    annotator_id: int


def assign(*, project: Project, pairs: Iterable[Pair], actor: User | None, ask_more: bool = False) -> Report:
    """Give these items to these people: a place of the item is theirs until they judge or skip it.

    What cannot be given is refused with a reason and the rest is given; giving again changes nothing. An item
    that has all the people it wants is refused, or with `ask_more` wants one more. 200 pairs a transaction, under
    the locks of their people, then their items.
    """
    report = Report()
    ordered = sorted(set(pairs), key=lambda pair: (pair.line, pair.item_id, pair.annotator_id))
    pools = {pool.batch: pool for pool in pools_of(project)}
    for start in range(0, len(ordered), AT_ONCE):
        _assign_some(project, ordered[start : start + AT_ONCE], report, ask_more, pools)
    if report.assigned:
        audit.record(
            actor=actor,
            action="items.assigned",
            scope=project.slug,
            target=f"{report.assigned} places",
            people=len({pair.annotator_id for pair in ordered}),
        )
    return report


@transaction.atomic
def _assign_some(
    project: Project, pairs: Sequence[Pair], report: Report, ask_more: bool, pools: dict[int | None, Pool]
) -> None:
    locks.lock_annotators({pair.annotator_id for pair in pairs})
    people = {
        person.pk: person
        for person in Annotator.objects.filter(
            project=project, kind=Annotator.Kind.HUMAN, pk__in={pair.annotator_id for pair in pairs}
        )
    }
    items = {
        pk: item
        for pk, item in locks.lock_items({pair.item_id for pair in pairs}).items()
        if item.project_id == project.pk
    }
    held = {
        (row.item_id, row.annotator_id): row
        for row in Assignment.objects.filter(item__in=items, annotator__in=people, occasion=0)
    }
    judged = set(
        Judgment.objects.filter(item__in=items, annotator__in=people, is_current=True)
        .exclude(outcome=Judgment.Outcome.SKIPPED)
        .values_list("item_id", "annotator_id")
    )
    for pair in pairs:
        item, person = items.get(pair.item_id), people.get(pair.annotator_id)
        row = held.get((pair.item_id, pair.annotator_id))
        if row is not None and row.state == Assignment.State.RESERVED:
            report.known += 1
            continue
        refusal = _refusal(item, person, row, (pair.item_id, pair.annotator_id) in judged)
        if refusal is None:
            pool = pools.get(item.batch_id)
            expert = bool(pool and pool.experts & set(person.tags)) and item.expert_slots > 0
            if not expert and item.open_slots < 1:
                if not ask_more:
                    refusal = ("item", _full(item))
                elif label_cap.allows_another(project):
                    routes.want_another(item.pk)
        if refusal is None and not label_cap.hold(project):
            refusal = ("item", "The project's cap of human labels leaves none to give out.")
        if refusal is not None:
            report.refused.append(Refusal(pair.line, *refusal))
            continue
        held[pair.item_id, pair.annotator_id] = _reserve(item, person, row, expert)
        items[item.pk] = Item.objects.get(pk=item.pk)
        report.assigned += 1


def _refusal(item, person, row, judged: bool) -> tuple[str, str] | None:
    """(field, why) where this pair cannot be; None where it can, if there is a place."""
    if item is None:
        return "item", "There is no such item in this project."
    if person is None:
        return "person", "There is no such person in this project."
    if person.status == Annotator.Status.REMOVED:
        return "person", f"{person.name} was removed from the project."
    if item.withdrawn_at is not None:
        return "item", "The item was withdrawn."
    if item.purpose != Item.Purpose.DATA:
        return "item", "The item is for training or testing people; those are given out by the quality gates."
    if item.route == Item.Route.LM:
        return "item", "The item goes to models only; send it to people first."
    if judged:
        return "person", f"{person.name} has judged it."
    if row is not None and row.state in TAKEN:
        return "person", f"{person.name} {TAKEN[row.state]}."
    return None


def _full(item: Item) -> str:
    if item.expert_slots:
        return "The places that are left are kept for experts of its batch."
    return f"All {item.wanted} places of this item are taken."


def _reserve(item: Item, person: Annotator, row: Assignment | None, expert: bool) -> Assignment:
    now = timezone.now()
    row = row or Assignment(item=item, annotator=person)
    row.state, row.by_hand, row.expert, row.purpose = (
        Assignment.State.RESERVED,
        True,
        expert,
        Assignment.Purpose.DATA,
    )
    row.presented_order = "".join(str(place) for place in range(item.n_responses))  # drawn when it is begun
    row.leased_at = row.expires_at = now
    row.draft = row.drafted_at = None
    row.save()
    counters.apply([item.pk], counters.Change(leases=1, experts=int(expert)))
    counters.count_assigned(person.pk, 1)
    return row


def unassign(*, assignment: Assignment, actor: User | None) -> bool:
    """Take back what was given by hand and not judged; False if it is not live any more. Takes the locks of both."""
    done = queue.release(assignment_id=assignment.pk, annotator=assignment.annotator, for_good=True)
    if done:
        audit.record(
            actor=actor,
            action="item.unassigned",
            scope=assignment.item.project.slug,
            target=str(assignment.item),
            person=assignment.annotator.name,
        )
    return done


def release_of_removed() -> int:
    """Give back the places kept for people who were removed since; returns how many."""
    rows = Assignment.objects.filter(
        state=Assignment.State.RESERVED, annotator__status=Annotator.Status.REMOVED
    ).select_related("annotator")
    return sum(
        queue.release(assignment_id=row.pk, annotator=row.annotator, for_good=True) for row in rows[:1000]
    )


def given_by_hand(project: Project):
    """Assignments by hand that are not judged yet, as a queryset."""
    return Assignment.objects.filter(
        item__project=project,
        by_hand=True,
        state__in=[Assignment.State.RESERVED, Assignment.State.LEASED],
    ).select_related("item", "annotator")


# --- Who and what is meant ----------------------------------------------------------------------------------


def pairs_of(project: Project, rows: Sequence[tuple[int, str, str]]) -> tuple[list[Pair], list[Refusal]]:
    """The pairs behind (line, item, person) texts: an item's own id or our number for it, a person's name.

    An item is looked for by its own id first. Returns the pairs, and a refusal for every row that names nobody
    or nothing, or more than one.
    """
    people: dict[str, list[int]] = {}
    for pk, name, username in Annotator.objects.filter(
        project=project, kind=Annotator.Kind.HUMAN
    ).values_list("pk", "name", "user__username"):
        for each in {name, username} - {None}:
            people.setdefault(each, []).append(pk)
    items = _items_named(project, {item for _, item, _ in rows})
    pairs, refused = [], []
    for line, item, person in rows:
        found, who = items.get(item, []), people.get(person, [])
        if len(found) != 1:
            refused.append(Refusal(line, "item", _which("item", item, len(found))))
        elif len(who) != 1:
            refused.append(Refusal(line, "person", _which("person", person, len(who))))
        else:
            pairs.append(Pair(line, found[0], who[0]))
    return pairs, refused


def _which(kind: str, text: str, n: int) -> str:
    if n:
        return f"{text[:80]!r}: {n} {kind}s are called so; give the number of the one you mean."
    return f"{text[:80]!r}: there is no such {kind} in this project." if text else f"The {kind} is missing."


def _items_named(project: Project, names: set[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    ordered = sorted(names)
    for start in range(0, len(ordered), 500):
        some = ordered[start : start + 500]
        for pk, name in Item.objects.filter(project=project, external_id__in=some).values_list(
            "pk", "external_id"
        ):
            found.setdefault(name, []).append(pk)
        numbers = [int(n) for n in some if n not in found and n.isascii() and n.isdigit() and len(n) < 19]
        for pk in Item.objects.filter(project=project, pk__in=numbers).values_list("pk", flat=True):
            found[str(pk)] = [pk]
    return found


class UnreadableTable(ValueError):
    """The CSV file cannot be read; the text says why."""


def read_csv(data: bytes) -> tuple[list[tuple[int, str, str]], list[Refusal]]:
    """(line, item, person) of a CSV with the columns `item` and `person` (also `annotator`), in any order.

    Returns the rows, and a refusal for every line that has not both. Raises UnreadableTable.
    """
    if len(data) > MOST_BYTES:
        raise UnreadableTable(f"The file has more than {MOST_BYTES // 1_000_000} MB.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableTable("The file is not UTF-8 text.") from None
    if "\x00" in text:
        raise UnreadableTable("The file holds NUL characters; it is no CSV file.")
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if "item" not in header or not {"person", "annotator"} & set(header):
            raise UnreadableTable("Expected a first line that names the columns: item,person")
        item = header.index("item")
        person = header.index("person" if "person" in header else "annotator")
        rows, refused = [], []
        for cells in reader:
            line = reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) <= max(item, person):
                refused.append(Refusal(line, "", f"Expected {len(header)} columns, found {len(cells)}."))
                continue
            rows.append((line, cells[item].strip(), cells[person].strip()))
            if len(rows) > MOST_PAIRS:
                raise UnreadableTable(f"The file has more than {MOST_PAIRS:,} rows; split it.")
    except csv.Error as error:
        raise UnreadableTable(f"Line {reader.line_num}: {error}.") from None
    return rows, refused
