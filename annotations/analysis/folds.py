"""Folds of whole prompt groups, for estimates that never see the group they speak of. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def grouped_folds(groups: Sequence[str] | np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Deal whole groups into at most `n_folds` folds of nearly equal size; returns fold numbers, int (n,).

    Largest group first into the lightest fold, equal sizes in seeded random order.
    """
    names, inverse, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    n_folds = max(1, min(n_folds, len(names)))
    shuffled = np.random.default_rng(seed).permutation(len(names))
    load = np.zeros(n_folds, dtype=int)
    fold_of = np.zeros(len(names), dtype=int)
    for name in shuffled[np.argsort(-counts[shuffled], kind="stable")]:
        fold_of[name] = int(np.argmin(load))
        load[fold_of[name]] += counts[name]
    return fold_of[inverse]
