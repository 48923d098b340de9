"""Rankings, thumbs, ties and source weights against hand-worked values, finite differences and torch."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import approx_fprime

from routing.rewards import list_losses, losses

N, K = 4, 4
scores_ = arrays(float, (N, K), elements=st.floats(-8, 8))
ranks_ = arrays(int, (N, K), elements=st.integers(1, K))
margins = arrays(float, N, elements=st.floats(-8, 8))
weights = arrays(float, N, elements=st.floats(0.1, 5))
outcomes = arrays(int, N, elements=st.sampled_from([-1, 0, 1]))
ups = arrays(bool, N)
FULL = np.ones((1, 3), dtype=bool)


def masks(rank):
    """A mask that leaves one to K entries, a function of the ranks."""
    return np.arange(K)[None, :] < np.maximum(rank[:, :1], 1)


def assert_slope(function, point):
    numeric = approx_fprime(point.ravel(), lambda x: function(x.reshape(point.shape))[0], 1e-6)
    assert np.allclose(function(point)[1].ravel(), numeric, atol=3e-5)


def test_plackett_luce_sums_to_one_over_all_orders_and_is_bradley_terry_for_two():
    scores = np.array([[0.3, -1.0, 2.0]])
    total = sum(
        math.exp(-list_losses.plackett_luce(scores, np.array([order]), FULL)[0])
        for order in permutations([1, 2, 3])
    )
    assert total == pytest.approx(1.0)
    two, mask = np.array([[1.5, 0.2]]), np.ones((1, 2), dtype=bool)
    value, _ = list_losses.plackett_luce(two, np.array([[1, 2]]), mask)
    assert value == pytest.approx(np.log1p(np.exp(-1.3)))
    gain = list_losses.list_gains(np.array([[1, 2]]), mask)
    assert gain.tolist() == [[1.0, 0.0]]
    assert list_losses.lipo_lambda(two, gain, mask)[0] == pytest.approx(np.log1p(np.exp(-1.3)))


def test_gains_are_the_share_beaten_with_ties_half():
    rank = np.array([[1, 2, 2, 9], [3, 3, 3, 3]])
    mask = np.array([[True, True, True, False], [True] * 4])
    assert list_losses.list_gains(rank, mask).tolist() == [[1.0, 0.25, 0.25, 0.0], [0.5] * 4]


def test_lipo_weights_by_hand():
    # places 1, 2 by score; gains 1 and 0: |2 - 1| · |1/ln 2 - 1/ln 3|
    delta, total = list_losses.lipo_weights(
        np.array([[0.0, 3.0]]), np.array([[1.0, 0.0]]), np.ones((1, 2), bool)
    )
    assert total == pytest.approx(1 / math.log(2) - 1 / math.log(3))
    assert delta[0, 0, 1] == total


@settings(deadline=None, max_examples=25)
@given(scores_, ranks_, weights, outcomes, margins, ups, st.floats(0.05, 3))
def test_gradients_match_finite_differences(scores, rank, weight, outcome, delta, up, nu):
    mask = masks(rank)
    assert_slope(lambda s: list_losses.plackett_luce(s, rank, mask, weight), scores)
    assert_slope(lambda r: list_losses.bco(r, up, 0.3, weight), delta)
    assert_slope(lambda d: losses.rao_kupper(d, outcome, nu, weight)[:2], delta)
    sign = np.where(outcome == 0, 1, outcome)
    assert_slope(lambda d: losses.margin_bradley_terry(d, sign, np.abs(outcome), weight), delta)
    in_nu = approx_fprime(np.array([nu]), lambda v: losses.rao_kupper(delta, outcome, v[0], weight)[0], 1e-7)
    assert losses.rao_kupper(delta, outcome, nu, weight)[2] == pytest.approx(in_nu[0], abs=1e-4)


@settings(deadline=None, max_examples=25)
@given(margins, st.floats(0.01, 4))
def test_rao_kupper_probabilities_sum_to_one(delta, nu):
    for d in delta:
        parts = [math.exp(-losses.rao_kupper(np.array([d]), np.array([o]), nu)[0]) for o in (-1, 0, 1)]
        assert sum(parts) == pytest.approx(1.0)
        assert parts[2] == pytest.approx(1 / (1 + math.exp(nu - d)))


def test_bco_shift_and_density_ratio():
    value, _ = list_losses.bco(np.array([2.0, -1.0]), np.array([True, False]), 0.5)
    assert value == pytest.approx((np.log1p(np.exp(-1.5)) + np.log1p(np.exp(-1.5))) / 2)
    running = list_losses.RunningMean()
    running.update(np.array([1.0, 3.0]))
    assert running.update(np.array([5.0])) == pytest.approx(3.0)
    assert list_losses.density_ratio(np.array([0.0, 0.5, 0.75, 1.0])).tolist() == [0.5, 1.0, 3.0, 10.0]


def test_minimum_norm_weights():
    # orthogonal gradients of lengths 1 and 2: λ ∝ 1/|g|²
    assert list_losses.min_norm_weights(np.array([[1.0, 0], [0, 2.0]])) == pytest.approx([0.8, 0.2], abs=1e-3)
    assert list_losses.min_norm_weights(np.array([[1.0, 0], [3.0, 0]])) == pytest.approx([1.0, 0.0], abs=1e-6)
    more = list_losses.MoreWeights(decay=0.5)
    assert more.update({"human": np.array([3.0, 0]), "lm": np.array([0, 5.0])}) == pytest.approx(
        {"human": 1.0, "lm": 1.0}, abs=1e-3
    )


def test_source_and_propensity_weights():
    found = losses.row_weights(["human", "lm", "lm"], {"lm": 0.5}, np.array([1.0, 0.25, 0.001]))
    assert found.tolist() == [1.0, 2.0, 10.0]
    with pytest.raises(ValueError, match="propensities"):
        losses.row_weights(["human"], {}, np.array([0.0]))
    value, first, second = losses.centring(np.array([1.0, 2.0]), np.array([1.0, -2.0]))
    assert (value, first.tolist(), second.tolist()) == (2.0, [2.0, 0.0], [2.0, 0.0])


@settings(deadline=None, max_examples=25)
@given(scores_, ranks_, weights, outcomes, margins, ups, st.floats(0.05, 3))
def test_torch_says_the_same_as_numpy(scores, rank, weight, outcome, delta, up, nu):
    torch = pytest.importorskip("torch", reason="torch is not installed (requirements-train.txt)")
    from routing.rewards import losses_torch as lt

    mask, sign = masks(rank), np.where(outcome == 0, -1, outcome)
    gain, target, strength = list_losses.list_gains(rank, mask), (outcome + 1) / 2, 1 + np.abs(outcome)
    t = torch.tensor
    cases = [
        (delta, lambda d: losses.soft_bradley_terry(d, target, weight), lambda d: lt.soft_bradley_terry(d, t(target), t(weight))),
        (delta, lambda d: losses.scaled_bradley_terry(d, sign, strength, weight), lambda d: lt.margin_bradley_terry(d, t(sign), 0.0, t(weight * strength))),
        (delta, lambda d: losses.margin_bradley_terry(d, sign, strength, weight), lambda d: lt.margin_bradley_terry(d, t(sign), t(strength), t(weight))),
        (delta, lambda d: losses.rao_kupper(d, outcome, nu, weight)[:2], lambda d: lt.rao_kupper(d, t(outcome), t(nu, dtype=torch.float64), t(weight))),
        (delta, lambda d: list_losses.bco(d, up, 0.3, weight), lambda d: lt.bco(d, t(up), 0.3, t(weight))),
        (delta, lambda d: losses.centring(d, target)[:2], lambda d: lt.centring(d, t(target))),
        (scores, lambda s: losses.masked_mse(s, rank, mask), lambda s: lt.masked_mse(s, t(rank.astype(float)), t(mask))),
        (scores, lambda s: list_losses.plackett_luce(s, rank, mask, weight), lambda s: lt.plackett_luce(s, t(rank), t(mask), t(weight))),
        (scores, lambda s: list_losses.lipo_lambda(s, gain, mask, weight), lambda s: lt.lipo_lambda(s, t(gain), t(mask), t(weight))),
    ]  # fmt: skip
    for point, ours, theirs in cases:
        value, gradient = ours(point)
        tensor = t(point, requires_grad=True)
        other = theirs(tensor)
        other.backward()
        assert float(other.detach()) == pytest.approx(value, rel=1e-9, abs=1e-9)
        assert np.allclose(tensor.grad.numpy(), gradient, atol=1e-8)
