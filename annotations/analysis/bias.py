"""What verdicts follow besides quality: side, length, Markdown, hedging, order; ratings against comparisons. Pure.

All shares are of decided verdicts. A share away from one half is no bias by itself (longer answers may be better): people
and models on the same items, and the same judge in both orders, are what tells.
"""

from __future__ import annotations

import numpy as np

from . import means, patterns
from .agreement import majority_labels
from .ranks import FEW_PEOPLE
from .style import BOLD, HEADINGS, HEDGES, LIST_ITEMS, WORDS
from .votes import HUMAN, LM, Votes

FEW_TO_DRIFT = 20  # votes in each half
MEASURES = ("left", "longer", "markdown", "assertive", "ties", "order_flips", "first_shown")
WORDS_OF = {
    "left": "Prefers the left response",
    "longer": "Prefers the longer response",
    "markdown": "Prefers more Markdown",
    "assertive": "Prefers fewer hedges",
    "ties": "Says tie",
    "order_flips": "Contradicts itself when the order turns",
    "first_shown": "Takes the first shown when it contradicts itself",
}
WHY = {
    "left": "it is not recorded which response stood left",
    "longer": "no decided verdict on responses of different length",
    "markdown": "no decided verdict on responses that differ in Markdown",
    "assertive": "no decided verdict on responses that differ in hedging",
    "ties": "no verdicts",
    "order_flips": "nothing was judged in both orders",
    "first_shown": "no pair of answers contradicts itself with a side each time",
}


def results(votes: Votes, calls: dict[int, list[dict]] | None = None) -> list[dict]:
    """One row per source, aspect and judges (people together, each language model); see MEASURES.

    `calls`: {annotator code: [{"ab": label, "ba": label}]} of contradicting judgments. Needs `votes.styles` for form.
    """
    rows = []
    for source, part in votes.by_source():
        for code, aspect in enumerate(part.aspects):
            mine = part.comparisons.aspect == code
            if not mine.any():
                continue
            kinds = part.kinds[part.comparisons.annotator]
            groups = [("human", "human", mine & (kinds == HUMAN))]
            groups += [
                ("lm", part.annotators[who], mine & (part.comparisons.annotator == who))
                for who in np.flatnonzero(part.kinds == LM)
            ]
            people = _crowd(part, code)
            for kind, name, chosen in groups:
                if chosen.any():
                    head = {"source": source, "aspect": aspect, "judges": name, "kind": kind}
                    who = (
                        [] if calls is None or kind == "human" else calls.get(part.annotators.index(name), [])
                    )
                    rows.append(head | of_judges(part, chosen, kind == "human", people, who))
        for row in (*protocol(part), *rating_drift(part)):
            rows.append({"source": source, **row})
    return rows


def of_judges(votes: Votes, chosen: np.ndarray, human: bool, people: dict, calls: list[dict]) -> dict:
    """The measures of the chosen comparisons, each an estimate or None with the reason under "undefined"."""
    c = votes.comparisons[chosen]
    who = c.annotator if human and len(np.unique(c.annotator)) >= FEW_PEOPLE else None
    decided = c.verdict != 0

    def share(hit: np.ndarray, rows: np.ndarray) -> dict | None:
        return means.mean(
            hit[rows].astype(float), item=c.item[rows], annotator=None if who is None else who[rows]
        )

    found: dict = dict.fromkeys(MEASURES)
    found["ties"] = share(~decided, np.ones(len(c), dtype=bool))
    found["left"] = share(c.verdict == -c.shown, decided & (c.shown != 0))
    signs = form(votes, c)
    for name, sign in signs.items():
        found[name] = share(c.verdict == sign, decided & (sign != 0))
    found["order_flips"] = share(c.consistent == 0, c.consistent >= 0)
    found["first_shown"] = first_shown(calls)
    found["drift"] = drifts(c, signs, None if who is None else c.annotator)
    found["against_people"] = {} if human else _against(votes, c, signs, people)
    found["undefined"] = {name: WHY[name] for name in MEASURES if found[name] is None}
    if votes.styles is None:
        found["undefined"] |= dict.fromkeys(("longer", "markdown", "assertive"), "the texts were not read")
    found["n"] = len(c)
    found["clusters"] = "items" if who is None else "items and annotators"
    return found


def drifts(c, signs: dict[str, np.ndarray], annotator: np.ndarray | None) -> dict[str, dict]:
    """{measure: {"before", "after", "change"}}: the later half of the votes against the earlier, where their time is known."""
    decided = c.verdict != 0
    found = {"ties": drift(~decided, c.at > 0, c.at, c.item, annotator)}
    found["left"] = drift(c.verdict == -c.shown, decided & (c.shown != 0), c.at, c.item, annotator)
    for name, sign in signs.items():
        found[name] = drift(c.verdict == sign, decided & (sign != 0), c.at, c.item, annotator)
    return {name: each for name, each in found.items() if each is not None}


def drift(
    values: np.ndarray,
    rows: np.ndarray,
    at: np.ndarray,
    item: np.ndarray,
    annotator: np.ndarray | None,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> dict | None:
    """Before, after and change of the mean of `values[rows]` at the middle of their times; None where a half has fewer
    than `FEW_TO_DRIFT`."""  # fmt: skip
    rows = rows & (at > 0)
    if rows.sum() < 2 * FEW_TO_DRIFT:
        return None
    values, at, item = np.asarray(values[rows], dtype=float), at[rows], item[rows]
    who = None if annotator is None else annotator[rows]
    middle = int(np.median(at))
    later = at > middle
    if min(later.sum(), (~later).sum()) < FEW_TO_DRIFT:
        return None

    def mean(half: np.ndarray) -> dict | None:
        return means.mean(
            values[half], item=item[half], annotator=None if who is None else who[half], bounds=bounds
        )

    change = means.difference(values, later, item=item, annotator=who)
    return {"middle": middle, "before": mean(~later), "after": mean(later), "change": change}


def rating_drift(votes: Votes) -> list[dict]:
    """Whether ratings move: one row per attribute and kind of judge whose votes have times."""
    s, rows = votes.scores, []
    for attribute, name in enumerate(votes.attributes):
        for kind, group in ((HUMAN, "human"), (LM, "lm")):
            mine = (s.attribute == attribute) & (votes.kinds[s.annotator] == kind)
            few = kind == LM or len(np.unique(s.annotator[mine])) < FEW_PEOPLE
            found = drift(s.value, mine, s.at, s.item, None if few else s.annotator, (-np.inf, np.inf))
            if found is not None:
                head = {"aspect": name, "attribute": name, "judges": group, "kind": "rating_drift"}
                rows.append(head | {"drift": found, "n": int(mine.sum())})
    return rows


def form(votes: Votes, c) -> dict[str, np.ndarray]:
    """{measure: -1, 0, 1} which response is longer, has more Markdown, hedges less; nothing without styles."""
    if votes.styles is None:
        return {}
    a, b = votes.styles[votes.responses(c.item, c.first)], votes.styles[votes.responses(c.item, c.second)]
    marks = [HEADINGS, LIST_ITEMS, BOLD]
    return {
        "longer": np.sign(b[:, WORDS] - a[:, WORDS]).astype(np.int8),
        "markdown": np.sign(b[:, marks].sum(axis=1) - a[:, marks].sum(axis=1)).astype(np.int8),
        "assertive": np.sign(a[:, HEDGES] - b[:, HEDGES]).astype(np.int8),
    }


def first_shown(calls: list[dict]) -> dict | None:
    """Share of contradicting pairs of calls that took the response shown first, both times; labels canonical.

    Pairs with a tie or without one of the orders say nothing about a side. 0.5 would be no pull to a side.
    """
    first = [c["ab"] == "a" for c in calls if {c.get("ab"), c.get("ba")} == {"a", "b"}]
    return means.wilson(sum(first), len(first))


def _crowd(votes: Votes, aspect: int) -> dict[tuple[int, int, int], int]:
    """{(item, first, second): people's majority verdict}."""
    c = votes.comparisons
    rows = (c.aspect == aspect) & (votes.kinds[c.annotator] == HUMAN)
    if not rows.any() or not (votes.kinds[c.annotator] == LM).any():
        return {}
    labels = patterns.of_comparisons(votes, aspect)
    crowd = majority_labels(labels.only(votes.kinds[labels.annotator] == HUMAN), 0)
    # A unit's pair: any of its comparisons.
    mine = c[c.aspect == aspect]
    pair = np.zeros(labels.n_units, dtype=np.int64)
    pair[labels.unit] = mine.first.astype(np.int64) * 8 + mine.second
    return {
        (int(labels.item[unit]), int(pair[unit]) // 8, int(pair[unit]) % 8): int(value) - 1
        for unit, value in zip(crowd.unit, crowd.value, strict=True)
    }


def _against(votes: Votes, c, signs: dict[str, np.ndarray], people: dict) -> dict[str, dict | None]:
    """{measure: model's share minus people's} on the pairs both decided, paired."""
    keys = zip(c.item.tolist(), c.first.tolist(), c.second.tolist(), strict=True)
    crowd = np.array([people.get(key, 0) for key in keys], dtype=np.int8)
    found = {}
    for name, sign in signs.items():
        both = (c.verdict != 0) & (crowd != 0) & (sign != 0)
        found[name] = means.paired(
            crowd[both] == sign[both], c.verdict[both] == sign[both], item=c.item[both]
        )
    return found


def protocol(votes: Votes) -> list[dict]:
    """Ratings against comparisons of the same judge on the same pair: how often the better rated one is preferred.

    One row per aspect, attribute and kind of judge where both exist; equal ratings and ties are left out.
    """
    c, s = votes.comparisons, votes.scores
    rows: list[dict] = []
    if not len(c) or not len(s):
        return rows
    n = len(votes.annotators)
    for attribute, name in enumerate(votes.attributes):
        mine = s.attribute == attribute
        key = (s.item[mine].astype(np.int64) * n + s.annotator[mine]) * 8 + s.response[mine]
        order = np.argsort(key)
        key, value = key[order], s.value[mine][order]
        if not len(key):
            continue

        def rated(index, key=key, value=value):
            wanted = (c.item.astype(np.int64) * n + c.annotator) * 8 + index
            place = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
            return np.where(key[place] == wanted, value[place], np.nan)

        gap = rated(c.second) - rated(c.first)
        for aspect, word in enumerate(votes.aspects):
            for kind, group in ((HUMAN, "human"), (LM, "lm")):
                rows_of = (c.aspect == aspect) & (votes.kinds[c.annotator] == kind)
                rows_of &= (c.verdict != 0) & np.isfinite(gap) & (gap != 0)
                if not rows_of.any():
                    continue
                people = c.annotator[rows_of] if kind == HUMAN else None
                few = people is None or len(np.unique(people)) < FEW_PEOPLE
                agree = means.mean(
                    (np.sign(gap[rows_of]) == c.verdict[rows_of]).astype(float),
                    item=c.item[rows_of],
                    annotator=None if few else people,
                )
                head = {"aspect": word, "attribute": name, "judges": group, "kind": "protocol"}
                rows.append(head | {"consistent": agree, "n": int(rows_of.sum())})
    return rows
