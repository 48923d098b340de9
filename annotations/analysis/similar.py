"""HelpSteer2's filter of outlying votes: the three most similar. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def three_most_similar(votes: Sequence[float]) -> tuple[float, ...]:
    """The three votes with the smallest spread, then the smallest variance, then given earliest.

    HelpSteer2-Preference's aggregation, whose tie-breaks are ours. Fewer than four votes are returned whole.
    Sorted neighbours suffice: any other three with the same extremes hold the same values.
    """
    if len(votes) <= 3:
        return tuple(votes)
    ordered = sorted(votes)
    windows = {tuple(ordered[start : start + 3]) for start in range(len(votes) - 2)}
    return min(
        windows,
        key=lambda window: (window[2] - window[0], _variance(window), _earliest(votes, window)),
    )


def places_of_most_similar(votes: Sequence[float]) -> list[int]:
    """Where the votes of `three_most_similar` stand, in order; of equal votes the earliest."""
    return _earliest(votes, three_most_similar(votes))


def _earliest(votes: Sequence[float], values: tuple[float, ...]) -> list[int]:
    """The earliest places that hold these values."""
    places = []
    for value in set(values):
        places += [place for place, vote in enumerate(votes) if vote == value][: values.count(value)]
    return sorted(places)


def _variance(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return round(sum((value - mean) ** 2 for value in values), 9)
