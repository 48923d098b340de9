import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.rewards.data import Pairs
from routing.rewards.evaluate import evaluate_pairs


def make_pairs(
    target, *, first="x", second="yy", group=None, strength=None, source=None, votes=None, dataset=None
):
    n = len(target)
    texts = lambda value: [value] * n if isinstance(value, str) else list(value)  # noqa: E731
    return Pairs(
        prompts=["p"] * n,
        first_texts=texts(first),
        second_texts=texts(second),
        target=np.array(target, dtype=float),
        weight=np.ones(n),
        strength=np.ones(n, dtype=int) if strength is None else np.array(strength),
        group=[f"g{i}" for i in range(n)] if group is None else list(group),
        source=["human"] * n if source is None else list(source),
        origin=["direct"] * n,
        item_ids=[str(i) for i in range(n)],
        votes=np.tile([0, 0, 1], (n, 1)) if votes is None else np.array(votes),
        dataset=[""] * n if dataset is None else list(dataset),
    )


def test_figures_equal_their_definitions_and_ties_are_only_counted():
    target = [1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0.5, 0.5]
    p = np.array([0.9, 0.8, 0.1, 0.7, 0.5, 0.6, 0.4, 0.2, 0.3, 0.99, 0.9, 0.1])
    votes = [[0, 0, 3], [1, 0, 2], [2, 1, 0], [1, 0, 0]] + [[0, 0, 1]] * 8
    result = evaluate_pairs(p, make_pairs(target, votes=votes), seed=1)
    y, q = np.array(target[:10]), p[:10]
    assert result["accuracy"]["value"] == pytest.approx(7.5 / 10)
    assert result["accuracy"]["lo"] < 0.75 < result["accuracy"]["hi"]
    assert result["length_baseline"]["value"] == pytest.approx(0.6)
    assert result["gain_over_length"]["value"] == pytest.approx(0.15)
    assert result["nll"]["value"] == pytest.approx(-np.mean(np.log(np.where(y == 1, q, 1 - q))))
    assert result["brier"]["value"] == pytest.approx(np.mean((q - y) ** 2))
    assert (result["n"], result["n_ties"], result["n_groups"]) == (10, 2, 10)
    assert result["tie_share"] == pytest.approx(2 / 12)
    assert result["human_ceiling"] == {
        "value": None, "lo": None, "hi": None, "n": 3, "reason": "fewer than 10 pairs: too few for an interval",
    }  # fmt: skip
    logits = np.log(p / (1 - p))
    assert evaluate_pairs(logits, make_pairs(target, votes=votes), kind="logit", seed=1)[
        "nll"
    ] == pytest.approx(result["nll"])


def test_human_ceiling_is_the_mean_share_of_the_majority():
    votes = [[0, 0, 3], [1, 0, 2], [0, 1, 2], [0, 0, 1]] * 5
    pairs = make_pairs([1] * 20, votes=votes, source=["human"] * 20)
    result = evaluate_pairs(np.full(20, 0.6), pairs, seed=0)
    assert result["human_ceiling"]["value"] == pytest.approx((1 + 2 / 3 + 5 / 6) / 3)
    assert result["human_ceiling"]["n"] == 15
    alone = evaluate_pairs(np.full(20, 0.6), make_pairs([1] * 20), seed=0)["human_ceiling"]
    assert alone["value"] is None
    assert alone["reason"] == "no decided pair has two or more human votes"


def test_buckets_by_strength_and_source():
    strength, source = [1] * 12 + [3] * 12, ["human", "lm"] * 12
    p = np.array([0.9, 0.2] * 12)
    result = evaluate_pairs(p, make_pairs([1] * 24, strength=strength, source=source), seed=0)
    assert {k: (v["value"], v["n"]) for k, v in result["by_strength"].items()} == {
        "1": (0.5, 12),
        "3": (0.5, 12),
    }
    assert {k: v["value"] for k, v in result["by_source"].items()} == {"human": 1.0, "lm": 0.0}


def test_calibration_error_ignores_which_side_was_shown_first():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=4000)
    y = (rng.uniform(size=4000) < p).astype(float)
    honest = evaluate_pairs(p, make_pairs(y), seed=0, n_boot=50)
    swapped = evaluate_pairs(1 - p, make_pairs(1 - y), seed=0, n_boot=50)
    assert honest["ece10"]["value"] == pytest.approx(swapped["ece10"]["value"], abs=1e-9)
    assert honest["ece10"]["value"] < 0.03
    boastful = evaluate_pairs(np.where(p > 0.5, 0.999, 0.001), make_pairs(y), seed=0, n_boot=50)
    assert boastful["ece10"]["value"] == pytest.approx(0.25, abs=0.03)
    assert sum(point["accuracy"]["n"] for point in honest["calibration"]) == 4000


def test_all_right_no_gain_and_calibration_have_intervals_that_hold_them():
    p = np.random.default_rng(1).uniform(0.5, 1, size=60)
    found = evaluate_pairs(p, make_pairs([1] * 60), seed=0)
    assert (found["accuracy"]["value"], found["accuracy"]["hi"]) == (1, 1)
    assert found["accuracy"]["lo"] == pytest.approx(0.9398, abs=1e-4)  # Wilson, 60 of 60
    honest = (np.random.default_rng(2).uniform(size=60) < p).astype(float)
    for bins in (5, 10, 20):
        error = evaluate_pairs(p, make_pairs(honest), seed=0)[f"ece{bins}"]
        assert (
            error["lo"] == 0 < error["value"] < error["hi"]
        )  # well calibrated, and the draws all lie above it


def test_no_interval_is_invented():
    one_group = evaluate_pairs(np.full(20, 0.7), make_pairs([1] * 20, group=["g"] * 20), seed=0)
    assert one_group["accuracy"]["value"] is None
    assert "two groups" in one_group["accuracy"]["reason"]
    empty = evaluate_pairs(np.zeros(0), make_pairs([]), seed=0)
    assert empty["accuracy"] == {"value": None, "lo": None, "hi": None, "n": 0, "reason": "no decided pair"}
    ties = evaluate_pairs(np.full(3, 0.5), make_pairs([0.5] * 3), seed=0)
    assert (ties["n"], ties["n_ties"], ties["accuracy"]["value"]) == (0, 3, None)


def slow_interval(right, groups, seed, n_boot):
    """Draw groups one by one and average their rows: what the fast path must equal."""
    names = list(dict.fromkeys(groups))
    rows = {name: [r for r, g in zip(right, groups, strict=True) if g == name] for name in names}
    rng = np.random.default_rng(seed)
    means = []
    for start in range(0, n_boot, 100):
        for picks in rng.integers(len(names), size=(min(100, n_boot - start), len(names))):
            means.append(np.mean([r for pick in picks for r in rows[names[pick]]]))
    return np.percentile(means, [2.5, 97.5])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=12, max_size=40), st.integers(0, 99))
def test_the_fast_bootstrap_equals_the_slow_one(rows, seed):
    right = [float(ok) for ok, _ in rows]
    groups = [f"g{g}" for _, g in rows]
    if len(set(groups)) < 2:
        return
    result = evaluate_pairs(
        np.where(right, 0.8, 0.2), make_pairs([1] * len(rows), group=groups), seed=seed, n_boot=150
    )
    assert [result["accuracy"]["lo"], result["accuracy"]["hi"]] == pytest.approx(
        slow_interval(right, groups, seed, 150)
    )


def test_clusters_widen_the_interval():
    right = np.repeat(np.random.default_rng(0).uniform(size=50) < 0.6, 20)
    p = np.where(right, 0.8, 0.2)
    alone = evaluate_pairs(p, make_pairs([1] * 1000), seed=0)["accuracy"]
    grouped = evaluate_pairs(p, make_pairs([1] * 1000, group=[f"g{i // 20}" for i in range(1000)]), seed=0)[
        "accuracy"
    ]
    assert grouped["hi"] - grouped["lo"] > 3 * (alone["hi"] - alone["lo"])


def test_ten_thousand_pairs_take_seconds_at_most():
    pairs = make_pairs(np.random.default_rng(0).integers(2, size=10_000))
    started = time.process_time()  # a busy machine is no failure
    evaluate_pairs(np.full(10_000, 0.6), pairs, seed=0)
    assert time.process_time() - started < 30


def test_bad_predictions_are_refused():
    pairs = make_pairs([1, 0])
    for bad, message in [
        ([0.5], "1 predictions for 2"),
        ([0.5, np.nan], "finite"),
        ([0.5, 1.2], r"\[0, 1\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            evaluate_pairs(np.array(bad), pairs, seed=0)


def test_length_sources_and_calibration_in_other_bins_by_hand():
    target = [1] * 12 + [0] * 12
    margin = np.array([2.0] * 9 + [-2.0] * 3 + [-2.0] * 6 + [2.0] * 6)
    pairs = make_pairs(target, first="x", second="yyy", dataset=["a"] * 12 + ["b"] * 12)
    found = evaluate_pairs(margin, pairs, kind="logit", seed=0)
    assert found["accuracy_longer_wrong"]["value"] == pytest.approx(0.5)
    assert found["accuracy_longer_wrong"]["n"] == 12
    assert found["by_dataset"]["a"]["accuracy"]["value"] == pytest.approx(0.75)
    assert found["by_dataset"]["b"]["length_baseline"]["value"] == 0.0
    confidence = 1 / (1 + np.exp(-2))
    for name in ("ece5", "ece10", "ece20"):
        assert found[name]["value"] == pytest.approx(abs(15 / 24 - confidence))
    longer = np.where(np.arange(24) % 2 == 0, "yyyy", "y")
    pairs = make_pairs(target, first="xx", second=longer)
    lengths = np.array([np.log1p(len(t)) - np.log1p(2) for t in longer])
    found = evaluate_pairs(margin, pairs, kind="logit", seed=0)["length_correlation"]
    assert found["value"] == pytest.approx(np.corrcoef(lengths, margin)[0, 1])
    assert found["lo"] <= found["value"] <= found["hi"]
