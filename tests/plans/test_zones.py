"""Auto-accept zones: exact bounds, the promised error rate, and abstention."""

import numpy as np
import pytest
from scipy.stats import binom

from routing.plans import zones


def test_the_bound_is_clopper_pearson():
    for k, n, delta in ((0, 30, 0.05), (3, 50, 0.05), (49, 50, 0.01)):
        assert binom.cdf(k, n, zones.upper_bound(k, n, delta)) == pytest.approx(delta)
    assert zones.upper_bound(5, 5, 0.05) == 1.0
    assert zones.upper_bound(0, 59, 0.05) == pytest.approx(1 - 0.05 ** (1 / 59))


def test_the_first_zone_is_the_smallest_that_could_pass_with_a_third_of_the_errors_allowed():
    assert zones.least_audited(0.1, 0.05) == 46  # one error of 46: bound .0995
    assert zones.upper_bound(1, 46, 0.05) <= 0.1 < zones.upper_bound(1, 45, 0.05)


def made(rng, n=4000, audited=800):
    confidence = rng.random(n)
    wrong = rng.random(n) < 0.5 * (1 - confidence) ** 1.5
    error = np.full(n, np.nan)
    drawn = rng.choice(n, audited, replace=False)
    error[drawn] = wrong[drawn]
    return confidence, wrong, error


def test_the_zone_keeps_its_promise_in_nineteen_of_twenty_draws():
    rng = np.random.default_rng(0)
    broken, sizes = 0, []
    for _ in range(400):
        confidence, wrong, error = made(rng)
        zone = zones.accept_zone(confidence=confidence, error=error, barred=np.zeros(4000, bool), alpha=0.1)
        sizes.append(zone.inside.mean())
        broken += bool(zone.inside.any()) and wrong[zone.inside].mean() > 0.1
    assert broken / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert np.mean(sizes) > 0.4  # the largest zone with that error rate holds 64 %


def test_it_abstains_where_the_bound_fails_and_where_too_little_was_audited():
    wrong = np.tile([1.0, 0.0], 100)
    zone = zones.accept_zone(confidence=np.arange(200.0), error=wrong, barred=np.zeros(200, bool), alpha=0.2)
    first = zones.least_audited(0.2, 0.05)
    assert (zone.threshold, zone.inside.any(), zone.n, zone.errors) == (None, False, first, first // 2)
    assert zone.bound > 0.2
    few = np.full(200, np.nan)
    few[: first - 1] = 0.0
    zone = zones.accept_zone(confidence=np.ones(200), error=few, barred=np.zeros(200, bool), alpha=0.2)
    assert (zone.threshold, zone.bound) == (None, 1.0)


def test_barred_items_are_never_inside_whatever_their_confidence():
    n = 400
    barred = np.zeros(n, bool)
    barred[:40] = True
    confidence, error = np.linspace(1, 0, n), np.zeros(n)
    zone = zones.accept_zone(confidence=confidence, error=error, barred=barred, alpha=0.05)
    assert zone.n == 360
    assert zone.inside.tolist() == (~barred).tolist()


def test_one_item_of_a_prompt_group_counts_and_judges_share_the_level():
    error = np.zeros(400)
    arguments = {"confidence": np.ones(400), "error": error, "barred": np.zeros(400, bool), "alpha": 0.1}
    assert zones.accept_zone(**arguments, group=np.arange(400) // 10).n == 40
    alone, beside = zones.accept_zone(**arguments), zones.accept_zone(**arguments, judges=5)
    assert alone.bound == pytest.approx(1 - 0.05 ** (1 / 400))
    assert beside.bound == pytest.approx(1 - 0.01 ** (1 / 400))


@pytest.mark.parametrize(("name", "value"), [("alpha", 0.0), ("delta", 1.0), ("judges", 0)])
def test_bad_levels_are_refused(name, value):
    arguments = {"confidence": np.ones(3), "error": np.ones(3), "barred": np.zeros(3, bool), "alpha": 0.1}
    with pytest.raises(ValueError, match=name):
        zones.accept_zone(**{**arguments, name: value})
