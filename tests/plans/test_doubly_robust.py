"""Doubly robust estimates from audits: unbiased under routed data, intervals that cover, refusal where none is possible."""

import numpy as np
import pytest

from routing.plans import doubly_robust


def campaign(rng, *, groups=300, size=3, audit=0.1, share=0.25, wrong_model=False):
    """Items in prompt groups whose errors depend on the prompt; a router that sends the most doubtful to people."""
    n = groups * size
    group = np.repeat(np.arange(groups), size)
    hardness = np.repeat(rng.normal(0, 1.2, groups), size)
    e = 1 / (1 + np.exp(-(-1.2 + hardness)))
    wrong = (rng.random(n) < e).astype(float)
    score = hardness + rng.normal(0, 0.7, n)
    chosen = doubly_robust.top_share(score, int(share * n), 0)
    rest = np.flatnonzero(~chosen)
    drawn = rng.choice(rest, int(np.ceil(audit * len(rest))), replace=False)
    propensity = np.where(chosen, 1.0, len(drawn) / len(rest))
    seen = chosen.copy()
    seen[drawn] = True
    predicted = np.full(n, 0.6) if wrong_model else np.clip(e + rng.normal(0, 0.1, n), 0, 1)
    audited = doubly_robust.Audited(np.where(seen, wrong, np.nan), propensity, predicted, group)
    return audited, chosen, score, wrong


def truth(rng, share=0.25):
    """The population's error, and the gain of the router over random, from one very large campaign."""
    _, chosen, _, wrong = campaign(rng, groups=400_000, share=share)
    return wrong.mean(), ((chosen - share) * wrong).mean()


@pytest.mark.parametrize("wrong_model", [False, True])
def test_intervals_cover_the_truth_in_95_of_100_runs_and_the_naive_mean_does_not(wrong_model):
    rng = np.random.default_rng(7)
    error, gain = truth(rng)
    covered = np.zeros((500, 2), dtype=bool)
    naive, found = [], []
    for run in range(500):
        audited, chosen, score, _ = campaign(rng, wrong_model=wrong_model)
        report = doubly_robust.report(audited, chosen, score=score)
        for k, (estimate, value) in enumerate(((report.model_error, error), (report.gain_over_random, gain))):
            covered[run, k] = estimate["lo"] <= value <= estimate["hi"]
        naive.append(np.nanmean(audited.error))
        found.append(report.model_error["value"])
    assert (np.abs(covered.mean(axis=0) - 0.95) <= 0.03).all(), covered.mean(axis=0)
    assert abs(np.mean(found) - error) < 0.01
    assert np.mean(naive) - error > 0.1


def test_the_parts_of_a_report_fit_together():
    audited, chosen, score, _ = campaign(np.random.default_rng(1))
    report = doubly_robust.report(audited, chosen, score=score, confidence=score)
    routed, random = report.routed["value"], report.random["value"]
    assert report.gain_over_random["value"] == pytest.approx(random - routed)
    assert report.gain_over_confidence["value"] == pytest.approx(0.0)  # it routed by that very doubt
    assert random == pytest.approx((1 - report.share) * report.model_error["value"])
    assert report.gain_over_random["lo"] > 0
    assert report.gain_over_random["n"] == (~np.isnan(audited.error)).sum()


def test_a_worked_example():
    error = np.array([1.0, np.nan, 0.0, 1.0, np.nan, 0.0])
    propensity = np.array([1.0, 0.5, 0.5, 1.0, 0.5, 0.5])
    predicted = np.array([0.5, 0.2, 0.2, 0.5, 0.2, 0.2])
    audited = doubly_robust.Audited(error, propensity, predicted, np.arange(6))
    # mean residual of the stratum of one half: -0.2, so m + r = 0 there; of the other: 0.5, so m + r = 1
    np.testing.assert_allclose(audited.pseudo(), [1, 0, 0, 1, 0, 0], atol=1e-12)
    people = np.array([True, False, False, True, False, False])
    report = doubly_robust.report(audited, people)
    assert report.model_error["value"] == pytest.approx(2 / 6)
    assert report.routed["value"] == pytest.approx(0.0)
    assert report.random["value"] == pytest.approx(2 / 3 * 2 / 6)


def test_people_who_err_can_make_routing_worse_than_nothing():
    n = 200
    error = np.tile([1.0, 0.0, 0.0, 0.0], n // 4)
    audited = doubly_robust.Audited(error, np.ones(n), np.zeros(n), np.arange(n), person_error=0.5)
    report = doubly_robust.report(audited, np.ones(n, dtype=bool))
    assert report.model_error["value"] == pytest.approx(0.25)
    assert report.routed["value"] == pytest.approx(0.5)


def test_deterministic_routing_is_refused():
    audited = doubly_robust.Audited(np.array([1.0, np.nan]), np.array([1.0, 0.0]), np.zeros(2), np.arange(2))
    with pytest.raises(ValueError, match="propensities"):
        doubly_robust.report(audited, np.array([True, False]))


def test_while_people_still_judge_only_audits_of_an_unfinished_stratum_count():
    stratum = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    audit = np.array([1, 0, 0, 0, 1, 1, 0, 0], dtype=bool)
    seen = np.array([1, 1, 1, 0, 1, 0, 0, 0], dtype=bool)
    usable, propensity = doubly_robust.seen_propensity(stratum, audit, seen)
    assert usable.nonzero()[0].tolist() == [0, 4]
    assert propensity.tolist() == [0.25] * 8
    seen[3] = True
    usable, propensity = doubly_robust.seen_propensity(stratum, audit, seen)
    assert usable.nonzero()[0].tolist() == [0, 1, 2, 3, 4]
    assert propensity.tolist() == [1.0] * 4 + [0.25] * 4


def test_too_few_prompts_give_no_interval():
    assert doubly_robust.clustered_mean(np.ones(40), np.arange(40) % 4) is None


def test_no_error_among_the_labels_is_bounded_by_their_prompts():
    n = 200
    error = np.where(np.arange(n) < 40, 0.0, np.nan)  # forty labels in twenty prompts, all right
    audited = doubly_robust.Audited(error, np.full(n, 0.2), np.full(n, 0.02), np.arange(n) // 2, 0.05)
    most = 0.1611  # Wilson, 0 of 20
    found = doubly_robust.report(audited, np.arange(n) % 4 == 0)
    assert (found.model_error["lo"], found.model_error["n"]) == (0, 40)
    assert found.model_error["hi"] == pytest.approx(most, abs=1e-4)
    assert found.routed["value"] == pytest.approx(0.25 * 0.05)
    assert found.routed["hi"] == pytest.approx(0.25 * 0.05 + 0.75 * most, abs=1e-4)
    assert found.gain_over_random["value"] == pytest.approx(0)
    assert found.gain_over_random["hi"] == pytest.approx(0.75 * most, abs=1e-4)
    assert found.gain_over_random["lo"] == -found.gain_over_random["hi"]
    assert doubly_robust.clustered_mean(np.ones(40), np.arange(40) // 2, share=True)["lo"] < 0.85


def test_what_is_not_known_of_people_is_in_the_levels_and_cancels_in_the_gains():
    rng = np.random.default_rng(4)
    error, group = (rng.random(400) < 0.3).astype(float), np.arange(400)
    people = rng.random(400) < 0.5
    sure, unsure = (
        doubly_robust.report(
            doubly_robust.Audited(error, np.ones(400), np.full(400, 0.3), group, 0.05, bounds), people
        )
        for bounds in ((0.05, 0.05), (0.01, 0.15))
    )
    assert sure.gain_over_random == unsure.gain_over_random
    assert unsure.routed["lo"] < sure.routed["lo"]
    wider = np.hypot(sure.routed["hi"] - sure.routed["value"], people.mean() * 0.1)
    assert unsure.routed["hi"] - unsure.routed["value"] == pytest.approx(wider)
    everybody = doubly_robust.Audited(error, np.ones(400), np.full(400, 0.3), group, 0.05, (0.01, 0.15))
    all_people = doubly_robust.report(everybody, np.ones(400, dtype=bool)).routed
    assert (all_people["lo"], all_people["hi"]) == pytest.approx((0.01, 0.15))


def test_equal_doubt_is_split_in_expectation():
    assert doubly_robust.expected_top(np.array([3.0, 1, 1, 1, 0]), 2).tolist() == pytest.approx(
        [1, 1 / 3, 1 / 3, 1 / 3, 0]
    )
