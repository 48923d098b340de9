"""Planted truth: error rates of a model and of people, and costs, are known, so the optimum is known too."""

import numpy as np
import pytest
from scipy.special import expit

from annotations.analysis.majority import NONE
from routing.features.signals import signals
from routing.plans import policies, replay, replay_cases, zones
from routing.plans.allocation import allocate
from routing.predict import human_error

N = 20_000


def world(seed=0, *, h=0.05, n=N, version=None, current=0, labels=4000):
    """A pool whose label error e follows two columns, and labels of people on a uniform sample; returns e beside it."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    e = expit(-1.4 + 1.3 * X[:, 0] - 0.9 * X[:, 1])
    wrong = rng.random(n) < e
    truth = rng.choice([-1, 1], n).astype(np.int8)
    verdict = np.where(wrong, -truth, truth).astype(np.int8)
    error = np.full(n, np.nan)
    seen = rng.choice(n, labels, replace=False)
    error[seen] = wrong[seen]
    pool = policies.Pool(
        signals=signals(verdict[:, None], (verdict[:, None] + 1) / 2, np.full((n, 1), 1, dtype=np.int8), 0),
        group=np.arange(n),
        text=X,
        text_names=("a", "b", "c", "d"),
        error=error,
        person_error=h,
        version=version,
        current=current,
    )
    return pool, e, wrong


def best(gain, cost, money):
    """The largest total gain for the money: the fractional knapsack, no integer choice is better."""
    order = np.argsort(-gain / cost)
    order = order[gain[order] > 0]
    before = np.cumsum(cost[order]) - cost[order]
    part = np.clip((money - before) / cost[order], 0, 1)
    return float(part @ gain[order])


@pytest.mark.parametrize("h", [0.0, 0.05, 0.25])
def test_the_router_is_within_five_percent_of_the_optimum_at_every_budget(h):
    pool, e, _ = world(h=h)
    rng = np.random.default_rng(1)
    cost = rng.integers(5, 40, N)
    scores = policies.score("net_gain", pool)
    assert scores.is_gain
    for share in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0):
        money = int(share * cost.sum())
        found = allocate(gain=scores.gain, cost=cost, budget=money, audit_share=0.05, seed=2)
        assert found.spent <= money
        for_gain = money - int(cost[found.people & ~found.chosen].sum())
        optimum = best(e - h, cost, for_gain)
        assert (e - h)[found.chosen].sum() >= 0.95 * optimum, share


def test_several_queues_are_within_five_percent_of_the_optimum_too():
    """A cheap and an expert queue of people and a strong model; experts err less and are few."""
    pool, e, _ = world()
    predicted = policies.score("label_error", pool).score
    errs, prices, room = np.array([0.08, 0.02, 0.15]), np.array([10, 40, 1]), np.array([-1, 2000, -1])
    for share in (0.1, 0.6):
        money = int(share * 10 * N)
        more = {"cost": prices, "capacity": room, "people": np.array([True, True, False]), "seed": 3}
        found = allocate(gain=predicted[:, None] - errs, budget=money, **more)
        ideal = allocate(gain=e[:, None] - errs, budget=money, **more)
        sent = found.chosen
        true_gain = (e[sent] - errs[found.queue[sent]]).sum()
        assert true_gain >= 0.95 * ideal.value, share
        assert np.bincount(found.queue[sent], minlength=3)[1] <= 2000


@pytest.mark.parametrize("seed", range(6))
def test_prices_from_a_sample_overfill_no_queue_and_overspend_nothing(seed):
    rng = np.random.default_rng(seed)
    gain, cost = rng.normal(0.3, 0.4, (N, 3)), rng.integers(1, 30, (N, 3))
    room, money = rng.integers(500, 8000, 3), int(rng.integers(20_000, 200_000))
    found = allocate(gain=gain, cost=cost, budget=money, capacity=room, audit_share=0.02, seed=seed)
    sent = found.chosen
    queues = np.bincount(found.queue[sent], minlength=3)
    queues[0] += (found.audit & ~sent).sum()
    assert (queues <= room).all()
    assert found.spent <= money
    bound = allocate(gain=gain, cost=cost, budget=money, capacity=room, audit_share=0.0, seed=seed).value
    assert 0.8 * bound <= found.value <= bound + 1e-9


def test_people_worse_than_the_model_leave_money_unspent_at_an_interior_optimum():
    pool, e, _ = world(h=0.3)
    scores = policies.score("net_gain", pool)
    found = allocate(gain=scores.gain, cost=np.ones(N, dtype=int), budget=N, audit_share=0.05, seed=4)
    assert found.spent < 0.45 * N
    assert found.money_price == 0.0
    error = np.where(found.people, 0.3, e).mean()
    assert error < min(e.mean(), 0.3)
    assert error <= np.minimum(e, 0.3).mean() + 0.05 * 0.3  # what the audits cost is all that is lost


def test_h_is_learnt_from_overlaps_and_tells_where_to_stop():
    rng = np.random.default_rng(5)
    truth = rng.choice([-1, 1], 600)
    labels = np.where(rng.random((600, 3)) < 0.2, -truth[:, None], truth[:, None]).astype(np.int8)
    differs = human_error.against_others(labels)
    who = np.broadcast_to(np.arange(3), differs.shape)
    found = human_error.estimate(differs.ravel(), who.ravel())
    # the others agree with each other and are right with .64 / (.64 + .04); then one differs in .2 of cases, else .8
    expected = (0.64 * 0.2 + 0.04 * 0.8) / 0.68
    assert found.rate == pytest.approx(expected, abs=0.03)


def test_a_model_that_takes_whatever_stands_first_has_no_consistency_and_is_never_trusted():
    n = 2000
    rng = np.random.default_rng(6)
    truth = rng.choice([-1, 1], n).astype(np.int8)
    both = signals(
        np.zeros((n, 1), dtype=np.int8), np.full((n, 1), 0.5), np.zeros((n, 1), dtype=np.int8), 0
    )  # both orders contradict each other on every item: a tie, probability one half
    assert (both.consistent == 1).mean() == 0
    assert (policies.doubt(both) == policies.doubt(both).max()).all()
    one_order = signals(
        np.full((n, 1), -1, dtype=np.int8), np.zeros((n, 1)), np.full((n, 1), -1, dtype=np.int8), 0
    )  # only one order was asked: it always says "first", with full confidence
    for found in (both, one_order):
        error = np.full(n, np.nan)
        seen = rng.choice(n, 600, replace=False)
        error[seen] = (found.verdict != truth)[seen]
        pool = policies.Pool(signals=found, group=np.arange(n), error=error)
        scores = policies.score("label_error", pool)
        barred = (found.consistent == 0) | (found.verdict == NONE)
        zone = zones.accept_zone(confidence=1 - scores.score, error=error, barred=barred, alpha=0.1)
        assert zone.threshold is None
        assert not zone.inside.any()


def test_a_new_version_of_the_model_starts_without_trust():
    version = np.zeros(N, dtype=int)
    trusted, e, wrong = world()
    labels = trusted.labels()
    scores = policies.score("label_error", trusted)
    found = zones.accept_zone(
        confidence=1 - scores.score, error=labels, barred=np.zeros(N, dtype=bool), alpha=0.1
    )
    assert found.inside.mean() > 0.2
    assert wrong[found.inside].mean() <= 0.1
    changed, _, _ = world(version=version, current=1)
    assert np.isnan(changed.labels()).all()
    assert "too few human labels" in policies.score("net_gain", changed).fallback
    fresh = zones.accept_zone(
        confidence=1 - scores.score, error=changed.labels(), barred=np.zeros(N, dtype=bool), alpha=0.1
    )
    assert fresh.threshold is None
    assert e.mean() > 0


def small_case(rng, n=240):
    """A case without texts: doubt is informative, errors depend on the prompt; the person is always right."""
    group = np.repeat(np.arange(n // 2), 2)
    hard = np.repeat(rng.normal(size=n // 2), 2)
    e = expit(-1 + 1.2 * hard)
    wrong = rng.random(n) < e
    truth = rng.choice([-1, 1], n).astype(np.int8)
    verdict = np.where(wrong, -truth, truth).astype(np.int8)
    p = np.where(verdict > 0, 1, -1) * np.clip(0.5 - expit(hard + rng.normal(size=n)) / 2, 0.01, None)
    found = signals(verdict[:, None], (0.5 + p)[:, None], np.full((n, 1), -1, dtype=np.int8), 0)
    return replay_cases.Case(
        source="planted",
        annotator="m",
        pool=policies.Pool(signals=found, group=group),
        error=wrong.astype(float),
        person_wrong=np.zeros(n),
        truth=truth,
        person=truth,
        differs=np.full((n, 1), np.nan),
        kernel=np.zeros((0, 0)),
        left_out=0,
    )


@pytest.mark.slow
def test_intervals_of_a_replay_cover_the_gain_in_the_population(monkeypatch):
    monkeypatch.setattr(replay, "_reward_accuracy", lambda case, final, rng: np.zeros(final.shape))
    rng = np.random.default_rng(8)
    large = small_case(rng, 200_000)
    order = np.argsort(-policies.doubt(large.pool.signals))
    z = np.zeros(200_000)
    z[order[:50_000]] = 1
    true = float(((z - 0.25) * large.error).mean())
    covered = np.zeros(500, dtype=bool)
    for run in range(500):
        rows = replay.replay(small_case(rng), names=[], budgets=[0.25], mode="offline", splits=8, seed=run)
        gain = next(row.gain_over_random for row in rows if row.policy == "lm_confidence")
        covered[run] = gain["lo"] <= true <= gain["hi"]
    assert abs(covered.mean() - 0.95) <= 0.03, covered.mean()
