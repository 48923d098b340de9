"""What language models' judgments say about one of them: one row per item, one column per signal.

Pure: arrays in, frozen dataclass out. Verdicts are coded -1 (first response better), 0 (tie), 1 (second better) and
`NONE` (no verdict). An answer that contradicts itself in the two orders is a tie with probability one half (design,
section 4), so `consistent` is 0 there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from annotations.analysis.majority import NONE, entropy

NAMES = (
    "unsure",
    "contradicts_itself",
    "order_unknown",
    "says_tie",
    "no_verdict",
    "others_disagree",
    "others_disagree_much",
    "entropy",
    "alone",
)


@dataclass(frozen=True)
class LMSignals:
    """The judgments of the model whose verdicts would be the final labels, and of the others beside it.

    Attributes:
        verdict: int8[n], -1, 0, 1 or `NONE`.
        probability: float[n], its P(second better), NaN where not given.
        consistent: int8[n], 1 both orders agree, 0 they contradict each other, -1 one order only.
        agreement: float[n], share of the other models with the same verdict, NaN without other models.
        entropy: float[n] in [0, 1], of all models' verdicts (first, tie, second).
        others: int[n], how many other models judged the item.
    """

    verdict: np.ndarray
    probability: np.ndarray
    consistent: np.ndarray
    agreement: np.ndarray
    entropy: np.ndarray
    others: np.ndarray

    def __len__(self) -> int:
        return len(self.verdict)

    def take(self, index: np.ndarray) -> LMSignals:
        """The items of `index`, in its order."""
        return LMSignals(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    @property
    def graded(self) -> bool:
        """Whether probabilities say more than the verdicts do."""
        known = self.probability[~np.isnan(self.probability)]
        return bool((~np.isin(known, (0.0, 0.5, 1.0))).any())

    def unsure(self) -> np.ndarray:
        """1 - |2 p - 1| in [0, 1]; 1 without a verdict, 0 where no probability is known."""
        margin = np.nan_to_num(1.0 - np.abs(2.0 * self.probability - 1.0), nan=0.0)
        return np.where(self.verdict == NONE, 1.0, margin)

    def columns(self) -> np.ndarray:
        """The signals as float32[n, len(NAMES)], all in [0, 1] and without NaN: 0 where nothing is known."""
        dissent = np.nan_to_num(1.0 - self.agreement, nan=0.0)
        return np.column_stack(
            [
                self.unsure(),
                self.consistent == 0,
                self.consistent < 0,
                (self.verdict == 0) & (self.consistent != 0),
                self.verdict == NONE,
                dissent,
                dissent > 0.5,
                self.entropy,
                self.others == 0,
            ]
        ).astype(np.float32)


def signals(verdicts: np.ndarray, probabilities: np.ndarray, consistent: np.ndarray, final: int) -> LMSignals:
    """Signals of the model in column `final` of the n items × m models.

    verdicts int8[n, m]; probabilities float[n, m], NaN where not given; consistent int8[n, m]: 1, 0 or -1.
    A model without a verdict on an item is no other model there. Raises ValueError for shapes that do not fit.
    """
    verdicts = np.asarray(verdicts, dtype=np.int8)
    if (
        verdicts.ndim != 2
        or verdicts.shape != np.shape(probabilities)
        or verdicts.shape != np.shape(consistent)
    ):
        raise ValueError("expected verdicts, probabilities and consistent of one shape (n, m)")
    if not 0 <= final < verdicts.shape[1]:
        raise ValueError(f"model {final}: expected 0 to {verdicts.shape[1] - 1}")
    given = verdicts != NONE
    mine = verdicts[:, final]
    other = given.copy()
    other[:, final] = False
    count = other.sum(axis=1)
    same = ((verdicts == mine[:, None]) & other).sum(axis=1)
    agreement = np.divide(same, count, out=np.full(len(mine), np.nan), where=count > 0)
    votes = np.stack([((verdicts == v) & given).sum(axis=1) for v in (-1, 0, 1)], axis=1)
    return LMSignals(
        verdict=mine,
        probability=np.asarray(probabilities, dtype=np.float64)[:, final],
        consistent=np.asarray(consistent, dtype=np.int8)[:, final],
        agreement=agreement,
        entropy=entropy(votes),
        others=count,
    )
