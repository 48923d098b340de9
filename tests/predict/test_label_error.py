"""Label error: learns planted structure, stays calibrated, corrects for how labels were drawn, never sees its own fold."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from routing.predict import human_error, label_error, logistic


def planted(rng, n=3000, d=6):
    X = rng.normal(size=(n, d))
    e = expit(-1.3 + 1.2 * X[:, 0] - 0.8 * X[:, 3])
    return X, e, (rng.random(n) < e).astype(float)


def design_of(X):
    names = tuple(f"x{j}" for j in range(X.shape[1]))
    return label_error.Design.of((X[:, :3], names[:3], True), (X[:, 3:], names[3:], False))


def test_the_fit_minimises_its_loss():
    rng = np.random.default_rng(0)
    X, _, y = planted(rng, 300)
    w, penalty, offset = rng.random(300) + 0.5, np.full(6, 3.0), rng.normal(0, 0.3, 300)

    def loss(b):
        eta = b[0] + X @ b[1:] + offset
        return (
            w @ (np.logaddexp(0, eta) - y * eta) + 0.5 * penalty @ b[1:] ** 2 + 0.5 * 1e-4 * 300 * b[0] ** 2
        )

    slow = minimize(loss, np.zeros(7), method="BFGS", options={"gtol": 1e-8})
    fast = logistic.fit(X, y, penalty, weight=w, offset=offset)
    np.testing.assert_allclose(fast.beta, slow.x, atol=1e-4)
    step = 1e-3 * np.eye(7)
    hessian = [
        [
            (
                loss(fast.beta + a + b)
                - loss(fast.beta + a - b)
                - loss(fast.beta - a + b)
                + loss(fast.beta - a - b)
            )
            / 4e-6
            for a in step
        ]
        for b in step
    ]
    np.testing.assert_allclose(fast.covariance, np.linalg.inv(hessian), rtol=1e-3, atol=1e-5)


def test_it_finds_planted_structure_and_is_calibrated():
    rng = np.random.default_rng(1)
    X, e, y = planted(rng)
    error = np.where(rng.random(3000) < 0.3, y, np.nan)
    found = label_error.predict(design_of(X), error, np.arange(3000) // 3)
    assert np.corrcoef(found.logit, np.log(e / (1 - e)))[0, 1] > 0.95
    assert abs(found.mean.mean() - e.mean()) < 0.03
    assert found.skill.n == np.isfinite(error).sum()
    assert found.skill.log_loss < found.skill.base_log_loss
    assert found.skill.ece["value"] < 0.06
    assert 0.7 < found.skill.auc["lo"] < found.skill.auc["hi"] < 0.95
    assert found.contributions(0)[0][0] in {"x0", "x3"}


def test_propensities_undo_the_selection_of_labels():
    """Labels are drawn where the model errs for reasons that no column shows: weights alone put the level right."""
    rng = np.random.default_rng(2)
    X, e, y = planted(rng, 6000)
    propensity = np.where(y > 0.5, 0.4, 0.1)
    error = np.where(rng.random(6000) < propensity, y, np.nan)
    design, group = design_of(X), np.arange(6000)
    naive = label_error.predict(design, error, group)
    weighted = label_error.predict(design, error, group, propensity=propensity)
    assert naive.mean.mean() - e.mean() > 0.15
    assert abs(weighted.mean.mean() - e.mean()) < 0.03


def test_noise_teaches_nothing_and_says_so():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(600, 6))
    y = (rng.random(600) < 0.3).astype(float)
    found = label_error.predict(design_of(X), y, np.arange(600))
    assert abs(found.skill.auc["value"] - 0.5) < 0.08
    assert found.mean.std() < 0.05


def test_predictions_of_labelled_items_come_from_other_prompts():
    """A column that is the group's identity predicts perfectly in the sample and nothing out of it."""
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(60), 10)
    y = (rng.random(60) < 0.5).astype(float)[group]
    X = np.eye(60)[group]
    names = tuple(f"g{j}" for j in range(60))
    found = label_error.predict(label_error.Design.of((X, names, True)), y, group)
    assert found.skill.auc["value"] < 0.6


@pytest.mark.parametrize(
    "y", [np.full(300, np.nan), np.r_[np.ones(300)], np.r_[[1.0, 0.0], np.full(298, np.nan)]]
)
def test_too_few_labels_give_the_shrunk_rate(y):
    found = label_error.predict(design_of(np.random.default_rng(5).normal(size=(300, 6))), y, np.arange(300))
    seen = y[~np.isnan(y)]
    assert found.skill is None
    assert found.mean.tolist() == pytest.approx([(seen.sum() + 1) / (len(seen) + 4)] * 300)


def test_bad_input_is_refused():
    design = design_of(np.random.default_rng(6).normal(size=(30, 6)))
    with pytest.raises(ValueError, match="length 30"):
        label_error.predict(design, np.zeros(29), np.arange(29))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        label_error.predict(design, np.full(30, 2.0), np.arange(30))
    with pytest.raises(ValueError, match="propensities"):
        label_error.predict(design, np.zeros(30), np.arange(30), propensity=np.zeros(30))


def test_people_are_held_against_the_majority_of_the_others():
    labels = np.array([[1, 1, 1], [1, -1, -1], [1, 0, -1], [1, 9, 9]], dtype=np.int8)
    differs = human_error.against_others(labels)
    np.testing.assert_array_equal(differs, [[0, 0, 0], [1, np.nan, np.nan], [np.nan] * 3, [np.nan] * 3])


def test_rates_of_people_are_shrunk_towards_all_and_spammers_stand_out():
    rng = np.random.default_rng(7)
    rates = np.r_[np.full(20, 0.05), 0.5]
    who = np.repeat(np.arange(21), 60)
    differs = (rng.random(len(who)) < rates[who]).astype(float)
    found = human_error.estimate(differs, who)
    assert found.n == 1260
    assert found.by_annotator[20] > 0.35
    assert np.abs(found.by_annotator[:20] - 0.05).max() < 0.08
    nothing = human_error.estimate(np.array([np.nan]), np.array([3]))
    assert (nothing.n, nothing.rate, nothing.bounds) == (0, 0.05, None)
    assert found.lo < found.rate < found.hi
