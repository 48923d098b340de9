"""Who agrees with whom, by question: people, models, and people with models on the same items. Pure.

A result is a dict of estimates `{"value", "lo", "hi", "n"}` (n counts units judged by both sides) or None with the
reason under "undefined".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np

from . import coefficients, means, patterns, reliability
from .majority import of_counts
from .patterns import Labels
from .similar import three_most_similar
from .votes import HUMAN, LM, Votes

MOST_PAIRS = 20
TIME_BINS = 12


def questions(votes: Votes) -> Iterator[tuple[str, str, Labels]]:
    """(name, "comparison" or "rating", labels) of each aspect and attribute that has votes."""
    for code, name in enumerate(votes.aspects):
        labels = patterns.of_comparisons(votes, code)
        if len(labels):
            yield name, "comparison", labels
    for code, name in enumerate(votes.attributes):
        labels = patterns.of_scores(votes, code)
        if len(labels):
            yield name, "rating", labels


def results(votes: Votes) -> list[dict]:
    """One row per source, question and group: "human", "lm", "human-lm" (each where both sides exist)."""
    rows = []
    for source, part in votes.by_source():
        for name, kind, labels in questions(part):
            rows += of_question(part, labels, {"source": source, "aspect": name, "question": kind})
    return rows


def of_question(votes: Votes, labels: Labels, head: dict) -> list[dict]:
    """The rows of one question."""
    human, lm = votes.kinds[labels.annotator] == HUMAN, votes.kinds[labels.annotator] == LM
    n = len(votes.annotators)
    rows = []
    if human.any():
        mine = labels.only(human)
        found = reliability.within(mine, n)
        row = _row(head, "human", found)
        row["one_against_rest"] = against_rest(mine) if head["question"] == "comparison" else None
        filtered = most_similar(mine) if head["question"] == "rating" else None
        row["three_most_similar"] = (
            None if filtered is None else reliability.within(filtered, n).estimates["alpha_interval"]
        )
        rows.append(row)
    if lm.any() and len(np.unique(labels.annotator[lm])) > 1:
        rows.append(_row(head, "lm", reliability.within(labels.only(lm), n, sampled=False)))
    if lm.any() and human.any():
        either = labels.only(human | lm)
        second = votes.kinds[either.annotator] == LM
        row = _row(head, "human-lm", reliability.between(either, second, n))
        row["models"] = each_model(votes, labels, human)
        rows.append(row)
    return rows


def _row(head: dict, annotators: str, found: reliability.Reliability) -> dict:
    return {
        **head,
        "annotators": annotators,
        **found.estimates,
        "n_votes": found.n_votes,
        "n_annotators": found.n_annotators,
        "clusters": found.clusters,
        "undefined": found.undefined,
    }


def each_model(votes: Votes, labels: Labels, human: np.ndarray) -> list[dict]:
    """Each language model beside people: with single people, and with people's majority (Cohen's kappa)."""
    n = len(votes.annotators)
    rows = []
    crowd = majority_labels(labels.only(human), n)
    for code in np.flatnonzero(votes.kinds == LM):
        mine = labels.annotator == code
        if not mine.any():
            continue
        both = labels.only(mine | human)
        found = reliability.between(both, both.annotator == code, n)
        against = labels.only(mine)
        joined = _join(crowd, against)
        with_crowd = reliability.between(joined, joined.annotator == code, n + 1)
        # People's decision for a side, against which a model's tie is a miss.
        decided = crowd.only(crowd.value != 1) if len(labels.levels) == 3 and labels.levels[0] == -1 else None
        on_decided = None
        if decided is not None and len(decided):
            pair = _join(decided, against)
            on_decided = reliability.between(pair, pair.annotator == code, n + 1).estimates["percent"]
        rows.append(
            {
                "name": votes.annotators[code],
                **found.estimates,
                "with_majority": with_crowd.estimates["percent"],
                "kappa_with_majority": with_crowd.estimates["alpha_nominal"],
                "with_majority_decided": on_decided,
                "undefined": found.undefined | {},
            }
        )
    return rows


def majority_labels(labels: Labels, code: int) -> Labels:
    """One label per unit, given by the new annotator `code`: the plurality, a draw of comparisons being a tie.

    Of ratings, a draw is the middle one of the drawn values (the lower of two).
    """
    k = len(labels.levels)
    found = patterns.gather(labels.unit, labels.value, labels.n_units, k)
    if k == 3 and labels.levels[0] == -1:
        value = of_counts(found.counts) + 1
    else:
        top = found.counts == found.counts.max(axis=1, keepdims=True)
        middle = (top.sum(axis=1) + 1) // 2
        value = (np.cumsum(top, axis=1) >= middle[:, None]).argmax(axis=1)
    units = np.flatnonzero(found.of_unit >= 0)
    return Labels(
        units,
        np.full(len(units), code, dtype=np.int32),
        value[found.of_unit[units]].astype(np.int16),
        labels.levels,
        labels.n_units,
        labels.item,
        np.zeros(len(units), dtype=np.int64),
    )


def _join(one: Labels, two: Labels) -> Labels:
    return replace(
        one,
        unit=np.concatenate([one.unit, two.unit]),
        annotator=np.concatenate([one.annotator, two.annotator]),
        value=np.concatenate([one.value, two.value]),
        at=np.concatenate([one.at, two.at]),
    )


def against_rest(labels: Labels) -> dict | None:
    """Share of votes that equal the most frequent of the other votes, where there is one: a human ceiling."""
    same, kept = agrees_with_rest(labels)
    mine = labels.only(kept)
    enough = len(np.unique(mine.annotator)) >= reliability.FEW_PEOPLE
    return means.mean(
        same[kept].astype(float), item=mine.item[mine.unit], annotator=mine.annotator if enough else None
    )


def agrees_with_rest(labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """(whether each vote equals the most frequent of the others, whether the others have one), bool[n] each."""
    k = len(labels.levels)
    found = patterns.gather(labels.unit, labels.value, labels.n_units, k)
    place = found.of_unit[labels.unit]
    same = np.zeros((len(found.counts), k), dtype=bool)
    clear = np.zeros_like(same)
    for value in range(k):
        rest = found.counts.copy()
        rest[:, value] -= 1
        top = rest.max(axis=1)
        clear[:, value] = (top > 0) & ((rest == top[:, None]).sum(axis=1) == 1)
        same[:, value] = clear[:, value] & (rest[:, value] == top)
    return same[place, labels.value], clear[place, labels.value]


def most_similar(labels: Labels) -> Labels | None:
    """The labels after HelpSteer2's filter, the three most similar of each unit; None where no unit has more."""
    found = patterns.gather(labels.unit, labels.value, labels.n_units, max(1, len(labels.levels)))
    if not (found.counts.sum(axis=1) > 3).any():
        return None
    kept = np.zeros_like(found.counts)
    for row, counts in enumerate(found.counts):
        values = np.repeat(labels.levels, counts)
        for value in three_most_similar(values.tolist()):
            kept[row, np.searchsorted(labels.levels, value)] += 1
    # Of equal votes of a unit the first stay.
    order = np.lexsort((np.arange(len(labels)), labels.value, labels.unit))
    key = labels.unit[order].astype(np.int64) * (len(labels.levels) + 1) + labels.value[order]
    start = np.r_[True, key[1:] != key[:-1]]
    first = np.flatnonzero(start)
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)]))
    rows = order[rank < kept[found.of_unit[labels.unit[order]], labels.value[order]]]
    return labels.only(np.sort(rows))


def pairs_of_annotators(votes: Votes, labels: Labels, *, most: int = MOST_PAIRS) -> list[dict]:
    """Every two of the `most` busiest annotators: units both judged, share agreed, Cohen's kappa, quadratic kappa."""
    counts = np.bincount(labels.annotator, minlength=len(votes.annotators))
    busiest = np.argsort(-counts, kind="stable")[:most]
    busiest = busiest[counts[busiest] > 0]
    k = len(labels.levels)
    said = np.full((len(busiest), labels.n_units), -1, dtype=np.int16)
    for row, code in enumerate(busiest):
        mine = labels.annotator == code
        said[row, labels.unit[mine]] = labels.value[mine]
    rows = []
    for a in range(len(busiest)):
        for b in range(a + 1, len(busiest)):
            both = (said[a] >= 0) & (said[b] >= 0)
            n = int(both.sum())
            table = (
                np.bincount(said[a][both] * k + said[b][both], minlength=k * k).reshape(k, k).astype(float)
            )
            kappa, weighted = coefficients.cohen(table), coefficients.quadratic_kappa(table, labels.levels)
            rows.append(
                {
                    "first": votes.annotators[busiest[a]],
                    "second": votes.annotators[busiest[b]],
                    "percent": means.wilson(int(np.trace(table)), n),
                    "kappa": float(kappa) if n > 1 and np.isfinite(kappa) else None,
                    "quadratic_kappa": float(weighted) if n > 1 and np.isfinite(weighted) else None,
                    "n": n,
                }
            )
    return rows


def over_time(votes: Votes, labels: Labels, *, bins: int = TIME_BINS) -> list[dict]:
    """People's agreement by when a unit got its last vote, in parts of equally many units: start, end, estimates."""
    mine = labels.only((votes.kinds[labels.annotator] == HUMAN) & (labels.at > 0))
    if not len(mine):
        return []
    last = np.zeros(labels.n_units, dtype=np.int64)
    np.maximum.at(last, mine.unit, mine.at)
    known = np.sort(last[last > 0])
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1), method="nearest"))
    rows = []
    for start, end in pairwise(edges):
        within = (last >= start) & ((last < end) | (end == edges[-1]))
        found = reliability.within(mine.only(within[mine.unit]), len(votes.annotators))
        rows.append(
            {
                "start": int(start),
                "end": int(end),
                "percent": found.estimates["percent"],
                "alpha_nominal": found.estimates["alpha_nominal"],
                "undefined": found.undefined,
            }
        )
    return rows


def by_batch(votes: Votes, labels: Labels) -> list[dict]:
    """People's agreement in each batch."""
    mine = labels.only(votes.kinds[labels.annotator] == HUMAN)
    batch = votes.items.batch[mine.item[mine.unit]]
    rows = []
    for code in np.unique(batch):
        found = reliability.within(mine.only(batch == code), len(votes.annotators))
        rows.append({"batch": votes.batches[code], **found.estimates, "undefined": found.undefined})
    return rows
