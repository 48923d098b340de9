"""Who judges what: gains, prices and capacities in, one queue per item out, by the Lagrangian rule.

maximise Σ U[i, q] z[i, q]   subject to   Σ c[i, q] z[i, q] ≤ budget,   Σ_i z[i, q] ≤ capacity[q],   Σ_q z[i, q] ≤ 1.

At prices λ (money) and μ_q (places) the optimum sends item i to the queue with the largest U - λ c - μ_q, if that is
positive, else to nobody beyond its present label: a gain ≤ 0 never costs money, so money may be left. The prices solve
the dual on a sample, an exact pass makes the whole pool feasible; with one queue it is the greedy order of U / c, off
the optimum by less than one item.

**Audits.** Items that no person judges by gain keep a chance: a random sample of fixed size among them goes to the audit
queue. Its money and places are reserved before prices are set, so who is chosen does not depend on the draw and every
logged propensity is exact: 1 for the chosen, (size / rest) ≥ `audit_share` for the rest. The draw is systematic with a
random start down the items ordered by cost, equal costs in random order (a simple random sample where costs are equal): every
item has the same chance, and the dearest draw costs little more than the mean one. The same share of the chosen is marked as
audits too, so audits are a uniform sample of all items.

Costs and budgets are whole numbers (items, or millionths of a currency): nothing is overspent by rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MIN_AUDIT = 0.05
_EXACT = 40_000  # variables up to which the linear programme is solved whole
_SAMPLE = 5_000
_FILL = 2_000  # items tried singly after the first that does not fit
_TRIES = 8  # choices until the money reserved for audits is what they need
_ROUNDS = 6  # passes that move items to better queues with what is left


class AllocationError(ValueError):
    """The input cannot be allocated; the text says which part and what was expected."""


@dataclass(frozen=True)
class Allocation:
    """Who judges each of n items.

    Attributes:
        queue: int8[n], the queue an item goes to for its gain, -1 for none.
        audit: bool[n], the uniform audit sample; those not chosen for their gain go to the audit queue for it.
        people: bool[n], items that people judge: sent to a queue of people, or audited.
        propensity: float[n], P(people judge the item) over the audit draw.
        money_price: λ, gain per unit of cost at the margin; 0 where money is left.
        queue_price: float[q], μ, gain per place at the margin.
        spent: int ≤ budget, audits included. value: Σ gain of the items sent for their gain.
        audit_rate: share of the items not chosen that is audited; below `audit_share` only if the budget or the
            audit queue cannot carry it, and then nothing is sent by gain.
    """

    queue: np.ndarray
    audit: np.ndarray
    people: np.ndarray
    propensity: np.ndarray
    money_price: float
    queue_price: np.ndarray
    spent: int
    value: float
    audit_rate: float

    @property
    def chosen(self) -> np.ndarray:
        """Items sent to some queue for their gain, bool[n]."""
        return self.queue >= 0


@dataclass(frozen=True)
class _Choice:
    queue: np.ndarray
    money_price: float
    queue_price: np.ndarray


def allocate(
    *,
    gain: np.ndarray,
    cost: np.ndarray,
    budget: int,
    capacity: np.ndarray | None = None,
    eligible: np.ndarray | None = None,
    people: np.ndarray | None = None,
    audit_share: float = MIN_AUDIT,
    audit_queue: int = 0,
    seed: int = 0,
) -> Allocation:
    """Allocate n items to q queues.

    gain float[n] or [n, q]: expected gain of a judgment by that queue (≤ 0 keeps the present label). cost int[n] (one
    queue), [q] or [n, q] ≥ 0; budget int ≥ 0; capacity int[q], -1 for no limit; eligible bool[n, q]; people bool[q]:
    which queues are people (all, by default). Equal gains per cost stand in random order. Raises AllocationError.
    """
    gain, cost, room, people = _checked(gain, cost, budget, capacity, people, audit_share, audit_queue)
    n, q = gain.shape
    gain = gain if eligible is None else np.where(eligible, gain, -np.inf)
    rng = np.random.default_rng(seed)
    toss = rng.permutation(n)
    simple = _simple_order(gain, cost, room, toss)
    audit_cost = cost[:, audit_queue]

    nobody = _Choice(np.full(n, -1, dtype=np.int8), 0.0, np.zeros(q))
    choice, size = nobody, _size(audit_share, n)
    reserve = _dearest_draw(audit_cost, size)
    affordable = reserve <= budget and size <= room[audit_queue]
    prices = None
    if affordable and simple is None:
        at_first = room.copy()
        at_first[audit_queue] -= size
        prices = _prices(gain, cost, budget - reserve, at_first, toss)
    for _ in range(_TRIES if affordable else 0):
        left = room.copy()
        left[audit_queue] -= size
        found = _choose(gain, cost, max(0, budget - reserve), left, toss, simple, prices)
        rest = ~_by_people(found.queue, people)
        size = _size(audit_share, int(rest.sum()))
        dearest = _dearest_draw(audit_cost[rest], size)
        slack = budget - _spent(found.queue, cost) - dearest
        if slack >= 0:  # fewer items are left to audit the more are chosen: give the difference back
            choice = found
            if reserve <= dearest:
                break
            reserve = dearest
        elif choice is nobody:
            reserve = max(reserve, dearest) - slack
        else:
            break
    by_people = _by_people(choice.queue, people)
    rest = np.flatnonzero(~by_people)
    if affordable:
        take = _size(audit_share, len(rest))
    else:
        take = min(_affordable_draw(audit_cost, budget, _size(audit_share, n)), int(room[audit_queue]))
    rate = take / len(rest) if len(rest) else audit_share
    drawn = _draw(rest, audit_cost[rest], take, rng)
    audit = np.zeros(n, dtype=bool)
    audit[drawn] = True
    routed = np.flatnonzero(by_people)
    audit[rng.choice(routed, min(len(routed), round(rate * len(routed))), replace=False)] = True
    sent = choice.queue >= 0
    return Allocation(
        queue=choice.queue,
        audit=audit,
        people=by_people | audit,
        propensity=np.where(by_people, 1.0, rate),
        money_price=choice.money_price,
        queue_price=choice.queue_price,
        spent=_spent(choice.queue, cost) + int(audit_cost[drawn].sum()),
        value=float(gain[sent, choice.queue[sent]].sum()),
        audit_rate=rate,
    )


def _checked(gain, cost, budget, capacity, people, audit_share, audit_queue):
    """The arguments as arrays of one shape; raises AllocationError naming what does not fit."""
    gain = np.asarray(gain, dtype=np.float64)
    gain = gain[:, None] if gain.ndim == 1 else gain
    n, q = gain.shape
    cost = np.asarray(cost)
    if cost.shape == (n,) and q == 1:
        cost = cost[:, None]
    try:
        cost = np.broadcast_to(cost, (n, q))
    except ValueError:
        raise AllocationError(f"cost of shape {cost.shape}: expected ({n},), ({q},) or ({n}, {q})")
    if not np.issubdtype(cost.dtype, np.integer) or (n and cost.min() < 0):
        raise AllocationError("costs: expected whole numbers of at least 0")
    if budget < 0 or not 0 <= audit_share <= 1 or not 0 <= audit_queue < q:
        raise AllocationError(
            f"budget {budget}, audit share {audit_share}, audit queue {audit_queue}: expected at least 0, 0 to 1, "
            f"and 0 to {q - 1}"
        )
    if not np.isfinite(gain).all():
        raise AllocationError("gains: expected finite numbers")
    limit = np.full(q, -1) if capacity is None else np.asarray(capacity)
    if limit.shape != (q,):
        raise AllocationError(f"capacity of shape {limit.shape}: expected ({q},)")
    people = np.ones(q, dtype=bool) if people is None else np.asarray(people, dtype=bool)
    if not people[audit_queue]:
        raise AllocationError(f"audit queue {audit_queue}: expected a queue of people")
    return gain, cost, np.where(limit < 0, 2 * n, limit).astype(np.int64), people


def _size(share: float, n: int) -> int:
    """Items in a share of n, rounded up: the floor is a floor."""
    return int(np.ceil(share * n - 1e-9))


def _dearest_draw(cost: np.ndarray, k: int) -> int:
    """The most that a systematic draw of k of these costs can come to: that with its start at the very end."""
    if k <= 0 or not len(cost):
        return 0
    ordered = np.sort(cost) if cost.min() != cost.max() else cost
    ends = -(-np.arange(1, k + 1) * len(cost) // k) - 1
    return int(ordered[ends].sum())


def _affordable_draw(cost: np.ndarray, budget: int, most: int) -> int:
    """The largest draw, up to `most`, whose dearest outcome the budget pays."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if _dearest_draw(cost, middle) <= budget:
            low = middle
        else:
            high = middle - 1
    return low


def _draw(items: np.ndarray, cost: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """A systematic draw of k items with a random start, ordered by cost and then at random; each has chance k / n."""
    if k <= 0:
        return items[:0]
    mixed = rng.permutation(len(items))
    ordered = mixed[np.argsort(cost[mixed], kind="stable")]
    places = np.floor((rng.random() + np.arange(k)) * (len(items) / k)).astype(np.int64)
    return items[ordered[np.minimum(places, len(items) - 1)]]


def _spent(queue: np.ndarray, cost: np.ndarray) -> int:
    sent = np.flatnonzero(queue >= 0)
    return int(cost[sent, queue[sent]].sum())


def _by_people(queue: np.ndarray, people: np.ndarray) -> np.ndarray:
    return (queue >= 0) & people[queue]


def _simple_order(
    gain: np.ndarray, cost: np.ndarray, room: np.ndarray, toss: np.ndarray
) -> np.ndarray | None:
    """Items of positive gain by gain per cost, where that order is all there is to it; None where places matter too."""
    n, q = gain.shape
    if q > 1 or (n and cost.min() != cost.max() and room[0] < n):
        return None
    mine, price = gain[toss, 0], cost[toss, 0]
    with np.errstate(divide="ignore"):
        ratio = np.divide(mine, price, out=np.full(n, np.inf), where=price > 0)
    keep = np.flatnonzero(mine > 0)
    return toss[keep[np.argsort(-ratio[keep], kind="stable")]]


def _choose(
    gain: np.ndarray,
    cost: np.ndarray,
    budget: int,
    room: np.ndarray,
    toss: np.ndarray,
    simple: np.ndarray | None,
    prices: tuple[float, np.ndarray, np.ndarray | None] | None,
) -> _Choice:
    """The best feasible choice for positive gains; `simple`: their order, where one suffices; else by `prices`, which
    may be those of a slightly different budget: what does not fit goes back, and what is left is spent."""
    n, q = gain.shape
    queue = np.full(n, -1, dtype=np.int8)
    if simple is not None:
        return _Choice(queue, _down(queue, simple, gain[:, 0], cost[:, 0], budget, int(room[0])), np.zeros(1))
    price, places, exact = prices
    net = gain - price * cost - places
    best = net.argmax(axis=1)
    worth_it = net[np.arange(n), best] > 1e-12
    queue[:] = np.where(worth_it, best, -1) if exact is None else exact
    _trim(queue, net, room)
    _save(queue, gain, cost, _spent(queue, cost) - budget)
    _trim(queue, net, room)
    for _ in range(_ROUNDS):
        used = np.bincount(queue[queue >= 0], minlength=q)
        if not _improve(queue, gain, cost, budget - _spent(queue, cost), room - used, toss):
            break
    return _Choice(queue, price, places)


def _trim(queue: np.ndarray, net: np.ndarray, room: np.ndarray) -> None:
    """Send the least worth keeping back from queues that hold more than their room."""
    for k, places in enumerate(room):
        mine = np.flatnonzero(queue == k)
        many = len(mine) - int(places)
        if many > 0:
            queue[mine[np.argpartition(net[mine, k], many - 1)[:many]]] = -1


def _present(queue: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Each item's entry of `values` [n, q] at its queue, 0 where it has none."""
    return np.where(queue >= 0, values[np.arange(len(queue)), queue], 0)


def _save(queue: np.ndarray, gain: np.ndarray, cost: np.ndarray, over: int) -> None:
    """Bring spending down by `over`: send items back, or to a cheaper queue, least loss per unit of money first."""
    if over <= 0:
        return
    sent = np.flatnonzero(queue >= 0)
    options = (
        np.column_stack([gain[sent], np.zeros(len(sent))]),
        np.column_stack([cost[sent], np.zeros(len(sent), int)]),
    )
    saved = _present(queue, cost)[sent][:, None] - options[1]
    loss = _present(queue, gain)[sent][:, None] - options[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((saved > 0) & np.isfinite(loss), loss / saved, np.inf)
    best = ratio.argmin(axis=1)
    at = np.arange(len(sent))
    order = np.argsort(ratio[at, best], kind="stable")
    cut = int(np.searchsorted(np.cumsum(saved[at, best][order]), over)) + 1
    moved = order[:cut]
    queue[sent[moved]] = np.where(best[moved] == gain.shape[1], -1, best[moved])


def _improve(
    queue: np.ndarray, gain: np.ndarray, cost: np.ndarray, budget: int, room: np.ndarray, toss: np.ndarray
) -> bool:
    """Spend what is left on better queues, largest gain per unit of money first; returns whether anything moved."""
    if not (room > 0).any():
        return False
    now, paid = _present(queue, gain)[toss], _present(queue, cost)[toss]
    more = gain[toss] - now[:, None]
    extra = cost[toss] - paid[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((more > 1e-12) & (room > 0), np.where(extra > 0, more / extra, np.inf), -np.inf)
    to = ratio.argmax(axis=1)
    at = np.arange(len(toss))
    top = ratio[at, to]
    keep = np.flatnonzero(top > 0)
    order = keep[np.argsort(-top[keep], kind="stable")]
    ids, to, price = toss[order], to[order], extra[order, to[order]]
    fits = np.cumsum(price) <= budget
    for k in range(len(room)):
        mine = to == k
        fits &= ~mine | (np.cumsum(mine) <= room[k])
    stop = len(fits) if fits.all() else int(np.argmin(fits))
    queue[ids[:stop]] = to[:stop]
    room = room - np.bincount(to[:stop], minlength=len(room))
    budget -= int(price[:stop].sum())
    moved = stop
    for i in range(stop, min(stop + _FILL, len(order))):
        if price[i] <= budget and room[to[i]] > 0:
            queue[ids[i]] = to[i]
            budget, room[to[i]], moved = budget - int(price[i]), room[to[i]] - 1, moved + 1
    return moved > 0


def _down(
    queue: np.ndarray, order: np.ndarray, gain: np.ndarray, cost: np.ndarray, budget: int, room: int
) -> float:
    """Send items of `order` to queue 0 until one does not fit, then those of the next `_FILL` that do; returns the price."""
    price = cost[order]
    stop = min(int(np.searchsorted(np.cumsum(price), budget, side="right")), max(room, 0))
    queue[order[:stop]] = 0
    budget, room = budget - int(price[:stop].sum()), room - stop
    if stop == len(order):
        return 0.0
    for i in range(stop, min(stop + _FILL, len(order)) if room > 0 else stop):
        if price[i] <= budget and room > 0:
            queue[order[i]] = 0
            budget, room = budget - int(price[i]), room - 1
    return float(gain[order[stop]] / max(int(price[stop]), 1))


def _prices(
    gain: np.ndarray, cost: np.ndarray, budget: int, room: np.ndarray, toss: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray | None]:
    """Dual prices (λ, μ) of the linear programme (HiGHS), on the whole pool or a uniform sample of it.

    On the whole pool also its solution, the queue of each item that it sends whole; all but q + 1 items are whole.
    """
    from scipy.optimize import linprog  # heavy, and only plans with several queues need it
    from scipy.sparse import csr_matrix

    n, q = gain.shape
    take = np.arange(n) if n * q <= _EXACT else toss[:_SAMPLE]
    scale = len(take) / n
    u, c = gain[take], cost[take]
    item, k = np.nonzero(u > 0)
    m = len(item)
    if not m:
        return 0.0, np.zeros(q), np.full(n, -1)
    one, columns = np.ones(m), np.arange(m)
    unit = max(1.0, float(c.max()))  # keeps the programme well scaled
    rows = csr_matrix(
        (
            np.concatenate([c[item, k] / unit, one, one]),
            (np.concatenate([np.zeros(m), 1 + k, 1 + q + item]), np.concatenate([columns] * 3)),
        ),
        shape=(1 + q + len(take), m),
    )
    limits = np.concatenate([[budget * scale / unit], room * scale, np.ones(len(take))])
    found = linprog(-u[item, k], A_ub=rows, b_ub=limits, bounds=(0, 1), method="highs")
    if found.status != 0:
        raise AllocationError(f"the prices could not be found: {found.message}")
    dual = -found.ineqlin.marginals
    whole = None
    if len(take) == n:
        whole, sure = np.full(n, -1), found.x > 1 - 1e-7
        whole[item[sure]] = k[sure]
    return float(dual[0] / unit), np.maximum(dual[1 : 1 + q], 0.0), whole
