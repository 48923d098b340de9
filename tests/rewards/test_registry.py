"""Promotion through gates, the override of an owner, archiving, rolling back, and two promotions at once."""

from contextlib import suppress
from functools import partial

import pytest
from django.db import transaction
from django.db.utils import IntegrityError

from annotations.projects.models import Annotator
from app.accounts.models import AuditEvent
from routing.rewards import registry, train
from routing.rewards.models import RewardModel, TrainingRun
from tests.threads import at_once


def statuses():
    return list(RewardModel.objects.order_by("pk").values_list("status", flat=True))


def test_a_promotion_makes_an_annotator_and_archives_the_model_before(register, alice, project):
    first, second = register(), register()
    registry.promote(model=first, actor=alice)
    assert registry.promoted(project) == first
    annotator = Annotator.objects.get(kind="reward_model")
    assert annotator.name == f"{first.public_id} · linear"

    registry.promote(model=second, actor=alice)
    assert statuses() == ["archived", "promoted"]
    second.refresh_from_db()
    assert second.replaced == first
    assert second.metrics["against"][first.public_id]["value"] == 0.0
    annotator.refresh_from_db()
    assert annotator.status == "paused"

    registry.roll_back(project=project, actor=alice)
    assert statuses() == ["promoted", "archived"]
    annotator.refresh_from_db()
    assert annotator.status == "active"
    with pytest.raises(registry.Refused, match="no earlier"):
        registry.roll_back(project=project, actor=alice)
    actions = list(
        AuditEvent.objects.filter(scope=project.slug).order_by("pk").values_list("action", flat=True)
    )
    assert actions[-3:] == ["reward_model.promoted", "reward_model.promoted", "reward_model.rolled_back"]


ESTIMATE = {"value": 0.7, "lo": 0.6, "hi": 0.8, "n": 60}
NOTHING = {"value": None, "lo": None, "hi": None, "n": 4, "reason": "fewer than 10 pairs"}


@pytest.mark.parametrize(
    ("metrics", "gate", "words"),
    [
        ({"n_train": 99}, "pairs", "99 decided pairs; 100 are needed"),
        ({"accuracy": NOTHING}, "estimate", "no estimate on the hold-out: fewer than 10 pairs"),
        ({"nll": {**ESTIMATE, "value": None}}, "estimate", "a figure is not a number"),
        ({"ece10": {**ESTIMATE, "value": 0.151}}, "calibration", "0.151; the limit is 0.15"),
    ],
)
def test_a_gate_that_fails_refuses_and_says_so(register, alice, metrics, gate, words):
    model = register(**metrics)
    with pytest.raises(registry.GatesFailed, match=words) as refused:
        registry.promote(model=model, actor=alice)
    assert [each.name for each in refused.value.gates] == [gate]
    with pytest.raises(registry.GatesFailed):
        registry.promote(model=model, actor=alice, may_override=True, reason="  ")
    with pytest.raises(registry.GatesFailed):
        registry.promote(model=model, actor=alice, may_override=False, reason="I want to")
    assert statuses() == ["candidate"]
    assert Annotator.objects.filter(kind="reward_model").count() == 0

    registry.promote(model=model, actor=alice, may_override=True, reason="a pilot")
    assert statuses() == ["promoted"]
    event = AuditEvent.objects.get(action="reward_model.promoted")
    assert (event.detail["override"], event.detail["failed"]) == ("a pilot", [gate])


def test_a_model_worse_than_the_promoted_one_is_refused(register, alice, project):
    good, bad = register(), register(wrong=0.9, ece10={**ESTIMATE, "value": 0.05})
    registry.promote(model=good, actor=alice)
    with pytest.raises(
        registry.GatesFailed, match=f"Against {good.public_id} on the same 60 held-out pairs: −"
    ):
        registry.promote(model=bad, actor=alice)
    assert registry.promoted(project) == good
    bad.refresh_from_db()
    gain = bad.metrics["against"][good.public_id]
    assert gain["hi"] < 0
    assert gain["value"] == pytest.approx(
        bad.metrics["accuracy"]["value"] - good.metrics["accuracy"]["value"]
    )


def test_damaged_files_cannot_be_promoted_or_gone_back_to_whatever_the_reason(register, alice, project):
    first, second = register(), register()
    registry.promote(model=first, actor=alice)
    registry.promote(model=second, actor=alice)
    weights = registry.directory(first) / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(registry.GatesFailed, match=r"weights\.npz is not what was registered"):
        registry.promote(model=first, actor=alice, may_override=True, reason="please")
    with pytest.raises(registry.Refused, match=r"weights\.npz"):
        registry.roll_back(project=project, actor=alice)
    assert registry.promoted(project) == second


def test_the_promoted_model_cannot_be_archived(register, alice):
    first, second = register(), register()
    registry.promote(model=first, actor=alice)
    with pytest.raises(registry.Refused, match="is promoted"):
        registry.archive(model=first, actor=alice)
    registry.archive(model=second, actor=alice)
    registry.archive(model=second, actor=alice)
    assert statuses() == ["promoted", "archived"]
    assert AuditEvent.objects.filter(action="reward_model.archived").count() == 1


def test_the_database_refuses_a_second_promoted_model(register):
    first, second = register(), register()
    RewardModel.objects.filter(pk=first.pk).update(status="promoted")
    with pytest.raises(IntegrityError), transaction.atomic():
        RewardModel.objects.filter(pk=second.pk).update(status="promoted")


def test_a_run_registers_once(register, trained_once, tmp_path):
    import shutil
    from dataclasses import replace

    model = register()
    run = TrainingRun.objects.get(reward_model=model)
    copy = tmp_path / "again"
    shutil.copytree(trained_once(0.0).directory, copy)
    again = registry.register(run_id=run.pk, trained=replace(trained_once(0.0), directory=copy), config={})
    assert again == model
    assert RewardModel.objects.count() == 1
    assert registry.damage(model) == ""
    assert not copy.exists()


def test_other_files_in_the_place_of_a_model_give_way(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(name)
    train.move_into_place(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b" / "f").read_text() == "a"


@pytest.mark.smoke
@pytest.mark.django_db(transaction=True)
def test_promotions_at_the_same_moment_leave_one_promoted(register, alice, project):
    models = [register() for _ in range(4)]

    def promote(model):
        with suppress(registry.Refused):
            registry.promote(model=model, actor=alice)

    assert at_once(partial(promote, model) for model in models) == [None] * len(models)
    assert sorted(statuses()).count("promoted") == 1
    current = registry.promoted(project)
    active = Annotator.objects.filter(kind="reward_model", status="active")
    assert [annotator.name for annotator in active] == [f"{current.public_id} · linear"]


def test_a_promoted_transformer_that_cannot_be_run_here_is_not_passed_over(register, alice, monkeypatch):
    """A server without torch must not take "cannot be read" for "is gone"."""
    from routing.rewards import backends

    old, new = register(), register(wrong=0.6)
    registry.promote(model=old, actor=alice)
    RewardModel.objects.filter(pk=old.pk).update(backend="transformer")
    monkeypatch.setattr(backends, "available", lambda: ("linear",))

    def needs_torch(directory):
        raise backends.artefacts.ArtefactError("needs torch")

    monkeypatch.setattr(backends, "load", needs_torch)
    with pytest.raises(registry.GatesFailed, match="cannot run transformers"):
        registry.promote(model=new, actor=alice)
    assert registry.promoted(old.project) == old
