import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.rewards.data import group_items, pairs_from_items, ratings_from_items, split_of


def vote(annotator, preference=None, *, kind="human", first=0, second=1, **more):
    row = {"first": first, "second": second, "aspect": "overall", "scale_max": 3}
    row |= {"tie": "equal_good", "preference": None} if preference is None else {"preference": preference}
    return {
        "id": f"{annotator}-{len(more)}",
        "annotator": annotator,
        "kind": kind,
        "comparisons": [row],
        **more,
    }


def score(annotator, values, attribute="helpfulness", scale=(0, 4), kind="human"):
    rows = [
        {"response": i, "attribute": attribute, "value": v, "scale": list(scale)}
        for i, v in enumerate(values)
    ]
    return {"id": f"{annotator}-{attribute}", "annotator": annotator, "kind": kind, "scores": rows}


def item(*judgments, texts=("one", "two"), **more):
    responses = [{"text": text} for text in texts]
    return {"id": "i", "prompt": "Why?", "responses": responses, "judgments": list(judgments), **more}


def labels(*items, **more):
    pairs = pairs_from_items(items, **more)
    return list(zip(pairs.first_texts, pairs.second_texts, pairs.target.tolist(), pairs.source, strict=True))


def test_votes_become_a_share_with_ties_half_and_a_strength():
    pairs = pairs_from_items([item(vote("Alice", -3), vote("Bob", -2), vote("Charlie"))])
    assert pairs.target.tolist() == [0.5 / 3]
    assert pairs.votes.tolist() == [[2, 1, 0]]
    assert pairs.strength.tolist() == [2]
    assert pairs.sign.tolist() == [-1]
    tie = pairs_from_items([item(vote("Alice", 3), vote("Bob", -1))])
    assert (tie.target[0], tie.strength[0], tie.decided[0]) == (0.5, 1, False)


def test_people_come_before_models_pair_by_pair_and_reward_models_never_count():
    lm = vote("gpt", 1, kind="lm")
    assert labels(item(lm, vote("rm", -1, kind="reward_model"))) == [("one", "two", 1.0, "lm")]
    assert labels(item(lm, vote("Alice", -1))) == [("one", "two", 0.0, "human")]
    other = vote("gpt", 1, kind="lm", first=1, second=2)
    assert labels(item(lm, other, vote("Alice", -1), texts="abc")) == [
        ("a", "b", 0.0, "human"),
        ("b", "c", 1.0, "lm"),
    ]
    assert pairs_from_items([item(lm)], lm_weight=0.3).weight.tolist() == [0.3]


def test_superseded_unanswered_and_repeated_judgments_do_not_count():
    old = vote("Alice", -1) | {"id": "old"}
    assert labels(item(old, vote("Alice", 1, supersedes="old"))) == [("one", "two", 1.0, "human")]
    withdrawn = {
        "id": "new",
        "annotator": "Alice",
        "kind": "human",
        "outcome": "cannot_judge",
        "supersedes": "old",
    }
    assert labels(item(old, withdrawn)) == []
    assert labels(item(vote("Alice", 1, outcome="flagged"))) == []
    late, early = vote("Alice", 1, created_at="2026-02-01"), vote("Alice", -1, created_at="2026-01-01")
    pairs = pairs_from_items([item(late, early)])
    assert (pairs.target.tolist(), pairs.votes.tolist()) == ([1.0], [[0, 0, 1]])


def test_reversed_rows_are_flipped_and_other_aspects_left_out():
    assert labels(item(vote("Alice", -2, first=1, second=0))) == [("one", "two", 1.0, "human")]
    style = vote("Alice", 1)
    style["comparisons"][0]["aspect"] = "style"
    assert labels(item(style)) == []
    assert labels(item(style), aspect="style") == [("one", "two", 1.0, "human")]


def test_rankings_and_ratings_yield_pairs_only_where_nothing_was_compared():
    ranks, stars = score("Alice", [2, 1, 2], "rank", (1, 3)), score("Alice", [4, 1, 1])
    pairs = pairs_from_items([item(ranks, stars, texts="abc")])
    assert pairs.target.tolist() == [1.0, 0.5, 0.0]
    assert pairs.origin == ["ranking"] * 3
    rated = pairs_from_items([item(stars, texts="abc")])
    assert list(zip(rated.first_texts, rated.second_texts, rated.target, strict=True)) == [
        ("a", "b", 0),
        ("a", "c", 0),
    ]
    assert rated.origin == ["rating"] * 2
    assert labels(item(ranks, stars, vote("gpt", 1, kind="lm"), texts="abc")) == [("a", "b", 1.0, "lm")]


def test_ratings_are_means_over_people_in_zero_to_one():
    ratings = ratings_from_items(
        [item(score("Alice", [4, 0]), score("Bob", [3, 1]), score("gpt", [0, 4], kind="lm"), score("Bob", [1, 0], "thumb", (None, None)))]
    )  # fmt: skip
    rows = zip(
        ratings.texts, ratings.attribute, ratings.value.tolist(), ratings.n_raters.tolist(), strict=True
    )
    assert list(rows) == [
        ("one", "helpfulness", 0.875, 2),
        ("one", "thumb", 1.0, 1),
        ("two", "helpfulness", 0.125, 2),
        ("two", "thumb", 0.0, 1),
    ]
    assert ratings.primary().value.tolist() == [0.875, 0.125]
    assert len(ratings_from_items([item(score("Alice", [4, 0]))], "fluency")) == 0
    open_scale = ratings_from_items(
        [item(score("Alice", [0, -10], "mqm", (None, 0)), score("Bob", [-5, -5], "mqm", (None, 0)))]
    )
    assert open_scale.value.tolist() == [0.75, 0.25]


def test_broken_items_are_named():
    for broken, message in [
        (item(score("Alice", [9, 1])), "item i: helpfulness 9 lies outside its scale 0..4"),
        (item(vote("Alice", 1, first=0, second=5)), "item i: list index"),
        (item(vote("Alice", 1, first=1, second=1)), "item i: a comparison of responses 1 and 1"),
        ({"id": "i", "prompt": "p", "judgments": []}, "item i: missing 'responses'"),
        ({"id": "i", "prompt": ["p"], "responses": []}, "item i: "),
    ]:
        with pytest.raises(ValueError, match=message):
            pairs_from_items([broken])
            ratings_from_items([broken])


def test_the_same_prompt_is_the_same_group_whatever_its_form():
    chat = [{"role": "user", "content": "Hi"}]
    items = [
        {"id": "1", "prompt": "Why  is it?", "group": "x"},
        {"id": "2", "prompt": "why is IT?\n"},
        {"id": "3", "prompt": "why is it?", "group": "y"},
        {"id": "4", "prompt": "Other", "group": "y"},
        {"id": "5", "prompt": chat},
        {"id": "6", "prompt": "user: hi"},
        {"id": "7", "prompt": "", "source": "s"},
        {"id": "8", "prompt": "", "source": "s"},
        {"id": "9", "prompt": "Other", "context": "with a text"},
    ]
    groups = group_items(items)
    assert groups[:4] == ["x"] * 4
    assert groups[4] == groups[5] == hashlib.sha256(b"prompt\0user: hi").hexdigest()[:32]
    assert len(set(groups)) == 5


@given(st.lists(st.tuples(st.sampled_from("pqrs"), st.sampled_from([None, "a", "b", "c"])), max_size=12))
def test_neither_a_prompt_nor_a_group_is_ever_divided(rows):
    items = [{"id": str(i), "prompt": prompt, "group": group} for i, (prompt, group) in enumerate(rows)]
    found = group_items(items)
    for position in (0, 1):
        for value in {row[position] for row in rows} - {None}:
            assert len({group for row, group in zip(rows, found, strict=True) if row[position] == value}) == 1


def test_splits_are_frozen_and_have_their_shares():
    assert [split_of(group) for group in ("alpha", "beta", "gamma", "delta-7", "eps-3")] == [
        split_of(group, "plumbline-1") for group in ("alpha", "beta", "gamma", "delta-7", "eps-3")
    ]
    counts = Counter(split_of(f"group {i}") for i in range(20_000))
    assert np.allclose(
        [counts[name] / 20_000 for name in ("train", "validation", "holdout")], [0.8, 0.1, 0.1], atol=0.01
    )
    holdout = {g for g in map(str, range(2000)) if split_of(g) == "holdout"}
    assert holdout == {g for g in map(str, range(2000)) if split_of(g, shares=(0.7, 0.2, 0.1)) == "holdout"}
    with pytest.raises(ValueError, match="sum to 1"):
        split_of("g", shares=(0.8, 0.1, 0.2))
