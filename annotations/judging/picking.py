"""Which item a person is given next, and in which order its responses stand: batches, order, balanced sides.

Every function here runs in the transaction of a claim, under the annotator's lock.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from django.db.models import F

from annotations.items.models import Item
from annotations.projects import rules
from annotations.projects.models import Annotator
from app.web.prepared import PreparedUpdate

from . import counters, locks
from .pools import Part, drawn_order, parts_for, pools_of

CANDIDATES = 4
MANY_CANDIDATES = 64
MAX_SIDE_IMBALANCE = 2
SECTIONS = 1024  # parts of the key space; where people have orders of their own, each walks another sequence
SECTION_BITS = 62 - 10  # keys have 62 bits
FEW_ITEMS = 256
EMPTY_SECTIONS = 4  # so many in a row, and a look at what is left at all is cheaper
FEW_PARTS = 3

Place = tuple[int, int]
"""(priority, order_key) of the item a person was given last."""


@dataclass(slots=True)
class Picked:
    """An item, locked, with the order to show it in and the part of the queue it came from."""

    item: Item
    order: str
    part: Part


@dataclass(slots=True)
class Walk:
    """Where a person stands in the queue of a project; in one with batches, in each of them."""

    annotator: Annotator
    parts: list[Part]
    draws: int = 0
    places: dict[str, Place] = field(default_factory=dict)

    @classmethod
    def of(cls, annotator: Annotator) -> Walk:
        walk = cls(annotator, parts_for(annotator))
        epoch = annotator.project.queue_epoch
        if pools_of(annotator.project):
            kept = annotator.cursors if isinstance(annotator.cursors, dict) else {}
            walk.draws = kept.get("draws", 0)
            if kept.get("epoch") == epoch:
                walk.places = {name: tuple(place) for name, place in kept["places"].items()}
        elif annotator.cursor_epoch == epoch:
            walk.places = {_name(Part()): (annotator.cursor_priority, annotator.cursor_key)}
        return walk

    def after(self, part: Part) -> Place | None:
        return self.places.get(_name(part))


def _name(part: Part) -> str:
    return f"{part.batch or ''}{'e' if part.expert else ''}"


def pick(annotator: Annotator) -> Picked | None:
    """Choose and lock the next item; None when there is nothing for this person. Caller holds their lock.

    Everybody walks the queue in the same order from where they were, so items complete one after another (or each
    in an order of their own, where the project says so); at the end the walk starts over for what was skipped or
    expired. Between batches a seeded draw by weight decides.
    """
    walk = Walk.of(annotator)
    balance = annotator.n_forward - annotator.n_reversed
    for part in _parts_to_try(walk):
        found = _pick_from(walk, part, balance)
        if found is not None:
            _move(walk, found)
            return found
    return None


def _parts_to_try(walk: Walk) -> Iterator[Part]:
    """The parts by lot. Where there are many and the first drawn is empty, those with nothing open are left out."""
    person = walk.annotator
    ordered = drawn_order(walk.parts, seed=person.project.seed, person=person.pk, draw=walk.draws)
    yield from ordered[:1]
    rest = ordered[1:]
    if len(rest) > FEW_PARTS:
        rest = locks.parts_with_open_items(person.project_id, rest)
    yield from rest


def _pick_from(walk: Walk, part: Part, balance: int) -> Picked | None:
    """The next item of one part. One that would push this person's sides out of balance is passed over while
    another is near, and beyond `MAX_SIDE_IMBALANCE` while another is among the next `MANY_CANDIDATES`."""
    annotator, after = walk.annotator, walk.after(part)
    own = bool(annotator.project.rules) and rules.of(annotator.project).limits.order == "per_person"
    candidates: list[Item] = []
    for where in (after, None) if after is not None else (None,):
        if own:
            candidates = _next_in_own_order(annotator, part, where)
        else:
            candidates = locks.lock_candidates(annotator, part, limit=CANDIDATES, after=where)
        if candidates:
            break
    else:
        candidates = locks.wait_for_candidates(annotator, part, limit=CANDIDATES)
    if not candidates:
        return None
    found = _balanced(candidates, balance)
    if found is None:
        more = locks.lock_candidates(annotator, part, limit=MANY_CANDIDATES, after=None)
        found = _balanced(more, balance)
    item, order = found or (candidates[0], presented_order(candidates[0], balance))
    return Picked(item, order, part)


def _move(walk: Walk, found: Picked) -> None:
    """Remember where the person stands, and count the sides they are shown."""
    annotator, item = walk.annotator, found.item
    side = counters.presented(found.order)
    if not pools_of(annotator.project):
        _MOVE_CURSOR.run(
            annotator=annotator.pk,
            epoch=annotator.project.queue_epoch,
            priority=item.priority,
            key=item.order_key,
            forward=side.forward,
            reversed=side.reversed,
        )
        return
    walk.places[_name(found.part)] = (item.priority, item.order_key)
    Annotator.objects.filter(pk=annotator.pk).update(
        cursors={
            "epoch": annotator.project.queue_epoch,
            "draws": walk.draws + 1,
            "places": walk.places,
        },
        n_forward=F("n_forward") + side.forward,
        n_reversed=F("n_reversed") + side.reversed,
    )


_MOVE_CURSOR = PreparedUpdate(
    lambda annotator, epoch, priority, key, forward, reversed: (
        Annotator.objects.filter(pk=annotator),
        {
            "cursor_epoch": epoch,
            "cursor_priority": priority,
            "cursor_key": key,
            "n_forward": F("n_forward") + forward,
            "n_reversed": F("n_reversed") + reversed,
        },
    )
)


# --- An order of one's own ----------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def own_order(seed: int, person: int) -> tuple[tuple[int, ...], bool]:
    """The sequence in which a person walks the sections of the key space, and whether backwards within each."""
    rng = random.Random(f"order:{seed}:{person}")  # noqa: S311  an order, no secret
    sections = list(range(SECTIONS))
    rng.shuffle(sections)
    return tuple(sections), rng.random() < 0.5


def _next_in_own_order(annotator: Annotator, part: Part, after: Place | None) -> list[Item]:
    """The next candidates in the person's own order among items of equal priority, higher priorities first.

    One short index range after another: the cost does not grow with the number of items.
    """
    sections, back = own_order(annotator.project.seed, annotator.pk)
    key = None
    if after is None:
        priority = locks.top_priority(annotator, part, below=None)
    else:
        priority, key = after
    while priority is not None:
        first = sections.index(key >> SECTION_BITS) if key is not None else 0
        found = _in_level(annotator, part, priority, sections[first:], key, back)
        if found:
            return found
        priority, key = locks.top_priority(annotator, part, below=priority), None
    return []


def _in_level(annotator, part, priority, sections, key, back) -> list[Item]:
    """Candidates of one priority in these sections, in the first from beyond `key`."""
    for number, section in enumerate(sections):
        low, high = section << SECTION_BITS, ((section + 1) << SECTION_BITS) - 1
        if number == 0 and key is not None:
            low, high = (low, key - 1) if back else (key + 1, high)
        found = locks.lock_in_range(
            annotator, part, priority=priority, low=low, high=high, back=back, limit=CANDIDATES
        )
        if found:
            return found
        if number == EMPTY_SECTIONS:
            left = locks.keys_left(annotator, part, priority=priority, limit=FEW_ITEMS + 1)
            if len(left) <= FEW_ITEMS:
                place = {section: n for n, section in enumerate(sections[number + 1 :])}
                left = [(pk, k) for pk, k in left if k >> SECTION_BITS in place]
                left.sort(key=lambda row: (place[row[1] >> SECTION_BITS], -row[1] if back else row[1]))
                return locks.lock_these(annotator, part, [pk for pk, _ in left[:CANDIDATES]])
    return []


# --- Sides --------------------------------------------------------------------------------------------------


def _balanced(candidates: list[Item], balance: int) -> tuple[Item, str] | None:
    """The first candidate, with its order, that leaves the person's sides even; else one that leaves them within
    `MAX_SIDE_IMBALANCE`; else None."""
    ordered = [(item, presented_order(item, balance)) for item in candidates]
    for bound in range(1, MAX_SIDE_IMBALANCE + 1):
        for item, order in ordered:
            side = counters.presented(order)
            if abs(balance + side.forward - side.reversed) <= bound:
                return item, order
    return None


def presented_order(item: Item, balance: int) -> str:
    """The order to show an item's responses in, as canonical indices.

    A pair goes the way it was shown less often; where the item is even, the way that brings the person's own
    `balance` (times in stored order minus times reversed) towards zero, and by the item's random key if that is
    even too. More than two responses rotate, so that each stands first equally often.
    """
    n = item.n_responses
    if n == 1:
        return "0"
    if n > 2:
        turn = (item.n_human + item.n_leased + item.n_skipped + item.order_key) % n
        return "".join(str((turn + place) % n) for place in range(n))
    lean = item.n_forward - item.n_reversed or balance
    if lean:
        return "10" if lean > 0 else "01"
    return "01" if item.order_key % 2 else "10"
