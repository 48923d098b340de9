"""The closed loop: thresholds, rounds, approvals, gates; and learning curves with their advice."""

from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

from app.accounts.models import AuditEvent
from app.jobs import runner
from app.jobs.models import Job
from routing.rewards import curves, learning, loop, prepare, registry
from routing.rewards.models import Loop, LoopRound, RewardModel, TrainingRun
from tests.rewards.conftest import N_REAL, pair_rows

State = LoopRound.State


def test_a_power_law_is_recovered_and_read():
    n = np.array([20, 40, 80, 160, 320, 640])
    fit = curves.fit_power_law(n, 1 - (0.1 + 1.5 * n**-0.5))
    assert (fit.a, fit.b, fit.c) == (
        pytest.approx(0.1, abs=1e-3),
        pytest.approx(1.5, rel=0.02),
        pytest.approx(0.5, abs=0.01),
    )
    # e(640) = .1593; one point less is reached at (1.5 / .0493)^2 = 926
    assert fit.needed_for(1 - fit.error(640) + 0.01) == pytest.approx(926, rel=0.02)
    assert curves.Fit(0.2, 1.0, 0.5).needed_for(0.85) is None
    assert curves.sizes_for(39) == []
    assert curves.sizes_for(640)[0] == 40
    assert curves.sizes_for(640)[-1] == 640


def test_a_curve_says_when_to_stop():
    rng = np.random.default_rng(0)

    def rows(error):
        # whole prompt groups are drawn: repetitions of a size differ by a few pairs
        return [{"kind": "human", "size": n, "n": n - k, "seed": k, "n_holdout": 400,
                 "accuracy": 1 - error(n) + 0.004 * rng.normal()}
                for n in (20, 40, 80, 160, 320) for k in range(3)]  # fmt: skip

    steep = curves.describe(rows(lambda n: 2.0 * n**-0.4))["human"]
    flat = curves.describe(rows(lambda n: 0.3 + 0.2 * n**-1.0))["human"]
    assert not steep["stop"]
    assert steep["more"]["value"] < 320
    assert "Judging on pays" in steep["advice"]
    assert flat["stop"]
    assert "top" in flat["advice"]
    last = steep["curve"][-1]
    assert last["n"] == pytest.approx(1280)
    assert last["lo"] < last["value"] < last["hi"]
    assert [(p["n"], p["repeats"]) for p in steep["points"]] == [(n - 1, 3) for n in (20, 40, 80, 160, 320)]


def test_growing_parts_are_measured_on_one_holdout():
    rows = pair_rows(150, wrong=0.2, split=lambda i: "train") + pair_rows(
        40, seed=1, split=lambda i: "holdout"
    )
    spec = prepare.Spec()
    measured = curves.measure(prepare.prepare(rows, spec), spec, repeats=2)
    assert {row["kind"] for row in measured} == {"human"}
    assert max(row["n"] for row in measured) == 150
    assert {row["n_holdout"] for row in measured} == {40}
    assert measured[-1]["accuracy"] > 0.75


@pytest.fixture
def looped(pairs_project, alice):
    """240 real pairs and a loop that is on."""
    Loop.objects.create(
        project=pairs_project, is_on=True, every_judgments=10 * N_REAL, every_days=7, changed_by=alice
    )
    return pairs_project


def set_loop(**values):
    Loop.objects.update(**values)
    return Loop.objects.get()


def test_a_round_begins_at_its_threshold_or_day_and_not_before(looped):
    judged, _, _ = loop.new_judgments(looped)
    assert judged > N_REAL
    assert loop.tick() == 0
    later = timezone.now() - timedelta(days=8)
    assert "7 days since" in loop.why_due(set_loop(changed_at=later))
    assert "new judgments (a round begins at 100)" in loop.why_due(
        set_loop(changed_at=timezone.now(), every_judgments=100)
    )
    set_loop(is_on=False)
    assert loop.tick() == 0
    assert LoopRound.objects.count() == TrainingRun.objects.count() == 0


def test_a_round_waits_trains_proposes_and_is_promoted_by_people(looped, alice, monkeypatch):
    monkeypatch.setattr(registry, "ECE_LIMIT", 1.0)  # 24 held-out pairs say little about calibration
    set_loop(every_judgments=100, ask_before_training=True)
    assert loop.tick() == 1
    assert loop.tick() == 0  # one open round a project
    round_ = LoopRound.objects.get()
    assert (round_.state, round_.run, Job.objects.count()) == (State.WAITING, None, 0)
    round_ = loop.approve(round_=round_, actor=alice)
    assert round_.state == State.TRAINING
    with pytest.raises(loop.NotNow, match="nothing to approve"):
        loop.approve(round_=round_, actor=alice)
    assert loop.tick() == 0
    assert runner.run(round_.run.job_id).state == Job.State.SUCCEEDED
    assert loop.tick() == 1
    round_.refresh_from_db()
    assert round_.state == State.PROPOSED, round_.words
    assert all(gate["passed"] for gate in round_.gates)
    assert registry.promoted(looped) is None
    round_ = loop.approve(round_=round_, actor=alice)
    assert round_.state == State.PROMOTED
    assert registry.promoted(looped).run == round_.run
    assert [d["what"] for d in round_.decisions] == ["training approved", "promotion approved"]
    assert {d["by"] for d in round_.decisions} == {"alice"}
    assert AuditEvent.objects.filter(action__startswith="reward_loop.").count() == 3
    assert loop.tick() == 0  # nothing new since
    assert loop.new_judgments(looped)[0] == 0


def test_what_the_gates_refuse_is_kept_and_what_fails_says_why(looped, alice, monkeypatch):
    set_loop(every_judgments=100, ask_before_promoting=False)
    loop.tick()
    round_ = LoopRound.objects.get()
    monkeypatch.setattr(registry, "MIN_PROMOTE", 10**6)
    runner.run(round_.run.job_id)
    loop.tick()
    round_.refresh_from_db()
    assert round_.state == State.KEPT
    assert "stays a candidate: It learnt from" in round_.words
    assert RewardModel.objects.get().status == "candidate"

    again = loop.begin(project=looped, reason="Asked for", actor=alice)
    runner.cancel(Job.objects.get(pk=again.run.job_id))
    loop.tick()
    again.refresh_from_db()
    assert (again.state, again.words) == (State.FAILED, "The training was cancelled.")
    third = loop.begin(project=looped, reason="Asked for", actor=None)
    assert third.state == State.TRAINING
    assert loop.begin(project=looped, reason="Twice", actor=alice) is None
    with pytest.raises(loop.NotNow, match="nothing to decline"):
        loop.decline(round_=third, actor=alice)


def test_a_curve_is_measured_by_a_job_and_kept_with_the_model(register, project, alice, monkeypatch):
    model = register()
    monkeypatch.setattr(learning.snapshots, "open_rows", lambda snapshot: iter(
        pair_rows(100, split=lambda i: "train") + pair_rows(30, seed=1, split=lambda i: "holdout")))  # fmt: skip
    monkeypatch.setattr(curves, "REPEATS", 1)
    job = learning.start(model=model, actor=alice)
    assert learning.start(model=model, actor=alice).pk == job.pk
    done = runner.run(job.pk)
    assert (done.state, done.result["kinds"]) == (Job.State.SUCCEEDED, ["human"]), done.error
    model.refresh_from_db()
    assert model.metrics["learning_curve"]["human"]["points"][-1]["n"] == 100
    assert model.metrics["accuracy"]["value"] is not None
