"""How well a reward model predicts preferences, with intervals, beside the length of the answers.

Ties (target exactly ½) are left out of every figure and counted. Intervals are percentile bootstrap over
groups (Efron & Tibshirani 1993, ch. 13; clusters as in Field & Welsh 2007): all rows of a group are drawn
together, so pairs of one prompt are not taken for independent. Every figure is a function of per-group sums,
so a draw is a product of a count vector and one matrix. Two figures are no matter for a bootstrap, and take the bounds of
`annotations.analysis.held_out`: a share that is the same in every draw (none or all of n), and a calibration error, whose
draws all lie above it.

An estimate is `{"value", "lo", "hi", "n"}`; where none can be given, the three numbers are None and
`reason` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import expit

from annotations.analysis import held_out
from routing.rewards.data import Pairs

LEVEL = 0.95
MIN_PAIRS = 10
N_BINS = 10
ECE_BINS = (5, 10, 20)
BY_DATASET = ("accuracy", "length_baseline", "gain_over_length", "human_ceiling")
_NO_CEILING = "no decided pair has two or more human votes"
_CHUNK = 100
SHARE, DIFFERENCE, MEAN = "share", "difference", "mean"

Estimate = dict[str, Any]


def evaluate_pairs(
    prediction: np.ndarray, pairs: Pairs, *, kind: str = "probability", seed: int, n_boot: int = 1000
) -> dict[str, Any]:
    """Compare predictions with the labels of `pairs`.

    `prediction` (n,) is P(second better), or with `kind="logit"` the margin r(second) - r(first). Returns

    - `accuracy`: share of decided pairs on the right side; an exact draw counts half;
    - `length_baseline`: the same for "more characters wins"; `gain_over_length`: paired difference;
    - `nll`, `brier`: mean -log p(label) and (p - label)²;
    - `ece5`, `ece10`, `ece20`: expected calibration error, equal bins of confidence max(p, 1 - p) over [½, 1]
      (Guo et al. 2017; order-invariant, as a pair's sides are);
    - `accuracy_longer_wrong`: accuracy where the longer response is the worse one;
    - `length_correlation`: Pearson correlation of the margin with the difference of log lengths;
    - `human_ceiling`: mean max(α, 1 - α), α the share of people's votes for the second (ties half), over
      decided pairs with at least two human votes: what always siding with the majority scores on one vote;
    - `by_strength`, `by_source` (human or lm): accuracy estimates; `by_dataset`: accuracy, length baseline,
      gain over it and human ceiling for each of the items' sources; `calibration`: confidence and accuracy per bin;
    - `n`, `n_ties`, `tie_share`, `n_groups`, `seed`, `n_boot`.

    Raises ValueError for a wrong length, an unknown kind, or values that are not finite or not in [0, 1].
    """
    probability, logit = _both(np.asarray(prediction, dtype=float), kind)
    if probability.shape != (len(pairs),):
        raise ValueError(f"{probability.size} predictions for {len(pairs)} pairs")
    decided = pairs.decided
    rows = pairs.take(decided)
    probability, logit, label = probability[decided], logit[decided], (rows.sign + 1) / 2
    n = len(rows)
    ones = np.ones(n)
    table = _Sums(rows.group)

    right = _half_right(logit, rows.sign)
    length = np.array([len(b) - len(a) for a, b in zip(rows.first_texts, rows.second_texts, strict=True)])
    longer = _half_right(length, rows.sign)
    table.ratio("accuracy", right, ones)
    table.ratio("length_baseline", longer, ones)
    table.ratio("gain_over_length", right - longer, ones, of=DIFFERENCE)
    table.ratio("nll", np.logaddexp(0.0, -rows.sign * logit), ones, of=MEAN)
    table.ratio("brier", (probability - label) ** 2, ones, of=MEAN)

    ceiling, voted = _ceiling(rows)
    table.ratio("human_ceiling", ceiling, voted, reason=_NO_CEILING)

    wrong = (longer == 0.0).astype(float)
    table.ratio(
        "accuracy_longer_wrong", right * wrong, wrong, reason="the longer response is never the worse one"
    )
    sizes = [[np.log1p(len(t)) for t in texts] for texts in (rows.first_texts, rows.second_texts)]
    table.correlation("length_correlation", np.subtract(sizes[1], sizes[0]) if n else ones, logit)

    strengths = [int(level) for level in np.unique(rows.strength)]
    for level in strengths:
        mask = (rows.strength == level).astype(float)
        table.ratio(f"strength {level}", right * mask, mask)
    sources = sorted(set(rows.source))
    for source in sources:
        mask = np.array([name == source for name in rows.source], dtype=float)
        table.ratio(f"source {source}", right * mask, mask)
    datasets = sorted(set(rows.dataset)) if len(set(rows.dataset)) > 1 else []
    for dataset in datasets:
        mask = np.array([name == dataset for name in rows.dataset], dtype=float)
        table.ratio(f"dataset accuracy {dataset}", right * mask, mask)
        table.ratio(f"dataset length_baseline {dataset}", longer * mask, mask)
        table.ratio(f"dataset gain_over_length {dataset}", (right - longer) * mask, mask, of=DIFFERENCE)
        table.ratio(f"dataset human_ceiling {dataset}", ceiling * mask, voted * mask, reason=_NO_CEILING)

    confidence = np.maximum(probability, 1.0 - probability)
    for n_bins in ECE_BINS:
        members = _bins(confidence, n_bins)
        table.calibration_error(f"ece{n_bins}", (right - confidence)[:, None] * members)
    members = _bins(confidence, N_BINS)
    for k in range(N_BINS):
        table.ratio(f"bin {k}", right * members[:, k], members[:, k], reason="no pair has this confidence")

    estimates = table.estimates(seed, n_boot)
    calibration = []
    for k in range(N_BINS):
        inside = members[:, k] > 0
        calibration.append(
            {
                "lo": 0.5 + k / (2 * N_BINS),
                "hi": 0.5 + (k + 1) / (2 * N_BINS),
                "confidence": float(confidence[inside].mean()) if np.any(inside) else None,
                "accuracy": estimates.pop(f"bin {k}"),
            }
        )
    by_dataset = {
        dataset: {name: estimates.pop(f"dataset {name} {dataset}") for name in BY_DATASET}
        for dataset in datasets
    }
    by_strength = {str(level): estimates.pop(f"strength {level}") for level in strengths}
    by_source = {source: estimates.pop(f"source {source}") for source in sources}
    return {
        **estimates,
        "by_strength": by_strength,
        "by_source": by_source,
        "by_dataset": by_dataset,
        "calibration": calibration,
        "n": n,
        "n_ties": len(pairs) - n,
        "tie_share": (len(pairs) - n) / len(pairs) if len(pairs) else None,
        "n_groups": len(set(rows.group)),
        "seed": seed,
        "n_boot": n_boot,
    }


class _Sums:
    """Figures that are functions of per-group sums, and their bootstrap over groups."""

    def __init__(self, groups: Sequence[str]) -> None:
        codes: dict[str, int] = {}
        self.code = np.array([codes.setdefault(group, len(codes)) for group in groups], dtype=int)
        self.n_groups = len(codes)
        self._columns: list[np.ndarray] = []
        self._figures: dict[str, tuple[Callable[..., np.ndarray], int, str]] = {}
        self._of: dict[str, str] = {}
        self._gaps: dict[str, list[int]] = {}

    def columns(self, rows: np.ndarray) -> list[int]:
        """Add columns (n, k) to be summed by group; return their positions."""
        start = len(self._columns)
        for column in rows.T:
            self._columns.append(np.bincount(self.code, weights=column, minlength=self.n_groups))
        return list(range(start, len(self._columns)))

    def figure(
        self,
        name: str,
        function: Callable[..., np.ndarray],
        count: np.ndarray,
        reason: str = "no decided pair",
    ) -> None:
        """Add a figure `function(sums, size)`; sums (..., columns), size (...,) = sum of `count` (n,)."""
        self._figures[name] = function, self.columns(count[:, None])[0], reason

    def ratio(
        self, name: str, numerator: np.ndarray, count: np.ndarray, of: str = SHARE, **more: str
    ) -> None:
        """Add the figure Σ numerator / Σ count; `count` is the 0/1 mask of the rows it is `of`: a share of them, a
        difference of two shares, or another mean."""
        top = self.columns(numerator[:, None])[0]
        self._of[name] = of
        self.figure(name, lambda sums, size: sums[..., top] / size, count, **more)

    def calibration_error(self, name: str, gaps: np.ndarray) -> None:
        """Add Σ over bins |Σ (right - confidence)| / n; `gaps` (n, bins)."""
        columns = self._gaps[name] = self.columns(gaps)
        self.figure(
            name, lambda sums, size: np.abs(sums[..., columns]).sum(axis=-1) / size, np.ones(len(gaps))
        )

    def correlation(self, name: str, x: np.ndarray, y: np.ndarray) -> None:
        """Add Pearson's correlation of two columns (n,)."""
        at = self.columns(np.stack([x, y, x * x, y * y, x * y], axis=1))

        def pearson(sums: np.ndarray, size: np.ndarray) -> np.ndarray:
            mx, my, xx, yy, xy = (sums[..., k] / size for k in at)
            return (xy - mx * my) / np.sqrt(np.maximum((xx - mx**2) * (yy - my**2), 1e-300))

        self.figure(name, pearson, np.ones(len(x)))

    def estimates(self, seed: int, n_boot: int) -> dict[str, Estimate]:
        """Return every figure with its percentile interval; draws are shared, so they are paired."""
        matrix = np.stack(self._columns, axis=1)
        total = matrix.sum(axis=0)
        rng = np.random.default_rng(seed)
        draws: dict[str, list[np.ndarray]] = {name: [] for name in self._figures}
        for start in range(0, n_boot if self.n_groups >= 2 else 0, _CHUNK):
            size = min(_CHUNK, n_boot - start)
            picks = rng.integers(self.n_groups, size=(size, self.n_groups))
            picks += self.n_groups * np.arange(size)[:, None]
            counts = np.bincount(picks.ravel(), minlength=size * self.n_groups).reshape(size, -1)
            sums = counts.astype(float) @ matrix
            for name, (function, column, _) in self._figures.items():
                draws[name].append(_safe(function, sums, sums[:, column]))
        result = {}
        for name, (function, column, reason) in self._figures.items():
            n = round(float(total[column]))
            groups = int(np.count_nonzero(matrix[:, column]))
            if n == 0:
                result[name] = no_estimate(0, reason)
            elif groups < 2:
                result[name] = no_estimate(n, "fewer than two groups: an interval would mean nothing")
            elif n < MIN_PAIRS:
                result[name] = no_estimate(n, f"fewer than {MIN_PAIRS} pairs: too few for an interval")
            else:
                value = float(_safe(function, total[None, :], total[None, column])[0])
                tail = 100.0 * (1.0 - LEVEL) / 2.0
                lo, hi = np.nanpercentile(np.concatenate(draws[name]), [tail, 100.0 - tail])
                if name in self._gaps:
                    lo, hi = held_out.gap_bounds(matrix[:, self._gaps[name]], matrix[:, column])
                elif hi - lo < 1e-12 and self._of.get(name) == SHARE:
                    lo, hi = held_out.bounds_of_flat_share(value, groups)
                elif hi - lo < 1e-12 and self._of.get(name) == DIFFERENCE and abs(value) < 1e-12:
                    lo, hi = held_out.bounds_of_no_difference(groups)
                result[name] = {"value": value, "lo": float(lo), "hi": float(hi), "n": n}
        return result


def _bins(confidence: np.ndarray, n_bins: int) -> np.ndarray:
    """Return the 0/1 membership (n, n_bins) of confidences in equal bins over [½, 1]."""
    index = np.minimum((2.0 * (confidence - 0.5) * n_bins).astype(int), n_bins - 1)
    return (index[:, None] == np.arange(n_bins)).astype(float)


def no_estimate(n: int, reason: str) -> Estimate:
    """Return the estimate that gives no number and says why."""
    return {"value": None, "lo": None, "hi": None, "n": n, "reason": reason}


def _safe(function: Callable[..., np.ndarray], sums: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Evaluate a figure, NaN where a draw holds none of its rows."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(size > 0, function(sums, size), np.nan)


def _both(prediction: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (probability, logit); probabilities of exactly 0 or 1 enter the likelihood as 1e-12 from it."""
    if not np.all(np.isfinite(prediction)):
        raise ValueError("predictions must be finite")
    if kind == "logit":
        return expit(prediction), prediction
    if kind != "probability":
        raise ValueError(f"unknown kind of prediction {kind!r}: probability or logit")
    if np.any((prediction < 0) | (prediction > 1)):
        raise ValueError("probabilities must lie in [0, 1]")
    clipped = np.clip(prediction, 1e-12, 1.0 - 1e-12)
    return prediction, np.log(clipped) - np.log1p(-clipped)


def _half_right(margin: np.ndarray, sign: np.ndarray) -> np.ndarray:
    return (1.0 + np.sign(margin) * sign) / 2.0


def _ceiling(rows: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Return (max(α, 1 - α), 0/1 mask) of the pairs with at least two human votes."""
    n = rows.votes.sum(axis=1)
    mask = ((n >= 2) & np.array([source == "human" for source in rows.source], dtype=bool)).astype(float)
    share = (rows.votes[:, 2] + 0.5 * rows.votes[:, 1]) / np.maximum(n, 1)
    return np.maximum(share, 1.0 - share) * mask, mask


def paired_gain(
    logits: np.ndarray, other: np.ndarray, pairs: Pairs, *, seed: int, n_boot: int = 1000
) -> Estimate:
    """Return how much more often `logits` pick the preferred response than `other` do, as an estimate.

    Both (n,) are margins r(second) - r(first) on the same pairs; ties are left out, draws of groups are
    shared. Raises ValueError for a wrong length or margins that are not finite.
    """
    both = [_both(np.asarray(margin, dtype=float), "logit")[1] for margin in (logits, other)]
    if any(margin.shape != (len(pairs),) for margin in both):
        raise ValueError(f"{both[0].size} and {both[1].size} predictions for {len(pairs)} pairs")
    decided = pairs.decided
    rows = pairs.take(decided)
    mine, theirs = (_half_right(margin[decided], rows.sign) for margin in both)
    table = _Sums(rows.group)
    table.ratio("gain", mine - theirs, np.ones(len(rows)), of=DIFFERENCE)
    return table.estimates(seed, n_boot)["gain"]
