"""Allocation under money and places: optimal, feasible to the last unit, with exact propensities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from routing.plans.allocation import AllocationError, allocate


def linear_optimum(gain, cost, budget, room):
    """The slow reference: the linear programme, an upper bound of every integer allocation."""
    n, q = gain.shape
    rows = [cost.ravel()]
    for k in range(q):
        row = np.zeros((n, q))
        row[:, k] = 1
        rows.append(row.ravel())
    for i in range(n):
        row = np.zeros((n, q))
        row[i] = 1
        rows.append(row.ravel())
    found = linprog(-gain.ravel(), A_ub=np.array(rows), b_ub=[budget, *room, *([1] * n)], bounds=(0, 1))
    return -found.fun


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.floats(0.0, 1.2), st.floats(0.1, 1.0))
def test_no_allocation_overspends_and_the_best_is_near_the_linear_optimum(seed, q, money, places):
    rng = np.random.default_rng(seed)
    n = 60
    gain, cost = rng.normal(0.2, 0.5, (n, q)), rng.integers(1, 20, (n, q))
    budget, room = int(money * cost.max(axis=1).sum()), np.full(q, max(1, int(places * n / q)))
    found = allocate(gain=gain, cost=cost, budget=budget, capacity=room, audit_share=0.0, seed=seed)
    sent = found.chosen
    assert found.spent == cost[sent, found.queue[sent]].sum() <= budget
    assert (np.bincount(found.queue[sent], minlength=q) <= room).all()
    assert (gain[sent, found.queue[sent]] > 0).all()
    best = linear_optimum(gain, cost, budget, room)
    assert found.value <= best + 1e-6
    assert found.value >= best - (q + 1) * max(0.0, gain.max()) - 1e-9


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.0, 1.0), st.integers(0, 30), st.booleans())
def test_every_item_keeps_its_chance_of_a_person_and_the_budget_holds(seed, money, percent, dear):
    share = percent / 100
    rng = np.random.default_rng(seed)
    n = 80
    gain, cost = rng.random(n), rng.integers(1, 9, n) if dear else np.ones(n, dtype=int)
    budget = int(money * cost.sum())
    found = allocate(gain=gain, cost=cost, budget=budget, audit_share=share, seed=seed)
    assert found.spent == cost[found.people].sum() <= budget
    assert found.propensity[found.chosen].min(initial=1.0) == 1.0
    if found.chosen.any() and not found.chosen.all():
        assert found.propensity.min() >= share


def test_propensities_are_the_frequencies_of_the_draw():
    rng = np.random.default_rng(1)
    gain, cost = rng.random(40), rng.integers(1, 6, 40)
    draws = [allocate(gain=gain, cost=cost, budget=60, audit_share=0.2, seed=s) for s in range(2000)]
    assert all((d.chosen == draws[0].chosen).all() for d in draws)
    seen = np.mean([d.people for d in draws], axis=0)
    np.testing.assert_allclose(seen, draws[0].propensity, atol=0.04)
    audits = np.mean([d.audit for d in draws], axis=0)
    np.testing.assert_allclose(audits, draws[0].audit_rate, atol=0.06)


def test_money_is_left_where_nothing_is_gained():
    found = allocate(gain=np.array([0.5, -0.1, 0.0]), cost=np.ones(3, dtype=int), budget=3, audit_share=0.0)
    assert found.queue.tolist() == [0, -1, -1]
    assert (found.spent, found.money_price) == (1, 0.0)


def test_experts_get_what_only_they_can_do_until_they_are_full():
    gain = np.array([[0.1, 0.9], [0.1, 0.8], [0.5, 0.6], [0.4, 0.1]])
    found = allocate(
        gain=gain, cost=np.array([1, 3]), budget=100, capacity=np.array([-1, 2]), audit_share=0.0
    )
    assert found.queue.tolist() == [1, 1, 0, 0]
    assert found.spent == 8
    assert found.queue_price[1] == pytest.approx(0.1)


def test_a_strong_model_counts_as_no_person():
    gain = np.array([[0.0, 0.3], [0.6, 0.2], [0.0, 0.3], [0.0, 0.0]])
    found = allocate(
        gain=gain, cost=np.array([10, 1]), budget=60, people=np.array([True, False]), audit_share=0.3, seed=3
    )
    assert found.queue.tolist() == [1, 0, 1, -1]
    assert found.propensity.tolist() == [
        pytest.approx(1 / 3),
        1.0,
        pytest.approx(1 / 3),
        pytest.approx(1 / 3),
    ]
    assert found.people.sum() == 2
    assert found.spent == 2 + 10 + 10


def test_a_budget_below_the_audits_buys_audits_only():
    found = allocate(gain=np.ones(100), cost=np.full(100, 7), budget=21, audit_share=0.1, seed=0)
    assert (found.chosen.sum(), found.audit.sum(), found.spent, found.audit_rate) == (0, 3, 21, 0.03)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cost": np.array([-1, 1, 1])}, "costs"),
        ({"cost": np.array([1.5, 1, 1])}, "costs"),
        ({"budget": -1}, "budget"),
        ({"gain": np.array([np.nan, 1, 1])}, "gains"),
        ({"capacity": np.array([1, 2])}, "capacity"),
        ({"audit_queue": 2}, "audit queue"),
    ],
)
def test_bad_input_is_refused_with_a_reason(change, words):
    arguments = {"gain": np.ones(3), "cost": np.ones(3, dtype=int), "budget": 3, **change}
    with pytest.raises(AllocationError, match=words):
        allocate(**arguments)
