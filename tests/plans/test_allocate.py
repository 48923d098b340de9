"""Who judges what: never beyond the budget, audits uniform, propensities true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from routing.plans.allocate import allocate, audit_size, share_of

cases = some.integers(1, 60).flatmap(
    lambda n: some.tuples(
        some.lists(some.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=n, max_size=n),
        some.lists(some.integers(0, 5), min_size=n, max_size=n),
        some.integers(0, 150),
        some.sampled_from([0.0, 0.05, 0.3, 1.0]),
        some.integers(0, 2**31),
    )
)


def test_the_worked_example():
    """453 items at 25 %: 113 to people, 23 of them audits, the other 90 by score."""
    score = np.arange(453) / 453
    result = allocate(score=score, cost=np.ones(453), budget=share_of(0.25, 453), audit_share=0.05, seed=1)
    assert (result.people.sum(), result.audit.sum(), result.chosen.sum(), result.spent) == (113, 23, 90, 113)
    assert result.threshold == score[result.chosen].min()
    assert not result.people[(score < result.threshold) & ~result.audit].any()
    assert result.people[score >= result.threshold].all()


def test_shares_are_exact():
    assert share_of(0.29, 100) == 29  # 0.29 * 100 is 28.999… in floats
    assert (audit_size(0.05, 453), audit_size(0.05, 10), audit_size(0, 10)) == (23, 1, 0)


@given(cases)
def test_it_never_overspends_and_repeats_itself(case):
    score, cost, budget, audit_share, seed = case
    arguments = {"score": np.array(score), "cost": np.array(cost), "audit_share": audit_share, "seed": seed}
    result = allocate(budget=budget, **arguments)
    assert result.spent == sum(np.array(cost)[result.people]) <= budget
    assert not (result.chosen & result.audit).any()
    assert (result.propensity[result.people] > 0).all()
    again = allocate(budget=budget, **arguments)
    assert (again.people == result.people).all()
    assert (again.priority == result.priority).all()
    ranks = result.priority[result.people]
    assert sorted(ranks) == list(range(1, len(ranks) + 1))
    assert (result.priority[~result.people] == 0).all()


@given(cases, some.integers(0, 50))
def test_more_budget_takes_nothing_away(case, more):
    score, cost, budget, audit_share, seed = case
    arguments = {"score": np.array(score), "cost": np.array(cost), "audit_share": audit_share, "seed": seed}
    small, large = allocate(budget=budget, **arguments), allocate(budget=budget + more, **arguments)
    assert (small.people <= large.people).all()


def test_audits_are_uniform_whatever_the_score_or_the_cost():
    n, draws = 40, 4000
    score, cost = np.linspace(0, 1, n), np.arange(n) % 4
    hits = np.zeros(n)
    for seed in range(draws):
        hits += allocate(score=score, cost=cost, budget=15, audit_share=0.2, seed=seed).audit
    size = hits.sum() / draws
    assert size == 5  # five times the dearest cost of 3 is what 15 pays for sure
    expected = draws * size / n
    chi2 = ((hits - expected) ** 2 / (expected * (1 - size / n))).sum() * (n - 1) / n
    assert 17.3 < chi2 < 72.1  # 0.1 % and 99.9 % of chi-square with 39 degrees of freedom


@pytest.mark.parametrize("costs", ["equal", "mixed"])
def test_propensities_are_the_frequencies_of_the_draw(costs):
    """The slow reference: allocate 3,000 times and count."""
    n, draws = 60, 3000
    score = np.repeat(np.linspace(0, 1, 20), 3)  # ties of three
    cost = np.full(n, 2) if costs == "equal" else np.tile([1, 2, 3], 20)
    hits = np.zeros(n)
    for seed in range(draws):
        result = allocate(score=score, cost=cost, budget=50, audit_share=0.15, seed=seed)
        hits += result.people
    stated, seen = result.propensity.reshape(20, 3).mean(axis=1), (hits / draws).reshape(20, 3).mean(axis=1)
    assert np.abs(stated - seen).max() < (0.02 if costs == "equal" else 0.04)
    assert (stated[-3:] > 0.999).all()
    assert stated[:8] == pytest.approx([9 / 60] * 8)


def test_audits_stand_evenly_in_the_queue():
    result = allocate(score=np.linspace(0, 1, 100), cost=np.ones(100), budget=40, audit_share=0.1, seed=3)
    places = np.sort(40 - result.priority[result.audit])
    assert (np.diff(places) == 4).all()
    by_score = np.argsort(-result.priority[result.chosen])
    assert (np.diff(np.linspace(0, 1, 100)[result.chosen][by_score]) < 0).all()


@pytest.mark.parametrize(("budget", "share"), [(-1, 0.1), (5, 1.1)])
def test_bad_arguments_are_refused(budget, share):
    with pytest.raises(ValueError):
        allocate(score=np.zeros(3), cost=np.ones(3), budget=budget, audit_share=share, seed=0)


def test_no_items_is_no_error():
    result = allocate(score=np.zeros(0), cost=np.zeros(0), budget=5, audit_share=0.1, seed=0)
    assert (result.spent, result.threshold, len(result.propensity)) == (0, None, 0)
