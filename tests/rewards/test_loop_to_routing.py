"""The closed loop's last turn: a promotion, the predictor of errors fitted anew, a plan proposed, applied by people."""

import numpy as np
import pytest
from django.urls import reverse

from annotations.items.models import Item
from app.accounts.models import AuditEvent
from app.jobs import runner
from app.jobs.models import Job
from routing.plans import build, margins, reading, refit
from routing.plans.apply import apply_plan
from routing.plans.budget import Budget
from routing.plans.draft import draft_plan
from routing.plans.models import Margin, Refit, RoutingPlan
from routing.rewards import loop, registry, score
from routing.rewards.data import prompt_text
from routing.rewards.models import Loop, LoopRound
from tests.rewards.conftest import N_REAL

pytestmark = pytest.mark.django_db


@pytest.fixture
def promoted(pairs_project, alice, monkeypatch):
    """A plan in force, and a round whose model was promoted: (project, plan, round)."""
    monkeypatch.setattr(registry, "ECE_LIMIT", 1.0)  # 24 held-out pairs say little about calibration
    plan = draft_plan(project=pairs_project, budget=Budget(share=0.25), seed=5, in_background=False)
    plan = apply_plan(plan=build.build_plan(plan))
    Loop.objects.create(
        project=pairs_project, is_on=True, every_judgments=100, ask_before_promoting=False, changed_by=alice
    )
    loop.tick()
    round_ = LoopRound.objects.get()
    assert runner.run(round_.run.job_id).state == Job.State.SUCCEEDED
    loop.tick()
    round_.refresh_from_db()
    assert round_.state == "promoted", round_.words
    return pairs_project, plan, round_


def test_a_promotion_refits_the_predictor_and_proposes_a_plan_that_people_apply(promoted, alice_client):
    project, plan, _ = promoted
    assert (refit.start_due(), refit.start_due()) == (1, 0)
    job = Job.objects.get(kind=refit.KIND)
    done = runner.run(job.pk)
    assert done.state == Job.State.SUCCEEDED, done.error
    again = refit.perform(
        _Quiet(done), Refit.objects.get().pk
    )  # a worker that died right before its last word
    found = Refit.objects.select_related("plan", "reward_model").get()
    assert (found.state, found.plan.number, again["plan"]) == ("done", 2, 2)
    assert "labels it had not seen" in found.words
    assert "Plan 2 is proposed in place of plan 1." in found.words
    assert RoutingPlan.objects.count() == 2

    # margins: out of fold where the model learnt, its own elsewhere, in the order the responses are stored
    model = found.reward_model
    values = dict(Margin.objects.values_list("item_id", "value"))
    learnt, _ = margins._learnt(model, lambda *_: None)
    assert len(values) == N_REAL
    scorer = score.load(model)
    own = {}
    for item in Item.objects.filter(project=project):
        first, second = scorer.score(
            [prompt_text({"prompt": item.prompt})] * 2,
            list(item.responses.order_by("index").values_list("text", flat=True)),
            [item.source] * 2,
        )
        own[item.pk] = second - first
    held = [pk for pk in values if pk not in learnt]
    assert 10 < len(held) < 60
    assert [values[pk] for pk in held] == pytest.approx([own[pk] for pk in held])
    inside = np.array([[values[pk], own[pk]] for pk in learnt if pk in values])
    assert (
        0.1 < np.corrcoef(inside.T)[0, 1] < 0.995
    )  # the same side up, and not what it says of what it learnt

    # the proposal is a draft, by a Job of its own, that reads the margins and follows the plan in force
    assert (found.plan.state, found.plan.follows) == ("building", plan)
    assert runner.run(found.plan.job_id).state == Job.State.SUCCEEDED
    found.plan.refresh_from_db()
    assert (found.plan.state, found.plan.summary["reward_model"]) == ("draft", model.public_id)
    plan.refresh_from_db()
    assert plan.state == "applied"
    page = alice_client.get(reverse("plans:detail", args=["pairs", 2])).content.decode()
    assert f">{model.public_id}</a> was promoted. " in page
    rounds = alice_client.get(reverse("rewards:loop", args=["pairs"])).content.decode()
    assert ">plan 2: draft<" in rounds
    assert ">refitted<" in rounds
    assert alice_client.post(reverse("plans:apply", args=["pairs", 2])).status_code == 302
    assert RoutingPlan.objects.get(number=2).state == "applied"
    assert ">plan 2: applied<" in alice_client.get(reverse("rewards:loop", args=["pairs"])).content.decode()


class _Quiet:
    """A job's context for running a handler once more."""

    def __init__(self, job):
        self.job = job

    def report(self, **more):
        pass

    def check(self):
        pass


def test_a_refit_asks_first_where_the_project_says_so(promoted, alice_client, bob_client, charlie_client):
    _, _, round_ = promoted
    name = round_.run.reward_model.public_id
    Loop.objects.update(after_promotion="nothing")
    assert refit.start_due() == 0
    Loop.objects.update(after_promotion="ask")
    assert refit.start_due() == 1
    jobs = Job.objects.filter(kind=refit.KIND)
    assert (Refit.objects.get().state, jobs.count()) == ("waiting", 0)
    page = alice_client.get(reverse("rewards:loop", args=["pairs"])).content.decode()
    assert "Refit the predictor of errors with" in page
    assert ">waits for approval<" in page
    assert url_of(name) in alice_client.get(reverse("rewards:detail", args=["pairs", name])).content.decode()
    url = url_of(name)
    for client, status in ((bob_client, 403), (charlie_client, 404)):
        assert client.post(url).status_code == status
    assert (Refit.objects.get().state, jobs.count()) == ("waiting", 0)
    assert alice_client.post(url).status_code == 302
    assert (Refit.objects.get().state, jobs.count()) == ("running", 1)
    assert alice_client.post(url, follow=True).content.decode().count("nothing waits for a decision") == 1
    assert jobs.count() == 1
    assert AuditEvent.objects.get(action="refit.began").actor.username == "alice"

    runner.cancel(jobs.get())
    refit.start_due()
    assert (Refit.objects.get().state, Refit.objects.get().words) == ("failed", "The job was cancelled.")
    Refit.objects.update(state="waiting")
    url = reverse("plans:refit_decide", args=["pairs", name, "decline"])
    assert alice_client.post(url).status_code == 302
    assert (Refit.objects.get().state, RoutingPlan.objects.count()) == ("declined", 1)
    assert alice_client.post(url.replace("decline", "burn")).status_code == 404

    # what people promote by hand: started while the loop is on, else offered; nothing without a plan in force
    LoopRound.objects.update(state="kept")
    for is_on, after, in_force, state in (
        (True, "nothing", True, None),
        (True, "propose", False, None),
        (False, "propose", True, "waiting"),
        (True, "propose", True, "running"),
    ):
        Refit.objects.all().delete()
        Loop.objects.update(is_on=is_on, after_promotion=after)
        RoutingPlan.objects.update(state="applied" if in_force else "replaced")
        assert refit.start_due() == (state is not None)
        assert [row.state for row in Refit.objects.all()] == ([state] if state else [])
    Refit.objects.update(state="waiting")
    registry.RewardModel.objects.update(status="archived")
    refit.start_due()
    assert "Another model was promoted" in Refit.objects.get(state="declined").words


def url_of(name):
    return reverse("plans:refit_decide", args=["pairs", name, "approve"])


def test_margins_are_columns_that_can_be_taken_away():
    from routing.features.signals import signals

    verdict = np.array([[1], [-1], [0], [1]], dtype=np.int8)
    found = signals(verdict, np.full((4, 1), np.nan), np.full((4, 1), -1, dtype=np.int8), 0)
    agrees, unsure = reading.reward_columns(np.array([2.0, 2.0, 9.0, np.nan]), found)
    assert agrees.tolist() == [2.0, -2.0, 0.0, 0.0]
    # 1 - |2σ(2) - 1| = 1 - tanh(1) = 0.2384; σ(9) leaves 0.0002; unknown: their mean
    assert unsure.tolist() == pytest.approx([0.23841, 0.23841, 0.00025, 0.15902], abs=1e-5)
