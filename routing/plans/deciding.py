"""Who judges what: spend the budget on the items that gain most, and draw the audits.

A plan that follows another one takes over every audit of it, judged or not, and every item that people judged: their
propensities stay those of the draw they came from. Only what is left and what is new is decided anew, and only new items
are in the new draw of audits, so that audits stay a uniform sample of all items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from annotations.analysis.majority import NONE
from annotations.items.models import Batch, Item
from annotations.projects import rules
from app.web.shares import percent

from . import allocation, policies, reading
from .cascade import Offer
from .draft import PlanError
from .models import RoutingPlan


@dataclass(frozen=True)
class Decided:
    """What becomes of n items. `open`: decided by this plan; the others are taken over from the plan before.

    `chosen`: sent to people for their gain; `second`: to the strong model for theirs (some of these are audited too).
    """

    people: np.ndarray
    chosen: np.ndarray
    audit: np.ndarray
    propensity: np.ndarray
    queue: np.ndarray
    second: np.ndarray
    open: np.ndarray
    money_price: float


def going_first(known: reading.Known, scores: policies.Scores) -> np.ndarray:
    """The order in which items go to people: what only a person can judge first, then the policy's gain."""
    gain = np.asarray(scores.gain, dtype=float)
    only = known.injected | (known.pool.signals.verdict == NONE)
    return np.where(only, max(1.0, float(gain.max(initial=0.0))) + 1.0 + 0.5 * known.injected, gain)


def queues_of(project, known: reading.Known) -> tuple[list[str], np.ndarray, np.ndarray | None]:
    """(names, capacity int[q], eligible bool[n, q] or None): people, and the experts that a batch requires."""
    budget = rules.of(project).budget
    most = -1 if budget.people is None else budget.people
    if not budget.experts:
        return ["people"], np.array([most]), None
    tags = sorted(budget.experts)
    needs = {}
    for pk, required in Batch.objects.filter(project=project).values_list("pk", "required_tags"):
        tag = next((tag for tag in tags if tag in required), None)
        if tag is not None:
            needs[pk] = tags.index(tag) + 1
    column = np.array([needs.get(int(batch), 0) for batch in known.batch])
    eligible = column[:, None] == np.arange(len(tags) + 1)[None, :]
    capacity = np.array([most, *(budget.experts[tag] for tag in tags)])
    return ["people", *(f"expert:{tag}" for tag in tags)], capacity, eligible


def decide(
    plan: RoutingPlan,
    known: reading.Known,
    scores: policies.Scores,
    cost: np.ndarray,
    budget: int,
    capacity: np.ndarray,
    eligible: np.ndarray | None,
    offer: Offer | None = None,
) -> Decided:
    """Spend `budget` on what costs `cost` int[n]; `capacity` and `eligible` are what `queues_of` gave.

    `offer`: a strong model as one more queue, after those of people.

    Raises PlanError where the budget does not carry the audits or the items cannot be allocated.
    """
    n = len(known)
    kept = _taken_over(plan, known)
    here = np.flatnonzero(~kept)
    before = known.planned & (plan.follows_id is not None)
    had_draw = before & ~kept
    gain = going_first(known, scores)
    people = np.where(kept, (known.route != Item.Route.LM), False)
    drawn_at = known.propensity[known.planned & (known.propensity < 1)]
    rate = float(drawn_at.min()) if len(drawn_at) else plan.audit_share
    audit, propensity = known.audit & kept, np.where(kept, known.propensity, np.where(had_draw, rate, 0.0))
    queue = np.full(n, -1, dtype=np.int64)
    queue[kept & people] = 0
    spent = int(cost[kept & people].sum())
    left = max(0, budget - spent)
    chosen, second = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    price = 0.0
    tables = _Tables.of(gain, cost, capacity, eligible, offer)
    if len(here):
        fresh = here[~had_draw[here]]
        try:
            if len(fresh) == len(here):
                found = tables.allocate(here, left, plan.audit_share, plan.seed)
                if found.audit_rate < plan.audit_share - 1e-9 and not kept.any():
                    raise PlanError(
                        f"The budget does not carry the audits: {percent(plan.audit_share)} of the items. Raise it, or "
                        "raise the limit of people."
                    )
                second[here] = found.queue == tables.people
                chosen[here], audit[here] = found.chosen & ~second[here], found.audit
                people[here], propensity[here] = found.people, found.propensity
                queue[here] = np.where(
                    found.people & ~chosen[here], 0, np.where(chosen[here], found.queue, -1)
                )
                price = found.money_price
            else:
                _decide_new(
                    plan, fresh, here, left, tables, people=people, chosen=chosen, second=second, audit=audit,
                    propensity=propensity, queue=queue,
                )  # fmt: skip
        except allocation.AllocationError as error:
            raise PlanError(f"The items cannot be allocated: {error}") from None
    return Decided(people, chosen, audit, propensity, queue, second, ~kept, price)


@dataclass(frozen=True)
class _Tables:
    """Gains float[n, q] and prices int[n, q] of the queues, the strong model's last; the first `people` are people's."""

    gain: np.ndarray
    cost: np.ndarray
    capacity: np.ndarray
    eligible: np.ndarray | None
    people: int

    @classmethod
    def of(cls, gain, cost, capacity, eligible, offer: Offer | None) -> _Tables:
        q = len(capacity)
        gain, cost = (np.broadcast_to(column[:, None], (len(column), q)) for column in (gain, cost))
        if offer is None:
            return cls(gain, cost, capacity, eligible, q)
        able = np.ones(gain.shape, dtype=bool) if eligible is None else eligible
        return cls(
            np.column_stack([gain, offer.gain]),
            np.column_stack([cost, offer.cost]),
            np.append(capacity, offer.capacity),
            np.column_stack([able, offer.eligible]),
            q,
        )

    def allocate(self, rows: np.ndarray, budget: int, share: float, seed: int) -> allocation.Allocation:
        """Allocate these items."""
        return allocation.allocate(
            gain=self.gain[rows],
            cost=self.cost[rows],
            budget=budget,
            capacity=self.capacity,
            eligible=None if self.eligible is None else self.eligible[rows],
            people=np.arange(len(self.capacity)) < self.people,
            audit_share=share,
            seed=seed,
        )


def _decide_new(
    plan, fresh, here, left, tables: _Tables, *, people, chosen, second, audit, propensity, queue
) -> None:
    """Decide the items `here`, of which only `fresh` ones have had no draw of audits yet; writes into the arrays.

    The new audits are drawn first and judged whatever happens, as many as the money carries; the rest of the money goes by gain. An audit that
    would have been among the best anyway counts as chosen, and one that the strong model is worth its price for is
    asked of it too, so that audits are a sample of what it is asked.
    """
    rng = np.random.default_rng([plan.seed, 1])
    dearest = int(tables.cost[fresh, 0].max(initial=0))
    wanted = min(int(np.ceil(plan.audit_share * len(fresh))), left // dearest if dearest else len(fresh))
    drawn = np.sort(rng.permutation(fresh)[:wanted])
    rest = np.setdiff1d(here, drawn)
    gain, cost = tables.gain[:, 0], tables.cost
    found = tables.allocate(
        rest,
        max(0, left - int(cost[drawn][:, [0, *range(tables.people, cost.shape[1])]].sum())),
        0.0,
        plan.seed,
    )
    second[rest] = found.queue == tables.people
    chosen[rest] = found.chosen & ~second[rest]
    queue[rest] = np.where(chosen[rest], found.queue, -1)
    people[rest] = chosen[rest]
    if chosen[rest].any():
        chosen[drawn] = gain[drawn] >= gain[rest][chosen[rest]].min()
    if len(tables.capacity) > tables.people:
        net = tables.gain[drawn, -1] - found.money_price * cost[drawn, -1] - found.queue_price[-1]
        second[drawn] = (net > 0) & tables.eligible[drawn, -1] & ~chosen[drawn]
    audit[drawn], people[drawn], queue[drawn] = True, True, 0
    propensity[fresh] = wanted / len(fresh) if len(fresh) else 0.0
    propensity[chosen] = 1.0


def _taken_over(plan: RoutingPlan, known: reading.Known) -> np.ndarray:
    """Items that stay as the plan before decided: its audits, and what people judged under it; bool[n]."""
    if plan.follows_id is None:
        return np.zeros(len(known), dtype=bool)
    return known.planned & (known.audit | ((known.judged >= plan.overlap) & (known.route != Item.Route.LM)))
