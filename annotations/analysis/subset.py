"""Choosing k of many candidates by everybody's votes, with at least so many of each group (multiwinner selection). Pure.

A voter gives each candidate they judged points in [0, 1] (Borda's, scaled: the share of the others they put below it). Rules:
`borda`, the candidates with the most points on average; `coverage` (Chamberlin & Courant 1983), so that every voter finds one they
like. Groups that votes treat unfairly are helped by lower bounds (Celis, Huang & Vishnoi 2018; Boehmer et al. 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

RULES = ("borda", "coverage")
SHRINK = 1.0  # votes of ½ that stand beside everybody's, so that one lucky vote does not win


class Impossible(ValueError):
    """The bounds cannot be met; the text says which."""


@dataclass(frozen=True)
class Ballots:
    """Points per voter and candidate. voter, candidate int64[n]; points float64[n] in [0, 1]; n_candidates; group int64 of each
    candidate; groups: their names."""

    voter: np.ndarray
    candidate: np.ndarray
    points: np.ndarray
    n_candidates: int
    group: np.ndarray
    groups: tuple[str, ...]

    @cached_property
    def score(self) -> np.ndarray:
        """Each candidate's mean points with `SHRINK` votes of ½ beside, float64[n_candidates]; ½ without votes."""
        total = np.bincount(self.candidate, self.points, self.n_candidates)
        n = np.bincount(self.candidate, minlength=self.n_candidates)
        return (total + SHRINK / 2) / (n + SHRINK)

    @cached_property
    def ranked(self) -> np.ndarray:
        """The candidates by `score`, the best first; of equals the one that came first."""
        return np.argsort(-self.score, kind="stable")

    @cached_property
    def mean_points(self) -> tuple[sparse.csr_matrix, sparse.csc_matrix]:
        """Each voter's mean points for each candidate, [voters, n_candidates], by voter and by candidate."""
        shape = (int(self.voter.max(initial=-1)) + 1, self.n_candidates)
        where = (self.voter, self.candidate)
        found = sparse.csr_matrix((self.points, where), shape=shape)
        found.data /= sparse.csr_matrix((np.ones(len(self.points)), where), shape=shape).data
        return found, found.tocsc()


@dataclass(frozen=True)
class Chosen:
    """chosen int64[k], the best first; value: what the rule maximises; free: the same rule's choice without bounds; free_value."""

    chosen: np.ndarray
    value: float
    free: np.ndarray
    free_value: float


def choose(
    ballots: Ballots, k: int, *, at_least: dict[int, int] | None = None, rule: str = "borda"
) -> Chosen:
    """The k candidates the rule likes best, with at least `at_least[group]` of each group named. Raises Impossible.

    `borda` is exact; `coverage` is greedy, at least 1 - 1/e of the best without bounds (Nemhauser et al. 1978).
    """
    if rule not in RULES:
        raise ValueError(f"rule={rule!r}: expected one of {', '.join(RULES)}")
    at_least = at_least or {}
    size = np.bincount(ballots.group, minlength=len(ballots.groups))
    if not ballots.n_candidates:
        raise Impossible("Nobody's judgment says yet what is liked: there is nothing to choose from.")
    if not 1 <= k <= ballots.n_candidates:
        raise Impossible(f"{k:,} cannot be chosen: expected a number from 1 to {ballots.n_candidates:,}.")
    for group, least in at_least.items():
        if least > size[group]:
            raise Impossible(
                f"{ballots.groups[group] or 'no name'} has {size[group]:,} candidates, {least:,} were asked for."
            )
    if sum(at_least.values()) > k:
        raise Impossible(f"The groups' least numbers add up to {sum(at_least.values()):,}, more than {k:,}.")
    find = _borda if rule == "borda" else _coverage
    chosen, value = find(ballots, k, at_least)
    free, free_value = find(ballots, k, {}) if any(at_least.values()) else (chosen, value)
    return Chosen(chosen, value, free, free_value)


def _borda(ballots: Ballots, k: int, at_least: dict[int, int]) -> tuple[np.ndarray, float]:
    """The best of each bounded group, then the best of the rest: no other choice within the bounds has a higher sum."""
    score = ballots.score
    ranked = ballots.ranked
    taken = np.zeros(len(score), dtype=bool)
    if at_least:
        by_group = ranked[np.argsort(ballots.group[ranked], kind="stable")]
        ends = np.cumsum(np.bincount(ballots.group, minlength=max(at_least) + 1))
        for group, least in at_least.items():
            start = ends[group - 1] if group else 0
            taken[by_group[start : start + least]] = True
    rest = ranked[~taken[ranked]][: k - int(taken.sum())]
    taken[rest] = True
    chosen = ranked[taken[ranked]]
    return chosen, float(score[chosen].mean())


def _coverage(ballots: Ballots, k: int, at_least: dict[int, int]) -> tuple[np.ndarray, float]:
    """Greedy by what a candidate adds to the voters' best; places that bounds still need are kept free for their groups."""
    by_voter, by_candidate = ballots.mean_points
    n_voters = by_voter.shape[0]
    best, taken = np.zeros(n_voters), np.zeros(ballots.n_candidates, dtype=bool)
    score, owed, chosen = ballots.score, dict(at_least), []
    gain = np.bincount(by_voter.indices, by_voter.data, ballots.n_candidates)
    for place in range(k):
        allowed = ~taken
        if sum(owed.values()) >= k - place:
            waiting = np.zeros(len(ballots.groups), dtype=bool)
            waiting[[group for group, least in owed.items() if least]] = True
            allowed &= waiting[ballots.group]
        pick = int(np.where(allowed, gain + 1e-9 * score, -np.inf).argmax())
        taken[pick] = True
        chosen.append(pick)
        # Only what the pick's own voters would still gain from others changes.
        mine = slice(by_candidate.indptr[pick], by_candidate.indptr[pick + 1])
        for voter, points in zip(by_candidate.indices[mine], by_candidate.data[mine], strict=True):
            if points > best[voter]:
                theirs = slice(by_voter.indptr[voter], by_voter.indptr[voter + 1])
                given = by_voter.data[theirs]
                less = np.clip(given - best[voter], 0, None) - np.clip(given - points, 0, None)
                gain[by_voter.indices[theirs]] -= less
                best[voter] = points
        group = int(ballots.group[pick])
        if owed.get(group):
            owed[group] -= 1
    return np.array(chosen), float(best.mean()) if n_voters else 0.0
