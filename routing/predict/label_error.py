"""e_i = P(a model's label differs from the people's consensus): ridge logistic, cross-fitted by prompt, calibrated.

The columns stand in two blocks: what the models themselves say (`signals`, lightly penalised) and everything else
(texts, tags, embeddings, margins, heavily penalised), so that with few labels the order stays close to the models' own
doubt and texts enter as labels arrive. Rows are weighted by 1 / propensity of their label. Every prediction of a
labelled item comes from a fit that saw no label of its prompt group; an unlabelled item's comes from all labels.
Penalties are chosen by the out-of-fold log-loss of a small grid, the calibration (Platt, shrunk to the identity) is
fitted to the out-of-fold logits, and the held-out skill is reported beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from annotations.analysis import held_out

from . import logistic

FOLDS = 5
GRID = ((2.0, 10.0), (5.0, 40.0), (10.0, 200.0), (10.0, 1000.0))
MIN_LABELS = 20
MIN_EACH = 3
MAX_WEIGHT = 20.0
_CLIP = 1e-4


@dataclass(frozen=True)
class Design:
    """Columns of n items, standardised once over the whole pool.

    Attributes:
        X: float32[n, d]; names: d strings; light: bool[d], True for the lightly penalised block.
    """

    X: np.ndarray
    names: tuple[str, ...]
    light: np.ndarray

    @classmethod
    def of(cls, *blocks: tuple[np.ndarray, tuple[str, ...], bool]) -> Design:
        """Join (columns, names, light) blocks; columns are standardised, constant ones dropped."""
        kept, names, light = [], [], []
        for columns, labels, is_light in blocks:
            columns = np.asarray(columns)
            if columns.ndim != 2 or columns.shape[1] != len(labels):
                raise ValueError(f"{len(labels)} names for columns of shape {columns.shape}")
            if not len(columns):
                continue
            mean, scale = columns.mean(axis=0, dtype=np.float64), columns.std(axis=0, dtype=np.float64)
            use = scale > 1e-6
            kept.append(((columns[:, use] - mean[use]) / scale[use]).astype(np.float32))
            names += [name for name, keep in zip(labels, use, strict=True) if keep]
            light += [is_light] * int(use.sum())
        return cls(
            np.column_stack(kept) if kept else np.zeros((0, 0), np.float32),
            tuple(names),
            np.array(light, dtype=bool),
        )

    def penalty(self, pair: tuple[float, float]) -> np.ndarray:
        """λ per column for a (light, heavy) pair."""
        return np.where(self.light, pair[0], pair[1])


@dataclass(frozen=True)
class Skill:
    """Held-out quality, all from out-of-fold predictions of labelled items.

    Attributes:
        n: labels; groups: prompt groups among them; rate: their weighted error rate.
        auc: estimate of P(an error is ranked above a non-error), without a value where one class is missing.
        log_loss, base_log_loss: of the predictions, and of the constant rate.
        ece: estimate of the expected calibration error in ten equal-frequency bins.
    """

    n: int
    groups: int
    rate: float
    auc: dict
    log_loss: float
    base_log_loss: float
    ece: dict


@dataclass(frozen=True)
class Prediction:
    """Per item: calibrated `mean` float[n], `logit`, its posterior `sd`; `contributions(i)` explains one.

    `skill` is None, and every mean the shrunk rate, where there were too few labels to learn from.
    """

    mean: np.ndarray
    logit: np.ndarray
    sd: np.ndarray
    skill: Skill | None
    beta: np.ndarray
    design: Design
    penalty: tuple[float, float] | None

    def contributions(self, i: int, k: int = 3) -> list[tuple[str, float]]:
        """The k columns that move item i's logit the most, (name, contribution), strongest first."""
        if not len(self.beta):
            return []
        parts = self.design.X[i] * self.beta[1:]
        top = np.argsort(-np.abs(parts), kind="stable")[:k]
        return [(self.design.names[j], float(parts[j])) for j in top if abs(parts[j]) > 1e-9]


def group_folds(group: np.ndarray, k: int, seed: int) -> np.ndarray:
    """A fold int[n] in 0..k-1 per row; rows of a group share it, folds hold equal numbers of groups."""
    _, code = np.unique(group, return_inverse=True)
    n = int(code.max(initial=-1)) + 1
    fold = np.empty(n, dtype=np.int64)
    fold[np.random.default_rng(seed).permutation(n)] = np.arange(n) % k
    return fold[code]


def learnable(error: np.ndarray, group: np.ndarray) -> bool:
    """Whether there are enough labels (n, of both kinds, in enough groups) to fit anything."""
    y = error[~np.isnan(error)]
    kinds = min(float(y.sum()), float((1 - y).sum())) if len(y) else 0.0
    return len(y) >= MIN_LABELS and kinds >= MIN_EACH and len(np.unique(group[~np.isnan(error)])) >= FOLDS


def predict(
    design: Design,
    error: np.ndarray,
    group: np.ndarray,
    *,
    propensity: np.ndarray | None = None,
    seed: int = 0,
    grid: tuple[tuple[float, float], ...] = GRID,
) -> Prediction:
    """Learn from the labelled items and predict all n.

    error float[n] in [0, 1]: whether (or how often) people differ from the model's label, NaN where nobody judged;
    group int[n]: prompt groups; propensity float[n]: P(the label was to be seen), for the weights. Raises ValueError
    for shapes that do not fit or values outside [0, 1].
    """
    n = len(design.X)
    error = np.asarray(error, dtype=float)
    if error.shape != (n,) or np.shape(group) != (n,):
        raise ValueError(f"expected error and group of length {n}")
    seen = ~np.isnan(error)
    if ((error[seen] < 0) | (error[seen] > 1)).any():
        raise ValueError("expected errors in [0, 1]")
    weight = _weights(propensity, seen)
    if not learnable(error, group):
        rate = (error[seen].sum() + 1.0) / (seen.sum() + 4.0)
        logit = np.full(n, np.log(rate / (1 - rate)))
        sd = np.full(n, np.sqrt(1 / ((seen.sum() + 4) * rate * (1 - rate))))
        return Prediction(np.full(n, rate), logit, sd, None, np.zeros(0), design, None)
    rows = np.flatnonzero(seen)
    X, y, w = design.X[rows].astype(np.float64), error[rows], weight[rows]
    fold = group_folds(np.asarray(group)[rows], FOLDS, seed)
    best = None
    for pair in grid:
        penalty = design.penalty(pair)
        held = np.empty(len(rows))
        for f in range(FOLDS):
            out = fold == f
            model = logistic.fit(X[~out], y[~out], penalty, weight=w[~out])
            held[out] = model.logit(X[out])
        loss = float(np.average(np.logaddexp(0, held) - y * held, weights=w))
        if best is None or loss < best[0]:
            best = loss, pair, held
    _, pair, held = best
    whole = logistic.fit(X, y, design.penalty(pair), weight=w)
    slope, shift = _platt(held, y, w)
    logit = whole.logit(design.X)
    logit[rows] = held
    logit = shift + slope * logit
    mean = np.clip(expit(logit), _CLIP, 1 - _CLIP)
    return Prediction(
        mean=mean,
        logit=logit,
        sd=slope * whole.sd(design.X),
        skill=_skill(y, mean[rows], w, np.asarray(group)[rows]),
        beta=whole.beta * slope,
        design=design,
        penalty=pair,
    )


def _weights(propensity: np.ndarray | None, seen: np.ndarray) -> np.ndarray:
    """1 / propensity, capped and with mean 1 over the labelled items."""
    if propensity is None:
        return np.ones(len(seen))
    p = np.asarray(propensity, dtype=float)
    if p.shape != seen.shape or (~(p[seen] > 0)).any() or (p[seen] > 1).any():
        raise ValueError("expected propensities in (0, 1] for every labelled item")
    weight = np.zeros(len(seen))
    weight[seen] = np.minimum(1 / p[seen], MAX_WEIGHT)
    return weight / weight[seen].mean() if seen.any() else weight


def _platt(held: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    """Slope and shift of the out-of-fold logits, shrunk to (1, 0); the slope stays in [0.1, 2]."""
    centre = float(np.average(held, weights=w))
    model = logistic.fit((held - centre)[:, None], y, np.array([4.0]), weight=w, offset=held)
    slope = float(np.clip(1.0 + model.beta[1], 0.1, 2.0))
    return slope, float(centre + model.beta[0] - slope * centre)


def _skill(y: np.ndarray, p: np.ndarray, w: np.ndarray, group: np.ndarray) -> Skill:
    def loss(q: np.ndarray | float) -> float:
        return float(np.average(-y * np.log(q) - (1 - y) * np.log(1 - q), weights=w))

    rate = float(np.clip(np.average(y, weights=w), _CLIP, 1 - _CLIP))
    return Skill(
        n=len(y),
        groups=len(np.unique(group)),
        rate=rate,
        auc=held_out.auc(y, p, group, w),
        log_loss=loss(p),
        base_log_loss=loss(np.full(len(y), rate)),
        ece=held_out.calibration_error(y, p, group, w),
    )
