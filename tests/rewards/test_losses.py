import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import approx_fprime

from routing.rewards import losses

N = 5
margins = arrays(float, N, elements=st.floats(-30, 30))
weights = arrays(float, N, elements=st.floats(0.1, 5))
signs = arrays(int, N, elements=st.sampled_from([-1, 1]))
levels = arrays(int, N, elements=st.sampled_from([1, 2, 3]))


def assert_gradient(function, point):
    _, gradient = function(point)
    numeric = approx_fprime(point, lambda x: function(x)[0], 1e-6)
    assert np.allclose(gradient, numeric, atol=2e-5)


def test_closed_forms():
    assert losses.bradley_terry(np.array([0.0]), np.array([1]))[0] == pytest.approx(np.log(2))
    assert losses.bradley_terry(np.array([2.0]), np.array([1]))[0] == pytest.approx(np.log1p(np.exp(-2)))
    assert losses.bradley_terry(np.array([1000.0]), np.array([-1]))[0] == 1000.0
    value, gradient = losses.masked_mse(np.array([[1.0, 5.0]]), np.array([[3.0, np.nan]]), np.array([[1, 0]]))
    assert value == 4.0
    assert gradient.tolist() == [[-4.0, 0.0]]
    assert losses.masked_mse(np.ones(2), np.ones(2), np.zeros(2))[0] == 0.0


@settings(deadline=None)
@given(margins, signs, levels, weights)
def test_scaled_loss_is_the_weighted_mean_of_softplus(delta, sign, strength, weight):
    value, _ = losses.scaled_bradley_terry(delta, sign, strength, weight)
    total = sum(
        w * m * np.logaddexp(0, -y * d) for w, m, y, d in zip(weight, strength, sign, delta, strict=True)
    )
    assert value == pytest.approx(total / np.dot(weight, strength))
    same, _ = losses.scaled_bradley_terry(delta, sign, np.ones(N, dtype=int), weight)
    assert same == pytest.approx(losses.bradley_terry(delta, sign, weight)[0])


@settings(deadline=None)
@given(margins, weights)
def test_tie_loss_is_even_and_least_at_zero(delta, weight):
    value, _ = losses.tie_loss(delta, weight)
    assert value == pytest.approx(losses.tie_loss(-delta, weight)[0])
    assert value >= np.log(2) - 1e-12
    halves = 0.5 * (np.logaddexp(0, delta) + np.logaddexp(0, -delta))
    assert value == pytest.approx(np.average(halves, weights=weight))


@settings(deadline=None)
@given(margins, arrays(float, N, elements=st.floats(0, 1)), weights, signs, levels)
def test_gradients_match_finite_differences(delta, target, weight, sign, strength):
    assert_gradient(lambda d: losses.soft_bradley_terry(d, target, weight), delta)
    assert_gradient(lambda d: losses.scaled_bradley_terry(d, sign, strength, weight), delta)
    assert_gradient(lambda r: losses.masked_mse(r, target, target > 0.3), delta)


@settings(deadline=None)
@given(margins, arrays(float, N, elements=st.floats(0, 1)))
def test_swapping_the_sides_changes_nothing(delta, target):
    value, gradient = losses.soft_bradley_terry(delta, target)
    swapped, turned = losses.soft_bradley_terry(-delta, 1 - target)
    assert value == pytest.approx(swapped, abs=1e-9)
    assert np.allclose(gradient, -turned)


def test_soft_labels_from_votes():
    votes = np.array([[0, 0, 0], [0, 0, 3], [2, 1, 0], [1, 0, 1]])
    assert np.allclose(losses.soft_labels(votes), [0.5, 4 / 5, 1.5 / 5, 0.5])
    assert np.allclose(losses.soft_labels(votes[1:], smoothing=1e-9), [1, 1 / 6, 0.5])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="strength 4"):
        losses.strength_weights(np.array([1, 4]))
    with pytest.raises(ValueError, match="tie_loss"):
        losses.bradley_terry(np.zeros(1), np.array([0]))
    with pytest.raises(ValueError, match="targets"):
        losses.soft_bradley_terry(np.zeros(1), np.array([1.5]))
    with pytest.raises(ValueError, match="weights"):
        losses.soft_bradley_terry(np.zeros(1), np.ones(1), np.zeros(1))
