"""The whole training as a Job on real pairs: what comes out, cancelled, killed, repeated, refused."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from annotations.datasets import snapshots
from annotations.datasets.models import Snapshot
from app.accounts.models import AuditEvent
from app.jobs import runner
from app.jobs.models import Job
from routing.rewards import jobs, linear, prepare, registry, train
from routing.rewards.data import pairs_from_items
from routing.rewards.models import RewardModel, TrainingRun
from tests.rewards.conftest import N_REAL, pair_rows


def models_folder(settings) -> list[str]:
    folder = Path(settings.MEDIA_ROOT) / "models"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_a_job_freezes_trains_evaluates_and_registers_one_model(pairs_project, alice, settings):
    run = jobs.start_training(project=pairs_project, actor=alice, options={"note": "first"})
    job = runner.run(run.job_id)

    assert (job.state, job.error) == (Job.State.SUCCEEDED, "")
    run.refresh_from_db()
    model = run.reward_model
    assert (model.public_id, model.number, model.status) == (f"rm_{run.pk}", 1, "candidate")
    assert model.snapshot == run.snapshot == Snapshot.objects.get()
    assert model.data_sha256 == run.snapshot.sha256
    assert models_folder(settings) == [model.public_id]

    rows = list(snapshots.open_rows(run.snapshot))
    held = [row for row in rows if row["plumbline"]["split"] == "holdout"]
    learnt = [row for row in rows if row["plumbline"]["split"] != "holdout"]
    assert model.metrics["n_holdout"] == int(pairs_from_items(held).decided.sum()) > 10
    assert model.metrics["n_train"] == int(pairs_from_items(learnt).decided.sum()) > 150
    assert model.metrics["yardstick"] == "human"
    for name in ("accuracy", "length_baseline", "gain_over_length", "human_ceiling", "nll", "ece10"):
        assert set(model.metrics[name]) >= {"value", "lo", "hi", "n"}
    assert model.metrics["accuracy"]["n"] == model.metrics["n_holdout"]

    for name, sha256 in model.files_sha256.items():
        content = (registry.directory(model) / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256
    pairs, margins = train.read_holdout(registry.directory(model))
    again = train.margins(linear.load(registry.directory(model)), pairs)
    assert np.array_equal(margins, again)
    assert train.evaluate(again, pairs, seed=0)["accuracy"] == model.metrics["accuracy"]

    steps = [event["name"] for event in job.events if event["kind"] == "step"]
    assert steps == [name for name, _, _ in jobs.STEPS]
    assert sum(event["kind"] == "fit" and event["loss"] is not None for event in job.events) > 3
    report = next(event["report"] for event in job.events if event["kind"] == "preflight")
    assert report["items"]["read"] == N_REAL
    assert model.config["preflight"] == report
    assert (job.done, job.total, job.result["model"]) == (100, 100, model.public_id)
    assert AuditEvent.objects.filter(action="reward_model.trained", target=model.public_id).count() == 1


def test_the_same_snapshot_and_seed_give_the_same_files(pairs_project, alice):
    snapshot = snapshots.freeze_now(project=pairs_project)
    found = []
    for seed in (3, 3, 4):
        run = jobs.start_training(project=pairs_project, actor=alice, snapshot=snapshot, seed=seed)
        assert runner.run(run.job_id).state == Job.State.SUCCEEDED
        run.refresh_from_db()
        found.append(run.reward_model)
    assert found[0].files_sha256 == found[1].files_sha256 != found[2].files_sha256
    assert [model.number for model in found] == [1, 2, 3]
    assert Snapshot.objects.count() == 1


@settings(max_examples=3, deadline=None, phases=[Phase.generate])
@given(st.lists(st.booleans(), min_size=30, max_size=30))
def test_labels_of_the_holdout_do_not_touch_the_model(flips):
    rows = pair_rows(60, wrong=0.2) + pair_rows(30, seed=1, split=lambda i: "holdout")
    for row in rows[:60]:
        row["plumbline"] = {"split": "train"}
    changed = json.loads(json.dumps(rows))
    for row, flip in zip(changed[60:], flips, strict=True):
        for judgment in row["judgments"] if flip else []:
            judgment["comparisons"][0]["preference"] *= -1
    spec = prepare.Spec(seed=2)
    before, after = prepare.prepare(rows, spec), prepare.prepare(changed, spec)
    models = [linear.fit(each.fit, each.ratings, seed=2, n_folds=2) for each in (before, after)]
    assert (len(before.fit), len(before.holdout)) == (60, 30)
    assert models[0].info == models[1].info
    for name in ("style_weights", "ngram_columns", "ngram_weights"):
        assert getattr(models[0], name).tobytes() == getattr(models[1], name).tobytes()
    margins = train.margins(models[0], before.holdout)
    right = [float(np.mean(np.sign(margins) == each.holdout.sign)) for each in (before, after)]
    measured = [
        train.evaluate(margins, each.holdout, seed=0)["accuracy"]["value"] for each in (before, after)
    ]
    assert measured == pytest.approx(right)
    assert (right[0] == right[1]) or any(flips)


def test_rows_that_share_a_prompt_or_their_texts_with_the_holdout_are_not_learnt_from():
    rows = pair_rows(40, split=lambda i: "train")
    rows[0]["prompt"] = rows[1]["prompt"] = "The same question"
    rows[1]["plumbline"] = {"split": "holdout"}
    rows[2]["plumbline"] = {"split": "holdout"}
    rows[3]["responses"] = rows[2]["responses"][::-1]
    rows[4]["responses"] = [{"text": "same"}, {"text": "same"}]
    material = prepare.prepare(rows, prepare.Spec())
    assert set(material.holdout.item_ids) == {"0-1", "0-2"}
    assert not {"0-0", "0-3", "0-4"} & set(material.fit.item_ids)
    dropped = material.report["dropped"]
    assert dropped["prompt also in the hold-out (items)"] == 1
    assert dropped["both responses identical"] == 1
    assert dropped["same two texts in the hold-out"] == 1


@given(st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_sides_are_dealt_by_the_seed_and_not_by_the_label_or_the_stored_order(seed):
    rows = pair_rows(200)
    for row in rows:
        row["responses"].sort(key=lambda response: "bad" in response["text"])
        for judgment in row["judgments"]:
            judgment["comparisons"][0]["preference"] = -1
    pairs = pairs_from_items(rows)
    dealt = prepare.deal_sides(pairs, seed)
    assert 0.3 < np.mean(dealt.sign > 0) < 0.7
    turned = replace(
        pairs, first_texts=pairs.second_texts, second_texts=pairs.first_texts,
        target=1 - pairs.target, votes=pairs.votes[:, ::-1],
    )  # fmt: skip
    again = prepare.deal_sides(turned, seed)
    assert again.first_texts == dealt.first_texts
    assert np.array_equal(again.target, dealt.target)
    assert np.array_equal(again.votes, dealt.votes)
    good = ["good" in (b if sign > 0 else a) for a, b, sign in zip(
        dealt.first_texts, dealt.second_texts, dealt.sign, strict=True)]  # fmt: skip
    assert all(good)


def test_a_files_holdout_takes_its_share_of_every_source():
    items = [{"source": "few", "group": f"few{i % 10}"} for i in range(1000)]
    items += [{"source": "many", "group": f"many{i}"} for i in range(500)]
    items += [{"source": "one", "group": "one"} for _ in range(100)]
    splits = prepare.deal_holdout(items)
    held = {
        name: sum(splits[i["group"]] == "holdout" for i in items if i["source"] == name)
        for name in ("few", "many", "one")
    }
    assert held == {"few": 100, "many": 50, "one": 0}


def test_a_cancel_ends_the_fit_and_leaves_nothing(pairs_project, alice, settings, monkeypatch):
    monkeypatch.setattr(runner, "REPORT_EVERY", 0.0)
    run = jobs.start_training(project=pairs_project, actor=alice)
    seen = []
    fit = linear.fit

    def cancelled_meanwhile(*args, progress, **kwargs):
        def told(event):
            if event["stage"] == "cross-validation" and "cross-validation" not in seen:
                runner.cancel(Job.objects.get(pk=run.job_id))
            seen.append(event["stage"])
            progress(event)

        return fit(*args, progress=told, **kwargs)

    monkeypatch.setattr(linear, "fit", cancelled_meanwhile)
    job = runner.run(run.job_id)
    assert job.state == Job.State.CANCELLED
    assert "final" not in seen
    assert RewardModel.objects.count() == 0
    assert models_folder(settings) == []

    monkeypatch.setattr(linear, "fit", fit)
    assert runner.run(runner.retry(job).pk).state == Job.State.SUCCEEDED
    assert RewardModel.objects.count() == Snapshot.objects.count() == 1


class Killed(BaseException):
    """Passes through every `except Exception`, as a killed process leaves no chance to clean up."""


@pytest.mark.parametrize("where", ["freezing", "evaluating", "files moved", "registered"])
def test_a_killed_training_repeats_from_the_same_snapshot_and_registers_once(
    pairs_project, alice, settings, monkeypatch, where
):
    whole = jobs.start_training(project=pairs_project, actor=alice)
    assert runner.run(whole.job_id).state == Job.State.SUCCEEDED
    whole.refresh_from_db()

    run = jobs.start_training(project=pairs_project, actor=alice)
    killed = {
        "freezing": (snapshots, "_write"),
        "evaluating": (train, "evaluate"),
        "files moved": (registry, "lock_run"),
        "registered": (jobs, "_result"),
    }[where]

    def die(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(*killed, die)
        with pytest.raises(Killed):
            runner.run(run.job_id)
    (Path(settings.MEDIA_ROOT) / "models" / f".rm_{run.pk}.1.tmp").mkdir()
    assert runner.run(run.job_id) is None  # its lease still stands
    Job.objects.filter(pk=run.job_id).update(lease_until="2000-01-01T00:00:00Z")

    assert runner.run(run.job_id).state == Job.State.SUCCEEDED
    run.refresh_from_db()
    assert run.reward_model.files_sha256 == whole.reward_model.files_sha256
    assert RewardModel.objects.count() == Snapshot.objects.count() == 2
    expected = {whole.reward_model.public_id, run.reward_model.public_id}
    left = set(models_folder(settings)) - expected
    assert left <= ({f".rm_{run.pk}.1.tmp"} if where == "registered" else set())
    assert registry.damage(run.reward_model) == ""


def test_too_few_pairs_are_refused_in_words(project, make_item, alice, settings):
    for i in range(5):
        make_item(prompt=f"Question {i}")
    run = jobs.start_training(project=project, actor=alice)
    job = runner.run(run.job_id)
    assert job.state == Job.State.FAILED
    assert job.error.startswith("Too little to learn from: 0 decided pairs")
    assert "Traceback" not in job.log
    assert RewardModel.objects.count() == 0
    assert models_folder(settings) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"loss": "hinge"}, "loss 'hinge'"),
        ({"options": {"backend": "cubic"}}, "backend 'cubic'"),
        ({"options": {"judgments": "all"}}, "judgments 'all'"),
        ({"options": {"lm_weight": 0.0}}, "lm_weight 0"),
        ({"options": {"colour": "red"}}, "unknown option 'colour'"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_a_training_that_cannot_be_is_not_started(project, alice, given, words):
    with pytest.raises(jobs.BadTraining, match=words):
        jobs.start_training(project=project, actor=alice, **given)
    assert TrainingRun.objects.count() == Job.objects.count() == 0


def test_language_models_are_the_yardstick_only_where_people_are_not():
    rows = pair_rows(40, split=lambda i: "holdout")
    for row in rows[:15]:
        for judgment in row["judgments"]:
            judgment["kind"] = "lm"
            judgment["comparisons"][0]["preference"] *= -1
    spec = prepare.Spec()
    material = prepare.prepare([*rows, *pair_rows(40, seed=1, split=lambda i: "train")], spec)
    model = linear.fit(material.fit, seed=0)
    metrics = train.evaluate(train.margins(model, material.holdout), material.holdout, seed=0)
    assert (metrics["yardstick"], metrics["n_holdout"]) == ("human", 25)
    assert metrics["accuracy"]["value"] == 1.0
    lm = metrics["by_source"]["lm"]
    assert (lm["value"], lm["lo"], lm["n"]) == (0.0, 0.0, 15)
    assert lm["hi"] == pytest.approx(0.2039, abs=1e-4)  # Wilson, 0 of 15

    human_only = prepare.prepare(rows, prepare.Spec(judgments=prepare.HUMAN_ONLY))
    assert len(human_only.holdout) == 25
