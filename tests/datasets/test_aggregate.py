"""Labels from votes: the same whatever the order of judgments, mirrored when the responses are swapped."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.analysis.similar import three_most_similar
from annotations.datasets import aggregate
from annotations.datasets.aggregate import label_pairs, soft_label
from annotations.datasets.splits import split_of

VOTES = st.lists(st.integers(-3, 3), min_size=1, max_size=9)


def judgment(number, vote, kind="human", **fields):
    comparison = {"first": 0, "second": 1, "aspect": "overall", "preference": vote or None, "scale_max": 3}
    return {
        "id": f"{number:04}",
        "annotator": f"a{number}",
        "kind": kind,
        "outcome": "answered",
        "comparisons": [comparison | {"tie": None if vote else "equal"}],
        "scores": [],
        "supersedes": None,
        "created_at": "2026-01-01T00:00:00Z",
        **fields,
    }


def item(votes, kind="human"):
    return {"judgments": [judgment(number, vote, kind) for number, vote in enumerate(votes)]}


def reference(votes):
    """Every three, compared as the definition says."""
    if len(votes) <= 3:
        return sorted(votes)

    def key(places):
        values = [votes[place] for place in places]
        mean = sum(values) / 3
        return max(values) - min(values), round(sum((v - mean) ** 2 for v in values), 9), places

    return sorted(votes[place] for place in min(combinations(range(len(votes)), 3), key=key))


@given(VOTES)
def test_the_three_most_similar_are_those_of_the_definition(votes):
    assert sorted(three_most_similar(votes)) == reference(votes)


@settings(deadline=None)
@given(VOTES, st.sampled_from(aggregate.METHODS), st.randoms())
def test_the_order_of_judgments_does_not_matter(votes, method, random):
    one = item(votes)
    other = {"judgments": random.sample(one["judgments"], len(votes))}
    assert label_pairs(one, method=method, ties="keep") == label_pairs(other, method=method, ties="keep")


@settings(deadline=None)
@given(VOTES, st.sampled_from(("majority", "mean")), st.sampled_from((0.0, 0.5, 1.0)))
def test_swapping_the_responses_mirrors_the_label(votes, method, smoothing):
    (here,) = label_pairs(item(votes), method=method, ties="keep", smoothing=smoothing)
    (there,) = label_pairs(item([-vote for vote in votes]), method=method, ties="keep", smoothing=smoothing)
    mirrored = {"first": "second", "second": "first", "tie": "tie"}
    assert there.verdict == mirrored[here.verdict]
    assert there.votes == here.votes[::-1]
    assert there.strength == pytest.approx(-here.strength)
    assert there.soft == pytest.approx(1 - here.soft)
    assert there.margin() == pytest.approx(here.margin())


@given(st.tuples(*[st.integers(0, 9)] * 3), st.floats(0, 5))
def test_a_soft_label_is_a_probability_between_one_half_and_the_share(votes, smoothing):
    share, smoothed = soft_label(*votes), soft_label(*votes, smoothing)
    assert min(share, 0.5) - 1e-12 <= smoothed <= max(share, 0.5) + 1e-12


def test_exact_labels():
    (label,) = label_pairs(item([-3, -1, 0]))
    assert (label.verdict, label.votes, label.strength, label.soft) == ("first", (2, 1, 0), -4 / 3, 1 / 6)
    assert label.margin() == 4 / 3
    assert soft_label(2, 1, 0, 1) == 0.3
    (label,) = label_pairs(item([1, 1, -3]))
    assert (label.verdict, label.margin()) == ("second", 0.0)
    assert label_pairs(item([1, 1, -3]), method="mean")[0].verdict == "first"
    (label,) = label_pairs(item([3, -3, 0, 2, 2]), method="three_most_similar")
    assert (label.verdict, label.strength) == ("second", 2)


def test_ties_are_dropped_kept_or_left_soft():
    assert label_pairs(item([1, -1])) == []
    assert [label.verdict for label in label_pairs(item([1, -1]), ties="keep")] == ["tie"]
    far = item([-3, 0, 3])
    assert label_pairs(far, method="three_most_similar") == []
    assert label_pairs(far, method="three_most_similar", ties="keep")[0].verdict == "disagreement"
    (label,) = label_pairs(far, method="three_most_similar", ties="soft")
    assert (label.verdict, label.soft) == ("tie", 0.5)


def test_people_come_before_models_and_corrections_before_what_they_correct():
    corrected = judgment(0, -3)
    correction = judgment(1, 2, supersedes=corrected["id"])
    model = judgment(2, -1, "lm")
    skipped = judgment(3, -1, outcome="skipped")
    reward = judgment(4, -1, "reward_model")
    mixed = {"judgments": [corrected, correction, model, skipped, reward]}
    (label,) = label_pairs(mixed)
    assert (label.kind, label.votes, label.strength) == ("human", (0, 0, 1), 2)
    (label,) = label_pairs(mixed, judged_by="lm")
    assert (label.kind, label.votes) == ("lm", (1, 0, 0))
    assert label_pairs(mixed, aspect="style") == []


def test_pairs_come_from_ranks_and_ratings_where_nothing_was_compared():
    ranks = [{"response": i, "attribute": "rank", "value": v} for i, v in enumerate((2, 1, 2))]
    ranked = {"judgments": [judgment(0, 1, comparisons=[], scores=ranks)]}
    found = [
        (label.first, label.second, label.verdict, label.origin) for label in label_pairs(ranked, ties="keep")
    ]
    assert found == [(0, 1, "second", "ranking"), (0, 2, "tie", "ranking"), (1, 2, "first", "ranking")]
    ratings = [{"response": i, "attribute": "helpfulness", "value": v} for i, v in enumerate((4, 1))]
    (label,) = label_pairs({"judgments": [judgment(0, 1, comparisons=[], scores=ratings)]})
    assert (label.verdict, label.origin, label.strength) == ("first", "rating", -1)


def test_a_groups_split_is_fixed_for_ever():
    found = [split_of(f"group-{n}") for n in range(12)]
    assert [n for n, split in enumerate(found) if split != "train"] == [5, 7]
    assert split_of("group-5") == split_of("group-7") == "validation"
    drawn = [split_of(f"prompt:{n}") for n in range(20_000)]
    shares = [drawn.count(name) / 20_000 for name in ("train", "validation", "holdout")]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.01)
    assert split_of("x", shares=(0, 1, 0)) == "validation"
    with pytest.raises(ValueError, match="sum to 1"):
        split_of("x", shares=(0.5, 0.1, 0.1))
