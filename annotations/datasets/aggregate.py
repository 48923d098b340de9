"""An item's final label: a reviewer's where one decided, else what people said, else what the language models did.

Pure: native items (dicts) in, labels out. A vote is one annotator's signed preference for a pair: negative = the
first is better, 0 = a tie. Votes are taken as given, in steps of their own scale (a plain label is one step).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from math import copysign, floor
from operator import itemgetter
from typing import Any, NamedTuple

from annotations.analysis.similar import three_most_similar

KINDS = ("human", "lm")
METHODS = ("majority", "mean", "three_most_similar")
TIES = ("drop", "keep", "soft")
PRIMARY = ("overall", "helpfulness")
RANK, THUMB = "rank", "thumb"
Vote = tuple[dict[str, Any], tuple[int, int], float]
"""(judgment, pair of responses, signed preference)"""
_by_time = itemgetter("created_at", "id")
WIDEST_SPREAD = 2  # of the three most similar votes; beyond it the annotators do not agree


class Label(NamedTuple):
    """The aggregate of one pair of responses in one aspect."""

    first: int
    second: int
    kind: str
    """Whose votes: `human` or `lm`."""
    origin: str
    """What the votes were: `direct` comparisons, or derived from a `ranking` or from `rating`s."""
    votes: tuple[int, int, int]
    """How many said first, tie, second."""
    verdict: str
    """`first`, `second`, `tie`, or `disagreement` where three_most_similar finds no three that agree."""
    strength: float
    """Signed aggregate in steps of the scale, negative = first better."""
    soft: float
    """P(second better) from the votes, ties half, smoothed; see `soft_label`."""
    posterior: tuple[float, float, float] | None = None
    """P(first, tie, second) where Dawid and Skene's model was fitted; see `truth`."""

    def margin(self) -> float:
        """Steps by which the verdict's response is better; 0 where the mean does not support the majority."""
        if self.verdict == "first":
            return max(0.0, -self.strength)
        return max(0.0, self.strength) if self.verdict == "second" else 0.0


def soft_label(first: float, tie: float, second: float, smoothing: float = 0.0) -> float:
    """α = (wins + ½ ties + λ) / (n + 2λ), with wins of the second and λ = `smoothing`; ½ without any vote."""
    n = first + tie + second + 2 * smoothing
    return (second + 0.5 * tie + smoothing) / n if n else 0.5


def half_away(value: float) -> int:
    """The nearest whole number, halves away from zero."""
    return int(copysign(floor(abs(value) + 0.5), value))


def current_judgments(item: dict[str, Any]) -> list[dict[str, Any]]:
    """An item's answered judgments of people and models that nothing supersedes, oldest first."""
    kept, superseded, before, in_order = [], set(), "", True
    for judgment in item["judgments"]:
        if judgment["supersedes"] is not None:
            superseded.add(judgment["supersedes"])
        if judgment["outcome"] == "answered" and judgment["kind"] in KINDS:
            kept.append(judgment)
            in_order = in_order and before < judgment["created_at"]
            before = judgment["created_at"]
    if superseded:
        kept = [judgment for judgment in kept if judgment["id"] not in superseded]
    if not in_order:
        kept.sort(key=_by_time)
    return kept


def _heard(item: dict[str, Any]) -> list[dict[str, Any]]:
    """The item's current judgments; of the models' that one alone whose label stands, where a plan says so and it answered."""
    judgments = current_judgments(item)
    stands = item["plumbline"].get("label_by") if "plumbline" in item else None
    if stands is None:
        return judgments
    heard = [
        judgment for judgment in judgments if judgment["kind"] != "lm" or judgment["annotator"] == stands
    ]
    return heard if any(judgment["kind"] == "lm" for judgment in heard) else judgments


def votes_of(
    item: dict[str, Any], *, aspect: str = "overall", judged_by: str = "final"
) -> Iterator[tuple[tuple[int, int], str, str, list[float]]]:
    """Yield (pair, kind, origin, votes oldest first) for each pair of responses that somebody judged.

    Direct comparisons in the aspect come first; an item without any yields pairs from rankings, and failing those
    from ratings. Per pair the people's votes, else the models'; `judged_by` `human` or `lm` takes only theirs.
    """
    kinds = KINDS if judged_by == "final" else (judged_by,)
    judgments = _heard(item)
    if judged_by != "final":
        judgments = [judgment for judgment in judgments if judgment["kind"] == judged_by]
    for origin, votes in WAYS:
        pairs: dict[tuple[int, int], dict[str, list[float]]] = {}
        for judgment, pair, vote in votes(judgments, aspect):
            kind = judgment["kind"]
            if (by_kind := pairs.get(pair)) is None:
                pairs[pair] = {kind: [vote]}
            elif kind in by_kind:
                by_kind[kind].append(vote)
            else:
                by_kind[kind] = [vote]
        for pair, by_kind in sorted(pairs.items()) if len(pairs) > 1 else pairs.items():
            kind = next(filter(by_kind.__contains__, kinds))
            yield pair, kind, origin, by_kind[kind]
        if pairs:
            return


def named_votes_of(
    item: dict[str, Any], *, aspect: str, judged_by: str
) -> Iterator[tuple[tuple[int, int], str, str, list[tuple[str, float]]]]:
    """The same as `votes_of`, each vote with its annotator: (name in the row, vote)."""
    judgments = _heard(item)
    ways = dict(WAYS)
    for pair, kind, origin, votes in votes_of(item, aspect=aspect, judged_by=judged_by):
        names = [
            judgment["annotator"]
            for judgment, found, _ in ways[origin](judgments, aspect)
            if found == pair and judgment["kind"] == kind
        ]
        yield pair, kind, origin, list(zip(names, votes, strict=True))


def _direct(judgments: list[dict[str, Any]], aspect: str) -> list[Vote]:
    return [
        (judgment, (row["first"], row["second"]), row["preference"] or 0)  # a tie has no preference
        for judgment in judgments
        for row in judgment["comparisons"]
        if row["aspect"] == aspect
    ]


def _from_ranks(judgments: list[dict[str, Any]], aspect: str) -> Iterator[Vote]:
    for judgment in judgments:
        ranks = {row["response"]: -row["value"] for row in judgment["scores"] if row["attribute"] == RANK}
        yield from _signs(judgment, ranks)


def _from_ratings(judgments: list[dict[str, Any]], aspect: str) -> Iterator[Vote]:
    for judgment in judgments:
        by_name: dict[str, dict[int, float]] = defaultdict(dict)
        for row in judgment["scores"]:
            if row["attribute"] not in (RANK, THUMB):
                by_name[row["attribute"]][row["response"]] = row["value"]
        name = next((name for name in (aspect, *PRIMARY) if name in by_name), None)
        if name is not None:
            yield from _signs(judgment, by_name[name])


def _signs(judgment: dict[str, Any], merits: dict[int, float]) -> Iterator[Vote]:
    for first, second in combinations(sorted(merits), 2):
        difference = merits[second] - merits[first]
        yield judgment, (first, second), (difference > 0) - (difference < 0)


WAYS = (("direct", _direct), ("ranking", _from_ranks), ("rating", _from_ratings))
"""How a judgment speaks of pairs, the most direct way first."""


def aggregate(votes: Sequence[float], method: str = "majority") -> tuple[str, float, tuple[int, int, int]]:
    """(verdict, signed strength, counts of first, tie, second) of one pair's votes, oldest first; see `Label`.

    Raises ValueError for a method nobody knows.
    """
    counts = count_votes(votes)
    if method == "majority":
        return _words(counts[2] - counts[0]), sum(votes) / len(votes), counts
    if method == "mean":
        mean = sum(votes) / len(votes)
        return _words(mean), mean, counts
    if method not in METHODS:
        raise ValueError(f"method {method!r}: expected one of {', '.join(METHODS)}")
    kept = three_most_similar(votes)
    strength = half_away(sum(kept) / len(kept))
    if max(kept) - min(kept) > WIDEST_SPREAD:
        return "disagreement", strength, counts
    return _words(strength), strength, counts


def reviewed(item: dict[str, Any], aspect: str) -> dict[tuple[int, int, str], float]:
    """What a reviewer decided about the item: (first, second, origin) → signed strength; empty without a review."""
    review = item.get("plumbline", {}).get("review")
    if not review or review.get("outcome") != "answered":
        return {}
    return {(*pair, origin): vote for origin, votes in WAYS for _, pair, vote in votes([review], aspect)}


def count_votes(votes: Sequence[float]) -> tuple[int, int, int]:
    """How many votes say first, tie, second."""
    first = second = 0
    for vote in votes:
        if vote < 0:
            first += 1
        elif vote > 0:
            second += 1
    return first, len(votes) - first - second, second


def _words(signed: float) -> str:
    return "first" if signed < 0 else "second" if signed > 0 else "tie"


def label_pairs(
    item: dict[str, Any],
    *,
    aspect: str = "overall",
    method: str = "majority",
    ties: str = "drop",
    smoothing: float = 0.0,
    judged_by: str = "final",
) -> list[Label]:
    """The item's labelled pairs in canonical order; a reviewer's verdict takes the place of the votes', whose counts
    and soft label stay. What a reviewer found impossible to judge has no label.

    `ties` decides about pairs without a verdict (ties and disagreements): `drop` leaves them out, `keep` keeps
    them, `soft` keeps them too and turns disagreement into a tie, for learners that use `soft` alone.
    """
    if ties not in TIES:
        raise ValueError(f"ties {ties!r}: expected one of {', '.join(TIES)}")
    review = item.get("plumbline", {}).get("review") or {}
    if judged_by != "lm" and review.get("outcome") == "cannot_judge":
        return []
    labels = []
    decided = reviewed(item, aspect) if review and judged_by != "lm" else {}
    for (first, second), kind, origin, votes in votes_of(item, aspect=aspect, judged_by=judged_by):
        verdict, strength, counts = aggregate(votes, method)
        if decided and (final := decided.get((first, second, origin))) is not None:
            verdict, strength = _words(final), final
        if verdict in ("tie", "disagreement"):
            if ties == "drop":
                continue
            if ties == "soft":
                verdict = "tie"
        soft = soft_label(*counts, smoothing)
        labels.append(Label(first, second, kind, origin, counts, verdict, strength, soft))
    return labels
