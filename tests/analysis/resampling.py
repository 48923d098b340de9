"""The spread of ratings by another way than the product's, to hold it against: every vote on its own."""

from __future__ import annotations

import numpy as np

from annotations.analysis.bradley_terry import Fit, bread, scores
from annotations.analysis.ranks import Spread


def independent(fitted: Fit) -> Spread:
    """Sandwich covariance with every vote on its own: H⁻¹ Σ s sᵀ H⁻¹, from counts alone."""
    s, s_eta = scores(fitted)
    c, m = fitted.counts, fitted.counts.players
    square = (c.n * s * s).sum(axis=1)
    meat = np.zeros((m + 1, m + 1))
    np.add.at(meat, (c.first, c.second), -square)
    np.add.at(meat, (c.second, c.first), -square)
    meat[np.arange(m), np.arange(m)] += np.bincount(c.first, square, m) + np.bincount(c.second, square, m)
    cross = (c.n * s * s_eta).sum(axis=1)
    column = np.bincount(c.first, cross, m) - np.bincount(c.second, cross, m)
    meat[:m, m] = meat[m, :m] = column
    meat[m, m] = (c.n * s_eta**2).sum()
    inverse = bread(fitted)
    return Spread((inverse @ meat @ inverse)[:m, :m], max(1, int(c.total) - 1), "votes", ~fitted.rated)
