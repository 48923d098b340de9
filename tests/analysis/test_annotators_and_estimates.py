"""Dawid-Skene, careless annotators, the alternative annotator test, estimates of people and models, difficulty."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from annotations.analysis import (
    active,
    alternative,
    bradley_terry,
    careless,
    dawid_skene,
    difficulty,
    duplicates,
    estimates,
    means,
    patterns,
)
from annotations.analysis.patterns import Labels


def labels_of(unit, annotator, value, k, n_units) -> Labels:
    return Labels(
        np.asarray(unit), np.asarray(annotator, dtype=np.int32), np.asarray(value, dtype=np.int16),
        np.arange(float(k)), n_units, np.arange(n_units, dtype=np.int32), np.zeros(len(unit), dtype=np.int64),
    )  # fmt: skip


def crowd(seed, units=400, people=12, k=3, per_unit=5):
    """(labels, truth, accuracy of each): every third person answers at random."""
    rng = np.random.default_rng(seed)
    accuracy = np.where(np.arange(people) % 3 == 0, 1 / k, 0.85)
    truth = rng.integers(0, k, units)
    unit = np.repeat(np.arange(units), per_unit)
    who = np.concatenate([rng.choice(people, per_unit, replace=False) for _ in range(units)])
    right = rng.random(len(unit)) < accuracy[who]
    wrong = (truth[unit] + rng.integers(1, k, len(unit))) % k
    return labels_of(unit, who, np.where(right, truth[unit], wrong), k, units), truth, accuracy


def slow_dawid_skene(labels, n_annotators, iterations):
    """The textbook's loops."""
    k, n = len(labels.levels), labels.n_units
    posterior = np.zeros((n, k))
    for u, v in zip(labels.unit, labels.value, strict=True):
        posterior[u, v] += 1
    posterior /= posterior.sum(axis=1, keepdims=True)

    def maximise():
        confusion = np.full((n_annotators, k, k), dawid_skene.SMOOTHING)
        for u, a, v in zip(labels.unit, labels.annotator, labels.value, strict=True):
            confusion[a, :, v] += posterior[u]
        prior = posterior.sum(axis=0) + dawid_skene.SMOOTHING
        return confusion / confusion.sum(axis=2, keepdims=True), prior / prior.sum()

    for _ in range(iterations):
        confusion, prior = maximise()
        posterior = np.tile(prior, (n, 1))
        for u, a, v in zip(labels.unit, labels.annotator, labels.value, strict=True):
            posterior[u] *= confusion[a, :, v]
        posterior /= posterior.sum(axis=1, keepdims=True)
    return posterior, *maximise()


def test_dawid_skene_is_the_slow_one_and_beats_the_majority():
    labels, truth, accuracy = crowd(1)
    fast = dawid_skene.fit(labels, 12, iterations=7, tolerance=0)
    posterior, confusion, prior = slow_dawid_skene(labels, 12, 7)
    np.testing.assert_allclose(fast.posterior, posterior, atol=1e-9)
    np.testing.assert_allclose(fast.confusion, confusion, atol=1e-9)
    np.testing.assert_allclose(fast.prior, prior, atol=1e-9)
    found = dawid_skene.fit(labels, 12)
    assert found.converged
    np.testing.assert_allclose(found.accuracy(), accuracy, atol=0.1)
    share = np.zeros((400, 3))
    np.add.at(share, (labels.unit, labels.value), 1)
    assert (found.posterior.argmax(axis=1) == truth).mean() > (share.argmax(axis=1) == truth).mean() + 0.03


def test_dawid_skene_of_one_class_and_of_unjudged_units_is_no_nan_where_there_are_votes():
    found = dawid_skene.fit(labels_of([0, 0, 2], [0, 1, 0], [0, 0, 0], 1, 3), 2)
    assert found.posterior[[0, 2], 0].tolist() == [1, 1]
    assert np.isnan(found.posterior[1, 0])
    assert np.isfinite(found.confusion).all()


def test_random_clickers_are_found_and_cost_the_ratings_less():
    rng = np.random.default_rng(3)
    theta = rng.normal(0, 1, 12)
    n, people = 8000, 40
    who = rng.integers(0, people, n)
    first = rng.integers(0, 12, n)
    second = (first + rng.integers(1, 12, n)) % 12
    right = np.where(rng.random(n) < 1 / (1 + np.exp(theta[second] - theta[first])), -1, 1)
    verdict = np.where(who < 12, rng.choice([-1, 1], n), right).astype(np.int8)  # twelve click at random
    found = careless.fit_careful(first, second, verdict, who, 12, people)
    assert found.care[:12].max() < found.care[12:].min()
    plain = bradley_terry.fit(bradley_terry.count(first, second, verdict, 12))
    centred = theta - theta.mean()
    assert np.abs(found.fit.theta - centred).mean() < np.abs(plain.theta - centred).mean() / 1.5


def test_benjamini_yekutieli_by_hand():
    # m = 3, Σ 1/i = 11/6: bounds .05 * i / 5.5 = .00909, .01818, .02727.
    assert alternative.reject(np.array([0.02, 0.001, 0.03]), 0.05).tolist() == [False, True, False]
    assert alternative.reject(np.array([0.02, 0.001, 0.027]), 0.05).tolist() == [True, True, True]


def test_a_good_model_may_stand_in_and_a_poor_one_may_not():
    rng = np.random.default_rng(4)
    units, people = 120, 4
    truth = rng.integers(0, 3, units)

    def said(accuracy):
        return np.where(rng.random(units) < accuracy, truth, (truth + 1) % 3)

    votes = [said(0.8) for _ in range(people)]
    for accuracy, passes in ((0.85, True), (0.35, False)):
        value = np.concatenate([*votes, said(accuracy)])
        labels = labels_of(np.tile(np.arange(units), 5), np.repeat(np.arange(5), units), value, 3, units)
        found = alternative.alt_test(labels, labels.annotator == 4)
        assert found.passes is passes
        assert found.people == 4
    few = alternative.alt_test(labels.only(labels.unit < 10), (labels.annotator == 4)[labels.unit < 10])
    assert few.passes is None
    assert "it needs 3 people with 30 items" in few.undefined


def test_ppi_by_hand_and_never_wider_than_people_alone():
    y, f = np.array([1.0, 0, 1, 1, 0] * 8), np.array([1.0, 0, 1, 0, 0] * 8)
    rest = np.array([1.0, 0] * 100)
    fixed = estimates.ppi_mean(y, f, rest, weight=1.0)
    assert fixed["value"] == pytest.approx(0.5 + (0.6 - 0.4))
    assert (fixed["n"], fixed["n_model"]) == (40, 200)
    tuned = estimates.ppi_mean(y, f, rest)
    alone = estimates.ppi_mean(y, f, rest, weight=0.0)
    assert alone["value"] == pytest.approx(0.6)
    assert tuned["hi"] - tuned["lo"] < alone["hi"] - alone["lo"]
    useless = estimates.ppi_mean(y, np.ones(40), np.ones(200))
    assert useless["weight"] == 0
    assert estimates.ppi_mean(y[:10], f[:10], rest) is None


def test_aipw_with_everything_labelled_is_the_mean_and_floors_are_counted():
    y = np.array([1.0, 0, 1, 0] * 10)
    whole = estimates.aipw_mean(y, np.zeros(40), np.ones(40, dtype=bool), np.ones(40))
    assert whole["value"] == pytest.approx(0.5)
    pi = np.r_[np.full(10, 0.01), np.full(30, 1.0)]
    assert estimates.aipw_mean(y, np.full(40, 0.5), np.ones(40, dtype=bool), pi)["clipped"] == 10


@pytest.mark.slow
def test_intervals_of_people_and_models_together_cover_where_the_model_alone_does_not():
    """Reference 4.1 and 4.4: an 80/70 judge; hard items go to people with known probability."""
    ppi = aipw = naive = 0
    runs = 1000
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        n = 1500
        hard = rng.random(n)
        y = (rng.random(n) < 0.4 + 0.3 * hard).astype(float)
        f = np.where(y == 1, rng.random(n) < 0.8, rng.random(n) >= 0.7).astype(float)
        some_of = rng.random(n) < 0.15
        e = estimates.ppi_mean(y[some_of], f[some_of], f[~some_of])
        ppi += e["lo"] <= 0.55 <= e["hi"]
        pi = 0.05 + 0.5 * hard**2
        routed = rng.random(n) < pi
        e = estimates.aipw_mean(y, f, routed, pi)
        aipw += e["lo"] <= 0.55 <= e["hi"]
        e = means.mean(np.where(routed, y, f))
        naive += e["lo"] <= 0.55 <= e["hi"]
    assert 0.93 <= ppi / runs <= 0.97
    assert 0.93 <= aipw / runs <= 0.97
    assert naive / runs < 0.85


@pytest.mark.slow
def test_clustered_means_cover_and_independent_ones_do_not():
    """Reference 4.5: 30 annotators x 40 votes, annotator sd .8 in log-odds."""
    covered = alone = 0
    runs, truth = 600, float(np.mean(1 / (1 + np.exp(-np.random.default_rng(1).normal(0, 0.8, 400_000)))))
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        p = 1 / (1 + np.exp(-rng.normal(0, 0.8, 30)))
        who = np.repeat(np.arange(30), 40)
        y = (rng.random(1200) < p[who]).astype(float)
        item = rng.integers(0, 300, 1200)
        e = means.mean(y, item=item, annotator=who)
        covered += e["lo"] <= truth <= e["hi"]
        e = means.mean(y)
        alone += e["lo"] <= truth <= e["hi"]
    assert 0.92 <= covered / runs <= 0.98
    assert alone / runs < 0.7


def test_a_mean_of_one_cluster_has_no_bounds_and_all_alike_has_wilsons():
    assert means.mean(np.zeros(0)) is None
    one = means.mean(np.array([1.0, 0, 1]), item=np.zeros(3, dtype=int))
    assert (one["value"], one["lo"], one["n"]) == (pytest.approx(2 / 3), None, 3)
    same = means.mean(np.ones(50), item=np.arange(50), annotator=np.arange(50) % 5)
    assert same["hi"] == 1
    assert same["lo"] == pytest.approx(0.5655, abs=1e-4)  # Wilson of five people, all one


def test_difficulty_comes_back_from_simulated_answers():
    rng = np.random.default_rng(5)
    items, takers = 300, 60
    b, theta = rng.normal(0, 1, items), rng.normal(0, 1, takers)
    item, taker = np.repeat(np.arange(items), takers), np.tile(np.arange(takers), items)
    right = rng.random(len(item)) < 1 / (1 + np.exp(-(theta[taker] - b[item])))
    found = difficulty.fit(item, taker, right, items + 1, takers)
    assert np.corrcoef(found.difficulty[:-1], b)[0, 1] > 0.93
    assert np.corrcoef(found.ability, theta)[0, 1] > 0.98
    assert np.isnan(found.difficulty[-1])  # never answered
    inside = np.abs(found.difficulty[:-1] - b) < 2.5 * found.error[:-1]
    assert inside.mean() > 0.9
    assert found.quantile[int(found.difficulty[:-1].argmax())] == 1.0


def test_what_is_asked_next_is_what_tells_most():
    theta = np.array([0.0, 0.1, 3.0])
    covariance = np.diag([0.2, 0.2, 0.2])
    gain = active.information(theta, covariance)
    assert gain[0, 1] == pytest.approx(0.25 * 0.4, rel=0.01)
    assert gain[0, 1] > gain[0, 2]
    pairs, chances = active.next_pairs(theta, covariance, 30, seed=1)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert ((chances > 0) & (chances <= 1)).all()
    assert len({tuple(pair) for pair in pairs.tolist()}) > 1  # a batch spreads out


def test_the_best_of_two_draws_meet_and_only_pairs_that_can_be_asked():
    theta, covariance = np.array([3.0, 2.9, -3.0, -3.1]), 0.04 * np.eye(4)
    pairs = active.best_pairs(theta, covariance, 200, seed=1)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert 0.85 < np.mean((pairs == [0, 1]).all(axis=1)) < 1  # and a tenth uniformly
    allowed = np.zeros((4, 4), dtype=bool)
    allowed[2, 3] = allowed[1, 2] = True
    found = {
        tuple(pair) for pair in active.best_pairs(theta, covariance, 60, seed=1, allowed=allowed).tolist()
    }
    assert found == {(1, 2), (2, 3)}
    assert len(active.best_pairs(theta, covariance, 5, seed=1, allowed=np.zeros((4, 4), dtype=bool))) == 0


@pytest.mark.slow
def test_chosen_comparisons_are_worth_more_than_random_ones():
    """20 models, 1,500 votes in batches of 100, eight runs: what the votes tell of the true ratings.

    D-efficiency: as many random votes as the chosen ones are worth. The error of the ratings falls too, by less: about
    a tenth of the votes is saved, as Chatbot Arena found for its own rule.
    """
    worth, errors = [], {True: [], False: []}
    for seed in range(8):
        rng = np.random.default_rng(seed)
        theta = np.sort(rng.normal(0, 1.5, 20))
        theta -= theta.mean()
        told = {}
        for chosen in errors:
            table = bradley_terry.Table(20)
            table.table += 0.05  # a weak start, the same for both
            information = np.full((20, 20), 1 / 20)
            for batch in range(15):
                if chosen and batch > 1:
                    fitted = table.fit()
                    covariance = bradley_terry.bread(fitted)[:20, :20]
                    pairs, _ = active.next_pairs(fitted.theta, covariance, 100, seed=seed * 100 + batch)
                else:
                    pairs = np.stack([rng.choice(20, 2, replace=False) for _ in range(100)])
                p = 1 / (1 + np.exp(theta[pairs[:, 1]] - theta[pairs[:, 0]]))
                np.add.at(table.table, (pairs[:, 0], pairs[:, 1], np.where(rng.random(100) < p, 0, 2)), 1)
                for (i, j), w in zip(pairs, p * (1 - p), strict=True):
                    information[[i, j], [i, j]] += w
                    information[[i, j], [j, i]] -= w
            told[chosen] = np.linalg.slogdet(information)[1]
            errors[chosen].append(np.sqrt(np.mean((table.fit().theta - theta) ** 2)))
        worth.append(np.exp((told[True] - told[False]) / 19))
    assert min(worth) > 1.05
    assert np.mean(worth) > 1.15
    assert np.mean(errors[True]) < np.mean(errors[False])


words = some.lists(
    some.sampled_from("alpha beta gamma delta epsilon zeta eta theta".split()), min_size=1, max_size=30
)


@settings(max_examples=30, deadline=None)
@given(some.lists(words.map(" ".join), min_size=2, max_size=8))
def test_near_duplicates_are_true_and_equal_texts_are_always_found(texts):
    def slow(a, b):
        one, two = set(duplicates.shingles(a).tolist()), set(duplicates.shingles(b).tolist())
        return len(one & two) / len(one | two)

    found = {(i, j): share for i, j, share in duplicates.near_duplicates(texts)}
    for (i, j), share in found.items():
        assert i < j
        assert share == pytest.approx(slow(texts[i], texts[j]))
        assert share >= duplicates.THRESHOLD
    for i in range(len(texts)):
        for j in range(i + 1, len(texts)):
            if slow(texts[i], texts[j]) == 1:
                assert (i, j) in found


def test_overlap_with_a_benchmark_names_the_pairs():
    mine = [
        "The quick brown fox jumps over the lazy dog near the river",
        "Something else entirely is written here",
    ]
    theirs = [
        "nothing alike at all in this text",
        "the quick brown fox jumps over the lazy dog near the river!",
    ]
    assert [(i, j) for i, j, _ in duplicates.near_duplicates(mine, theirs)] == [(0, 1)]


def test_the_hardest_item_is_the_one_people_split_on():
    from annotations.analysis import annotators
    from annotations.analysis.votes import Builder

    b = Builder()
    aspect, nan = b.aspects.code("overall"), float("nan")
    people = [b.annotator(f"p{i}", "human") for i in range(5)]
    for n in range(20):
        item = b.item(f"item-{n}", source="s", models=["", ""])
        for i, who in enumerate(people):
            said = (-1, 1, 0, 1, -1)[i] if n == 7 else (-1 if n % 2 else 1)
            b.comparisons.add((item, who, aspect, 0, 1, said, said, 1, 0, -1, nan, 0, nan, 1.0))
    votes = b.build()
    labels = patterns.of_comparisons(votes, 0)
    rows = annotators.hardest(votes, labels)
    assert rows[0]["item"] == "item-7"
    assert rows[0]["difficulty"]["n"] == 5
    assert rows[0]["right"] < rows[1]["right"]
    everyone = annotators.rows(votes, labels, 0)
    assert {row["name"] for row in everyone} == {"p0", "p1", "p2", "p3", "p4"}
    first = next(row for row in everyone if row["name"] == "p0")
    assert first["with_rest"]["n"] == 20
    assert first["with_rest"]["value"] == pytest.approx(
        19 / 20
    )  # the others' favourite of the split item is not theirs
