"""Splitting, merging, what comes in, and the panel of every week."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from annotations.criteria import lab, material, rounds, settling, tasks, watch
from annotations.criteria.models import Criterion, DriftEvent, Lab, Proposal
from annotations.lm.models import EndpointModel
from app.jobs.models import Job

pytestmark = pytest.mark.django_db


def by_rule(project, name, rule, margin=0.0):
    return lab.add_criterion(
        project=project,
        name=name,
        wording=f"Prefer what is so by {rule}.",
        rule={"name": rule, "margin": margin},
    )


def test_two_that_say_the_same_are_to_be_merged_and_a_refusal_lasts(
    plain_project, long_wins, alice, alice_client
):
    first, second = (
        by_rule(plain_project, "Says more", "length"),
        by_rule(plain_project, "Is full", "length", 0.05),
    )
    by_rule(plain_project, "Is brief", "brevity")
    rounds.run_round(plain_project, owner="test:1", wanted=3)
    found = Proposal.objects.filter(kind="merge")
    assert found.exists()
    one = found.get(criterion=second)
    assert (one.base.criterion, one.evidence["kept"]) == (first, "Says more")
    assert one.evidence["correlation"] > 0.9
    assert (
        "It says the same as “Says more”"
        in alice_client.get(reverse("criteria:board", args=["pairs"])).content.decode()
    )
    assert settling.follow_project(plain_project, actor=alice)["accepted"] == 0  # never by itself
    lab.decide(proposal=one, accept=False, actor=alice)
    rounds.run_round(plain_project, owner="test:2", wanted=3)
    assert not Proposal.objects.filter(kind="merge", criterion=second, state="open").exists()
    other = lab.propose(kind="merge", criterion=second, base=first.current, evidence={"kept": "Says more"})
    lab.decide(proposal=other, accept=True, actor=alice)
    assert (
        dict(Criterion.objects.filter(pk__in=[first.pk, second.pk]).values_list("name", "status"))["Is full"]
        == "retired"
    )


@pytest.fixture
def mixed(plain_project, make_item, judge, endpoint, funded, alice):
    """Pairs on which people prefer good words in seven of ten cases, and a lab whose judge counts good words."""
    items = {}
    for k in range(60):
        texts = (f"good and helpful, because {k}.", f"nothing to say about {k}.")
        item = make_item(f"Prompt {k}", texts if k % 2 else texts[::-1], external_id=f"m{k}")
        judge("ann", "human", item, "a" if k % 2 else "b")
        items[item.pk] = (item, "b" if k % 2 else "a")
    data = material.read(plain_project, limit=60)
    for split in ("train", "select", "audit"):  # three of ten are turned round in each of them
        for place, pair in enumerate(p for p in data.pairs if p.split == split):
            for name in ("ben", "cat") if place % 10 < 3 else ():
                judge(name, "human", *items[pair.item_id])
    funded("100")
    plain_project.refresh_from_db()
    models = {m.name: m for m in EndpointModel.objects.all()}
    lab.configure(
        project=plain_project,
        judge=models["obedient"],
        manager=models["obedient"],
        cap=Decimal(50),
        pairs_a_round=60,
    )
    return plain_project


def test_what_rewording_does_not_help_is_to_be_split(mixed, scripted, alice):
    criterion = lab.add_criterion(project=mixed, name="Mixed", wording="Prefer the response that is good.")
    rounds.run_round(mixed, owner="test:1", wanted=1)
    refined = Proposal.objects.get(kind="refine", criterion=criterion)
    assert refined.evidence["test"]["decision"] != "better"
    lab.decide(proposal=refined, accept=False, actor=alice)
    rounds.run_round(mixed, owner="test:2", wanted=1)
    split = Proposal.objects.get(kind="split", criterion=criterion)
    assert split.evidence["names"] == ["Mixed, words", "Mixed, causes"]
    assert split.evidence["test"]["n"] == criterion.proposals.get(kind="refine").evidence["test"]["n"]
    sent = next(r for r in scripted.requests if r.data.get("task") == "split")
    assert sent.data["criterion"]["description"] == "Prefer the response that is good."
    parts = Criterion.objects.filter(pk__in=split.evidence["into"])
    assert set(parts.values_list("status", flat=True)) == {"draft"}
    with pytest.raises(lab.BadCriterion, match="paired test"):
        lab.decide(proposal=split, accept=True, actor=alice)
    lab.decide(proposal=split, accept=True, actor=alice, reason="It mixes two things.")
    criterion.refresh_from_db()
    assert (criterion.status, set(parts.values_list("status", flat=True))) == ("retired", {"active"})


def test_another_kind_of_items_shows_as_such(plain_project, make_item, alice_client):
    for k in range(50):
        make_item(f"Prompt {k}", ("word " * (5 + k % 7), "word " * (6 + k % 7)))
    assert {row["words"] for row in watch.inputs(plain_project)} == {"alike"}
    for k in range(50):
        make_item(f"Later {k}", ("word " * (60 + k % 7), "word " * (80 + k % 7)))
    assert watch.inputs(plain_project)[0] | {"index": 0} == {
        "what": "length of responses", "index": 0, "words": "another kind", "n": 50, "alarm": True,
    }  # fmt: skip
    assert "another kind" in alice_client.get(reverse("criteria:drift", args=["pairs"])).content.decode()


def test_the_panel_of_every_week_is_off_until_wanted_and_due_once(mixed):
    assert tasks.weekly_panels() == 0
    Lab.objects.update(weekly_panel=True)
    assert tasks.weekly_panels() == 1
    assert tasks.weekly_panels() == 0  # tried today
    assert Job.objects.get().kind == tasks.PANEL
    Job.objects.update(created_at=timezone.now() - timedelta(days=2))
    event = DriftEvent.objects.create(project=mixed, kind="judge", subject="x")
    assert tasks.weekly_panels() == 0  # asked this week
    DriftEvent.objects.filter(pk=event.pk).update(at=timezone.now() - timedelta(days=8))
    assert tasks.weekly_panels() == 1
