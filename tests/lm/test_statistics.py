"""The pure statistics behind the LM annotators' pages."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from annotations.analysis import majority as mj
from annotations.lm import baseline
from annotations.lm import statistics as st

verdicts = some.lists(some.sampled_from([mj.FIRST, mj.TIE, mj.SECOND, mj.NONE]), max_size=7)


@given(some.lists(verdicts, min_size=1, max_size=6))
def test_majority_is_the_plurality_and_a_draw_is_a_tie(items):
    def slow(votes):
        ranked = Counter(v for v in votes if v != st.NONE).most_common()
        if not ranked:
            return st.NONE
        return ranked[0][0] if len(ranked) == 1 or ranked[0][1] > ranked[1][1] else mj.TIE

    place = np.array([i for i, votes in enumerate(items) for _ in votes], dtype=np.int64)
    verdict = np.array([v for votes in items for v in votes], dtype=np.int8)
    assert mj.majority(place, verdict, len(items)).tolist() == [slow(votes) for votes in items]


@given(some.lists(some.lists(some.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=5))
def test_entropy_is_shannons_over_three_classes(counts):
    def slow(row):
        shares = [c / sum(row) for c in row if c]
        return -sum(s * math.log(s, 3) for s in shares)

    assert mj.entropy(np.array(counts)) == pytest.approx([slow(row) for row in counts], abs=1e-12)


def test_a_tally_leaves_missing_verdicts_out_but_counts_them():
    tally = st.Tally()
    tally.add(
        verdict=np.array([-1, 1, 0, 9, 1], dtype=np.int8),
        people=np.array([-1, -1, 0, 1, 9], dtype=np.int8),
        probability=np.array([0.1, 0.9, 0.5, np.nan, 1.0]),
        consistent=np.array([1, 0, -1, -1, 1], dtype=np.int8),
    )
    assert (tally.judged, tally.nulls) == (5, 1)
    assert tally.agreement["value"] == pytest.approx(2 / 3)
    assert tally.agreement["n"] == 3
    assert tally.agreement_decided["value"] == 0.5
    assert (tally.consistency["value"], tally.consistency["n"]) == (pytest.approx(2 / 3), 3)
    assert tally.graded
    assert [(round(x, 2), e["n"], e["value"]) for x, e in tally.calibration()] == [
        (0.1, 1, 0.0),
        (0.9, 1, 0.0),
    ]


def test_first_shown_looks_only_at_contradicting_pairs():
    calls = {
        1: {"ab": "a", "ba": "b"},
        2: {"ab": "b", "ba": "a"},
        3: {"ab": "a", "ba": "tie"},
        4: {"ab": "a"},
        5: {"ab": "a", "ba": "b"},
    }
    est = st.first_shown(calls)
    assert (est["value"], est["n"]) == (pytest.approx(2 / 3), 3)
    assert st.first_shown({3: calls[3]}) is None


@given(some.integers(0, 100_000), some.integers(0, 100_000))
def test_the_baseline_does_not_care_about_order(first, second):
    forward, backward = baseline.longer_probability(first, second), baseline.longer_probability(second, first)
    assert forward + backward == pytest.approx(1)
    assert (forward > 0.5) == (second > first)
    if first or second:
        assert forward == pytest.approx(second**2 / (first**2 + second**2))
