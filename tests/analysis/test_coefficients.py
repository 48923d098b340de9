"""Agreement coefficients against other implementations and values worked by hand."""

from __future__ import annotations

from itertools import combinations

import evalica
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sklearn.metrics import cohen_kappa_score

from annotations.analysis import coefficients, patterns, reliability
from annotations.analysis.patterns import Labels

# Krippendorff 2011, "Computing Krippendorff's alpha-reliability", example D: four observers, twelve units.
EXAMPLE = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


def labels_of(table) -> Labels:
    """Labels of a table annotators x units with None where nothing was said."""
    rows = [(u, a, v) for a, row in enumerate(table) for u, v in enumerate(row) if v is not None]
    unit, annotator, value = (np.array(x) for x in zip(*rows, strict=True))
    levels, code = np.unique(value, return_inverse=True)
    n = len(table[0])
    return Labels(
        unit, annotator.astype(np.int32), code.astype(np.int16), levels.astype(float), n,
        np.arange(n, dtype=np.int32), np.zeros(len(unit), dtype=np.int64),
    )  # fmt: skip


def values(found) -> dict:
    return {name: estimate and estimate["value"] for name, estimate in found.estimates.items()}


def test_alpha_is_krippendorffs_published_example():
    found = values(reliability.within(labels_of(EXAMPLE), 4))
    assert found["alpha_nominal"] == pytest.approx(0.743, abs=5e-4)
    assert found["alpha_ordinal"] == pytest.approx(0.815, abs=5e-4)
    assert found["alpha_interval"] == pytest.approx(0.849, abs=5e-4)


def test_fleiss_kappa_is_fleiss_published_example():
    # Fleiss 1971 as worked in Wikipedia's "Fleiss' kappa": ten subjects, fourteen raters, five categories: 0.210.
    counts = np.array(
        [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
         [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]
    )  # fmt: skip
    flat = coefficients.features(counts).sum(axis=0)
    found = coefficients.within(flat, np.arange(5.0))
    assert float(found["fleiss_kappa"]) == pytest.approx(0.210, abs=5e-4)
    assert float(found["percent"]) == pytest.approx(0.378, abs=5e-4)


def test_gwet_is_gwets_published_example():
    # The same four observers in irrCAC's documentation (cac.raw4raters): AC1 0.77544.
    found = values(reliability.within(labels_of(EXAMPLE), 4))
    assert found["ac1"] == pytest.approx(0.77544, abs=1e-5)


tables = some.integers(2, 5).flatmap(
    lambda k: some.lists(
        some.lists(some.one_of(some.none(), some.integers(0, k - 1)), min_size=4, max_size=4),
        min_size=3,
        max_size=12,
    )
)


@settings(max_examples=60, deadline=None)
@given(tables)
def test_alpha_equals_evalica_with_missing_data(units):
    table = [list(row) for row in zip(*units, strict=True)]
    if not any(v is not None for row in table for v in row):
        return
    found = values(reliability.within(labels_of(table), 4))
    frame = pd.DataFrame(table, dtype=float)
    for metric in ("nominal", "ordinal", "interval"):
        ours = found[f"alpha_{metric}"]
        if ours is None:
            continue
        theirs = evalica.alpha(frame, metric, solver="naive").alpha
        assert ours == pytest.approx(theirs, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(tables)
def test_many_values_take_the_same_coefficients(units):
    table = [list(row) for row in zip(*units, strict=True)]
    if not any(v is not None for row in table for v in row):
        return
    labels = labels_of(table)
    counts = patterns.gather(labels.unit, labels.value, labels.n_units, len(labels.levels))
    if len(labels.levels) < 2:
        return
    narrow = coefficients.within(counts.times @ coefficients.features(counts.counts), labels.levels)
    two = counts.counts.sum(axis=1) >= 2
    ranks = coefficients.ranks_of((counts.times[two] @ counts.counts[two]).astype(float))
    flat = counts.times @ coefficients.wide_features(counts.counts, labels.levels, ranks)
    wide = coefficients.wide(flat, labels.levels, ranks)
    for name in coefficients.WITHIN:
        np.testing.assert_allclose(wide[name], narrow[name], atol=1e-9, err_msg=name)


@settings(max_examples=40, deadline=None)
@given(some.lists(some.tuples(some.integers(0, 3), some.integers(0, 3)), min_size=4, max_size=30))
def test_two_annotators_have_cohens_kappa_and_scikit_learns_weighted_kappa(votes):
    one, two = (list(side) for side in zip(*votes, strict=True))
    used = sorted({*one, *two})
    labels = labels_of([one, two])
    found = values(reliability.between(labels, labels.annotator == 1, 2))
    kappa = cohen_kappa_score(one, two, labels=used) if len(used) > 1 else float("nan")
    if found["alpha_nominal"] is None:
        assert len(used) == 1 or not np.isfinite(kappa)
        return
    assert found["alpha_nominal"] == pytest.approx(kappa, abs=1e-9)
    table = np.zeros((4, 4))
    np.add.at(table, (one, two), 1)
    quadratic = cohen_kappa_score(one, two, labels=range(4), weights="quadratic")
    assert float(coefficients.quadratic_kappa(table, np.arange(4.0))) == pytest.approx(quadratic, abs=1e-9)
    assert found["percent"] == pytest.approx(np.mean(np.array(one) == np.array(two)))


def test_degenerate_votes_are_explained_and_never_nan():
    alone = reliability.within(labels_of([[1, 2, 1]]), 1)
    assert alone.estimates["percent"] is None
    assert alone.undefined["percent"] == "no item was judged by two of them"
    same = reliability.within(labels_of([[2, 2, 2], [2, 2, 2]]), 2)
    assert same.estimates["percent"]["value"] == 1
    assert same.estimates["percent"]["lo"] < 0.5  # three items say little
    assert same.estimates["alpha_nominal"] is None
    assert "all votes are the same" in same.undefined["alpha_nominal"]
    apart = labels_of([[1, 1, None, None], [None, None, 2, 2]])
    nothing = reliability.between(apart, apart.annotator == 1, 2)
    assert set(nothing.estimates.values()) == {None}
    assert set(nothing.undefined.values()) == {"no item was judged by both"}
    perfect = reliability.within(labels_of([[1, 2, 1, 2] * 10, [1, 2, 1, 2] * 10]), 2)
    alpha = perfect.estimates["alpha_nominal"]
    assert (alpha["value"], alpha["hi"]) == (1, 1)
    assert 0.5 < alpha["lo"] < 1


def draw(rng, n_items=150, n_people=40, per_item=4, person_sd=1.0):
    """Votes of people whose care differs, on items whose difficulty differs."""
    care = rng.normal(1.0, person_sd, n_people)
    ease = rng.normal(0.5, 0.7, n_items)
    truth = rng.integers(0, 2, n_items)
    unit = np.repeat(np.arange(n_items), per_item)
    who = np.concatenate([rng.choice(n_people, per_item, replace=False) for _ in range(n_items)])
    right = rng.random(len(unit)) < 1 / (1 + np.exp(-(care[who] + ease[unit])))
    value = np.where(right, truth[unit], 1 - truth[unit]).astype(np.int16)
    return Labels(
        unit, who.astype(np.int32), value, np.array([0.0, 1.0]), n_items,
        np.arange(n_items, dtype=np.int32), np.zeros(len(unit), dtype=np.int64),
    )  # fmt: skip


def test_variance_is_that_of_leaving_out_each_item_and_each_person():
    """The slow way: recompute from scratch without each item, person and vote."""
    labels = draw(np.random.default_rng(5), n_items=25, n_people=10)
    found = reliability.within(labels, 10)
    assert found.clusters == "items and annotators"

    def alpha(rows):
        return reliability.within(labels.only(rows), 10, sampled=False).estimates["alpha_ordinal"]["value"]

    point = alpha(np.ones(len(labels), dtype=bool))

    def part(codes):
        groups = np.unique(codes)
        return (len(groups) - 1) / len(groups) * sum((alpha(codes != g) - point) ** 2 for g in groups)

    variances = part(labels.unit), part(labels.annotator), part(np.arange(len(labels)))
    variance = max(variances[0] + variances[1] - variances[2], *variances[:2])
    from scipy import stats

    half = stats.t.ppf(0.975, 9) * variance**0.5
    estimate = found.estimates["alpha_ordinal"]
    assert estimate["value"] == pytest.approx(point)
    assert (estimate["hi"] - point) == pytest.approx(half, rel=1e-6)
    assert found.without["alpha_ordinal"][3] == pytest.approx(alpha(labels.annotator != 3))


@pytest.mark.slow
def test_intervals_cover_where_people_differ_and_item_intervals_do_not():
    """95 % intervals over items and people cover; over items alone they do not (reference 4.5: 58 %)."""
    truth = np.mean(
        [
            values(
                reliability.within(
                    draw(np.random.default_rng(10_000 + s), 3000, 3000, 4), 3000, sampled=False
                )
            )["percent"]
            for s in range(10)
        ]
    )
    both = items = 0
    runs = 300
    for seed in range(runs):
        labels = draw(np.random.default_rng(seed), n_items=200, n_people=25, per_item=4)
        for sampled in (True, False):
            e = reliability.within(labels, 25, sampled=sampled).estimates["percent"]
            hit = e["lo"] <= truth <= e["hi"]
            both, items = both + (hit & sampled), items + (hit & (not sampled))
    assert 0.92 <= both / runs <= 0.99
    assert items / runs < 0.85


def test_pairs_of_annotators_agree_with_counting():
    table = [[1, 2, 1, 3], [1, 2, 2, None], [None, 2, 1, 3]]
    labels = labels_of(table)
    for a, b in combinations(range(3), 2):
        both = [(x, y) for x, y in zip(table[a], table[b], strict=True) if x is not None and y is not None]
        mine = labels.only((labels.annotator == a) | (labels.annotator == b))
        found = reliability.between(mine, mine.annotator == b, 3).estimates["percent"]
        assert found["value"] == pytest.approx(np.mean([x == y for x, y in both]))
        assert found["n"] == len(both)
