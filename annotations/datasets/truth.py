"""Dawid and Skene's labels of a snapshot: whom to believe is learnt from all votes, so they are read once before rows are made.

Every pair of responses is a unit whose true answer is first, tie or second; everybody who voted has a confusion matrix
(`annotations.analysis.dawid_skene`). Which votes count for a pair is `aggregate.votes_of`'s choice.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from annotations.analysis import dawid_skene
from annotations.analysis.patterns import Labels

from .aggregate import Label, label_pairs, named_votes_of, reviewed
from .rows import RESERVED

METHOD = "dawid_skene"
POSTERIORS = "posteriors"
DIGITS = 6
ITERATIONS = 2000  # small campaigns need some hundreds
ANSWERS = ("first", "tie", "second")


@dataclass(frozen=True)
class Truths:
    """posterior float64[n, 3] = P(first, tie, second) of the pairs with `keys` int64[n], ascending; see `key_of`."""

    keys: np.ndarray
    posterior: np.ndarray
    names: list[tuple[str, str]]
    """(kind, name in the rows) of who voted."""
    fitted: dawid_skene.Truth | None
    """None where nobody voted."""
    n_votes: np.ndarray
    """Of each who voted."""

    def mark(self, item: dict[str, Any]) -> None:
        """Put the posteriors of the item's pairs where `labels` finds them."""
        start = key_of(item, 0, 0)
        low, high = np.searchsorted(self.keys, (start, start + 64))
        item[RESERVED][POSTERIORS] = {
            divmod(int(key - start), 8): tuple(row)
            for key, row in zip(self.keys[low:high], self.posterior[low:high].tolist(), strict=True)
        }

    def summary(self, names: dict[str, str]) -> dict[str, Any]:
        """For the manifest: how the fit went, and how often each of the annotators is right, under their `names`."""
        told: dict[str, Any] = {"method": METHOD, "pairs": len(self.keys), "votes": int(self.n_votes.sum())}
        if self.fitted is None:
            return told
        right = self.fitted.accuracy().round(DIGITS).tolist()
        told |= {
            "iterations": self.fitted.iterations,
            "converged": bool(self.fitted.converged),
            "prior": dict(zip(ANSWERS, self.fitted.prior.round(DIGITS).tolist(), strict=True)),
            "annotators": [
                {"annotator": names.get(name, name), "kind": kind, "votes": n, "accuracy": share,
                 "confusion": matrix}
                for (kind, name), n, share, matrix in zip(
                    self.names, self.n_votes.tolist(), right,
                    self.fitted.confusion.round(DIGITS).tolist(), strict=True,
                )
            ],
        }  # fmt: skip
        return told


def key_of(item: dict[str, Any], first: int, second: int) -> int:
    """A number for a pair of responses, in the order in which rows and pairs come."""
    return item[RESERVED]["item"] * 64 + first * 8 + second


def fit(items: Iterable[dict[str, Any]], *, aspect: str, judged_by: str) -> Truths:
    """Read every vote once and fit the model; memory grows with the votes, some 100 bytes each.

    The same rows give the same numbers, rounded to six digits. Items come in the order of their numbers.
    """
    keys, unit, annotator, value = array("q"), array("q"), array("i"), array("b")
    codes: dict[tuple[str, str], int] = {}
    for item in items:
        for (first, second), kind, _, votes in named_votes_of(item, aspect=aspect, judged_by=judged_by):
            for name, vote in votes:
                unit.append(len(keys))
                annotator.append(codes.setdefault((kind, name), len(codes)))
                value.append((vote > 0) - (vote < 0) + 1)
            keys.append(key_of(item, first, second))
    n = len(keys)
    found = np.frombuffer(keys, np.int64) if n else np.zeros(0, np.int64)
    if not n:
        return Truths(found, np.zeros((0, 3)), [], None, np.zeros(0, np.int64))
    said = np.frombuffer(annotator, np.int32)
    labels = Labels(
        np.frombuffer(unit, np.int64),
        said,
        np.frombuffer(value, np.int8).astype(np.int16),
        np.array([-1.0, 0.0, 1.0]),
        n,
        np.zeros(n, np.int32),
        np.zeros(len(said)),
    )
    fitted = dawid_skene.fit(labels, len(codes), iterations=ITERATIONS)
    return Truths(
        found,
        fitted.posterior.round(DIGITS),
        list(codes),
        fitted,
        np.bincount(said, minlength=len(codes)),
    )


def labels(item: dict[str, Any], *, aspect: str, judged_by: str) -> Iterator[Label]:
    """The item's labels by its posteriors (`Truths.mark`); a reviewer's verdict takes their place, as everywhere.

    `soft` is P(second) and half of P(tie); `strength` stays the mean of the votes.
    """
    decided = {} if judged_by == "lm" else reviewed(item, aspect)
    posteriors = item[RESERVED][POSTERIORS]
    for label in label_pairs(item, aspect=aspect, ties="keep", judged_by=judged_by):
        posterior = posteriors[label.first, label.second]
        if (label.first, label.second, label.origin) not in decided:
            label = label._replace(verdict=verdict_of(posterior))
        yield label._replace(soft=posterior[2] + 0.5 * posterior[1], posterior=posterior)


def verdict_of(posterior: tuple[float, float, float]) -> str:
    """The likeliest answer; a tie where it is none of first and second alone."""
    first, tie, second = posterior
    if first == second or tie >= max(first, second):
        return "tie"
    return "first" if first > second else "second"


def posterior_rows(
    item: dict[str, Any], *, aspect: str, judged_by: str, name: str
) -> Iterator[dict[str, Any]]:
    """A line per pair for the file of posteriors: ties and reviewed pairs too, which a format may leave out."""
    for label in labels(item, aspect=aspect, judged_by=judged_by):
        first, tie, second = label.posterior
        yield {
            "id": name,
            "item": item[RESERVED]["item"],
            "first": label.first,
            "second": label.second,
            "annotator_kind": label.kind,
            "votes": dict(zip(ANSWERS, label.votes, strict=True)),
            "posterior": {"first": first, "tie": tie, "second": second},
            "verdict": label.verdict,
        }
