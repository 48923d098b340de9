"""Every loss of the linear backend learns a planted truth; sources, stages and cross-fitting do what they say."""

import numpy as np
import pytest

from routing.rewards import backends, linear, prepare, sourced, train
from routing.rewards.evaluate import paired_gain
from routing.rewards.lists import join_singles, lists_from_items

WORDS = [f"w{i}" for i in range(200)]
MERIT = np.random.default_rng(0).normal(size=200)


def make_text(rng, n_words=40):
    picked = rng.choice(n_words, size=12)
    return " ".join(WORDS[i] for i in picked), float(MERIT[picked].sum())


def ranked_rows(n, seed, k=3, noise=0.5, thumbs=False, ties=False, n_words=40):
    """Rows of k responses, ranked by a noisy person; the truth is a sum of word merits."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        texts, merits = zip(*(make_text(rng, n_words) for _ in range(k)), strict=True)
        seen = np.array(merits) + noise * rng.normal(size=k)
        if ties:
            seen = np.round(seen / 2)
        scores = [
            {"response": r, "attribute": "rank", "value": int(1 + np.sum(seen > seen[r])), "scale": [1, k]}
            for r in range(k)
        ]
        if thumbs:
            scores = [{"response": r, "attribute": "thumb", "value": int(seen[r] > 0)} for r in range(k)]
        judgment = {"id": f"j{seed}-{i}", "annotator": "Alice", "kind": "human", "scores": scores}
        rows.append(
            {"id": f"{seed}-{i}", "prompt": f"p {seed} {i}", "responses": [{"text": t} for t in texts],
             "judgments": [judgment], "merits": merits}
        )  # fmt: skip
    return rows


def accuracy_on_truth(model, seed=99, n=400):
    rng = np.random.default_rng(seed)
    texts, merits = zip(*(make_text(rng) for _ in range(2 * n)), strict=True)
    scores, merits = model.score([""] * (2 * n), list(texts)), np.array(merits)
    return float(np.mean((scores[::2] > scores[1::2]) == (merits[::2] > merits[1::2])))


@pytest.mark.parametrize("loss", [name for name in linear.LOSSES if name not in ("mse", "joint")])
def test_every_loss_finds_the_planted_merits(loss):
    rows = ranked_rows(80, 1, thumbs=loss == "bco", ties=loss == "rao_kupper")
    material = prepare.prepare(rows, prepare.Spec(loss=loss), crossfit=True)
    model = backends.fit(material, prepare.Spec(loss=loss))
    assert accuracy_on_truth(model) > 0.8
    assert model.info["loss"] == loss
    if loss in linear.LIST_LOSSES:
        assert model.info["n_lists"] == 80


def rated_rows(n, seed, noise, n_words=200):
    """Rows of one response each, two a prompt, rated by one person with noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        text, merit = make_text(rng, n_words)
        value = float(np.clip(3 + merit / 2 + noise * rng.normal(), 1, 5))
        scores = [{"response": 0, "attribute": "helpfulness", "value": value, "scale": [1, 5]}]
        rows.append(
            {"id": f"r{seed}-{i}", "prompt": f"rated {seed} {i}", "responses": [{"text": text}],
             "judgments": [{"id": f"rj{i}", "annotator": "Bob", "kind": "human", "scores": scores}]}
        )  # fmt: skip
    return rows


def test_ratings_then_preferences_beat_either_alone_on_a_planted_truth():
    """Few pairs and few ratings of the same truth, with more words than either can learn: together they know more."""
    pairs, ratings = ranked_rows(200, 3, k=2, n_words=200), rated_rows(150, 4, noise=0.3)
    held = ranked_rows(1200, 5, k=2, noise=0.0, n_words=200)
    both = prepare.prepare(pairs + ratings, prepare.Spec(), evaluation=held)
    alone = prepare.prepare(pairs, prepare.Spec(), evaluation=held)
    rated = prepare.prepare(ratings, prepare.Spec(loss="mse"), evaluation=held)
    margins = {
        "both": train.margins(backends.fit(both, prepare.Spec()), both.holdout),
        "pairs": train.margins(backends.fit(alone, prepare.Spec()), both.holdout),
        "ratings": train.margins(backends.fit(rated, prepare.Spec(loss="mse")), both.holdout),
    }
    for other in ("pairs", "ratings"):
        gain = paired_gain(margins["both"], margins[other], both.holdout, seed=0)
        assert gain["lo"] > 0, (other, gain)
    joint = backends.fit(both, prepare.Spec(loss="joint"))
    assert (
        paired_gain(train.margins(joint, both.holdout), margins["pairs"], both.holdout, seed=0)["value"] > 0
    )
    stretched = backends.fit(both, prepare.Spec(extrapolate=True))
    assert 1.0 <= stretched.info["extrapolation"] <= 1.6


def opposed_rows(n):
    """Two sources that judge the same words by opposite standards."""
    rows = []
    for source, better in (("up", 1), ("down", 0)):
        for i in range(n):
            texts = [f"bad vague a{i}", f"good clear b{i}"]
            side = i % 2
            texts = texts[::-1] if side else texts
            best = (better + side) % 2
            rows.append(
                {"id": f"{source}{i}", "source": source, "prompt": f"{source} {i}",
                 "responses": [{"text": t} for t in texts],
                 "judgments": [{"id": f"{source}{i}", "annotator": "A", "kind": "human", "comparisons": [
                     {"first": 0, "second": 1, "preference": 1 if best else -1, "scale_max": 1}]}]}
            )  # fmt: skip
    return rows


def test_each_source_has_its_own_model_and_is_measured_on_prompts_it_never_saw(tmp_path):
    spec = prepare.Spec()
    material = prepare.prepare(opposed_rows(120), spec, crossfit=True)
    trained = train.train(material, spec, tmp_path / "m")
    assert trained.metrics["evaluated"] == "crossfit"
    found = trained.metrics["by_dataset"]
    assert {name: round(figures["accuracy"]["value"], 1) for name, figures in found.items()} == {
        "up": 1,
        "down": 1,
    }
    model = backends.load(tmp_path / "m")
    assert isinstance(model, sourced.SourcedModel)
    good, bad = "good clear text", "bad vague text"
    up, down, unknown = (model.score(["", ""], [good, bad], [name] * 2) for name in ("up", "down", "else"))
    assert up[0] > up[1]
    assert down[0] < down[1]
    assert abs(unknown[0] - unknown[1]) < abs(up[0] - up[1])
    # shuffled labels must not be predictable: nothing of a held-out group reaches its model
    rng = np.random.default_rng(0)
    random = prepare.prepare(opposed_rows(120)[:120], spec, crossfit=True)
    random.fit.target[:] = rng.integers(0, 2, len(random.fit))
    found = train.evaluate(train.crossfit(random, spec), random.fit, seed=0)["accuracy"]
    assert found["lo"] < 0.5 < found["hi"]


def test_rows_of_one_response_are_joined_by_prompt():
    rows = rated_rows(4, 1, 0.0)
    for row in rows[:3]:
        row["prompt"] = "Same"
    joined = join_singles(rows)
    assert [len(item["responses"]) for item in joined] == [3, 1]
    (judgment,) = joined[0]["judgments"]
    assert [row["response"] for row in judgment["scores"]] == [0, 1, 2]
    assert len(rows[0]["judgments"][0]["scores"]) == 1  # the rows themselves stay as they were


def test_rankings_are_averaged_over_the_responses_all_ranked():
    def judge(who, ranks):
        scores = [{"response": r, "attribute": "rank", "value": v, "scale": [1, 3]} for r, v in ranks.items()]
        return {"id": who, "annotator": who, "kind": "human", "scores": scores}

    item = {"id": "i", "prompt": "p", "responses": [{"text": t} for t in "abc"],
            "judgments": [judge("A", {0: 1, 1: 2, 2: 3}), judge("B", {0: 2, 1: 1})]}  # fmt: skip
    lists = lists_from_items([item])
    assert (lists.texts, lists.ranks) == ([["a", "b"]], [[1, 1]])
