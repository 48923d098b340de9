"""How one judgment or lease changes the counters of its item. The only code that knows what counts as what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import F

from annotations.items.bulk_insert import add_to
from annotations.items.models import Item
from annotations.items.routes import open_slots_expression
from annotations.projects.models import Annotator

from .models import Judgment

ANSWERS = {Judgment.Outcome.ANSWERED, Judgment.Outcome.CANNOT_JUDGE}


@dataclass(frozen=True, slots=True)
class Change:
    """What to add to an item's counters."""

    humans: int = 0
    models: int = 0
    skipped: int = 0
    flagged: int = 0
    leases: int = 0
    forward: int = 0
    reversed: int = 0

    def __add__(self, other: Change) -> Change:
        return Change(*(a + b for a, b in zip(self.astuple(), other.astuple(), strict=True)))

    def __neg__(self) -> Change:
        return Change(*(-a for a in self.astuple()))

    def astuple(self) -> tuple[int, ...]:
        return (
            self.humans,
            self.models,
            self.skipped,
            self.flagged,
            self.leases,
            self.forward,
            self.reversed,
        )


def counts_of(kind: str, outcome: str) -> Change:
    """What one current judgment of an annotator of this kind adds to its item."""
    human = kind == "human"
    return Change(
        humans=int(human and outcome in ANSWERS),
        models=int(not human and outcome in ANSWERS),
        skipped=int(outcome == Judgment.Outcome.SKIPPED),
        flagged=int(outcome == Judgment.Outcome.FLAGGED),
    )


def presented(order: str) -> Change:
    """What showing the responses in this order adds; only pairs have sides to balance."""
    return Change(forward=int(order == "01"), reversed=int(order == "10"))


def apply(item_ids: Iterable[int], change: Change) -> None:
    """Add the change to these items in one UPDATE, and recompute their open slots."""
    Item.objects.filter(pk__in=list(item_ids)).update(
        n_human=F("n_human") + change.humans,
        n_lm=F("n_lm") + change.models,
        n_skipped=F("n_skipped") + change.skipped,
        n_flagged=F("n_flagged") + change.flagged,
        n_leased=F("n_leased") + change.leases,
        n_forward=F("n_forward") + change.forward,
        n_reversed=F("n_reversed") + change.reversed,
        open_slots=open_slots_expression(humans=change.humans, leases=change.leases),
    )


def count_for_annotator(annotator: Annotator, *, judged: int, turned: Change) -> None:
    """Add to the annotator's own counters: judgments with an answer, and the sides shown."""
    if judged or turned.forward or turned.reversed:
        Annotator.objects.filter(pk=annotator.pk).update(
            n_judged=F("n_judged") + judged,
            n_forward=F("n_forward") + turned.forward,
            n_reversed=F("n_reversed") + turned.reversed,
        )


def count_for_annotators(judged: Mapping[int, int]) -> None:
    """Add to `n_judged` of many annotators {id: how many}."""
    add_to(Annotator, "n_judged", judged)
