"""Statistics against values worked by hand, scikit-learn, and scipy's own optimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize
from sklearn.linear_model import LogisticRegression

from annotations.analysis import agreement, alternative, careless, difficulty, estimates, styled, win_rates
from annotations.analysis.patterns import Labels
from tests.analysis.test_coefficients import labels_of
from tests.analysis.test_rankings import played


def test_one_against_the_rest_by_hand():
    # Units: all alike (3 of 3); one against two (of the three the odd one is wrong, the two others see a draw); all alike (3 of 3);
    # two people who differ (0 of 2).
    labels = labels_of([[1, 1, 2, 2], [1, 2, 2, 3], [1, 2, 2, None]])
    found = agreement.against_rest(labels)
    assert (found["value"], found["n"]) == (pytest.approx(6 / 9), 9)


def test_majorities_by_hand():
    verdicts = labels_of([[-1, -1, 1, 0], [-1, 1, 1, 0], [1, None, -1, 1]])
    most = agreement.majority_labels(verdicts, 9)
    assert verdicts.levels[most.value].tolist() == [-1, 0, 1, 0]  # a draw of comparisons is a tie
    ratings = labels_of([[1, 5], [1, 3], [3, 2], [3, None]])
    most = agreement.majority_labels(ratings, 9)
    assert ratings.levels[most.value].tolist() == [1, 3]  # of ratings the middle, the lower of two


def test_helpsteers_filter_keeps_the_three_most_similar():
    labels = labels_of([[1, 2], [4, 2], [5, 2], [4, None], [0, None]])
    kept = agreement.most_similar(labels)
    of_first = kept.unit == 0
    assert sorted(labels.levels[kept.value[of_first]].tolist()) == [4, 4, 5]
    assert (~of_first).sum() == 3
    assert agreement.most_similar(labels.only(labels.annotator < 3)) is None  # nobody has more than three


def test_ppi_by_hand():
    # cov(y, f) = 40/39 (2/5 - 3/5 · 2/5), var f = 116/240 · 124/240; y - λ f is 1 - λ (2/5), 0 (2/5) and 1 (1/5).
    y, f = np.array([1.0, 0, 1, 1, 0] * 8), np.array([1.0, 0, 1, 0, 0] * 8)
    found = estimates.ppi_mean(y, f, np.array([1.0, 0] * 100))
    weight = (40 / 39 * 0.16) / (1.2 * 116 * 124 / 240**2)
    mean, square = 0.4 * (1 - weight) + 0.2, 0.4 * (1 - weight) ** 2 + 0.2
    half = 1.959964 * ((square - mean**2) / 39 + weight**2 * 0.25 / 199) ** 0.5
    assert found["weight"] == pytest.approx(weight)
    assert (found["value"], found["lo"]) == pytest.approx(
        (0.6 + 0.1 * weight, 0.6 + 0.1 * weight - half), abs=1e-6
    )


def test_aipw_by_hand():
    # Twenty of forty labelled with probability ½, a model that says ½: terms 1.5 and -0.5 (ten each) and .5 (twenty).
    y = np.r_[np.ones(10), np.zeros(30)]
    labelled = np.arange(40) < 20
    found = estimates.aipw_mean(y, np.full(40, 0.5), labelled, np.full(40, 0.5))
    half = 1.959964 * (20 / 39 / 40) ** 0.5
    assert (found["value"], found["lo"], found["hi"]) == pytest.approx(
        (0.5, 0.5 - half, 0.5 + half), abs=1e-6
    )


@pytest.mark.parametrize("estimate", [
    lambda y, f: estimates.ppi_mean(y, f, np.ones(50)),
    lambda y, f: estimates.aipw_mean(y, f, np.ones(30, dtype=bool), np.ones(30)),
])  # fmt: skip
def test_where_nothing_differs_the_interval_is_that_of_a_share(estimate):
    found = estimate(np.ones(30), np.ones(30))
    assert (found["value"], found["hi"]) == (1, 1)
    assert found["lo"] == pytest.approx(0.8865, abs=1e-4)  # Wilson, 30 of 30


@pytest.mark.parametrize(("misses", "rate"), [(3, 0.0), (1, 1.0)])
def test_alternative_annotator_test_by_hand(misses, rate):
    # Three people always say 0, the model says 1 on `misses` of 30. t = (misses / 30 - .2) / (s / √30): -1.80, p = .0415 for
    # three, above the last of Benjamini & Yekutieli's bounds (.0273); -5.0 for one.
    said = [[0] * 30] * 3 + [[1] * misses + [0] * (30 - misses)]
    labels = labels_of(said)
    found = alternative.alt_test(labels, labels.annotator == 3)
    assert (found.winning_rate, found.passes, found.people) == (rate, rate >= 0.5, 3)
    assert found.advantage == pytest.approx(1 - misses / 30)


def test_bounds_that_are_watched_have_the_references_widths():
    # Reference 4.3: half-widths .183, .077, .048 at 100, 400 and 1,000.
    halves = [win_rates.anytime(n / 2, n)["hi"] - 0.5 for n in (100, 400, 1000)]
    assert halves == pytest.approx([0.183, 0.077, 0.048], abs=1e-3)


def test_style_control_is_scikit_learns_logistic_regression():
    rng = np.random.default_rng(3)
    first, second, verdict = played(rng, np.array([0.6, 0.0, -0.6, 0.2]), 1500)
    kept = verdict != 0
    first, second, verdict = first[kept], second[kept], verdict[kept]
    x = np.column_stack(
        [rng.normal(0, 1, len(first)), rng.normal(0, 2, len(first)), np.zeros((len(first), 2))]
    )
    found = styled.fit(first, second, verdict, x, 4, item=np.arange(len(first)))
    design = np.zeros((len(first), 6))
    design[np.arange(len(first)), first] += 1
    design[np.arange(len(first)), second] -= 1
    design[:, 4:] = x[:, :2] / x[:, :2].std(axis=0)
    theirs = LogisticRegression(C=1e8, fit_intercept=False, tol=1e-10, max_iter=2000).fit(design, verdict < 0)
    theta = theirs.coef_[0, :4]
    np.testing.assert_allclose(found.theta, theta - theta.mean(), atol=1e-4)
    effects = [found.effects[name]["value"] for name in ("words", "headings")]
    np.testing.assert_allclose(effects, theirs.coef_[0, 4:], atol=1e-4)


def test_careful_ratings_are_the_best_of_the_likelihood_scipy_finds():
    rng = np.random.default_rng(8)
    theta, n, people = np.array([0.8, 0.0, -0.8]), 900, 6
    who, first = rng.integers(0, people, n), rng.integers(0, 3, n)
    second = (first + rng.integers(1, 3, n)) % 3
    right = np.where(rng.random(n) < 1 / (1 + np.exp(theta[second] - theta[first])), -1, 1)
    verdict = np.where(who < 2, rng.choice([-1, 1], n), right).astype(np.int8)

    def loss(at):
        t, q = np.r_[at[:2], -at[:2].sum()], 1 / (1 + np.exp(-at[2:]))
        p = 1 / (1 + np.exp(verdict * (t[first] - t[second])))
        prior = 4 * np.log(q) + np.log1p(-q)  # the EM's pseudo-votes: four with care, one without
        return -np.log(q[who] * p + (1 - q[who]) / 2).sum() - prior.sum()

    best = optimize.minimize(loss, np.r_[0.5, 0, np.zeros(people)], method="BFGS").x
    found = careless.fit_careful(first, second, verdict, who, 3, people)
    np.testing.assert_allclose(found.fit.theta[:2], best[:2], atol=0.01)
    np.testing.assert_allclose(found.care, 1 / (1 + np.exp(-best[2:])), atol=0.01)


def test_difficulty_is_the_posterior_mode_scipy_finds():
    rng = np.random.default_rng(4)
    items, takers = 15, 40
    b, theta = rng.normal(0, 1, items), rng.normal(0, 1, takers)
    item, taker = np.repeat(np.arange(items), takers), np.tile(np.arange(takers), items)
    right = (rng.random(len(item)) < 1 / (1 + np.exp(b[item] - theta[taker]))).astype(float)

    def loss(at):
        t, d, a = at[:takers], at[takers : takers + items], np.exp(at[takers + items :])
        z = a[item] * (t[taker] - d[item])
        prior = (t**2).sum() / 2 + (d**2).sum() / 8 + (np.log(a) ** 2).sum() / 0.5
        return (np.logaddexp(0, z) - right * z).sum() + prior

    best = optimize.minimize(
        loss, np.zeros(takers + 2 * items), method="L-BFGS-B", options={"maxiter": 500}
    ).x
    found = difficulty.fit(item, taker, right, items, takers)
    np.testing.assert_allclose(found.difficulty, best[takers : takers + items], atol=0.03)
    np.testing.assert_allclose(found.ability, best[:takers], atol=0.03)


def test_agreement_over_time_by_hand():
    # Four units at days 1 to 4: people agree on the first two, differ on the last two.
    labels = labels_of([[1, 1, 1, 1], [1, 1, 2, 2]])
    dated = Labels(
        labels.unit,
        labels.annotator,
        labels.value,
        labels.levels,
        4,
        labels.item,
        labels.unit.astype(np.int64) + 1,
    )

    class Two:
        kinds, annotators = np.zeros(2, dtype=np.int8), ("a", "b")

    parts = agreement.over_time(Two, dated, bins=2)
    assert parts[0]["percent"]["value"] == 1.0
    assert parts[-1]["percent"]["value"] < 0.5
    assert sum(p["percent"]["n"] for p in parts) == 4
