"""Nothing is released over an alarm unless a person says why, and that stands in the audit log."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.urls import reverse

from annotations.criteria import graders, lab, releases, rounds, settling, watch
from annotations.criteria.models import DriftEvent, Grader, Verdict
from annotations.lm.models import EndpointModel
from annotations.projects.models import CriteriaRelease
from app.accounts.models import AuditEvent
from tests.criteria.conftest import say_more

pytestmark = pytest.mark.django_db
FLIPS = {"value": 0.3, "lo": 0.2, "hi": 0.42, "n": 50}


@pytest.fixture
def ready(plain_project, make_item, judge, endpoint, funded, alice):
    """A project with one criterion that its judge, a model, judges well by."""
    say_more(make_item, judge, 30)
    funded("100")
    plain_project.refresh_from_db()
    lab.configure(
        project=plain_project,
        judge=EndpointModel.objects.get(name="longer"),
        manager=None,
        cap=Decimal(5),
        pairs_a_round=30,
    )
    lab.add_criterion(project=plain_project, name="Long", wording="Prefer the response that says more.")
    assert rounds.run_round(plain_project, owner="test:1", wanted=1).stopped == ""
    return plain_project


def moved(project, alarm=True, subject="longer at Scripted"):
    return DriftEvent.objects.create(
        project=project, kind="judge", subject=subject, alarm=alarm, statistic={"flips": FLIPS}
    )


def test_a_judge_that_moved_blocks_until_a_person_says_why(ready, alice, alice_client, bob_client):
    where = reverse("criteria:releases", args=["pairs"])
    moved(ready, subject="another at Scripted")  # not the judge in use
    assert watch.standing_alarms(ready) == []
    moved(ready)
    page = alice_client.post(where, {"note": "First"})
    assert page.status_code == 422
    assert "up to 42 % of its verdicts changed" in page.content.decode()
    assert bob_client.post(where, {"override": "Because."}).status_code == 403
    with pytest.raises(lab.BadCriterion, match="Nothing was released"):
        settling.release_set(ready, override="Nobody says so.")  # no person: the command
    with pytest.raises(lab.BadCriterion):
        settling.release_set(ready, override="  ", actor=alice)
    assert not CriteriaRelease.objects.exists()
    assert not AuditEvent.objects.filter(action="criteria.released").exists()
    alice_client.post(where, {"note": "First", "override": "The <b>new</b> model was checked by hand."})
    made = CriteriaRelease.objects.get()
    told = AuditEvent.objects.get(action="criteria.released")
    assert (told.actor, told.detail["override"]) == (alice, "The <b>new</b> model was checked by hand.")
    assert "longer at Scripted" in told.detail["alarms"][0]
    page = alice_client.get(where).content.decode()
    assert "over an alarm" in page
    assert "The &lt;b&gt;new&lt;/b&gt; model" in page
    # A quiet panel settles it; going back is always possible.
    moved(ready, alarm=False)
    second = settling.release_set(ready, actor=alice)
    assert "override" not in second.lab_set.report
    moved(ready)
    assert releases.roll_back(project=ready, to=made, actor=alice).number == 3


def test_a_wording_that_was_to_mean_the_same_and_changes_verdicts_blocks(plain_project, make_item):
    items = [make_item(f"Q {k}", ("a", "b"), external_id=f"q{k}") for k in range(40)]
    made = lab.add_criterion(project=plain_project, name="Kind", wording="Prefer the response that is kind.")
    lab.edit_criterion(criterion=made, wording="Prefer the response that is kinder.", change="cosmetic")
    for version, turned in zip(made.versions.order_by("number"), (0, 15), strict=True):
        grader = graders.grader_for(version, Grader.Kind.RULE, body={"name": "longer", "margin": 0})
        for k, item in enumerate(items):
            Verdict.objects.create(grader=grader, item=item, value=-1 if k < turned else 1)
    [words] = watch.standing_alarms(plain_project)
    assert "version 2 was to mean the same and changed 38 % of 40 verdicts" in words
    lab.edit_criterion(criterion=made, wording="Prefer the response that is kindest.", change="meaning")
    assert watch.standing_alarms(plain_project) == []
