"""Influence against retraining; HyPER's mixes against slow references and planted truth."""

import numpy as np
import pytest
from scipy.special import expit

from annotations.analysis.majority import NONE
from routing.predict import influence, mixes


def test_influence_predicts_what_retraining_with_the_other_label_does():
    rng = np.random.default_rng(0)
    phi, theta = rng.normal(size=(300, 4)), np.array([1.0, -1.0, 0.5, 0.0])
    truth = np.where(rng.random(300) < expit(phi @ theta), 1, -1).astype(np.int8)
    verdict = np.where(rng.random(300) < 0.25, -truth, truth).astype(np.int8)
    known = np.where(np.arange(300) < 150, truth, NONE).astype(np.int8)

    def loss(labels):
        fitted, _ = influence.fit(phi, (labels + 1) / 2)
        return np.logaddexp(0, -known[:150] * (phi[:150] @ fitted)).mean()

    predicted = influence.gains(phi, verdict, known, np.ones(300))
    real = []
    for i in range(150, 200):
        flipped = verdict.copy()
        flipped[i] = -flipped[i]
        real.append(loss(verdict) - loss(flipped))
    assert np.corrcoef(predicted[150:200], real)[0, 1] > 0.98
    np.testing.assert_allclose(predicted[150:200], real, atol=0.3 * np.abs(real).max())


def test_influence_needs_labelled_pairs_and_puts_unjudged_items_first():
    rng = np.random.default_rng(1)
    phi = rng.normal(size=(60, 3))
    verdict = rng.choice([-1, 0, 1], 60).astype(np.int8)
    verdict[:2] = NONE
    assert influence.gains(phi, verdict, np.full(60, NONE, dtype=np.int8), np.ones(60)) is None
    gains = influence.gains(phi, verdict, rng.choice([-1, 1], 60).astype(np.int8), np.full(60, 0.5))
    assert set(np.argsort(-gains)[:2]) == {0, 1}
    assert (gains[(verdict == 0)] == 0).all()


def slow_draw(tags, budget, rng):
    """Algorithm 1 as it reads."""
    chosen: set[int] = set()
    for tag in rng.permutation(tags.shape[1]):
        for item in rng.permutation(np.flatnonzero(tags[:, tag])):
            if len(chosen) == budget:
                return chosen
            chosen.add(int(item))
    return chosen


def test_candidates_follow_algorithm_one():
    rng = np.random.default_rng(2)
    tags = rng.random((200, 12)) < rng.uniform(0.02, 0.5, 12)
    tags[:, 0] = np.arange(200) < 5
    sets = mixes.TagSets(tags)
    found = mixes.draw(sets, 1500, seed=3, budget=60)
    assert (found.sent.sum(axis=1) == 60).all()
    np.testing.assert_array_equal(found.counts, found.sent.astype(int) @ tags)
    slow = np.zeros((1500, 12))
    for row in slow:
        chosen = slow_draw(tags, 60, rng)
        row[:] = tags[sorted(chosen)].sum(axis=0)
    np.testing.assert_allclose(found.counts.mean(axis=0), slow.mean(axis=0), atol=1.5)
    np.testing.assert_allclose(found.counts.std(axis=0), slow.std(axis=0), rtol=0.15)
    everything = mixes.draw(sets, 3, seed=0, budget=200)
    assert everything.sent.all()
    budgets = mixes.draw(sets, 500, seed=0).budget
    assert budgets.min() < 10
    assert budgets.max() > 190
    with pytest.raises(ValueError, match="1 to 200"):
        mixes.draw(sets, 1, seed=0, budget=201)


def test_ridge_beats_the_papers_regressions_on_planted_gains_and_its_intervals_cover():
    """As in the notes' simulation: 200 noisy runs, ninety tags, half of the truth linear in them."""
    rng = np.random.default_rng(4)
    tags = rng.random((2000, 90)) < rng.uniform(0.02, 0.4, 90)
    worth = rng.normal(size=90) * (rng.random(90) < 0.5)
    item = tags @ worth
    sets = mixes.TagSets(tags)
    runs = mixes.draw(sets, 200, seed=5, budget=1000)
    true = runs.sent @ item / 2000
    performance = true + rng.normal(0, true.std(), 200)
    ours = mixes.fit_bayesian(runs.counts, runs.budget, 2000, performance, sets.prevalence)
    linear = mixes.fit_linear(runs.counts, performance)
    quadratic = mixes.fit_quadratic(runs.counts, performance)
    found = [np.corrcoef(m.gains(tags.astype(float)), item)[0, 1] for m in (ours, linear, quadratic)]
    assert found[0] > max(found[1:])
    assert found[0] > 0.5
    assert 0.88 <= ours.skill["coverage"]["value"] <= 1.0
    assert ours.skill["spearman"]["value"] > 0.4  # the noise allows .71
    fresh = mixes.draw(sets, 300, seed=6, budget=1000)
    best = mixes.best_of(ours, fresh)
    value = fresh.sent @ item
    assert value[best].mean() > value.mean() + 0.5 * value.std()


def test_bayesian_mixes_refuse_budgets_they_never_saw_and_too_few_runs():
    rng = np.random.default_rng(7)
    sets = mixes.TagSets(rng.random((100, 5)) < 0.4)
    runs = mixes.draw(sets, 40, seed=0, budget=30)
    model = mixes.fit_bayesian(runs.counts, runs.budget, 100, rng.random(40), sets.prevalence)
    with pytest.raises(ValueError, match="never tried"):
        model.predict(runs.counts, np.full(40, 60), 100)
    with pytest.raises(ValueError, match="at least 20"):
        mixes.fit_bayesian(runs.counts[:5], runs.budget[:5], 100, np.ones(5), sets.prevalence)


def test_the_quadratic_dual_is_least_squares_on_all_products():
    from sklearn.linear_model import LinearRegression
    from sklearn.preprocessing import PolynomialFeatures

    rng = np.random.default_rng(8)
    counts, y = rng.integers(0, 6, (15, 4)).astype(float), rng.random(15)
    poly = PolynomialFeatures(2)
    slow = LinearRegression().fit(poly.fit_transform(counts), y)
    single = np.eye(4)
    expected = slow.predict(poly.transform(single)) - slow.predict(poly.transform(np.zeros((1, 4))))
    np.testing.assert_allclose(mixes.fit_quadratic(counts, y).gains(single), expected, atol=1e-6)


def test_all_runs_at_once_are_the_runs_one_by_one():
    rng = np.random.default_rng(9)
    phi, human, model = rng.normal(size=(80, 5)), rng.choice([-1, 1], 80), rng.choice([-1, 0, 1], 80)
    held, truth = rng.normal(size=(40, 5)), rng.choice([-1, 0, 1], 40)
    sent = rng.random((3, 80)) < 0.5
    together = mixes.ridge_runs(phi, human, model, sent, held, truth)
    for row, accuracy in zip(sent, together, strict=True):
        theta = np.linalg.solve(phi.T @ phi + 10 * np.eye(5), phi.T @ np.where(row, human, model))
        decided = truth != 0
        assert accuracy == pytest.approx((np.sign(held[decided] @ theta) == truth[decided]).mean())


def test_held_out_skill_of_the_papers_regressions_is_that_of_fits_one_by_one():
    rng = np.random.default_rng(4)
    counts = rng.integers(0, 30, (40, 5)).astype(float)
    y = counts @ np.array([0.3, -0.2, 0.1, 0.0, 0.4]) / 30 + rng.normal(0, 0.02, 40)
    held = np.empty(40)
    for f in range(5):
        out = np.arange(40) % 5 == f
        X = np.column_stack([np.ones((~out).sum()), counts[~out]])
        beta, *_ = np.linalg.lstsq(X, y[~out], rcond=None)
        held[out] = np.column_stack([np.ones(out.sum()), counts[out]]) @ beta
    found = mixes.paper_skill("linear", counts, y)
    assert found["n"] == 40
    assert found["rmse"]["value"] == pytest.approx(np.sqrt(np.mean((y - held) ** 2)), rel=1e-9)
    assert found["spearman"]["value"] > 0.9
    squares = counts[:, :1] ** 2 / 900 + rng.normal(0, 0.01, (40, 1))
    bent = mixes.paper_skill("quadratic", counts[:, :2], squares[:, 0])
    assert bent["spearman"]["value"] > 0.9  # 6 columns and 32 runs: least squares finds the square
    assert bent["rmse"]["value"] < mixes.paper_skill("linear", counts[:, :2], squares[:, 0])["rmse"]["value"]
