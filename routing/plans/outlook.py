"""What a plan would bring at every share of human labels: error left, cost and time, reckoned once and stored.

The error left is the estimate of `doubly_robust` from the labels that are there, with the item order of the
plan, so it has an interval; without labels it is not known, and not drawn. The slider reads these points, so it answers
at once at any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal

import numpy as np

from app.web.plots import Plot, Point, Series, line_plot
from app.web.shares import percent

from . import doubly_robust, policies

SHARES = tuple(i / 20 for i in range(21))
LEAST = 30


def outlook(
    known, scores: policies.Scores, *, score, needed, each, audit_share, pace_ms, seed, offer
) -> dict:
    """{"points": [{share, items, judgments, cost_micros, minutes, routed, random, second_*}], "n", "second", "useful"}.

    At a share b the best b of the items by `score` go to people, the audits included (`audit_share` of the rest).
    `routed` and `random` are estimates or None; `n` counts labels; `useful` is the share beyond which, by prediction, people gain
    nothing and a plan leaves money unspent (None where scores are no gains). With an `offer` of a strong model (`cascade.Offer`), people get the items where money buys
    more with them than with it, and `second_items`, `second_to_ask`, `second_micros` and `second_right` (labels put right,
    as predicted) are its part; without one they are None. The estimates know people's part alone.
    """
    n = len(known)
    labels = int((~np.isnan(known.pool.error)).sum())
    audited = None
    if labels >= LEAST:
        found = scores.prediction
        audited = doubly_robust.Audited(
            error=known.pool.error,
            propensity=known.pool.propensity,
            predicted=found.mean if found is not None else np.zeros(n),
            group=known.pool.group,
            person_error=known.h.rate,
            person_bounds=known.h.bounds,
        )
    score = np.asarray(score, dtype=float)
    rank = score if offer is None else price_for_people(score, needed * each, offer)
    order = np.lexsort((np.random.default_rng(seed).permutation(n), -rank))
    running = np.concatenate([[0], np.cumsum(needed[order])])
    mean_needed = float(needed.mean()) if n else 0.0
    points = []
    for share in SHARES:
        items = round(share * n)
        audits = min(items, int(np.ceil(audit_share * (n - items)))) if share < 1 else 0
        by_score = items - audits
        judgments = int(running[by_score] + round(audits * mean_needed))
        routed = random = None
        if audited is not None:
            people = np.zeros(n, dtype=bool)
            people[order[:items]] = True
            told = doubly_robust.report(audited, people, score=score)
            routed, random = told.routed, told.random
        points.append(
            {
                "share": share,
                "items": items,
                "judgments": judgments,
                "cost_micros": judgments * each,
                "minutes": None if pace_ms is None else judgments * pace_ms / 60_000,
                "routed": routed,
                "random": random,
                **_second(offer, order, by_score, rank),
            }
        )
    return {
        "points": points,
        "n": labels,
        "second": offer.name if offer is not None else "",
        "useful": _useful(rank, audit_share) if scores.is_gain and n else None,
    }


def _useful(rank: np.ndarray, audit_share: float) -> float:
    """The share of items up to which a person gains anything, the audits included."""
    most = int((rank > 0).sum())
    return (most + math.ceil(audit_share * (len(rank) - most))) / len(rank)


def price_for_people(gain: np.ndarray, cost: np.ndarray, offer) -> np.ndarray:
    """The price of money λ up to which a person is an item's best judge, float[n]: g - λ c is then neither below zero nor
    below what the strong model has. It stands aside where it is dearer than the person."""
    with np.errstate(divide="ignore", invalid="ignore"):
        alone = np.where(cost > 0, gain / cost, np.where(gain > 0, np.inf, -np.inf))
    ahead, dearer = gain - offer.gain, cost - offer.cost
    beside = np.where((dearer == 0) & (ahead >= 0), np.inf, ahead / np.maximum(dearer, 1))
    return np.where(offer.eligible & (dearer >= 0), np.minimum(alone, beside), alone)


def _second(offer, order: np.ndarray, people: int, rank: np.ndarray) -> dict:
    """The strong model's part where the first `people` items of the order go to people."""
    names = ("second_items", "second_to_ask", "second_micros", "second_right")
    if offer is None:
        return dict.fromkeys(names)
    rest = order[people:]
    paid = rank[rest][np.isfinite(rank[rest])]  # what costs nothing says nothing of the price of money
    price = max(0.0, float(paid[0])) if len(paid) else 0.0
    net = offer.gain[rest] - price * offer.cost[rest]
    place = np.flatnonzero(offer.eligible[rest] & (net > 1e-12))
    if 0 <= offer.capacity < len(place):
        place = place[np.argsort(-net[place], kind="stable")[: offer.capacity]]
    mine = rest[place]
    found = (
        len(mine),
        int((~offer.judged[mine]).sum()),
        int(offer.cost[mine].sum()),
        float(offer.gain[mine].sum()),
    )
    return dict(zip(names, found, strict=True))


def money_at(point: dict) -> int:
    """Millionths that a point costs, people's and the strong model's."""
    return math.ceil(point["cost_micros"] + (point.get("second_micros") or 0))


def at(stored: dict, share: float) -> dict | None:
    """The point at a share between the stored ones, by straight lines; None where nothing is stored."""
    points = stored.get("points") or []
    if not points:
        return None
    share = min(1.0, max(0.0, share))
    place = min(int(share * (len(points) - 1)), len(points) - 2)
    low, high = points[place], points[place + 1]
    t = (share - low["share"]) / (high["share"] - low["share"])

    def between(a, b):
        if a is None or b is None:
            return None
        if isinstance(a, dict):
            return {key: between(a[key], b[key]) for key in ("value", "lo", "hi")} | {"n": a["n"]}
        return a + t * (b - a)

    return {"share": share} | {key: between(low[key], high[key]) for key in low if key != "share"}


def _money(micros: float, currency: str, in_words: Callable[[Decimal, str], str]) -> str:
    return in_words((Decimal(round(micros)) / 1_000_000).quantize(Decimal("0.01"), ROUND_CEILING), currency)


def sentence(point: dict, currency: str, each_micros: int, in_words: Callable[[Decimal, str], str]) -> str:
    """People's part of one point in words: how many items, what it costs and how long it takes."""
    text = f"At {percent(point['share'])} people judge {point['items']:,.0f} items: about {point['judgments']:,.0f} judgments to give"
    if each_micros:
        text += f" for {_money(point['cost_micros'], currency, in_words)}"
    if point["minutes"] is not None:
        minutes = point["minutes"]
        text += f", {minutes:.0f} min" if minutes < 120 else f", {minutes / 60:.1f} h"
    return f"{text}."


def second_words(
    stored: dict, point: dict | None, currency: str, in_words: Callable[[Decimal, str], str]
) -> str:
    """The strong model's part of one point in words; empty where the plan has none."""
    name = stored.get("second")
    if not name or not point or point.get("second_items") is None:
        return ""
    if round(point["second_items"]) < 1:
        return f"{name} is given nothing at this share: it puts no more labels right for its price."
    right = point["second_right"]
    return (
        f"{name} has the word on {point['second_items']:,.0f} more: {point['second_to_ask']:,.0f} to ask, about "
        f"{_money(point['second_micros'], currency, in_words)}. By prediction it puts "
        f"{'fewer than one' if right < 1 else f'{right:,.0f}'} of the first model's labels right there; in all about "
        f"{_money(money_at(point), currency, in_words)}."
        f"{' The label error left counts only what people put right.' if point['routed'] else ''}"
    )


def beyond(stored: dict, share: float) -> str:
    """What a plan does with money beyond the share that gains anything, in words; empty within it."""
    useful = stored.get("useful")
    if useful is None or share <= useful + 0.01:
        return ""
    return f" By prediction people put nothing more right beyond about {percent(useful)}: a plan leaves the money for that unspent."


def left_out(stored: dict) -> str:
    """What the estimates leave out, in words; empty where that is nothing."""
    name = stored.get("second")
    return f" What {name} puts right is not in it: only people's part is measured here." if name else ""


def _floor(lo: float | None) -> float | None:
    return None if lo is None else max(0.0, lo)  # plans of before had bounds below zero


def picture(stored: dict, share: float) -> Plot | None:
    """The error left against the share of human labels, for the plan's order and at random, with bands."""
    drawn = [point for point in stored.get("points") or [] if point["routed"] is not None]
    if not drawn:
        return None

    def line(name: str) -> list[Point]:
        return [
            Point(p["share"], p[name]["value"], _floor(p[name]["lo"]), p[name]["hi"], p[name]["n"])
            for p in drawn
            if p[name] is not None
        ]

    if stored.get("second"):  # people get what it is not given: no order to hold against random
        series = [Series("People's part", line("routed"), "human")]
    else:
        series = [
            Series("At random", line("random"), "baseline"), Series("This order", line("routed"), "human"),
        ]  # fmt: skip
    here = at(stored, share)
    if here and here["routed"]:
        e = here["routed"]
        series.append(
            Series(
                f"At {percent(share)}",
                [Point(share, e["value"], _floor(e["lo"]), e["hi"], e["n"])],
                "accent",
            )
        )
    return line_plot(
        series,
        title="Label error left",
        x_label="Share of items that people judge",
        y_label="Share of final labels that are wrong",
        x_percent=True,
        y_percent=True,
        caption=f"Doubly robust estimates from {stored['n']:,} labels, 95 % intervals by prompt. People's own error is in "
        f"it: the line need not end at zero.{left_out(stored)}",
        height=320,
    )
