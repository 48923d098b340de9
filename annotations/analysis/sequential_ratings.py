"""Ratings updated game by game: Elo and Glicko-2. Pure.

For data in the order it came. Both depend on that order and are less exact than Bradley-Terry on the same votes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

ELO_START, ELO_K, ELO_SCALE = 1000.0, 4.0, 400.0  # LMArena's former settings
GLICKO = 173.7178  # Glicko's points per Glicko-2 unit


def elo(
    first: np.ndarray, second: np.ndarray, verdict: np.ndarray, players: int, *, k: float = ELO_K
) -> np.ndarray:
    """Elo ratings float64[M] after these games in order; verdict -1 first won, 0 tie, 1 second won."""
    ratings = [ELO_START] * players
    ln10 = math.log(10) / ELO_SCALE
    for a, b, v in zip(first.tolist(), second.tolist(), verdict.tolist(), strict=True):
        expected = 1 / (1 + math.exp((ratings[b] - ratings[a]) * ln10))
        step = k * ((1 - v) / 2 - expected)
        ratings[a] += step
        ratings[b] -= step
    return np.array(ratings)


@dataclass(frozen=True)
class Glicko:
    """Per player: rating (1500 at first), deviation, volatility, float64[M] each."""

    rating: np.ndarray
    deviation: np.ndarray
    volatility: np.ndarray


def glicko_start(players: int, *, rating=1500.0, deviation=350.0, volatility=0.06) -> Glicko:
    """Where everybody begins."""
    return Glicko(np.full(players, rating), np.full(players, deviation), np.full(players, volatility))


def glicko2(
    state: Glicko, first: np.ndarray, second: np.ndarray, verdict: np.ndarray, *, tau: float = 0.5
) -> Glicko:
    """The state after one rating period with these games (Glickman 2013, *Example of the Glicko-2 system*, steps 2-8)."""
    m = len(state.rating)
    mu, phi = (state.rating - 1500) / GLICKO, state.deviation / GLICKO
    score = (1 - verdict.astype(np.float64)) / 2
    me, other = np.concatenate([first, second]), np.concatenate([second, first])
    result = np.concatenate([score, 1 - score])
    g = 1 / np.sqrt(1 + 3 * phi[other] ** 2 / math.pi**2)
    expected = 1 / (1 + np.exp(-g * (mu[me] - mu[other])))
    inverse_v = np.bincount(me, g**2 * expected * (1 - expected), m)
    gain = np.bincount(me, g * (result - expected), m)
    sigma = state.volatility.copy()
    new_mu, new_phi = mu.copy(), np.sqrt(phi**2 + sigma**2)
    for i in np.flatnonzero(inverse_v > 0):
        v = 1 / inverse_v[i]
        sigma[i] = _volatility(v * gain[i], float(phi[i]), v, float(sigma[i]), tau)
        star = phi[i] ** 2 + sigma[i] ** 2
        new_phi[i] = 1 / math.sqrt(1 / star + inverse_v[i])
        new_mu[i] = mu[i] + new_phi[i] ** 2 * gain[i]
    return Glicko(1500 + GLICKO * new_mu, GLICKO * new_phi, sigma)


def _volatility(delta: float, phi: float, v: float, sigma: float, tau: float) -> float:
    """Step 5: the Illinois search for the new volatility."""
    a = math.log(sigma**2)

    def f(x: float) -> float:
        e = math.exp(x)
        return e * (delta**2 - phi**2 - v - e) / (2 * (phi**2 + v + e) ** 2) - (x - a) / tau**2

    low = a
    if delta**2 > phi**2 + v:
        high = math.log(delta**2 - phi**2 - v)
    else:
        k = 1
        while f(a - k * tau) < 0:
            k += 1
        high = a - k * tau
    f_low, f_high = f(low), f(high)
    while abs(high - low) > 1e-9:
        middle = low + (low - high) * f_low / (f_high - f_low)
        f_middle = f(middle)
        if f_middle * f_high <= 0:
            low, f_low = high, f_high
        else:
            f_low /= 2
        high, f_high = middle, f_middle
    return math.exp(low / 2)
