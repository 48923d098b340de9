"""Small-sample numbers against worked values, slow references and properties."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.criteria import drift, evidence, moral, pairs


@pytest.mark.parametrize(
    ("k", "n", "lo", "hi"), [(8, 10, 0.49, 0.94), (24, 30, 0.63, 0.90), (80, 100, 0.71, 0.87)]
)
def test_wilson_shows_what_a_share_of_few_is_worth(k, n, lo, hi):
    est = evidence.share(k, n)
    assert (round(est["lo"], 2), round(est["hi"], 2), est["n"]) == (lo, hi, n)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 20))
def test_mcnemar_is_the_exact_binomial_of_what_differs(fixed, broken, same):
    old = np.array([0] * fixed + [1] * broken + [1] * same, dtype=bool)
    new = np.array([1] * fixed + [0] * broken + [1] * same, dtype=bool)
    edit = evidence.compare_edit(old, new)
    m = fixed + broken
    p = sum(comb(m, i) for i in range(fixed, m + 1)) / 2**m if m else 1.0
    assert (edit.decision == "better") == (p < evidence.ALPHA)
    mirrored = evidence.compare_edit(new, old)
    assert {"better": "worse", "worse": "better", "unknown": "unknown"}[edit.decision] == mirrored.decision


def test_an_edit_that_cannot_be_told_says_how_many_more():
    fixes_20_breaks_5 = evidence.compare_edit(
        np.array([0] * 3 + [1] * 1 + [1] * 26), np.array([1] * 3 + [0] + [1] * 26)
    )
    assert fixes_20_breaks_5.decision == "unknown"
    assert 20 <= fixes_20_breaks_5.more <= 200
    assert f"about {fixes_20_breaks_5.more} more would tell" in fixes_20_breaks_5.words
    same = evidence.compare_edit(np.ones(30), np.ones(30))
    assert (same.decision, same.more) == ("unknown", None)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), max_size=12))
def test_benjamini_hochberg_against_its_definition(p):
    found = evidence.benjamini_hochberg(p, 0.1)
    ordered = sorted(p)
    last = max((i for i, x in enumerate(ordered, 1) if x <= 0.1 * i / len(p)), default=0)
    assert found.sum() >= last
    assert all(x <= ordered[last - 1] for x in np.array(p)[found]) if last else not found.any()


def test_shrinkage_pulls_few_cases_further_than_many():
    s = evidence.shrink([1, 70, 30, 55, 40], [1, 100, 60, 100, 80])
    assert s.mean[0] < 0.75 < 1.0
    assert abs(s.mean[1] - 0.70) < 0.05
    assert (s.lower < s.mean).all()


def test_both_orders_make_one_verdict_and_a_consistency():
    codes = [pairs.FIRST, pairs.TIE, pairs.SECOND, pairs.NA, pairs.ERROR]
    for f, b in product(codes, codes):
        verdict, agree = pairs.both_orders(np.array([f]), np.array([b]))
        if pairs.ERROR in (f, b):
            assert verdict[0] == pairs.ERROR
        elif f == b:
            assert verdict[0] == f
        else:
            assert verdict[0] == pairs.TIE
            assert agree[0] == (-1 if f not in (-1, 1) and b not in (-1, 1) else 0)


def test_a_judge_that_takes_the_first_shown_is_never_trusted():
    y = np.array([-1, 1] * 50)
    verdict, agree = pairs.both_orders(np.full(100, pairs.FIRST), np.full(100, pairs.SECOND))
    assert (verdict == pairs.TIE).all()
    assert evidence.share(int((agree == 1).sum()), int((agree >= 0).sum()))["value"] == 0
    trust = pairs.trust(pairs.score(verdict, y), evidence.share(0, 100))
    assert not trust.ok
    assert any("both orders agree on 0 %" in m for m in trust.missing)


def test_abstention_counts_and_one_lucky_case_is_not_good():
    y = np.full(30, pairs.FIRST)
    once = np.full(30, pairs.NA)
    once[0] = pairs.FIRST
    s = pairs.score(once, y)
    assert (s.accuracy["value"], s.coverage["value"], s.worth["value"]) == (1.0, 1 / 30, (1 + 14.5 * 1) / 30)
    assert pairs.sort_out(once[:, None], y) == ["replace"]
    errors = pairs.score(np.full(10, pairs.ERROR), y[:10])
    assert (errors.errors, errors.n, errors.worth["value"]) == (10, 10, 0.0)  # nothing leaves the denominator


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.integers(2, 6))
def test_swapping_sides_changes_nothing_but_the_sign(seed, k):
    rng = np.random.default_rng(seed)
    y = rng.choice([-1, 1], 40)
    V = rng.choice([-1, 0, 1, pairs.NA], (40, k)).astype(np.int8)
    flip = np.where(np.isin(V, (-1, 1)), -V, V)
    assert pairs.choose(V, y) == pairs.choose(flip, -y)
    assert (pairs.choose(V, y).verdict(V) == -pairs.choose(flip, -y).verdict(flip)).all()


def test_two_criteria_that_say_the_same_get_one_voice():
    rng = np.random.default_rng(0)
    y = rng.choice([-1, 1], 120)
    good = np.where(rng.random(120) < 0.8, y, -y)
    other = np.where(rng.random(120) < 0.75, y, -y)
    chosen = pairs.choose(np.stack([good, good, other], axis=1).astype(np.int8), y)
    assert len(chosen.columns) == 2
    assert all(w >= 0 for w in chosen.weights)


def test_weights_appear_from_a_hundred_pairs_and_stay_near_the_majority_vote():
    rng = np.random.default_rng(1)
    y = rng.choice([-1, 1], 300)
    V = np.stack([np.where(rng.random(300) < a, y, -y) for a in (0.9, 0.65, 0.65)], axis=1).astype(np.int8)
    assert set(pairs.choose(V[:90], y[:90]).weights) == {1.0}
    chosen = pairs.choose(V, y)
    by_column = dict(zip(chosen.columns, chosen.weights, strict=True))
    assert by_column[0] == 1.0
    assert 0 <= by_column[1] < 1.0


def test_drift_of_a_judge_of_a_person_and_of_a_stable_one():
    rng = np.random.default_rng(2)
    before = rng.choice([-1, 1], 60)
    same = drift.panel(before, before)
    assert (same.flips["value"], same.tau, same.confidence, same.alarm) == (0.0, 1.0, 1.0, False)
    turned = drift.panel(before, -before)
    assert (turned.flips["value"], turned.confidence, turned.alarm) == (1.0, 0.0, True)
    assert drift.panel(before[:5], before[:5]).alarm  # five items show nothing yet
    tired = np.concatenate([rng.random(60) < 0.9, rng.random(60) < 0.4])
    assert drift.early_late(tired)["alarm"]
    assert drift.cusum(tired, 0.9)["at"] > 55
    assert drift.cusum(rng.random(120) < 0.9, 0.9)["at"] is None
    assert 60 < drift.fell(tired)["at"] < 90
    assert drift.fell(tired[:29]) is None
    steady = [drift.fell(rng.random(120) < 0.85, seed=k)["at"] for k in range(100)]
    assert sum(at is not None for at in steady) <= 20  # the usual is itself an estimate from twenty
    assert drift.stability_index(rng.normal(size=500), rng.normal(2, size=500)) > drift.ANOTHER
    assert drift.stability_index(rng.normal(size=500), rng.normal(size=500)) < drift.SHIFTED
    assert drift.stability_of_kinds(np.zeros(50), np.ones(50)) > drift.ANOTHER
    assert drift.stability_of_kinds(np.tile([0, 1], 50), np.tile([0, 1], 50)) == 0.0
    assert drift.self_agreement(["pass", "fail"], ["pass", "pass"])["value"] == 0.5
    assert drift.saturation([5, 0, 0]) == [(0, 1), (0, 2), (5, 3)]


def test_the_moral_graph_keeps_edges_that_people_agree_on():
    votes = (
        [(1, 2, "wiser")] * 4
        + [(1, 2, "not")]
        + [(2, 1, "wiser")]
        + [(2, 3, "wiser")]
        + [(3, 1, "unsure")] * 3
    )
    found = {(e.lower, e.upper): e for e in moral.edges(votes)}
    assert found[1, 2].likelihood == pytest.approx((4 - 1) / 6)
    assert found[1, 2].holds
    assert not found[2, 3].holds  # one vote is none
    ranks = moral.rank([1, 2, 3], found.values())
    assert sum(ranks.values()) == pytest.approx(1)
    assert max(ranks, key=ranks.get) == 2
