"""Signals of models' judgments and cheap statistics of pairs: hand-worked values and invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.analysis.majority import NONE
from routing.features import pairs
from routing.features.signals import NAMES, signals


def test_signals_of_one_model_beside_the_others():
    verdicts = np.array([[1, 1, -1], [0, NONE, NONE], [NONE, 1, 1]], dtype=np.int8)
    probability = np.array([[0.9, 1, 0], [0.5, np.nan, np.nan], [np.nan, 1, 1]])
    consistent = np.array([[1, 1, 1], [0, -1, -1], [-1, 1, 1]], dtype=np.int8)
    found = signals(verdicts, probability, consistent, final=0)
    assert found.agreement[0] == 0.5
    assert np.isnan(found.agreement[1])
    assert found.others.tolist() == [2, 0, 2]
    columns = dict(zip(NAMES, found.columns().T, strict=True))
    assert columns["unsure"].tolist() == pytest.approx([0.2, 1.0, 1.0])
    assert columns["contradicts_itself"].tolist() == [0, 1, 0]
    assert columns["no_verdict"].tolist() == [0, 0, 1]
    assert columns["others_disagree"].tolist() == [0.5, 0, 1.0]
    assert columns["alone"].tolist() == [0, 1, 0]
    assert found.graded


def test_signals_refuse_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="shape"):
        signals(np.zeros((2, 2)), np.zeros((2, 1)), np.zeros((2, 2)), 0)
    with pytest.raises(ValueError, match="model 2"):
        signals(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2)), 2)


def test_statistics_of_a_pair_by_hand():
    plain, signed = pairs.pair_statistics(["What is 2?"], ["a b c d"], ["a B\n2 ```"])
    row = dict(zip(pairs.NAMES, plain[0], strict=True))
    assert row["prompt_log_words"] == pytest.approx(np.log(4))
    assert row["prompt_questions"] == pytest.approx(np.log(2))
    assert row["word_overlap"] == pytest.approx(2 / 6)
    assert row["log_length_ratio"] == 0
    assert (row["code"], row["refusal"], row["identical"], row["empty"]) == (1, 0, 0, 0)
    side = dict(zip(pairs.SIGNED, signed[0], strict=True))
    assert side["more_lines"] == pytest.approx(np.log(2))
    assert side["more_digits"] == pytest.approx(np.log(2))
    assert side["more_marks"] == pytest.approx(np.log(4))


def test_toward_reads_from_the_preferred_side():
    _, signed = pairs.pair_statistics(["p"] * 4, ["long long text"] * 4, ["x"] * 4)
    seen = pairs.toward(signed, np.array([-1, 1, 0, NONE]))
    assert seen[0, 0] > 0 > seen[1, 0]
    assert (seen[2:] == 0).all()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=80))
def test_swapping_the_responses_flips_what_is_signed_and_nothing_else(prompt, first, second):
    plain, signed = pairs.pair_statistics([prompt], [first], [second])
    other, flipped = pairs.pair_statistics([prompt], [second], [first])
    np.testing.assert_array_equal(plain, other)
    np.testing.assert_array_equal(signed, -flipped)
    assert np.isfinite(plain).all()
