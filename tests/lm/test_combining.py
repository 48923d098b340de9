"""Several replies as one answer, against a slow reference."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.items.readers.labels import merge_calls
from annotations.items.readers.records import CallRecord
from annotations.lm.asking import Asked, Question
from annotations.lm.combining import Vote, combine
from annotations.lm.parsing import Parsed

ASKED = Asked((Question("comparison", "overall", "?", low=1, high=3, ties=("equal",)),))
RATED = Asked((Question("rating", "r", "?", low=0, high=4), Question("ranking", "rank", "?", ties=())))


def vote(order, strength, p=None):
    tie = "equal" if strength == 0 else ""
    return Vote(order, Parsed("strict", "", {"overall": (strength, tie)}), p)


@pytest.mark.parametrize(
    ("votes", "verdict", "probability", "consistent"),
    [
        ([("ab", -1), ("ba", -3)], (-2, ""), 0.25, True),
        ([("ab", -1), ("ba", 1)], (0, "equal"), 0.5, False),
        ([("ab", -1), ("ba", 0)], (0, "equal"), 0.5, False),
        ([("ab", 0), ("ba", 0)], (0, "equal"), 0.5, True),
        ([("ab", 2)], (2, ""), 2 / 3, None),
        ([("ab", 1), ("ab", 1), ("ab", -1), ("ba", 1), ("ba", 1), ("ba", 1)], (1, ""), 6 / 8, True),
    ],
)
def test_orders_and_samples(votes, verdict, probability, consistent):
    made = combine([vote(*v) for v in votes], ASKED)
    assert made.comparisons["overall"] == verdict
    assert (made.probability, made.order_consistent) == (pytest.approx(probability), consistent)


def test_token_probabilities_count_only_where_all_have_them_and_the_orders_agree():
    assert combine([vote("ab", 1, 0.9), vote("ba", 1, 0.7)], ASKED).probability == pytest.approx(0.8)
    assert combine([vote("ab", 1, 0.9), vote("ba", 1)], ASKED).probability == pytest.approx(0.75)
    assert combine([vote("ab", 1, 0.9), vote("ba", -1, 0.1)], ASKED).probability == 0.5


def test_an_order_without_a_reading_is_no_answer():
    unread = Vote("ba", Parsed(problem="no"))
    assert combine([vote("ab", 1), unread], ASKED) is None
    assert combine([unread], ASKED) is None
    assert combine([vote("ab", 1), vote("ba", 1), unread], ASKED).comparisons["overall"] == (1, "")


_votes = st.lists(st.tuples(st.sampled_from(["ab", "ba"]), st.integers(-3, 3)), min_size=1, max_size=10)


@settings(max_examples=300, deadline=None)
@given(_votes)
def test_the_verdict_is_the_one_imported_calls_would_get(votes):
    made = combine([vote(*v) for v in votes], ASKED)
    labels = [CallRecord(order=o, label="tie" if not s else "a" if s < 0 else "b") for o, s in votes]
    merged = merge_calls(labels)
    strength, _ = made.comparisons["overall"]
    both = len({o for o, _ in votes}) == 2
    if both or len(votes) == 1:
        assert (strength > 0) - (strength < 0) == (merged.preference or 0)
    assert made.order_consistent == merged.order_consistent
    if made.order_consistent is False:
        assert made.probability == 0.5
    else:
        s = sum(Fraction((x > 0) - (x < 0) + 1, 2) for _, x in votes)
        assert made.probability == pytest.approx(float((s + 1) / (len(votes) + 2)))


@settings(max_examples=200, deadline=None)
@given(_votes)
def test_swapping_the_responses_turns_everything_round(votes):
    made = combine([vote(*v) for v in votes], ASKED)
    turned = combine([vote(o[::-1], -s) for o, s in votes], ASKED)
    assert turned.comparisons["overall"][0] == -made.comparisons["overall"][0]
    assert turned.probability == pytest.approx(1 - made.probability)
    assert turned.order_consistent == made.order_consistent


def test_scores_are_means_rounded_to_the_scale_and_rankings_stay_rankings():
    def rated(order, r, rank):
        return Vote(order, Parsed("strict", "", {}, {"r": r, "rank": rank}))

    made = combine([rated("ab", {0: 4, 1: 1}, {0: 1, 1: 2}), rated("ba", {0: 3, 1: 2}, {0: 2, 1: 1})], RATED)
    assert made.scores["r"] == {0: 4, 1: 2}  # 3.5 and 1.5, half up
    assert made.scores["rank"] == {0: 1, 1: 2}  # equal means, no ties allowed: the stored order
    assert made.order_consistent is False
    assert made.probability is None
