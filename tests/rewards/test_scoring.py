"""Scores over the API, the best of n, what a score means, and scores that are kept."""

import math

import numpy as np
import pytest

from routing.rewards import registry, score, scoring
from routing.rewards.models import CachedScore

P = "/api/v1/projects/pairs"
GOOD, BAD = "item word1 good clear", "item word1 bad vague"


@pytest.mark.django_db
def test_rows_are_scored_over_the_api(register, alice, charlie):
    from tests.api.conftest import token_client

    model = register()
    api = token_client(alice)
    rows = [
        {"prompt": "p", "responses": [BAD, GOOD]},
        {"responses": [GOOD]},
        {"responses": [BAD, BAD, GOOD, GOOD]},
    ]
    answer = api.post(f"{P}/reward-models/{model.public_id}/score", {"rows": rows}, format="json")
    assert answer.status_code == 200, answer.content
    pair, one, four = answer.json()["rows"]
    assert pair["probability"] > 0.9
    assert (pair["best"], one["probability"], four["best"]) == (1, None, 2)
    assert 0 <= pair["good"][0] < pair["good"][1] <= 1
    loaded = score.load(model)
    assert pair["scores"] == loaded.score(["p"] * 2, [BAD, GOOD]).tolist()

    best = api.post(f"{P}/reward-models/{model.public_id}/best", rows[0], format="json").json()
    assert (best["best"], best["text"], best["scores"]) == (1, GOOD, pair["scores"])

    for body in ({"rows": []}, {"rows": [{"responses": []}]}, {}, {"rows": [{"responses": ["x"] * 65}]}):
        assert api.post(f"{P}/reward-models/{model.public_id}/score", body, format="json").status_code == 400
    outsider = token_client(charlie)
    assert (
        outsider.post(f"{P}/reward-models/{model.public_id}/score", {"rows": rows}, format="json").status_code
        == 404
    )
    (registry.directory(model) / "weights.npz").write_bytes(b"other")
    broken = api.post(f"{P}/reward-models/{model.public_id}/best", rows[0], format="json")
    assert broken.status_code == 409
    assert "not what was registered" in broken.content.decode()


@pytest.mark.django_db
def test_scores_of_items_are_computed_once(register, project, make_item):
    model, other = register(), register()
    items = [make_item(f"Question {n}", (GOOD, BAD)) for n in range(3)]

    class Counting:
        def __init__(self, inner):
            self.inner, self.asked = inner, 0

        def score(self, prompts, responses, sources=None):
            self.asked += len(responses)
            return self.inner.score(prompts, responses, sources)

    scorer = Counting(score.load(model))
    first = scoring.scores_of_items(model, scorer, items[:2])
    again = scoring.scores_of_items(model, scorer, items)
    assert scorer.asked == 6
    assert {k: again[k] for k in first} == first
    assert all(good > bad for good, bad in again.values())
    assert CachedScore.objects.count() == 6
    scoring.scores_of_items(other, Counting(score.load(other)), items, first=1)
    assert CachedScore.objects.count() == 9


def by_hand(model, text, goodness):
    """Give the model the reference at which this text is so good: r - ln(g / (1 - g))."""
    value = float(score.load(model).score([""], [text])[0])
    model.metrics = {**model.metrics, "reference": {"0.85": value - math.log(goodness / (1 - goodness))}}
    model.save(update_fields=["metrics"])
    return value


@pytest.mark.django_db
def test_respects_combine_by_and_where_scores_are_made(register, alice, alice_client):
    """Good .8 in one respect and .5 in the other is .4 in both; a score of ln 3 more makes odds of 1 : 1 into 3 : 1."""
    from tests.api.conftest import token_client

    one, two, bare = register(), register(), register(reference={})
    value = by_hand(one, GOOD, 0.8)
    by_hand(two, GOOD, 0.5)
    assert scoring.good(one, value) == pytest.approx(0.8)
    assert scoring.in_all([one, two], [value, value]) == pytest.approx(0.4)
    assert scoring.in_all([two, two], [value, value + math.log(3)]) == pytest.approx(0.5 * 0.75)
    # far below the reference nothing overflows, and nothing makes up for it
    assert scoring.in_all([one, two], [value + 50, value - 800]) == 0.0

    api = token_client(alice)
    path = f"{P}/reward-models/{one.public_id}"
    ask = {"rows": [{"responses": [GOOD]}], "all_of": [two.public_id]}
    row = api.post(f"{path}/score", ask, format="json").json()["rows"][0]
    assert (row["good"], row["in_all"]) == ([pytest.approx(0.8)], [pytest.approx(0.4)])
    alone = api.post(f"{path}/score", {"rows": ask["rows"]}, format="json").json()["rows"][0]
    assert (alone["in_all"], alone["good"]) == (None, row["good"])

    for wrong, words in ((bare, "without a reference"), (one, "no other model")):
        refused = api.post(
            f"{path}/best", {"responses": [BAD, GOOD], "all_of": [wrong.public_id]}, format="json"
        )
        assert refused.status_code == 400
        assert words in refused.content.decode()

    url = f"/p/pairs/reward-models/{one.public_id}/score/"
    form = {"prompt": "", "first": GOOD, "second": GOOD, "all_of": [two.public_id]}
    part = alice_client.post(url, form, headers={"HX-Request": "true"}).content.decode()
    assert 'Good in all respects: <span class="num">0.40</span> and <span class="num">0.40</span>' in part
    assert f'value="{bare.public_id}"' not in part
    del form["all_of"]
    assert "Good in all" not in alice_client.post(url, form, headers={"HX-Request": "true"}).content.decode()


@pytest.mark.django_db
def test_the_best_in_all_respects_need_not_be_the_best_in_one(register, alice, monkeypatch):
    from tests.api.conftest import token_client

    class Fixed:
        def __init__(self, values):
            self.values = values

        def score(self, prompts, responses, sources=None):
            return np.array([self.values[text] for text in responses])

    helpful, harmless = register(reference={"0.85": 0.0}), register(reference={"0.85": 0.0})
    scorers = {helpful.pk: Fixed({"x": 3.0, "y": 1.0}), harmless.pk: Fixed({"x": -2.0, "y": 1.0})}
    monkeypatch.setattr(score, "load", lambda model: scorers[model.pk])
    api, path = token_client(alice), f"{P}/reward-models/{helpful.public_id}/best"
    best = api.post(path, {"responses": ["x", "y"]}, format="json").json()
    assert (best["best"], best["text"], best["in_all"]) == (0, "x", None)
    best = api.post(path, {"responses": ["x", "y"], "all_of": [harmless.public_id]}, format="json").json()
    # σ(3) σ(-2) = .9526 * .1192 = .1136 and σ(1)² = .7311² = .5344
    assert best["in_all"] == [pytest.approx(0.1136, abs=1e-4), pytest.approx(0.5344, abs=1e-4)]
    assert (best["best"], best["text"], best["scores"]) == (1, "y", [3.0, 1.0])
