"""Several calls of one model become one verdict."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.items.readers import CallRecord, Merged, merge_calls

MIRROR = {"a": "b", "b": "a", "tie": "tie", None: None}


def calls_of(*words: str) -> list[CallRecord]:
    return [
        CallRecord(order, label if label != "-" else None) for order, label in (w.split(":") for w in words)
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ab:a ba:a", Merged("answered", -1, None, 0.0, True)),
        ("ab:b ba:b", Merged("answered", 1, None, 1.0, True)),
        ("ab:tie ba:tie", Merged("answered", None, "equal", 0.5, True)),
        ("ab:a ba:b", Merged("answered", None, "equal", 0.5, False)),
        ("ab:a ba:tie", Merged("answered", None, "equal", 0.5, False)),
        ("ab:a", Merged("answered", -1, None, 0.0, None)),
        ("ba:tie", Merged("answered", None, "equal", 0.5, None)),
        (":b", Merged("answered", 1, None, 1.0, None)),
        ("ab:- ba:b", Merged("answered", 1, None, 1.0, None)),
        ("ab:- ba:-", Merged("cannot_judge", None, None, None, None)),
        ("ab:a ab:a ab:b ab:tie", Merged("answered", -1, None, 0.375, None)),
        ("ab:a ab:b", Merged("answered", None, "equal", 0.5, None)),
        ("ab:b ab:b ab:a ab:b ba:b", Merged("answered", 1, None, 0.875, True)),
        (":a :a :tie ab:b ab:tie ab:tie ba:b ba:tie ba:tie", Merged("answered", None, "equal", 0.5, True)),
        ("ab:b ab:tie ab:tie ba:b ba:tie ba:tie :a :a :tie", Merged("answered", None, "equal", 0.5, True)),
    ],
)
def test_verdicts(words, expected):
    assert merge_calls(calls_of(*words.split())) == expected


def test_no_calls_cannot_judge():
    assert merge_calls([]).outcome == "cannot_judge"


some_calls = st.lists(
    st.builds(CallRecord, st.sampled_from(["ab", "ba", ""]), st.sampled_from(["a", "b", "tie", None])),
    max_size=8,
)


@given(some_calls)
def test_swapping_the_responses_mirrors_the_verdict(calls):
    merged = merge_calls(calls)
    turned = merge_calls([CallRecord(call.order, MIRROR[call.label]) for call in calls])
    assert turned.outcome == merged.outcome
    assert turned.tie == merged.tie
    assert turned.order_consistent == merged.order_consistent
    if merged.preference:
        assert turned.preference == -merged.preference
    if merged.probability is not None:
        assert turned.probability == pytest.approx(1 - merged.probability)


@given(some_calls, st.randoms())
def test_the_sequence_of_calls_does_not_matter(calls, random):
    shuffled = random.sample(calls, len(calls))
    one, other = merge_calls(calls), merge_calls(shuffled)
    assert one[:3] == other[:3]
    assert one.order_consistent == other.order_consistent
    assert one.probability == pytest.approx(other.probability)


@given(some_calls)
def test_verdict_and_probability_agree_with_a_slow_reference(calls):
    merged = merge_calls(calls)
    worth = {"a": Fraction(0), "tie": Fraction(1, 2), "b": Fraction(1)}
    means = {}
    for order in ("ab", "ba", ""):
        values = [worth[call.label] for call in calls if call.order == order and call.label is not None]
        if values:
            means[order] = sum(values) / len(values)
    if not means:
        assert merged == Merged("cannot_judge", None, None, None, None)
        return
    half = Fraction(1, 2)
    sides = {order: (mean > half) - (mean < half) for order, mean in means.items()}
    both = "ab" in sides and "ba" in sides
    agree = both and sides["ab"] == sides["ba"]
    assert merged.order_consistent == (agree if both else None)
    probability = half if both and not agree else sum(means.values()) / len(means)
    assert merged.probability == pytest.approx(float(probability))
    assert (merged.preference or 0) == (probability > half) - (probability < half)
    assert (merged.preference is None) == (merged.tie == "equal")
