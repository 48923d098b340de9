"""The commands: JSON keys scripts rely on, exit codes, files without a database."""

import gzip
import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from app.jobs.models import Job
from routing.rewards import artefacts, linear, registry
from routing.rewards.models import RewardModel, TrainingRun
from tests.rewards.conftest import pair_rows

KEYS = {
    "model", "loss", "backend", "n_train", "n_holdout", "accuracy", "length_baseline", "human_ceiling", "nll",
    "ece10", "seconds",
}  # fmt: skip


def run(*args):
    """Return (exit code, last line of stdout as JSON or None, stderr) of a command."""
    out, err = StringIO(), StringIO()
    code = 0
    try:
        call_command(*map(str, args), stdout=out, stderr=err)
    except SystemExit as end:
        code = end.code
    except CommandError as error:
        code = error.returncode
        err.write(str(error))
    lines = out.getvalue().splitlines()
    return code, json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None, err.getvalue()


def write(path, rows, *more):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "".join(more))
    return path


@pytest.fixture
def chosen(tmp_path):
    """120 chosen/rejected rows."""
    rows = []
    for row in pair_rows(120, wrong=0.1):
        better = 1 if row["judgments"][0]["comparisons"][0]["preference"] > 0 else 0
        texts = [response["text"] for response in row["responses"]]
        rows.append(
            {"id": row["id"], "prompt": row["prompt"], "chosen": texts[better], "rejected": texts[1 - better]}
        )
    return write(tmp_path / "chosen.jsonl", rows)


def test_a_file_is_learnt_from_without_a_database_and_scores_another(chosen, tmp_path, monkeypatch):
    """This test may not touch the database: pytest-django blocks it."""
    monkeypatch.chdir(tmp_path)
    code, found, error = run("train_reward_model", chosen, "--loss", "bt", "--seed", 3, "--json")
    assert (code, error) == (0, "")
    assert set(found) >= KEYS
    assert (found["loss"], found["backend"], found["seed"]) == ("bt", "linear", 3)
    assert (found["n_train"], found["n_holdout"], found["evaluated"]) == (120, 120, "crossfit")
    assert set(found["accuracy"]) >= {"value", "lo", "hi", "n"}
    assert found["accuracy"]["value"] > 0.7
    assert found["human_ceiling"] is None
    assert found["model"].startswith("model-")
    folder = tmp_path / found["model"]
    assert linear.load(folder).info["loss"] == "bt"
    left = [path.name for path in tmp_path.iterdir() if path.name.startswith((".model", "model"))]
    assert left == [folder.name]

    rows = write(
        tmp_path / "rows.jsonl", [{"prompt": "p", "responses": ["bad vague", "good clear"]}], "{oops\n"
    )
    code, summary, error = run("score", found["model"], rows, "--out", "scored.jsonl", "--json")
    assert (code, summary["rows"], len(summary["errors"])) == (1, 1, 1)
    assert "rows.jsonl:2" in error
    scored = json.loads((tmp_path / "scored.jsonl").read_text())
    assert scored["probability"] > 0.6


def test_the_same_file_and_seed_give_the_same_model(chosen, tmp_path):
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        code, _, _ = run("train_reward_model", chosen, "--out", tmp_path / name, "--seed", seed, "--json")
        assert code == 0
        found.append((tmp_path / name / "weights.npz").read_bytes())
    assert found[0] == found[1] != found[2]
    code, answer, _ = run("train_reward_model", chosen, "--out", tmp_path / "a", "--json")
    assert (code, answer["model"]) == (0, str(tmp_path / "a"))


def test_another_file_is_evaluated_on_and_its_prompts_are_not_learnt_from(chosen, tmp_path):
    same = [json.loads(line) for line in chosen.read_text().splitlines()][:30]
    other = [
        {"prompt": f"New {i}", "chosen": f"good clear n{i}", "rejected": f"bad vague m{i}"} for i in range(20)
    ]
    path = write(tmp_path / "other.jsonl", [*same, *other])
    code, found, _ = run("train_reward_model", chosen, "--evaluate", path, "--out", tmp_path / "m", "--json")
    assert code == 0
    assert (found["n_train"], found["n_holdout"]) == (90, 50)
    code, _, error = run(
        "train_reward_model", chosen, "--evaluate", chosen, "--out", tmp_path / "n", "--json"
    )
    assert code == 2
    assert "Too little to learn from" in error
    assert not (tmp_path / "n").exists()


def test_rows_that_cannot_be_read_end_with_1(chosen, tmp_path):
    packed = tmp_path / "more.jsonl.gz"
    packed.write_bytes(gzip.compress(chosen.read_bytes() + b"not json\n"))
    code, found, error = run("train_reward_model", packed, "--out", tmp_path / "m", "--json")
    assert (code, found["unread_rows"]) == (1, 1)
    assert "more.jsonl.gz:121" in error


@pytest.mark.django_db
def test_what_cannot_be_done_ends_with_2_and_a_sentence(chosen, tmp_path, project):
    few = write(tmp_path / "few.jsonl", pair_rows(9))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "keep.txt").write_text("mine")
    for args, words in (
        (["no-such-project"], "is no file, no snapshot and no project"),
        (["snap_none"], "is no file, no snapshot and no project"),
        ([few, "--out", tmp_path / "m"], "Too little to learn from"),
        ([chosen, "--out", foreign], "is no model folder"),
        (["pairs", "--out", tmp_path / "m"], "--out is for a FILE"),
        (["pairs"], "Too little to learn from"),
        ([chosen, "--seed", "-1"], "--seed -1"),
    ):
        code, found, error = run("train_reward_model", *args, "--json")
        assert (
            (code, found) in ((2, None), (1, None))
            if "invalid choice" in words
            else (code, found) == (2, None)
        ), args
        assert words in error, args
    assert (foreign / "keep.txt").read_text() == "mine"
    assert RewardModel.objects.count() == 0
    for args, words in (
        (["rm_0", chosen], "is no registered reward model and no folder"),
        ([foreign, chosen], "holds no readable model"),
    ):
        code, found, error = run("score", *args, "--json")
        assert (code, found) == (2, None)
        assert words in error


def test_a_project_and_its_snapshot_give_the_same_model_in_the_registry(pairs_project, tmp_path):
    code, found, _ = run("train_reward_model", "pairs", "--loss", "soft_bt", "--json")
    assert code == 0
    assert set(found) >= KEYS
    first = RewardModel.objects.get(public_id=found["model"])
    assert found["accuracy"] == first.metrics["accuracy"]
    assert found["n_train"] == first.metrics["n_train"]
    assert set(found["human_ceiling"]) >= {"value", "lo", "hi", "n"}
    assert Job.objects.get(pk=first.run.job_id).state == Job.State.SUCCEEDED

    code, again, _ = run("train_reward_model", first.snapshot.public_id, "--loss", "soft_bt", "--json")
    assert code == 0
    second = RewardModel.objects.get(public_id=again["model"])
    assert second.files_sha256 == first.files_sha256
    assert TrainingRun.objects.count() == 2

    rows = write(tmp_path / "rows.jsonl", [{"prompt": "p", "response": "A clear answer."}])
    code, summary, _ = run("score", first.public_id, rows, "--out", tmp_path / "out.jsonl", "--json")
    assert (code, summary["rows"], summary["model"]) == (0, 1, first.public_id)
    reward = json.loads((tmp_path / "out.jsonl").read_text())["score"]
    assert reward == linear.load(registry.directory(first)).score(["p"], ["A clear answer."])[0]


def test_a_registered_model_is_measured_only_on_prompts_it_has_not_learnt_from(pairs_project, tmp_path):
    from tests.rewards.conftest import PAIRS

    code, found, _ = run("train_reward_model", "pairs", "--evaluate", PAIRS, "--json")
    assert code == 0
    model = RewardModel.objects.get()
    assert found["n_train"] == model.metrics["n_train"]
    assert found["n_holdout"] > model.metrics["n_holdout"]
    assert artefacts.read(registry.directory(model))
