"""Agreement of one group of annotators, or of two, with intervals that respect who judged and what. Pure.

Votes on one item belong together, and so do the votes of one person. The variance is that of Cameron, Gelbach &
Miller (2011) for two ways of clustering, each part by the delete-one-cluster jackknife: items + people - votes. With
fewer than `FEW_PEOPLE` people (or for models, which are no sample of anything) it is over items alone, and speaks of
these annotators only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import sparse, stats

from annotations.judging.intervals import wilson

from . import coefficients
from .patterns import Labels, Patterns, gather

FEW_PEOPLE = 8
EXACT_RANKS = 32  # distinct values up to which ordinal ranks are taken anew for every cluster left out
CHUNK = 4_000_000  # numbers held at once while leaving clusters out


@dataclass(frozen=True)
class Reliability:
    """Coefficients as estimates, or None with the reason in `undefined`."""

    estimates: dict[str, dict | None]
    undefined: dict[str, str]
    n_units: int
    n_votes: int
    n_annotators: int
    clusters: str
    """What the intervals are over: "items", or "items and annotators"."""
    without: dict[str, np.ndarray] | None = None
    """{coefficient: its value without each annotator, float64[annotators], NaN where undefined}."""


def within(labels: Labels, n_annotators: int, *, sampled: bool = True) -> Reliability:
    """Agreement among these votes. `sampled`: the annotators stand for more like them, so intervals are over them too."""
    k = len(labels.levels)
    found = gather(labels.unit, labels.value, labels.n_units, max(k, 1))
    counts = np.bincount(labels.annotator, minlength=n_annotators)
    used = counts > 0
    if k == 0 or not (found.counts.sum(axis=1) >= 2).any():
        reason = "no item was judged by two of them"
        return _nothing(coefficients.WITHIN, reason, len(labels), int(used.sum()))
    features, statistic = coefficients.features, partial(coefficients.within, levels=labels.levels)
    if k > EXACT_RANKS:
        two = found.counts.sum(axis=1) >= 2
        ranks = coefficients.ranks_of((found.times[two] @ found.counts[two]).astype(float))
        features = partial(coefficients.wide_features, levels=labels.levels, ranks=ranks)
        statistic = partial(coefficients.wide, levels=labels.levels, ranks=ranks)
    return _with_intervals(
        found,
        features(found.counts),
        statistic,
        features,
        labels,
        labels.value,
        n_annotators,
        sampled & (int(used.sum()) >= FEW_PEOPLE),
        int((found.times * (found.counts.sum(axis=1) >= 2)).sum()),
        int(used.sum()),
    )


def between(labels: Labels, second: np.ndarray, n_annotators: int, *, sampled: bool = True) -> Reliability:
    """Agreement of votes with `second` false with those where it is true, bool[n], on the units both judged.

    Intervals are over items and, where there are enough, over the annotators of the first group.
    """
    k = len(labels.levels)
    column = labels.value.astype(np.int32) + np.where(second, k, 0)
    found = gather(labels.unit, column, labels.n_units, max(2 * k, 1))
    of_first = len(np.unique(labels.annotator[~second]))
    used = of_first + len(np.unique(labels.annotator[second]))
    rows = coefficients.between_features(found.counts) if k else np.zeros((0, 1))
    n_units = int((rows[:, -1] * found.times).sum())
    if not n_units:
        return _nothing(coefficients.BETWEEN, "no item was judged by both", len(labels), used)
    both = rows[:, -1] > 0
    place = np.where(found.of_unit >= 0, found.of_unit, 0)
    kept = both[place[labels.unit]]
    return _with_intervals(
        found,
        rows,
        partial(coefficients.between, levels=labels.levels),
        coefficients.between_features,
        labels.only(kept),
        column[kept],
        n_annotators,
        sampled & (of_first >= FEW_PEOPLE),
        n_units,
        used,
        ~second[kept],
    )


def _with_intervals(
    found: Patterns,
    rows: np.ndarray,
    statistic: Callable[[np.ndarray], dict[str, np.ndarray]],
    features: Callable[[np.ndarray], np.ndarray],
    labels: Labels,
    column: np.ndarray,
    n_annotators: int,
    over_people: bool,
    n_units: int,
    used: int,
    clustered: np.ndarray | None = None,
) -> Reliability:
    total = found.times @ rows
    point = statistic(total)
    names = list(point)
    matters = np.any(rows != 0, axis=1)
    by_item = _jackknife(total, rows[matters], found.times[matters], point, statistic)
    variance = by_item
    df = max(1, n_units - 1)
    without = None
    # What a vote adds: the pattern with it minus the pattern without it, the same for equal (pattern, column).
    width = found.counts.shape[1]
    kind = found.of_unit[labels.unit] * width + column
    kinds, of_vote, n_of_kind = np.unique(kind, return_inverse=True, return_counts=True)
    with_vote = found.counts[kinds // width]
    less = with_vote.copy()
    less[np.arange(len(kinds)), kinds % width] -= 1
    added = features(with_vote) - features(less)
    who, codes = np.unique(labels.annotator, return_inverse=True)
    votes_of = sparse.csr_matrix((np.ones(len(codes)), (codes, of_vote)), shape=(len(who), len(kinds)))
    if len(who) * rows.shape[1] <= 5e7:
        removed = votes_of @ added
        left = {name: np.full(n_annotators, np.nan) for name in names}
        for start, stop in _chunks(len(who), rows.shape[1]):
            for name, values in statistic(total - removed[start:stop]).items():
                left[name][who[start:stop]] = values
        without = left
        people = np.unique(labels.annotator[clustered]) if clustered is not None else who
        if over_people and len(people) >= 2:
            g = len(people)
            by_person = {
                name: (g - 1) / g * np.nansum((left[name][people] - point[name]) ** 2) for name in names
            }
            # Only the votes that are clustered twice are taken off again.
            if clustered is not None:
                n_of_kind = np.bincount(of_vote[clustered], minlength=len(kinds))
            by_vote = _jackknife(total, added, n_of_kind, point, statistic)
            variance = {
                name: max(by_item[name] + by_person[name] - by_vote[name], by_item[name], by_person[name])
                for name in names
            }
            df = max(1, min(df, g - 1))
        else:
            over_people = False
    else:
        over_people = False
    estimates, undefined = {}, {}
    for name in names:
        value = float(point[name])
        if not np.isfinite(value) or (n_units < 2 and name != "percent"):
            estimates[name] = None
            undefined[name] = _why(name, n_units)
            continue
        estimates[name] = _estimate(name, value, variance[name], df, n_units, point)
    return Reliability(
        estimates,
        undefined,
        n_units,
        len(labels),
        used,
        "items and annotators" if over_people else "items",
        without,
    )


def _jackknife(total, rows, times, point, statistic) -> dict[str, float]:
    """(G - 1) / G Σ (value without a cluster - value)², for `times` equal clusters per row."""
    g = times.sum()
    sums = dict.fromkeys(point, 0.0)
    for start, stop in _chunks(len(rows), rows.shape[1]):
        for name, values in statistic(total - rows[start:stop]).items():
            sums[name] += float(np.nansum(times[start:stop] * (values - point[name]) ** 2))
    return {name: value * (g - 1) / max(g, 1) for name, value in sums.items()}


def _chunks(n: int, width: int):
    step = max(1, CHUNK // max(1, width))
    return ((start, min(n, start + step)) for start in range(0, n, step))


def _estimate(name: str, value: float, variance: float, df: int, n: int, point: dict) -> dict:
    """The t interval; where leaving anything out changes nothing (all alike), Wilson's for the share of units."""
    if variance <= 1e-16:
        percent = float(point["percent"])
        share = wilson(round(percent * n), n)
        found = {"value": value, "lo": share["lo"], "hi": share["hi"], "n": n}
        if name != "percent":
            scale = max(1 - _chance(percent, float(point.get("alpha_nominal", np.nan))), 1e-9)
            found["lo"] = float(max(-1.0, min(value, 1 - (1 - share["lo"]) / scale)))
            found["hi"] = float(min(1.0, max(value, 1 - (1 - share["hi"]) / scale)))
        return found
    half = float(stats.t.ppf(0.975, df) * variance**0.5)
    floor = 0.0 if name == "percent" else -1.0
    return {
        "value": value,
        "lo": float(max(floor, value - half)),
        "hi": float(min(1.0, value + half)),
        "n": n,
    }


def _chance(percent: float, alpha: float) -> float:
    """Agreement expected by chance; where all agree it cannot be solved for, and half is taken."""
    return 0.5 if percent >= 1 or not np.isfinite(alpha) or alpha >= 1 else (percent - alpha) / (1 - alpha)


def _why(name: str, n_units: int) -> str:
    if name == "percent":
        return "no item was judged by two of them"
    if n_units < 2:
        return "only one item was judged by two of them, so there is nothing to tell chance from"
    return "all votes are the same, so there is nothing to tell chance from"


def _nothing(names: tuple[str, ...], reason: str, n_votes: int, n_annotators: int) -> Reliability:
    return Reliability(
        dict.fromkeys(names), dict.fromkeys(names, reason), 0, n_votes, n_annotators, "items", None
    )
