"""Asking people which of two wordings read a pair better, and which two to ask about next."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from django.db import IntegrityError, transaction

from annotations.lm.models import LMAnnotator
from annotations.projects.models import Annotator

from . import dueling, improving, material, pairs
from .prompt_models import Duel, JudgeWording, Reading


class BadDuel(ValueError):
    """The answer cannot be stored; the text says why."""


@dataclass(frozen=True)
class Asked:
    """Two readings of one train pair under two wordings, not said which is whose."""

    first: Reading
    second: Reading
    pair: material.Pair


def wordings_of(detail: LMAnnotator) -> list[JudgeWording]:
    """The words in use and those that are still open, oldest first."""
    return list(JudgeWording.objects.filter(detail=detail, state__in=["current", "open"]).order_by("pk"))


def _read(detail: LMAnnotator, data: material.Material):
    """(wordings, their features, their readings by item, duels as places): a wording's features are its points, pair by
    pair, and a place of its own, so that no two are alike."""
    wordings = wordings_of(detail)
    train = [p for p in data.pairs if p.split == "train"]
    y = np.array([p.truth for p in train])
    X = np.array([pairs.right(improving.column(w, train), y) - 0.5 for w in wordings])
    X = np.hstack([X / max(len(train), 1) ** 0.5, 0.5 * np.eye(len(wordings))])
    place = {w.pk: k for k, w in enumerate(wordings)}
    rows = Duel.objects.filter(first__in=wordings, second__in=wordings)
    share = {"first": 1.0, "second": 0.0, "alike": 0.5}
    said = [(place[d.first_id], place[d.second_id], share[d.value]) for d in rows]
    return wordings, train, X, said


def next_to_ask(detail: LMAnnotator, person: Annotator, data: material.Material) -> Asked | None:
    """The two wordings to compare next, on a train pair that they read differently; None where none is left."""
    wordings, train, X, said = _read(detail, data)
    if len(wordings) < 2:
        return None
    readings = {
        (r.wording_id, r.item_id): r for r in Reading.objects.filter(wording__in=wordings).exclude(value=pairs.ERROR)
    }  # fmt: skip
    done = {
        (frozenset((d.first_id, d.second_id)), d.item_id)
        for d in Duel.objects.filter(annotator=person, first__in=wordings)
    }
    differ: dict[tuple[int, int], list[material.Pair]] = {}
    for i, a in enumerate(wordings):
        for j, b in enumerate(wordings):
            if i != j:
                differ[i, j] = [
                    p for p in train
                    if (x := readings.get((a.pk, p.item_id))) and (z := readings.get((b.pk, p.item_id)))
                    and x.value != z.value and (frozenset((a.pk, b.pk)), p.item_id) not in done
                ]  # fmt: skip
    allowed = np.zeros((len(wordings),) * 2, dtype=bool)
    for (i, j), left in differ.items():
        allowed[i, j] = bool(left)
    seed = int.from_bytes(hashlib.blake2b(f"{person.pk}:{len(done)}".encode(), digest_size=4).digest(), "big")
    found = dueling.next_duel(X, said, allowed=allowed, seed=seed)
    if found is None:
        return None
    i, j = found if seed % 2 else found[::-1]
    pair = differ[i, j][seed % len(differ[i, j])]
    return Asked(readings[wordings[i].pk, pair.item_id], readings[wordings[j].pk, pair.item_id], pair)


def answer(*, detail: LMAnnotator, person: Annotator, first: int, second: int, value: str) -> Duel:
    """Store which of two readings (ids) of one pair is better. Raises BadDuel."""
    rows = (
        Reading.objects.filter(wording__detail=detail, pk__in=[first, second])
        .select_related("wording")
        .in_bulk()
    )
    if len(rows) != 2 or value not in Duel.Value.values:
        raise BadDuel("Expected two readings of this annotator and one of: the first, the second, neither.")
    a, b = rows[first], rows[second]
    if a.item_id != b.item_id:
        raise BadDuel("These readings are of different pairs.")
    if a.wording_id > b.wording_id:  # one order in store, so that a pair is asked once
        a, b, value = b, a, {"first": "second", "second": "first"}.get(value, value)
    try:
        with transaction.atomic():
            return Duel.objects.create(
                first=a.wording, second=b.wording, item_id=a.item_id, annotator=person, value=value
            )
    except IntegrityError:
        raise BadDuel("You have answered this one.") from None


def standing(detail: LMAnnotator, data: material.Material) -> dict[int, dict]:
    """By wording: duels won, lost, drawn, and whether people like it best so far."""
    wordings, _, X, said = _read(detail, data)
    top = dueling.best(X, said)
    found = {}
    for k, w in enumerate(wordings):
        shares = [s if i == k else 1 - s for i, j, s in said if k in (i, j)]
        found[w.pk] = {
            "won": sum(s == 1 for s in shares), "lost": sum(s == 0 for s in shares), "alike": sum(s == 0.5 for s in shares),
            "best": k == top,
        }  # fmt: skip
    return found
