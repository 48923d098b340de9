"""Released criteria become labels of a model, and these a reward model, by the paths that stand already."""

from __future__ import annotations

import io
import json
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from annotations.criteria import lab, releases
from annotations.judging.models import Judgment
from annotations.lm.models import EndpointModel, LMAnnotator
from app.jobs import runner
from app.jobs.models import Job
from app.ledger.models import Account
from routing.rewards import distil
from routing.rewards.models import RewardModel, TrainingRun
from tests.lm.asked import endpoint, funded, scripted, scripted_server  # noqa: F401
from tests.lm.judged import judge, plain_project  # noqa: F401

pytestmark = pytest.mark.django_db
HUMAN, ALL = 12, 60


@pytest.fixture
def material(plain_project, make_item, judge, funded, endpoint):  # noqa: F811
    """Sixty pairs of which people decided twelve, and an account."""
    for k in range(ALL):
        good, bad = f"good and helpful word{k}", f"bad and vague word{k}"
        item = make_item(f"Question {k}", (good, bad) if k % 2 else (bad, good), external_id=f"d{k}")
        if k < HUMAN:
            judge("ann", "human", item, "a" if k % 2 else "b")
    funded("100")
    plain_project.refresh_from_db()
    return plain_project


def release(project, wording="Prefer the response with good words."):
    made = lab.add_criterion(project=project, name="Good words", wording=wording)
    member = {"criterion": made.pk, "version": made.current.pk, "grader": None, "weight": 1.0}
    return releases.release(project=project, members=[member], report={})


def test_labels_then_a_training_and_nothing_twice(material, scripted, alice):  # noqa: F811
    model = EndpointModel.objects.get(name="obedient")
    with pytest.raises(distil.CannotDistil, match="No set of criteria"):
        distil.labeller(project=material, model=model)
    release(material)
    detail = distil.labeller(project=material, model=model, actor=alice)
    assert distil.labeller(project=material, model=model).pk == detail.pk
    job = distil.start(detail=detail, cap=Decimal("5"), actor=alice)
    with pytest.raises(distil.CannotDistil, match="already"):
        distil.start(detail=detail)
    job = runner.run(job.pk)
    assert (job.state, job.result["judged"], job.result["failed"]) == ("succeeded", ALL, 0)
    assert all("- Good words: Prefer the response with good words." in r.system for r in scripted.requests)
    assert len(scripted.requests) == 2 * ALL  # both orders of each pair
    labels = Judgment.objects.filter(annotator=detail.annotator)
    assert set(labels.values_list("criteria_release__number", flat=True)) == {1}
    spent = [Account.objects.get(pk=pk) for pk in (material.account_id, job.args["account_id"])]
    assert [a.spent_micros for a in spent] == [scripted.billed_micros(2, 8)] * 2
    trained = runner.run(job.result["training_job"])
    assert trained.state == "succeeded", trained.error
    made = RewardModel.objects.get()
    assert made.metrics["n_train"] > 40
    assert made.run.pk == job.result["run"]
    # The same again labels nothing and pays nothing; a job that starts over begins no second training.
    again = runner.run(distil.start(detail=detail, actor=alice).pk)
    assert (again.result["judged"], len(scripted.requests)) == (0, 2 * ALL)
    assert TrainingRun.objects.count() == 2
    Job.objects.filter(pk=job.pk).update(state="queued", finished_at=None)
    runner.run(job.pk)
    assert TrainingRun.objects.count() == 2


def test_a_cap_stops_the_labels_and_no_training_begins(material, scripted, alice):  # noqa: F811
    release(material)
    detail = distil.labeller(project=material, model=EndpointModel.objects.get(name="obedient"))
    job = runner.run(distil.start(detail=detail, cap=Decimal("0.03"), actor=alice).pk)
    assert job.state == "failed"
    assert "budget" in job.error
    account = Account.objects.get(pk=job.args["account_id"])
    assert account.spent_micros <= account.cap_micros
    assert account.held_micros == 0
    assert 0 < Judgment.objects.filter(annotator=detail.annotator).count() < ALL
    assert not TrainingRun.objects.exists()


def test_the_page_shows_the_cost_and_starts(material, alice_client, bob_client, charlie_client):
    page = reverse("rewards:distil", args=["pairs"])
    assert "No set of criteria is released" in alice_client.get(page).content.decode()
    release(material)
    model = EndpointModel.objects.get(name="obedient")
    for client, status in ((bob_client, 403), (charlie_client, 404)):
        assert client.get(page).status_code == status
        assert client.post(page, {"act": "choose", "model": model.pk}).status_code == status
    assert not LMAnnotator.objects.filter(prompt__name=distil.PROMPT).exists()
    chosen = alice_client.post(page, {"act": "choose", "model": model.pk})["Location"]
    shown = alice_client.get(chosen).content.decode()
    assert f"{ALL} pairs left to label, {2 * ALL} calls: likely" in shown
    assert alice_client.post(chosen, {"act": "start", "limit": "3", "loss": "scaled_bt"}).status_code == 400
    started = alice_client.post(chosen, {"act": "start", "limit": "30", "cap": "5", "loss": "bt"})
    job = Job.objects.get(kind=distil.KIND)
    assert started["Location"] == reverse("jobs:detail", args=[job.pk])
    assert runner.run(job.pk).result["judged"] == 30
    assert TrainingRun.objects.get().loss == "bt"


def test_the_command_says_the_cost_and_the_accuracy(material, scripted, capsys):  # noqa: F811
    with pytest.raises(CommandError, match="no model as judge"):
        call_command("distil_criteria", "pairs", stdout=io.StringIO())
    release(material)
    for wrong, words in (
        (["--model", "gpt-9"], "no such model here"),
        (["--cap", "much"], "an amount"),
        (["--limit", "0"], "at least 1"),
    ):
        with pytest.raises(CommandError, match=words):
            call_command("distil_criteria", "pairs", *wrong, stdout=io.StringIO())
    out = io.StringIO()
    call_command("distil_criteria", "pairs", "--model", "obedient", "--dry-run", "--json", stdout=out)
    assert json.loads(out.getvalue())["estimate"]["items"] == ALL
    assert not scripted.requests
    out = io.StringIO()
    call_command("distil_criteria", "pairs", "--model", "obedient", "--json", stdout=out)
    said = json.loads(out.getvalue().splitlines()[-1])
    assert said["labels"]["judged"] == ALL
    assert set(said["accuracy"]) >= {"value", "lo", "hi", "n"}
    assert RewardModel.objects.get().public_id == said["model"]
