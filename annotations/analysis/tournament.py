"""Single-elimination brackets over the responses to one prompt: M - 1 comparisons instead of M (M - 1) / 2. Pure.

As Varco Arena (Son et al. 2024): every prompt draws its own bracket; the verdicts of all matches go into one fit of ratings. A
round depends on the verdicts of the one before, so it suits models as judges; people would wait.
"""

from __future__ import annotations

import random

Match = tuple[int, int]


def order(m: int, *, seed: int, key: str) -> list[int]:
    """The places of `m` responses in the prompt's bracket: a seeded draw of the prompt's own."""
    places = list(range(m))
    random.Random(f"tournament:{seed}:{key}").shuffle(places)  # noqa: S311  a draw, no secret
    return places


def open_matches(places: list[int], verdicts: dict[Match, int]) -> tuple[list[Match], int | None]:
    """(matches without a verdict in the round that is on, the winner once there is one).

    `verdicts`: {(a, b) with a < b: -1 a better, 0 tie, 1 b better}. Of a tie the one drawn earlier goes on; with an odd number
    left the last goes on without a match.
    """
    alive = places
    while len(alive) > 1:
        matches = [(min(a, b), max(a, b)) for a, b in zip(alive[::2], alive[1::2], strict=False)]
        waiting = [match for match in matches if match not in verdicts]
        if waiting:
            return waiting, None
        following = []
        for one, two in zip(alive[::2], alive[1::2], strict=False):
            verdict = verdicts[min(one, two), max(one, two)] * (1 if one < two else -1)
            following.append(two if verdict > 0 else one)
        alive = following + alive[len(alive) - len(alive) % 2 :]
    return [], alive[0] if alive else None
