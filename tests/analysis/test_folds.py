"""Folds of whole groups, as the reward models and the criteria use them."""

import numpy as np
import pytest

from annotations.analysis.folds import grouped_folds


@pytest.mark.parametrize(
    ("groups", "n_folds", "apart"),
    [
        ([f"g{i % 37}" for i in range(200)], 5, 6),  # groups of five and six, as texts
        (
            np.repeat(np.arange(9), [1, 5, 2, 9, 3, 3, 1, 7, 4]),
            4,
            1,
        ),  # 35 rows in groups of all sizes, as codes
    ],
)
def test_folds_hold_whole_groups_and_are_of_nearly_equal_size(groups, n_folds, apart):
    fold = grouped_folds(groups, n_folds, 3)
    assert len(set(zip(list(groups), fold.tolist(), strict=True))) == len(set(groups))
    assert len(set(fold)) == n_folds
    assert np.ptp(np.bincount(fold)) <= apart
    assert np.array_equal(fold, grouped_folds(groups, n_folds, 3))


def test_groups_of_one_size_are_dealt_by_the_seed():
    assert not np.array_equal(grouped_folds(np.arange(60), 5, 3), grouped_folds(np.arange(60), 5, 4))


def test_there_are_no_more_folds_than_groups():
    assert set(grouped_folds(["a", "b"], 5, 0).tolist()) == {0, 1}
    assert grouped_folds(["a", "a", "a"], 5, 0).tolist() == [0, 0, 0]
