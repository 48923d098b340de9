"""What a linear fit minimises: losses over rows of features, each leaving out the rows of one fold.

A loss maps the margins of its rows to (mean loss, gradient, derivatives in its own parameters). Lists share a
fold number, so a fold never cuts one in two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from scipy.special import expit

from routing.rewards import list_losses, losses

RowLoss = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray, np.ndarray]]
_START_NU = 0.5


@dataclass(frozen=True)
class Term:
    """One loss over rows.

    Attributes:
        matrix: features, csr (m, width); margins are matrix @ weights.
        weight: how much each row counts towards the total that the penalty is measured against, (m,).
        fold: fold number, (m,).
        make: given the positions of the rows that are in, returns their loss.
        start: where the loss's own parameters begin.
        share: factor of the whole term.
    """

    matrix: sparse.csr_matrix
    weight: np.ndarray
    fold: np.ndarray
    make: Callable[[np.ndarray], RowLoss]
    start: tuple[float, ...] = ()
    share: float = 1.0

    def without(self, left_out: int | None) -> TermPart | None:
        """The term on the rows outside a fold; None where nothing is left."""
        rows = np.arange(len(self.fold)) if left_out is None else np.flatnonzero(self.fold != left_out)
        total = float(self.weight[rows].sum())
        if not total > 0:
            return None
        matrix = self.matrix[rows]
        return TermPart(
            matrix, matrix.T.tocsr(), self.make(rows), np.array(self.start), self.share, self.share * total
        )


@dataclass(frozen=True)
class TermPart:
    """A term on some rows: called with weights and own parameters, gives value and both gradients."""

    matrix: sparse.csr_matrix
    transposed: sparse.csr_matrix
    loss: RowLoss
    start: np.ndarray
    share: float
    total: float = field(default=0.0)

    def __call__(self, weights: np.ndarray, own: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        value, slope, inner = self.loss(self.matrix @ weights, own)
        return self.share * value, self.share * (self.transposed @ slope), self.share * inner


_NONE = np.zeros(0)


def pair_term(
    matrix: sparse.csr_matrix,
    fold: np.ndarray,
    loss: str,
    target: np.ndarray,
    weight: np.ndarray,
    strength: np.ndarray,
) -> Term:
    """A loss over pairs. `target` and `weight` are what `training_targets` gave; ties are ½.

    "margin_bt" asks decided pairs for a lead of their strength and keeps ties at the soft label ½;
    "rao_kupper" learns ν = softplus of one free number.
    """
    sign = np.sign(target - 0.5)

    def make(rows: np.ndarray) -> RowLoss:
        t, w, y, m = target[rows], weight[rows], sign[rows], strength[rows]
        if loss == "rao_kupper":

            def ties(margins: np.ndarray, own: np.ndarray):
                nu = float(np.logaddexp(0.0, own[0])) + 1e-6
                value, slope, in_nu = losses.rao_kupper(margins, y, nu, w)
                return value, slope, np.array([in_nu * expit(own[0])])

            return ties
        if loss == "margin_bt":
            decided = y != 0

            def margin(margins: np.ndarray, own: np.ndarray):
                # softplus(m - y·d) for decided pairs, the soft label for ties
                short = np.where(decided, m - y * margins, 0.0)
                each = np.where(decided, np.logaddexp(0.0, short), np.logaddexp(0.0, margins) - t * margins)
                slope = np.where(decided, -y * expit(short), expit(margins) - t)
                return float(w @ each) / w.sum(), w * slope / w.sum(), _NONE

            return margin

        def plain(margins: np.ndarray, own: np.ndarray):
            return *losses.soft_bradley_terry(margins, t, w), _NONE

        return plain

    return Term(matrix, weight, fold, make, (_inverse_softplus(_START_NU),) if loss == "rao_kupper" else ())


def list_term(
    matrix: sparse.csr_matrix,
    fold: np.ndarray,
    loss: str,
    list_of: np.ndarray,
    ranks: Sequence[Sequence[int]],
    weight: np.ndarray,
) -> Term:
    """Plackett-Luce or LiPO-λ over rows that are the responses of lists, list by list.

    `list_of` (m,) is the list of each row; `weight` (n,) and `ranks` are the lists'.
    """
    sizes = np.array([len(rank) for rank in ranks])
    of_row = weight[list_of] / sizes[list_of]

    def make(rows: np.ndarray) -> RowLoss:
        kept, first = np.unique(list_of[rows], return_index=True)
        width = int(sizes[kept].max())
        place = np.arange(len(rows)) - first[np.searchsorted(kept, list_of[rows])]
        line = np.searchsorted(kept, list_of[rows])
        rank, mask = np.zeros((len(kept), width), int), np.zeros((len(kept), width), bool)
        rank[line, place] = np.concatenate([ranks[k] for k in kept])
        mask[line, place] = True
        gain, w = list_losses.list_gains(rank, mask), weight[kept]

        def lists(margins: np.ndarray, own: np.ndarray):
            scores = np.zeros(mask.shape)
            scores[line, place] = margins
            if loss == "plackett_luce":
                value, slope = list_losses.plackett_luce(scores, rank, mask, w)
            else:
                value, slope = list_losses.lipo_lambda(scores, gain, mask, w)
            return value, slope[line, place], _NONE

        return lists

    return Term(matrix, of_row, fold, make)


def thumb_term(matrix: sparse.csr_matrix, fold: np.ndarray, up: np.ndarray, weight: np.ndarray) -> Term:
    """BCO over responses; the shift δ is the mean reward of the rows that are in, so no intercept is needed."""

    def make(rows: np.ndarray) -> RowLoss:
        thumbs, w = up[rows], weight[rows]

        def bco(margins: np.ndarray, own: np.ndarray):
            value, slope = list_losses.bco(margins, thumbs, float(margins.mean()), w)
            return value, slope - slope.mean(), _NONE

        return bco

    return Term(matrix, weight, fold, make)


def rating_term(
    matrix: sparse.csr_matrix, fold: np.ndarray, value: np.ndarray, weight: np.ndarray, share: float
) -> Term:
    """Squared error of b + c·r against ratings in [0, 1], b and c free, for the joint fit."""

    def make(rows: np.ndarray) -> RowLoss:
        y, w = value[rows], weight[rows] / weight[rows].sum()

        def squares(margins: np.ndarray, own: np.ndarray):
            error = own[0] + own[1] * margins - y
            inner = np.array([2.0 * w @ error, 2.0 * w @ (error * margins)])
            return float(w @ error**2), 2.0 * own[1] * w * error, inner

        return squares

    return Term(matrix, weight, fold, make, (float(np.average(value, weights=weight)), 0.1), share)


def _inverse_softplus(value: float) -> float:
    return float(np.log(np.expm1(value)))
