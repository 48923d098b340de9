"""`agreement FILE` and its library: the reference figures on real data, sources apart, bad files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
real = pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")


def run(capsys, *arguments):
    code = 0
    try:
        call_command("agreement", *map(str, arguments), "--json")
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    return code, json.loads(out.splitlines()[-1]), err


def rows_of(found):
    return {(row["source"], row["aspect"], row["annotators"]): row for row in found["results"]}


@real
def test_pandalm_and_llmbar_reproduce_the_reference_figures(capsys):
    code, found, _ = run(capsys, SHARED / "1_pairs_human_lm.jsonl.gz")
    rows = rows_of(found)
    assert code == 0
    people = rows["pandalm", "overall", "human"]
    assert people["percent"]["value"] == pytest.approx(0.931, abs=5e-4)
    assert people["percent"]["n"] == 453
    assert people["alpha_nominal"]["value"] == pytest.approx(0.881, abs=5e-4)
    assert people["alpha_ordinal"]["value"] == pytest.approx(0.887, abs=5e-4)
    assert people["one_against_rest"]["value"] == pytest.approx(0.963, abs=5e-4)
    assert people["clusters"] == "items"  # three people are no sample
    models = {model["name"]: model for model in rows["pandalm", "overall", "human-lm"]["models"]}
    gpt = models["gpt-3.5-turbo"]
    assert gpt["with_majority"]["value"] == pytest.approx(0.698, abs=0.02)  # the whole source's figure
    assert gpt["kappa_with_majority"]["value"] == pytest.approx(0.476, abs=0.02)
    assert gpt["with_majority_decided"]["value"] == pytest.approx(0.774, abs=0.02)
    # .689 of the 453 items counts the eight unread answers as wrong; here they are left out.
    assert gpt["with_majority"]["value"] * gpt["with_majority"]["n"] / 453 == pytest.approx(0.689, abs=5e-4)
    gold = rows["llmbar", "overall", "human"]
    assert gold["percent"] is None
    assert gold["undefined"]["percent"] == "no item was judged by two of them"
    judges = {model["name"]: model for model in rows["llmbar", "overall", "human-lm"]["models"]}
    assert judges["GPT-4 · Vanilla"]["with_majority"]["value"] == pytest.approx(0.821, abs=5e-4)


@real
def test_ukp_and_summeval_reproduce_the_reference_figures(capsys):
    _, found, _ = run(capsys, SHARED / "1b_pairs_five_workers.jsonl.gz")
    row = rows_of(found)["ukp_convarg", "overall", "human"]
    assert row["percent"]["value"] == pytest.approx(0.527, abs=5e-4)
    assert row["alpha_nominal"]["value"] == pytest.approx(0.272, abs=5e-4)
    assert row["alpha_ordinal"]["value"] == pytest.approx(0.377, abs=5e-4)
    assert row["one_against_rest"]["value"] == pytest.approx(0.610, abs=5e-4)
    assert row["clusters"] == "items and annotators"
    _, found, _ = run(capsys, SHARED / "2_ratings.jsonl.gz", "--source", "summeval_op")
    rows = rows_of(found)
    assert {row["source"] for row in found["results"]} == {"summeval_op"}
    assert rows["summeval_op", "aspect_coverage", "human"]["alpha_interval"]["value"] == pytest.approx(
        0.651, abs=5e-4
    )
    assert rows["summeval_op", "specificity", "human"]["alpha_interval"]["value"] == pytest.approx(
        0.326, abs=5e-4
    )


def test_bad_rows_are_named_and_the_rest_counts(capsys, tmp_path):
    good = {
        "prompt": "p", "response_a": "a", "response_b": "b", "source": "s",
        "human": [{"annotator": "x", "label": "a"}, {"annotator": "y", "label": "b"}],
    }  # fmt: skip
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({**good, "id": "1"}) + "\n{broken\n" + json.dumps({**good, "id": "2"}) + "\n")
    code, found, err = run(capsys, path)
    assert code == 1
    assert "rows.jsonl:2" in err
    row = found["results"][0]
    assert row["percent"] == {"value": 0.0, "lo": 0.0, "hi": pytest.approx(0.6576, abs=1e-4), "n": 2}
    # Two items, each one a and one b: (n - 1) * 4 / (4 * 4 - 8) disagreements too many.
    assert row["alpha_nominal"]["value"] == pytest.approx(-0.5)
    with pytest.raises(CommandError, match="expected one of overall"):
        call_command("agreement", str(path), "--aspect", "nothing")


def test_a_file_without_votes_and_a_name_that_is_nothing(tmp_path, db):
    path = tmp_path / "plain.jsonl"
    path.write_text(json.dumps({"prompt": "p", "response_a": "a", "response_b": "b"}) + "\n")
    with pytest.raises(CommandError, match="no votes in it") as error:
        call_command("agreement", str(path))
    assert error.value.returncode == 2
    with pytest.raises(CommandError, match="'nowhere' is no project and no file"):
        call_command("agreement", "nowhere")


def test_of_superseded_and_repeated_answers_the_last_counts(capsys, tmp_path):
    old, new = "0190a000-0000-7000-8000-000000000001", "0190a000-0000-7000-8000-000000000002"

    def judgment(id, preference, **more):
        c = {
            "first": 0,
            "second": 1,
            "aspect": "overall",
            "preference": preference,
            "scale_max": 3,
            "tie": None,
        }
        return {
            "id": id,
            "annotator": "x",
            "kind": "human",
            "outcome": "answered",
            "comparisons": [c],
            **more,
        }

    other = judgment("0190a000-0000-7000-8000-000000000003", 3) | {"annotator": "y"}
    row = {
        "id": "1", "source": "s", "prompt": "p", "responses": [{"text": "a"}, {"text": "b"}],
        "judgments": [judgment(old, -1), judgment(new, 2, supersedes=old), other],
    }  # fmt: skip
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    _, found, _ = run(capsys, path)
    row = found["results"][0]
    assert row["percent"]["value"] == 1
    assert row["n_votes"] == 2
