"""What the counts of argument add for the linear reward model: style alone, with and without them, and the length.

    python -m bench.reward_style ../shared/data/3_chosen_rejected.jsonl.gz --source ukp_convarg

The further counts were chosen before anything was measured, after Habernal & Gurevych 2016 (*Which argument is more
convincing?*). Logistic regression on differences of counts; five folds of whole prompt groups, the penalty chosen by five more inside
each; 95 % intervals by bootstrap over prompt groups. No n-grams: this asks about features, not about the model.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from annotations.analysis.folds import grouped_folds
from annotations.items import readers
from routing.features.argument import argument_features
from routing.features.text import style_features
from routing.rewards import prepare

PENALTIES = (1e-4, 1e-3, 1e-2, 0.1, 1.0)


def right(delta: np.ndarray, second: np.ndarray, group: list[str]) -> np.ndarray:
    """Whether each pair is decided rightly by a fit that saw nothing of its group, float (n,)."""
    found = np.zeros(len(second))
    fold = grouped_folds(group, 5, 0)
    for k in range(fold.max() + 1):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        inner = grouped_folds([group[i] for i in train], 5, 1)
        loss = dict.fromkeys(PENALTIES, 0.0)
        for strength in PENALTIES:
            for j in range(inner.max() + 1):
                p, y = (
                    _fit(delta[train[inner != j]], second[train[inner != j]], strength),
                    second[train[inner == j]],
                )
                q = np.clip(p(delta[train[inner == j]]), 1e-6, 1 - 1e-6)
                loss[strength] -= float(np.sum(y * np.log(q) + (1 - y) * np.log1p(-q)))
        best = _fit(delta[train], second[train], min(loss, key=loss.__getitem__))
        found[test] = (best(delta[test]) > 0.5) == second[test]
    return found


def _fit(delta: np.ndarray, second: np.ndarray, strength: float) -> Callable[[np.ndarray], np.ndarray]:
    scale = delta.std(axis=0) + 1e-9
    model = LogisticRegression(C=strength, fit_intercept=False, max_iter=500).fit(delta / scale, second)
    return lambda given: model.predict_proba(given / scale)[:, 1]


def estimate(values: np.ndarray, group: list[str], draws: int = 4000) -> str:
    """Mean with its 95 % interval, groups resampled."""
    names, place = np.unique(group, return_inverse=True)
    total, n = np.bincount(place, values), np.bincount(place)
    picked = np.random.default_rng(0).integers(0, len(names), (draws, len(names)))
    lo, hi = np.percentile(total[picked].sum(axis=1) / n[picked].sum(axis=1), [2.5, 97.5])
    return f"{values.mean():+.3f} [{lo:+.3f}, {hi:+.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--source", required=True)
    options = parser.parse_args()
    rows = [
        readers.to_native(row) for row in readers.read(options.data) if not isinstance(row, readers.Problem)
    ]
    material = prepare.prepare(
        [row for row in rows if row.get("source") == options.source], prepare.Spec(), crossfit=True
    )
    pairs = material.fit.take(np.flatnonzero(material.fit.decided))
    second, group = pairs.sign > 0, list(pairs.group)
    style, more = (f(pairs.second_texts) - f(pairs.first_texts) for f in (style_features, argument_features))
    longer = np.sign([len(b) - len(a) for a, b in zip(pairs.first_texts, pairs.second_texts, strict=True)])
    length = np.where(longer == 0, 0.5, (longer > 0) == second)
    few, many = right(style, second, group), right(np.hstack([style, more]), second, group)
    print(f"{options.source}: {len(pairs):,} pairs, {len(set(group))} groups")
    for words, values in (
        ("the longer one", length), ("style, 8 counts", few), ("minus length", few - length),
        ("style, 21 counts", many), ("minus length", many - length), ("21 minus 8", many - few),
    ):  # fmt: skip
        print(f"{words}: {estimate(values, group)}")


if __name__ == "__main__":
    main()
