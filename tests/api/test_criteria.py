"""Criteria over the API: what is read, and deciding a proposal."""

from __future__ import annotations

import pytest

from annotations.criteria import lab, releases, rounds, settling
from annotations.criteria.models import Criterion, Proposal
from tests.criteria.conftest import long_wins  # noqa: F401
from tests.lm.judged import judge, plain_project  # noqa: F401

pytestmark = pytest.mark.django_db
P = "/api/v1/projects/pairs"


def test_criteria_versions_proposals_and_releases_are_read(plain_project, long_wins, alice, alice_api):  # noqa: F811
    rounds.run_round(plain_project, owner="test:1")
    listed = alice_api.get(f"{P}/criteria-proposals?state=open").json()["results"]
    assert len(listed) == Proposal.objects.filter(state="open").count() > 5
    one = next(row for row in listed if row["evidence"].get("recommend") == "accept")
    done = alice_api.post(f"{P}/criteria-proposals/{one['id']}/decision", {"accept": True}, format="json")
    assert (done.status_code, done.json()["state"]) == (200, "accepted")
    again = alice_api.post(f"{P}/criteria-proposals/{one['id']}/decision", {"accept": False}, format="json")
    assert again.status_code == 409
    criterion = alice_api.get(f"{P}/criteria/{one['criterion']}").json()
    assert (criterion["status"], criterion["name"], criterion["version"]) == ("active", one["name"], 1)
    assert criterion["measured"]["accuracy"]["lo"] < criterion["measured"]["accuracy"]["value"]
    found = Criterion.objects.get(pk=one["criterion"])
    lab.edit_criterion(
        criterion=found, wording="Prefer what says so at length.", change="meaning", actor=alice
    )
    versions = alice_api.get(f"{P}/criteria/{found.pk}/versions").json()["results"]
    assert [(v["number"], v["meaning"], v["change"]) for v in versions] == [
        (2, 2, "meaning"),
        (1, 1, "first"),
    ]
    assert alice_api.get(f"{P}/criteria/{found.pk}").json()["measured"] is None  # of another wording
    lab.edit_criterion(
        criterion=found,
        wording=versions[1]["wording"],
        change="meaning",
        actor=alice,
        rule=found.current.rule,
    )
    settling.follow_project(plain_project, actor=alice)
    made = settling.release_set(plain_project, actor=alice)
    release = alice_api.get(f"{P}/criteria-releases/1").json()
    assert release["criteria"] == made.criteria
    assert set(release["measured"]["held_out"]) >= {"value", "lo", "hi", "n"}
    releases.roll_back(project=plain_project, to=made, actor=alice)
    assert [
        (r["number"], r["back_to"]) for r in alice_api.get(f"{P}/criteria-releases").json()["results"]
    ] == [(2, 1), (1, None)]


def test_a_decision_against_the_evidence_needs_a_reason(plain_project, alice, alice_api):  # noqa: F811
    made = lab.add_criterion(project=plain_project, name="Kind", wording="Prefer what is kind.", actor=alice)
    new = lab.draft_version(criterion=made, wording="Prefer what is friendly.", change="meaning")
    proposal = lab.propose(
        kind="refine",
        criterion=made,
        version=new,
        base=made.current,
        evidence={"test": {"decision": "unknown"}},
    )
    where = f"{P}/criteria-proposals/{proposal.pk}/decision"
    refused = alice_api.post(where, {"accept": True}, format="json")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "reason")
    for body in ({}, {"accept": "yes"}, {"accept": True, "more": 1}):
        assert alice_api.post(where, body, format="json").status_code == 400
    made.refresh_from_db()
    assert made.current.number == 1
    assert alice_api.post(where, {"accept": True, "reason": "Clearer."}, format="json").status_code == 200
    made.refresh_from_db()
    assert made.current == new
