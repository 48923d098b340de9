"""Agreement coefficients from sums over units, for one data set or for many at once. Pure.

Sources (see docs/papers.md): Krippendorff's alpha (Krippendorff 2004, Hayes & Krippendorff 2007), Fleiss' kappa
(1971), Gwet's AC1 and AC2 (2008, 2014), Cohen's weighted kappa (1968), agreement between two groups with expected
disagreement from their own margins (cross-replication reliability, Wong, Paritosh & Aroyo 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WITHIN = ("percent", "alpha_nominal", "alpha_ordinal", "alpha_interval", "fleiss_kappa", "ac1", "ac2")
BETWEEN = ("percent", "alpha_nominal", "alpha_ordinal", "alpha_interval")


@dataclass(frozen=True)
class Sums:
    """What the coefficients of one group need, summed over units; leading axes are data sets.

    coincidence [..., K, K]: Krippendorff's o_ck; joint [..., K, K]: ordered pairs of votes, each unit with weight 1;
    share [..., K]: the values' shares, each unit with weight 1; pairable, judged [...]: units with two or more votes,
    with any.
    """

    coincidence: np.ndarray
    joint: np.ndarray
    share: np.ndarray
    pairable: np.ndarray
    judged: np.ndarray

    def flat(self) -> np.ndarray:
        """[..., 2 K² + K + 2]."""
        lead = self.share.shape[:-1]
        return np.concatenate(
            [
                self.coincidence.reshape(*lead, -1),
                self.joint.reshape(*lead, -1),
                self.share,
                self.pairable[..., None],
                self.judged[..., None],
            ],
            axis=-1,
        )

    @classmethod
    def of_flat(cls, flat: np.ndarray, k: int) -> Sums:
        lead, kk = flat.shape[:-1], k * k
        return cls(
            flat[..., :kk].reshape(*lead, k, k),
            flat[..., kk : 2 * kk].reshape(*lead, k, k),
            flat[..., 2 * kk : 2 * kk + k],
            flat[..., -2],
            flat[..., -1],
        )


def features(counts: np.ndarray) -> np.ndarray:
    """The summands of each pattern of counts int[P, K]: float64[P, 2 K² + K + 2], see `Sums`."""
    n = counts.astype(np.float64)
    m = n.sum(axis=1)
    pairs = n[:, :, None] * n[:, None, :]
    k = counts.shape[1]
    pairs[:, np.arange(k), np.arange(k)] -= n
    two = m >= 2
    less = np.where(two, m - 1, np.inf)
    return Sums(
        pairs / less[:, None, None],
        pairs / (less * np.maximum(m, 1))[:, None, None],
        np.divide(n, m[:, None], out=np.zeros_like(n), where=m[:, None] > 0),
        two.astype(np.float64),
        (m > 0).astype(np.float64),
    ).flat()


def within(flat: np.ndarray, levels: np.ndarray) -> dict[str, np.ndarray]:
    """The coefficients of WITHIN, each [...], NaN where undefined, from summed `features` [..., F]."""
    k = len(levels)
    sums = Sums.of_flat(flat, k)
    n_c = sums.coincidence.sum(axis=-1)
    n = n_c.sum(axis=-1)
    agree = np.trace(sums.joint, axis1=-2, axis2=-1)
    percent = _divide(agree, sums.pairable)
    found = {"percent": percent}
    for name, places in (
        ("alpha_nominal", None),
        ("alpha_ordinal", ranks_of(n_c)),
        ("alpha_interval", np.broadcast_to(levels, n_c.shape)),
    ):
        distance = _nominal(k) if places is None else (places[..., :, None] - places[..., None, :]) ** 2
        observed = (sums.coincidence * distance).sum(axis=(-2, -1))
        expected = (n_c[..., :, None] * n_c[..., None, :] * distance).sum(axis=(-2, -1))
        found[name] = 1 - _divide((n - 1) * observed, expected)
    shares = _divide(n_c, n[..., None])
    chance = (shares**2).sum(axis=-1)
    found["fleiss_kappa"] = _divide(percent - chance, 1 - chance)
    pi = _divide(sums.share, sums.judged[..., None])
    for name, weights in (("ac1", np.eye(k)), ("ac2", quadratic(levels))):
        observed = _divide((sums.joint * weights).sum(axis=(-2, -1)), sums.pairable)
        by_chance = weights.sum() * (pi * (1 - pi)).sum(axis=-1) / max(1, k * (k - 1))
        found[name] = _divide(observed - by_chance, 1 - by_chance) if k > 1 else np.full_like(percent, np.nan)
    return found


def wide_features(counts: np.ndarray, levels: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """`features` for many values, float64[P, 5 + 2 K + 2]: distances enter through the values' `ranks`, held fixed."""
    n = counts.astype(np.float64)
    m = n.sum(axis=1)
    two = m >= 2
    less = np.where(two, m - 1, np.inf)
    same = (n * (n - 1)).sum(axis=1)
    spread = [2 * (m * (n @ x**2) - (n @ x) ** 2) for x in (ranks, levels)]
    columns = [same / less, same / (less * np.maximum(m, 1)), spread[0] / less, spread[1] / less]
    columns.append(spread[1] / (less * np.maximum(m, 1)))
    share = np.divide(n, m[:, None], out=np.zeros_like(n), where=m[:, None] > 0)
    return np.column_stack([*columns, n * two[:, None], share, two, m > 0])


def wide(flat: np.ndarray, levels: np.ndarray, ranks: np.ndarray) -> dict[str, np.ndarray]:
    """`within` from summed `wide_features`."""
    k = len(levels)
    same, joint, ordinal, interval, squares = np.moveaxis(flat[..., :5], -1, 0)
    n_c, share, pairable, judged = flat[..., 5 : 5 + k], flat[..., 5 + k : -2], flat[..., -2], flat[..., -1]
    n = n_c.sum(axis=-1)
    percent = _divide(joint, pairable)
    found = {"percent": percent}
    found["alpha_nominal"] = 1 - _divide((n - 1) * (n - same), n**2 - (n_c**2).sum(axis=-1))
    for name, observed, x in (("alpha_ordinal", ordinal, ranks), ("alpha_interval", interval, levels)):
        expected = 2 * (n * (n_c @ x**2) - (n_c @ x) ** 2)
        found[name] = 1 - _divide((n - 1) * observed, expected)
    chance = (_divide(n_c, n[..., None]) ** 2).sum(axis=-1)
    found["fleiss_kappa"] = _divide(percent - chance, 1 - chance)
    pi = _divide(share, judged[..., None])
    uneven = (pi * (1 - pi)).sum(axis=-1) / max(1, k * (k - 1))
    span = float(levels.max() - levels.min()) or 1.0
    found["ac1"] = _divide(percent - k * uneven, 1 - k * uneven)
    by_chance = quadratic(levels).sum() * uneven
    found["ac2"] = _divide(1 - _divide(squares, pairable) / span**2 - by_chance, 1 - by_chance)
    return found


def ranks_of(n_c: np.ndarray) -> np.ndarray:
    """The mid-ranks whose squared differences are Krippendorff's ordinal distances, from the values' frequencies."""
    return np.cumsum(n_c, axis=-1) - n_c / 2


def between_features(counts: np.ndarray) -> np.ndarray:
    """The summands of two groups' counts int[P, 2 K] (group one's, then group two's): float64[P, K² + 1].

    Each unit that both judged weighs 1, whatever the number of its votes.
    """
    k = counts.shape[1] // 2
    one, two = counts[:, :k].astype(np.float64), counts[:, k:].astype(np.float64)
    n_one, n_two = one.sum(axis=1), two.sum(axis=1)
    both = (n_one > 0) & (n_two > 0)
    one /= np.maximum(n_one, 1)[:, None]
    two /= np.maximum(n_two, 1)[:, None]
    joint = np.where(both[:, None, None], one[:, :, None] * two[:, None, :], 0.0)
    return np.concatenate([joint.reshape(len(counts), -1), both[:, None]], axis=1)


def between(flat: np.ndarray, levels: np.ndarray) -> dict[str, np.ndarray]:
    """The coefficients of BETWEEN from summed `between_features` [..., F]; NaN where undefined.

    "alpha" is 1 - observed / expected disagreement of a vote of one group and a vote of the other on the same unit;
    expected from the two groups' own margins. With one annotator in each it is Cohen's (weighted) kappa.
    """
    k = len(levels)
    joint, units = flat[..., :-1].reshape(*flat.shape[:-1], k, k), flat[..., -1]
    one, two = joint.sum(axis=-1), joint.sum(axis=-2)
    pooled = one + two
    found = {"percent": _divide(np.trace(joint, axis1=-2, axis2=-1), units)}
    for name, places in (
        ("alpha_nominal", None),
        ("alpha_ordinal", ranks_of(pooled)),
        ("alpha_interval", np.broadcast_to(levels, pooled.shape)),
    ):
        distance = _nominal(k) if places is None else (places[..., :, None] - places[..., None, :]) ** 2
        observed = (joint * distance).sum(axis=(-2, -1)) * units
        expected = (one[..., :, None] * two[..., None, :] * distance).sum(axis=(-2, -1))
        found[name] = 1 - _divide(observed, expected)
    return found


def cohen(table: np.ndarray) -> np.ndarray:
    """Cohen's kappa of confusion tables [..., K, K]; NaN where chance alone agrees always."""
    return weighted_kappa(table, _nominal(table.shape[-1]))


def quadratic_kappa(table: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Quadratic-weighted kappa (QWK) of confusion tables [..., K, K] over ordered levels."""
    return weighted_kappa(table, (levels[:, None] - levels[None, :]) ** 2)


def weighted_kappa(table: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """1 - sum(d O) / sum(d E), E from the table's margins."""
    total = table.sum(axis=(-2, -1))
    expected = table.sum(axis=-1)[..., :, None] * table.sum(axis=-2)[..., None, :]
    return 1 - _divide(
        (distance * table).sum(axis=(-2, -1)) * total, (distance * expected).sum(axis=(-2, -1))
    )


def quadratic(levels: np.ndarray) -> np.ndarray:
    """Gwet's quadratic weights: 1 - (a - b)² / (max - min)²."""
    span = float(levels.max() - levels.min()) if len(levels) else 0.0
    return 1 - ((levels[:, None] - levels[None, :]) / (span or 1.0)) ** 2


def _nominal(k: int) -> np.ndarray:
    return 1.0 - np.eye(k)


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, NaN where b is 0 (or so close that the quotient means nothing)."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=np.abs(b) > 1e-12)
