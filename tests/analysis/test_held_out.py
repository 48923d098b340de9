"""Intervals of what was measured on data held out: they hold the estimate, cover what is true, and abstain in words."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from annotations.analysis import held_out

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_intervals_hold_the_estimate_and_are_never_of_width_zero(rows):
    y, score, group = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    p = (score + 0.5) / 5
    for found in (
        held_out.auc(y, p, group),
        held_out.calibration_error(y, p, group),
        held_out.share(y, group),
    ):
        assert found["n"] == len(rows)
        if found["lo"] is None:
            assert found["reason"]
        else:
            assert 0 <= found["lo"] <= found["value"] <= found["hi"] <= 1
            assert found["lo"] < found["hi"]


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_the_auc_is_the_share_of_pairs(rows):
    y, score, group = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    pairs = [
        (a > b) + (a == b) / 2 for a, b in itertools.product(score[y == 1], score[y == 0])
    ]  # one by one: what the fast way must equal
    found = held_out.auc(y, score, group)["value"]
    assert found == pytest.approx(np.mean(pairs)) if pairs else found is None


def test_one_kind_only_and_few_prompts_abstain_in_words():
    group = np.arange(20)
    none = held_out.auc(np.zeros(20), np.linspace(0, 1, 20), group)
    assert (none["value"], none["lo"], none["reason"]) == (None, None, "no error among 20 labels")
    all_wrong = held_out.auc(np.ones(20), np.linspace(0, 1, 20), group)
    assert all_wrong["reason"] == "nothing but errors among 20 labels"
    few = held_out.auc(np.arange(20) % 2, np.linspace(0, 1, 20), group % 4)
    assert few["value"] is not None
    assert few["reason"].startswith("fewer than 5 prompt groups")
    assert held_out.share(np.zeros(0), np.zeros(0))["value"] is None
    assert held_out.rank_correlation(np.ones(20), np.arange(20))["reason"] == "nothing varies"


def test_none_of_n_and_all_of_n_are_bounded_by_their_prompts():
    none = held_out.share(np.zeros(60), np.arange(60) // 2)  # thirty prompts
    assert (none["value"], none["lo"], none["n"]) == (0, 0, 60)
    assert none["hi"] == pytest.approx(0.1135, abs=1e-4)  # Wilson, 0 of 30
    ranked = held_out.auc(np.arange(40) >= 30, np.arange(40.0), np.arange(40))
    assert (ranked["value"], ranked["hi"]) == (1, 1)
    assert ranked["lo"] == pytest.approx(0.7225, abs=1e-4)  # Wilson, 10 of 10
    assert held_out.bounds_of_no_difference(30) == pytest.approx((-0.1135, 0.1135), abs=1e-4)


def world(rng, groups: int, size: int, *, bend: float = 0.0):
    """Errors in clusters, with the true rates: predictions p are too sure by `bend`, rates vary by prompt."""
    group = np.repeat(np.arange(groups), size)
    x = rng.normal(size=len(group)) + 0.7 * rng.normal(size=groups)[group]
    true, p = expit(-1.5 + x * (1 - bend)), expit(-1.5 + x)
    return (rng.random(len(group)) < true).astype(float), p, group, true


@pytest.mark.parametrize(("groups", "size", "bend"), [(60, 1, 0.0), (150, 3, 0.0), (150, 3, 0.5)])
def test_the_intervals_cover_what_was_planted(groups, size, bend):
    rng = np.random.default_rng(groups + size)
    y, p, group, _ = world(np.random.default_rng(0), 200_000, 1, bend=bend)
    auc, rate = held_out.auc(y, p, group)["value"], y.mean()
    covered = np.zeros(3)
    for _ in range(200):
        y, p, group, true = world(rng, groups, size, bend=bend)
        bins = np.array_split(np.argsort(p, kind="stable"), 10)
        error = sum(abs((true - p)[b].sum()) for b in bins) / len(p)
        found = held_out.auc(y, p, group), held_out.share(y, group), held_out.calibration_error(y, p, group)
        covered += [e["lo"] <= v <= e["hi"] for e, v in zip(found, (auc, rate, error), strict=True)]
    assert (covered / 200 >= 0.91).all()
    assert (covered[:2] / 200 <= 0.99).all()  # no wider than it must be


def test_rows_of_a_prompt_are_one_another_again():
    """Every row four times in its prompt: the interval must not shrink."""
    y, p, group, _ = world(np.random.default_rng(3), 120, 1)
    for once, again in (
        (held_out.auc(y, p, group), held_out.auc(*(np.repeat(a, 4) for a in (y, p, group)))),
        (held_out.share(y, group), held_out.share(*(np.repeat(a, 4) for a in (y, group)))),
    ):
        assert (again["value"], again["lo"]) == pytest.approx((once["value"], once["lo"]))


def test_the_widest_signs_are_found():
    rng = np.random.default_rng(2)
    for _ in range(20):
        root = rng.normal(size=(7, 7))
        covariance = root @ root.T
        best = max(np.array(s) @ covariance @ s for s in itertools.product((1.0, -1.0), repeat=7))
        assert 0.97 * best <= held_out._widest(covariance) <= best + 1e-9


def test_ranks_and_misses_of_runs_have_intervals():
    rng = np.random.default_rng(8)
    a = rng.normal(size=(300, 200))
    b = a + rng.normal(size=(300, 200))
    ranked = [held_out.rank_correlation(x, y) for x, y in zip(a, b, strict=True)]
    true = 6 / np.pi * np.arcsin(np.sqrt(0.5) / 2)  # Spearman's of a normal pair
    assert 0.92 <= np.mean([e["lo"] <= true <= e["hi"] for e in ranked]) <= 0.98
    missed = [held_out.root_mean_square(row) for row in b - a]
    assert 0.92 <= np.mean([e["lo"] <= 1 <= e["hi"] for e in missed]) <= 0.98
