"""MACE, GLAD and peer scores: crowd-kit's values, planted truth, values worked by hand, and the published competences."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command
from scipy.special import digamma

from annotations.analysis import annotators, files, glad, mace, patterns, peers
from tests.analysis.test_annotators_and_estimates import crowd, labels_of

WORKERS = Path(__file__).resolve().parents[2].parent / "shared/data/1b_pairs_five_workers.jsonl.gz"
# crowd-kit 1.4.2 on `crowd(1)`, run to its end in an environment of its own. Its MACE depends on the order of rows unless tasks,
# workers and labels first come in the order of their codes, as they were given here.
MACE_CROWD_KIT = [
    0.012184, 0.689706, 0.68144, 0.004942, 0.767955, 0.767415, 0.033166, 0.822397, 0.805859, 0.003931, 0.742503, 0.817871,
]  # fmt: skip
GLAD_CROWD_KIT = [
    -0.315072, 0.687681, 0.562404, -0.326018, 0.809024, 0.775814, -0.205704, 0.905371, 0.958733, -0.316339, 0.652025,
    0.946619,
]  # fmt: skip
LN_EASE_CROWD_KIT = [1.1011, 0.451, 0.7955, 1.823, 0.6197]


def test_mace_is_crowd_kits_and_finds_who_spams():
    labels, truth, accuracy = crowd(1)
    found = mace.fit(labels, 12, iterations=2000, tolerance=1e-12)
    assert found.converged
    n = np.bincount(labels.annotator)
    # Theirs is the exponential of the expected logarithm, ours the mean of the same distribution.
    theirs = np.exp(digamma(found.competence * (n + 1)) - digamma(n + 1))
    np.testing.assert_allclose(theirs, MACE_CROWD_KIT, atol=1e-4)
    quick = mace.fit(labels, 12)
    assert quick.converged
    np.testing.assert_allclose(quick.competence, found.competence, atol=0.005)
    assert quick.competence[accuracy < 0.5].max() < 0.05 < 0.6 < quick.competence[accuracy > 0.5].min()
    assert (quick.posterior.argmax(axis=1) == truth).mean() > 0.93


def test_glad_is_crowd_kits():
    labels, truth, _ = crowd(1)
    found = glad.fit(labels, 12, iterations=500, tolerance=1e-9)
    assert found.converged
    np.testing.assert_allclose(found.ability, GLAD_CROWD_KIT, atol=1e-4)
    np.testing.assert_allclose(np.log(found.ease[:5]), LN_EASE_CROWD_KIT, atol=1e-3)
    np.testing.assert_allclose(glad.fit(labels, 12).ability, GLAD_CROWD_KIT, atol=0.01)
    assert (found.posterior.argmax(axis=1) == truth).mean() > 0.93


@pytest.mark.parametrize("model", [mace.fit, glad.fit])
def test_one_class_and_units_without_votes_are_no_surprise(model):
    alone = model(labels_of([0, 0, 2], [0, 1, 0], [0, 0, 0], 1, 3), 3)
    found = model(labels_of([0, 0, 2, 2], [0, 1, 0, 1], [0, 1, 1, 1], 2, 3), 3)
    for one in (alone, found):
        assert np.isnan(one.posterior[1]).all()
        assert np.isfinite(one.posterior[[0, 2]]).all()
        assert np.isnan(getattr(one, "competence", getattr(one, "ability", None))[2])
    assert annotators.competences(labels_of([0, 0], [0, 1], [0, 0], 1, 1), 2) is None
    assert (
        annotators.abilities(labels_of([0, 1], [0, 1], [0, 1], 2, 2), 2) is None
    )  # nothing was judged twice


def test_peer_scores_by_hand(monkeypatch):
    """Annotator 0 says a, b on units 0, 1; annotator 1 says a, b; annotator 2 says a, a."""
    monkeypatch.setattr(peers, "FEWEST", 1)
    labels = labels_of([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 1, 0], 2, 2)
    found = peers.scores(labels, 4)
    # 0 on unit 0: both peers say a; of the two votes on unit 1 by others one is a: 1 - 1/2.
    # 0 on unit 1: one of two says b; none of the others' votes on unit 0 does: 1/2 - 0.
    assert found[0]["value"] == pytest.approx(0.5)
    # 2 on unit 0: 1 - 0 (the others say b on unit 1); on unit 1: 0 - 1 (both say a on unit 0).
    assert found[2]["value"] == pytest.approx(0)
    assert found[0]["n"] == 2
    assert found[3] is None


def test_whoever_answers_without_looking_scores_zero_and_the_careful_score_more():
    rng = np.random.default_rng(2)
    truth = np.where(rng.random(600) < 0.8, 0, 1)  # most answers are 0: saying 0 always agrees often
    said = [np.where(rng.random(600) < 0.85, truth, 1 - truth) for _ in range(4)]
    said += [np.zeros(600, dtype=int), rng.integers(0, 2, 600)]
    labels = labels_of(np.tile(np.arange(600), 6), np.repeat(np.arange(6), 600), np.concatenate(said), 2, 600)
    found = peers.scores(labels, 6)
    for lazy in (4, 5):
        assert found[lazy]["lo"] < 0.01
        assert abs(found[lazy]["value"]) < 0.02
    assert all(found[careful]["lo"] > 0.05 for careful in range(4))


@pytest.mark.slow
def test_the_interval_of_a_peer_score_covers_its_expectation():
    """Four people, 85 % right, of two equally likely classes: expectation (.85² + .15²) − ½ = .245."""
    covered = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 2, 150)
        said = [np.where(rng.random(150) < 0.85, truth, 1 - truth) for _ in range(4)]
        labels = labels_of(
            np.tile(np.arange(150), 4), np.repeat(np.arange(4), 150), np.concatenate(said), 2, 150
        )
        score = peers.scores(labels, 4, [0])[0]
        covered += score["lo"] <= 0.245 <= score["hi"]
    assert 0.92 <= covered / 400 <= 0.98


@pytest.mark.skipif(not WORKERS.exists(), reason="needs ../shared/data")
def test_competence_goes_with_the_one_published_of_ukps_workers():
    published = {}
    with gzip.open(WORKERS) as rows:
        for row in rows:
            published |= {vote["annotator"]: vote["mace_competence"] for vote in json.loads(row)["human"]}
    votes = files.read([WORKERS]).votes
    labels = patterns.of_comparisons(votes, 0)
    found = mace.fit(labels, len(votes.annotators)).competence
    theirs = np.array([published[name] for name in votes.annotators])
    n = np.bincount(labels.annotator)
    for fewest, people, expected in ((20, 345, 0.73), (100, 74, 0.82)):
        enough = n >= fewest
        assert enough.sum() == people
        assert np.corrcoef(found[enough], theirs[enough])[0, 1] == pytest.approx(expected, abs=0.01)


def test_the_command_says_what_each_annotator_does(capsys, tmp_path):
    rows = [
        {
            "id": str(n), "source": "s", "prompt": "p", "response_a": "a", "response_b": "b",
            "human": [{"annotator": name, "label": "ab"[(n % 2) ^ (name == "c" and n % 3 == 0)]} for name in "xyzc"],
        }
        for n in range(40)
    ]  # fmt: skip
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    call_command("annotators", str(path))
    text = capsys.readouterr().out
    assert "competence (MACE)" in text
    assert "peer score" in text
    call_command("annotators", str(path), "--json")
    [result] = json.loads(capsys.readouterr().out.splitlines()[-1])["results"]
    people = {row["name"]: row for row in result["annotators"]}
    for key in ("accuracy", "competence", "ability", "peer_score"):
        assert people["c"][key]["value"] < people["x"][key]["value"]
        assert people["x"][key]["lo"] < people["x"][key]["value"] <= people["x"][key]["hi"]
