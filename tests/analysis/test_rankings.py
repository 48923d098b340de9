"""Ratings against evalica, a general optimiser, Glickman's example, and the truth in simulations."""

from __future__ import annotations

import evalica
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.optimize import minimize

from annotations.analysis import bradley_terry as bt
from annotations.analysis import rankings, ranks, resampled, sequential_ratings, styled
from tests.analysis.resampling import independent

WINNERS = {-1: evalica.Winner.X, 0: evalica.Winner.Draw, 1: evalica.Winner.Y}


def played(rng, theta, n, nu=0.5):
    """Games of random pairs with Davidson's ties: (first, second, verdict)."""
    m = len(theta)
    first = rng.integers(0, m, n)
    second = (first + rng.integers(1, m, n)) % m
    d = theta[first] - theta[second]
    win, loss = np.exp(d / 2), np.exp(-d / 2)
    u = rng.random(n) * (win + loss + nu)
    verdict = np.where(u < win, -1, np.where(u < win + loss, 1, 0)).astype(np.int8)
    return first.astype(np.int32), second.astype(np.int32), verdict


def by_evalica(function, first, second, verdict, m, **options):
    found = function(
        first.tolist(),
        second.tolist(),
        [WINNERS[int(v)] for v in verdict],
        tolerance=1e-12,
        limit=20_000,
        **options,
    )
    theta = np.log(found.scores.loc[list(range(m))].to_numpy())
    return theta - theta.mean()


games = some.integers(3, 6).flatmap(
    lambda m: some.tuples(
        some.just(m),
        some.lists(
            some.tuples(some.integers(0, m - 1), some.integers(1, m - 1), some.integers(-1, 1)),
            min_size=20, max_size=80,
        ),
    )
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(games)
def test_bradley_terry_is_evalicas_where_it_exists(drawn):
    m, rows = drawn
    first = np.array([a for a, _, _ in rows])
    second = np.array([(a + step) % m for a, step, _ in rows])
    verdict = np.array([v for *_, v in rows], dtype=np.int8)
    fitted = bt.fit(bt.count(first, second, verdict, m))
    assert set(fitted.reasons) == set(np.flatnonzero(~fitted.rated))
    if fitted.rated.all():
        theirs = by_evalica(evalica.bradley_terry, first, second, verdict, m)
        np.testing.assert_allclose(fitted.theta, theirs, atol=1e-5)
    else:
        assert not np.isfinite(fitted.theta[~fitted.rated]).any()


def test_davidson_is_evalicas_newman_and_rao_kupper_is_the_optimisers():
    rng = np.random.default_rng(1)
    theta = rng.normal(0, 0.8, 8)
    first, second, verdict = played(rng, theta, 5000)
    counts = bt.count(first, second, verdict, 8)
    davidson = bt.fit(counts, ties="davidson")
    newman = by_evalica(evalica.newman, first, second, verdict, 8)
    np.testing.assert_allclose(davidson.theta, newman, atol=1e-5)
    assert np.exp(davidson.eta) == pytest.approx(0.5, abs=0.05)

    def unlikely(x):
        a, b = x[first] - x[second] - x[8], x[second] - x[first] - x[8]
        win, loss = -np.logaddexp(0, -a), -np.logaddexp(0, -b)
        tie = np.log(np.expm1(2 * x[8])) + win + loss
        return -np.where(verdict < 0, win, np.where(verdict > 0, loss, tie)).sum()

    found = minimize(
        unlikely, np.append(np.zeros(8), 0.3), method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-8}
    )
    fitted = bt.fit(counts, ties="rao_kupper")
    np.testing.assert_allclose(fitted.theta, found.x[:8] - found.x[:8].mean(), atol=2e-4)
    assert fitted.eta == pytest.approx(found.x[8], abs=2e-4)


@pytest.mark.parametrize("ties", bt.TIES)
def test_without_ties_and_of_ties_alone_every_model_is_bradley_terry(ties):
    first, second, verdict = played(np.random.default_rng(2), np.array([0.5, 0, -0.5]), 300)
    decided = bt.count(first, second, np.where(verdict == 0, 1, verdict), 3)
    found = bt.fit(decided, ties=ties)
    np.testing.assert_allclose(found.theta, bt.fit(decided).theta, atol=1e-9)
    alone = bt.fit(bt.count(first, second, np.zeros_like(verdict), 3), ties=ties)
    assert (found.ties, alone.ties, alone.theta.tolist()) == ("half", "half", [0, 0, 0])


def test_players_without_a_maximum_say_why():
    #   0 and 1 beat each other; 2 beats both; 3 loses to both; 4 and 5 only met each other.
    rows = [(0, 1, -1), (0, 1, 1), (2, 0, -1), (2, 1, -1), (0, 3, -1), (1, 3, -1), (4, 5, -1)]
    first, second, verdict = (np.array(x) for x in zip(*rows, strict=True))
    fitted = bt.fit(bt.count(first, second, verdict, 7))
    assert fitted.rated.tolist() == [True, True, False, False, False, False, False]
    np.testing.assert_allclose(fitted.theta[:2], 0, atol=1e-9)
    assert "never lost" in fitted.reasons[2]
    assert "never won" in fitted.reasons[3]
    assert "never compared with the rated ones" in fitted.reasons[4]
    assert fitted.reasons[6] == "it was never compared"
    low, high = ranks.rank_sets(fitted.theta, independent(fitted))
    assert (low[2], high[2]) == (1, 7)


def test_a_refit_after_each_vote_is_the_fit_of_all_votes():
    rng = np.random.default_rng(2)
    first, second, verdict = played(rng, rng.normal(0, 1, 10), 600)
    table = bt.Table(10)
    np.add.at(table.table, (first[:500], second[:500], verdict[:500] + 1), 1)
    table.fit()
    for a, b, v in zip(first[500:], second[500:], verdict[500:], strict=True):
        table.add(a, b, v)
        last = table.fit()
    whole = bt.fit(bt.count(first, second, verdict, 10))
    np.testing.assert_allclose(last.theta, whole.theta, atol=1e-9)
    assert last.steps <= 4


def test_sandwich_is_the_spread_of_the_bootstrap_and_clusters_of_one_vote_change_nothing():
    rng = np.random.default_rng(3)
    first, second, verdict = played(rng, rng.normal(0, 0.8, 12), 20_000)
    fitted = bt.fit(bt.count(first, second, verdict, 12))
    alone = independent(fitted)
    drawn = resampled.bootstrap(fitted, first, second, verdict, item=np.arange(20_000), seed=4)
    np.testing.assert_allclose(drawn.std(axis=0), alone.errors, rtol=0.12)
    np.testing.assert_allclose(drawn.mean(axis=0), fitted.theta, atol=0.01)
    each = np.arange(len(first))
    single = ranks.clustered(fitted, first, second, verdict, item=each)
    np.testing.assert_allclose(single.covariance, alone.covariance * len(each) / (len(each) - 1), rtol=1e-6)
    doubled = np.tile(first, 2), np.tile(second, 2), np.tile(verdict, 2)
    twice = bt.fit(bt.count(*doubled, 12))
    pairs = ranks.clustered(twice, *doubled, item=np.tile(each, 2))
    np.testing.assert_allclose(
        pairs.errors, single.errors, rtol=1e-6
    )  # the same votes again tell nothing new


def test_bootstrap_draws_whole_items_and_is_the_slow_one():
    """Three votes on each of 300 items that lean together: the spread is the clustered sandwich's, not that of single votes."""
    rng = np.random.default_rng(9)
    theta, items = rng.normal(0, 0.6, 6), 600
    one = rng.integers(0, 6, items)
    two = (one + rng.integers(1, 6, items)) % 6
    lean = theta[one] - theta[two] + rng.normal(0, 1.5, items)
    first, second, item = np.repeat(one, 3), np.repeat(two, 3), np.repeat(np.arange(items), 3)
    verdict = np.where(rng.random(3 * items) < 1 / (1 + np.exp(-np.repeat(lean, 3))), -1, 1).astype(np.int8)
    fitted = bt.fit(bt.count(first, second, verdict, 6))
    drawn = resampled.bootstrap(fitted, first, second, verdict, item=item, seed=1)
    clustered = ranks.clustered(fitted, first, second, verdict, item=item).errors
    np.testing.assert_allclose(drawn.std(axis=0), clustered, rtol=0.12)
    assert (drawn.std(axis=0) > 1.15 * independent(fitted).errors).all()
    low, high = resampled.percentiles(drawn)
    assert ((low < fitted.theta) & (fitted.theta < high)).all()
    # The slow way: draw items one by one, count, fit.
    slow = []
    for seed in range(200):
        chosen = np.random.default_rng(seed).integers(0, items, items)
        rows = (chosen[:, None] * 3 + np.arange(3)).ravel()
        slow.append(bt.fit(bt.count(first[rows], second[rows], verdict[rows], 6)).theta)
    np.testing.assert_allclose(np.std(slow, axis=0), drawn.std(axis=0), rtol=0.2)
    np.testing.assert_allclose(np.mean(slow, axis=0), drawn.mean(axis=0), atol=0.03)
    alone = bt.fit(bt.count(np.array([0]), np.array([1]), np.array([-1]), 2))
    none = resampled.bootstrap(
        alone, np.array([0]), np.array([1]), np.array([-1]), item=np.array([0]), draws=3
    )
    assert np.isnan(none).all()


def test_sandwich_of_items_with_several_pairs_is_the_slow_sum():
    rng = np.random.default_rng(6)
    first, second, verdict = played(rng, rng.normal(0, 0.5, 5), 300)
    item, who = rng.integers(0, 60, 300), rng.integers(0, 12, 300).astype(np.int32)
    for ties in bt.TIES:
        fitted = bt.fit(bt.count(first, second, verdict, 5), ties=ties)
        inverse = bt.bread(fitted)
        s, s_eta = ranks._vote_scores(fitted, first, second, verdict)
        vectors = np.zeros((300, 6))
        vectors[np.arange(300), first] += s
        vectors[np.arange(300), second] -= s
        vectors[:, 5] = s_eta
        meat = np.zeros((6, 6))
        for codes, sign in ((item, 1), (who, 1), (item * 100 + who, -1)):
            groups = np.unique(codes)
            factor = len(groups) / (len(groups) - 1) if sign > 0 else 1
            for g in groups:
                total = vectors[codes == g].sum(axis=0)
                meat += sign * factor * np.outer(total, total)
        slow = (inverse @ meat @ inverse)[:5, :5]
        over_items = ranks.clustered(fitted, first, second, verdict, item=item).covariance
        slow += np.diag(np.clip(np.diag(over_items - slow), 0, None))  # never below that over items
        fast = ranks.clustered(fitted, first, second, verdict, item=item, annotator=who).covariance
        np.testing.assert_allclose(fast, slow, atol=1e-10)


def test_style_control_finds_what_length_pays_and_gives_the_rating_back():
    rng = np.random.default_rng(7)
    theta = np.array([-0.5, 0.0, 0.5])
    n = 30_000
    first = rng.integers(0, 3, n)
    second = (first + rng.integers(1, 3, n)) % 3
    x = np.zeros((n, 4))
    x[:, 0] = rng.normal(0.3 * (first - second), 1)  # better models write longer
    p = 1 / (1 + np.exp(-(theta[first] - theta[second] + 0.8 * x[:, 0])))
    verdict = np.where(rng.random(n) < p, -1, 1).astype(np.int8)
    found = styled.fit(first, second, verdict, x, 3, item=np.arange(n))
    plain = bt.fit(bt.count(first, second, verdict, 3))
    np.testing.assert_allclose(found.theta, theta, atol=0.05)
    assert plain.theta[2] > 0.6
    effect = found.effects["words"]
    assert effect["lo"] < 0.8 * x[:, 0].std() < effect["hi"]
    assert found.effects["bold"] is None
    assert found.reasons["bold"] == "the responses never differ in it"


def test_glicko_2_is_glickmans_example():
    # Glickman 2013: 1500 / 200 / 0.06 plays 1400 / 30 (won), 1550 / 100 (lost), 1700 / 300 (lost).
    start = sequential_ratings.Glicko(
        np.array([1500.0, 1400, 1550, 1700]), np.array([200.0, 30, 100, 300]), np.full(4, 0.06)
    )
    after = sequential_ratings.glicko2(start, np.zeros(3, int), np.array([1, 2, 3]), np.array([-1, 1, 1]))
    assert after.rating[0] == pytest.approx(1464.06, abs=0.02)
    assert after.deviation[0] == pytest.approx(151.52, abs=0.02)
    assert after.volatility[0] == pytest.approx(0.05999, abs=1e-5)


def test_elo_is_evalicas():
    rng = np.random.default_rng(8)
    first, second, verdict = played(rng, rng.normal(0, 1, 6), 500)
    ours = sequential_ratings.elo(first, second, verdict, 6)
    theirs = evalica.elo(
        first.tolist(), second.tolist(), [WINNERS[int(v)] for v in verdict],
        initial=1000.0, base=10.0, scale=400.0, k=4.0,
    )  # fmt: skip
    np.testing.assert_allclose(ours, theirs.scores.loc[list(range(6))], atol=1e-8)


def test_cheaper_judging_is_held_against_the_significant_differences():
    full = np.array([[0, 1, 1, 1], [-1, 0, 0, 1], [-1, 0, 0, -1], [-1, -1, 1, 0]], dtype=np.int8)
    cheap = np.array([[0, 1, 0, -1], [-1, 0, 1, 1], [0, -1, 0, -1], [1, -1, 1, 0]], dtype=np.int8)
    assert rankings.kept_differences(full, cheap) == {
        "pairs": 6, "kept": 3, "lost": 1, "invented": 1, "reversed": 1
    }  # fmt: skip


@pytest.mark.slow
def test_the_best_of_equals_is_seldom_called_the_best():
    """Winner's curse: of 12 equal models none may be singled out in more than about 5 % of runs."""
    named = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        fitted = bt.fit(bt.count(*played(rng, np.zeros(12), 1500), 12))
        low, high = ranks.rank_sets(fitted.theta, independent(fitted), seed=seed)
        named += bool(((low > 1) | (high < 12)).any())
    assert named / 150 <= 0.09


@pytest.mark.slow
def test_rating_intervals_cover_where_people_have_tastes_of_their_own():
    """30 people, each with tastes that shift every model (sd .6): two-way clustered intervals cover."""
    theta = np.array([-0.6, -0.2, 0.2, 0.6])
    covered = alone = total = 0
    for seed in range(250):
        rng = np.random.default_rng(seed)
        n, people = 1200, 30
        taste = rng.normal(0, 0.6, (people, 4))
        who = np.repeat(np.arange(people), n // people).astype(np.int32)
        first = rng.integers(0, 4, n)
        second = (first + rng.integers(1, 4, n)) % 4
        lean = (theta + taste)[who, first] - (theta + taste)[who, second]
        verdict = np.where(rng.random(n) < 1 / (1 + np.exp(-lean)), -1, 1).astype(np.int8)
        fitted = bt.fit(bt.count(first, second, verdict, 4))
        # What everybody's average preference makes of theta: the population's rating.
        truth = POPULATION
        both = ranks.clustered(fitted, first, second, verdict, item=np.arange(n), annotator=who)
        from scipy import stats

        covered += (np.abs(fitted.theta - truth) < stats.t.ppf(0.975, both.df) * both.errors).sum()
        alone += (np.abs(fitted.theta - truth) < 1.96 * independent(fitted).errors).sum()
        total += 4
    assert 0.92 <= covered / total <= 0.985
    assert alone / total < 0.9


def population() -> np.ndarray:
    rng = np.random.default_rng(99)
    theta, n = np.array([-0.6, -0.2, 0.2, 0.6]), 2_000_000
    taste = rng.normal(0, 0.6, (n, 4))
    first = rng.integers(0, 4, n)
    second = (first + rng.integers(1, 4, n)) % 4
    rows = np.arange(n)
    lean = (theta + taste)[rows, first] - (theta + taste)[rows, second]
    verdict = np.where(rng.random(n) < 1 / (1 + np.exp(-lean)), -1, 1).astype(np.int8)
    return bt.fit(bt.count(first, second, verdict, 4)).theta


POPULATION = np.array([-0.520, -0.175, 0.175, 0.520])  # `population()` to three digits
