"""How one judgment or lease changes the counters of its item. The only code that knows what counts as what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from django.db.models import F

from annotations.items.bulk_insert import add_to
from annotations.items.models import Item
from annotations.items.routes import slots_expressions
from annotations.projects.models import Annotator
from app.web.prepared import PreparedUpdate

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
    experts: int = 0

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
            self.experts,
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
    ids = list(item_ids)
    values = {**asdict(change), "taken": change.humans + change.leases}
    if len(ids) == 1:
        _APPLY_TO_ONE.run(item=ids[0], **values)
    else:
        Item.objects.filter(pk__in=ids).update(**_changes(**values))


def _changes(
    humans: int,
    models: int,
    skipped: int,
    flagged: int,
    leases: int,
    forward: int,
    reversed: int,
    experts: int,
    taken: int,
) -> dict:
    """What `update` takes; `taken` = humans + leases, the slots that are used up."""
    return {
        "n_human": F("n_human") + humans,
        "n_lm": F("n_lm") + models,
        "n_skipped": F("n_skipped") + skipped,
        "n_flagged": F("n_flagged") + flagged,
        "n_leased": F("n_leased") + leases,
        "n_forward": F("n_forward") + forward,
        "n_reversed": F("n_reversed") + reversed,
        "n_expert": F("n_expert") + experts,
        **slots_expressions(humans=taken, experts=experts),
    }


_APPLY_TO_ONE = PreparedUpdate(
    lambda item, humans, models, skipped, flagged, leases, forward, reversed, experts, taken: (
        Item.objects.filter(pk=item),
        _changes(humans, models, skipped, flagged, leases, forward, reversed, experts, taken),
    )
)
_COUNT_FOR_ANNOTATOR = PreparedUpdate(
    lambda annotator, judged, forward, reversed: (
        Annotator.objects.filter(pk=annotator),
        {
            "n_judged": F("n_judged") + judged,
            "n_forward": F("n_forward") + forward,
            "n_reversed": F("n_reversed") + reversed,
        },
    )
)


def count_for_annotator(annotator: Annotator, *, judged: int, turned: Change) -> None:
    """Add to the annotator's own counters: judgments with an answer, and the sides shown."""
    if judged or turned.forward or turned.reversed:
        _COUNT_FOR_ANNOTATOR.run(
            annotator=annotator.pk, judged=judged, forward=turned.forward, reversed=turned.reversed
        )


def count_assigned(annotator_id: int, n: int) -> None:
    """Add to the number of items the person was given by hand and has not begun. Caller holds their lock."""
    Annotator.objects.filter(pk=annotator_id).update(n_assigned=F("n_assigned") + n)


def count_for_annotators(judged: Mapping[int, int]) -> None:
    """Add to `n_judged` of many annotators {id: how many}."""
    add_to(Annotator, "n_judged", judged)
