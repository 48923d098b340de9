"""Quality over the API: the figures, pausing, quarantine, the gates' rules, reviews, asking again."""

from __future__ import annotations

import uuid
from itertools import groupby

import pytest

from annotations.datasets.aggregate import label_pairs
from annotations.datasets.snapshots import freeze_now, open_rows
from annotations.judging import queue
from annotations.judging.item_queries import labels_of
from annotations.judging.models import Judgment, Review
from annotations.judging.submit import submit
from annotations.judging.verify import verify_counts
from annotations.judging.withdraw import set_withdrawn
from annotations.projects import rules
from annotations.projects.access import annotator_for
from annotations.projects.models import Annotator, Membership
from app.jobs import runner
from tests.judging.gated import give, make_gates, says, set_gates, work

pytestmark = pytest.mark.django_db
P = "/api/v1/projects/pairs"
FITS = {
    "comparisons": [{"preference": -1}],
    "scores": [
        {"response": place, "attribute": attribute, "value": 2}
        for attribute in ("helpfulness", "correctness")
        for place in (0, 1)
    ],
}


def test_figures_of_people_are_those_of_the_page(project, make_item, annotator, alice, alice_api):
    make_gates(make_item, alice, "gold", 2)
    for k in range(3):
        make_item(prompt=f"work {k}")
    set_gates(project, gold_first=2)
    done = work(annotator, 5)
    shown = [judgment.presented_order for judgment in done]  # drawn from ids: gold stands either way round
    longest = max(len(list(same)) for _, same in groupby(shown))
    [bob] = [row for row in alice_api.get(f"{P}/quality/people").json()["results"] if row["name"] == "bob"]
    assert (bob["judged"], bob["status"], bob["stage"], bob["longest_run"]) == (
        3,
        "active",
        "ready",
        longest,
    )
    assert (bob["gold"]["value"], bob["gold"]["n"]) == (1.0, 2)
    assert bob["gold"]["lo"] == pytest.approx(0.3424, abs=1e-4)
    assert (bob["repeats"], bob["quarantined"]) == (None, 0)
    few = alice_api.get(f"{P}/quality/people?fields=name,flags").json()["results"]
    assert all(set(row) == {"name", "flags"} for row in few)
    assert alice_api.get(f"{P}/quality/people?fields=model").status_code == 400


def test_pause_and_quarantine_and_back(project, make_item, annotator, alice_api):
    for k in range(3):
        make_item(prompt=f"work {k}")
    work(annotator, 2)
    one = f"{P}/quality/people/{annotator.pk}"
    paused = alice_api.patch(one, {"paused": True, "note": "Please slow down."}, format="json").json()
    assert (paused["status"], paused["note"]) == ("paused", "Please slow down.")
    aside = alice_api.post(f"{one}/quarantine", {"reason": "random"}, format="json")
    assert (aside.status_code, aside.json()) == (200, {"judgments": 2})
    assert Judgment.objects.filter(aside="quarantine", is_current=False).count() == 2
    assert alice_api.post(f"{one}/quarantine", {}, format="json").json() == {"judgments": 0}
    refused = alice_api.patch(one, {"paused": False}, format="json")
    assert refused.status_code == 409
    assert Annotator.objects.get(pk=annotator.pk).status == "paused"
    assert alice_api.delete(f"{one}/quarantine").json() == {"judgments": 2}
    assert alice_api.patch(one, {"paused": False}, format="json").json()["status"] == "active"
    assert Judgment.objects.filter(is_current=True).count() == 2
    assert list(verify_counts(project=project)) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"note": "So."}, "note"),
        ({"let_in": False}, "let_in"),
        ({"paused": "yes"}, "paused"),
        ({"status": "paused"}, "status"),
    ],
)
def test_changes_of_people_that_make_no_sense_change_nothing(annotator, alice_api, body, field):
    refused = alice_api.patch(f"{P}/quality/people/{annotator.pk}", body, format="json")
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert Annotator.objects.get(pk=annotator.pk).status == "active"


def test_who_failed_can_be_let_in(project, make_item, annotator, alice, alice_api):
    make_item()
    make_gates(make_item, alice, "qualification", 1)
    set_gates(project, qualification_items=1)
    work(annotator, 1, lambda _: says(-2))
    assert queue.next_assignment(annotator) is None
    stage = alice_api.patch(f"{P}/quality/people/{annotator.pk}", {"let_in": True}, format="json").json()[
        "stage"
    ]
    assert stage == "ready"
    assert queue.next_assignment(annotator).purpose == "data"


def test_the_gates_rules_change_in_part(project, alice_api):
    alice_api.patch(f"{P}/quality/gates", {"gold_share": 0.05, "message": "Sorry."}, format="json")
    changed = alice_api.patch(f"{P}/quality/gates", {"repeat_share": 0.03}, format="json")
    assert changed.status_code == 200
    project.refresh_from_db()
    gates = rules.of(project).gates
    assert (gates.gold_share, gates.repeat_share, gates.message) == (0.05, 0.03, "Sorry.")
    assert alice_api.get(f"{P}/quality/gates").json() == gates.model_dump()
    for body, field in (({"gold_share": 0.8}, "gold_share"), ({"gold": 1}, "gold")):
        refused = alice_api.patch(f"{P}/quality/gates", body, format="json")
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["field"] == field
    project.refresh_from_db()
    assert rules.of(project).gates == gates


def test_a_reviewer_finds_what_people_disagree_about_and_decides(
    project, make_item, annotator, charlie, reviewer_api
):
    item = make_item(prompt="disputed", wanted=2)
    Membership.objects.create(project=project, user=charlie, role="annotator")
    for person, preference in ((annotator, 2), (annotator_for(charlie, "pairs"), -2)):
        assignment = queue.next_assignment(person)
        give(person, assignment, says(preference))
    [row] = reviewer_api.get(f"{P}/reviews").json()["results"]
    assert row["id"] == str(item.pk)
    votes = list(Judgment.objects.order_by("pk").values("pk", "is_current", "aside", "answers"))
    address = f"{P}/items/{item.pk}/reviews"
    body = {**FITS, "causes": ["taste"], "note": "A is shorter."}
    made = reviewer_api.post(address, body, format="json")
    assert made.status_code == 201, made.content
    final = Judgment.objects.get(uuid=made.json()["judgment"])
    assert (final.aside, final.origin, final.comparisons.get().preference) == ("review", "api", -1)
    assert (
        list(
            Judgment.objects.exclude(pk=final.pk)
            .order_by("pk")
            .values("pk", "is_current", "aside", "answers")
        )
        == votes
    )
    stands = reviewer_api.post(address, {"votes_stand": True}, format="json").json()
    assert (stands["judgment"], stands["item"]) == (None, str(item.pk))
    assert [r["id"] for r in reviewer_api.get(address).json()["results"]] == [stands["id"], made.json()["id"]]
    assert reviewer_api.get(f"{P}/reviews").json()["results"] == []
    assert [r["id"] for r in reviewer_api.get(f"{P}/reviews?show=done").json()["results"]] == [str(item.pk)]
    assert list(verify_counts(project=project)) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "overall"),
        ({"comparisons": [{"preference": 9}]}, "overall"),
        ({"comparisons": [{"aspect": "none", "preference": 1}]}, "none"),
        ({"votes_stand": True, "comparisons": [{"preference": 1}]}, "comparisons"),
        ({"votes_stand": True, "causes": ["bad"]}, "causes.0"),
    ],
)
def test_reviews_that_do_not_fit_store_nothing(project, make_item, reviewer_api, body, field):
    item = make_item()
    refused = reviewer_api.post(f"{P}/items/{item.pk}/reviews", body, format="json")
    assert refused.status_code == 400
    assert field in [error["field"] for error in refused.json()["errors"]]
    assert (Review.objects.count(), Judgment.objects.count(), item.assignments.count()) == (0, 0, 0)


def test_what_a_reviewer_cannot_judge_has_no_label(project, make_item, annotator, reviewer_api):
    item = make_item()
    give(annotator, queue.next_assignment(annotator), says(2))
    address = f"{P}/items/{item.pk}/reviews"
    body = {"outcome": "cannot_judge", "answers": {"cannot_judge": "not_valid"}}
    made = reviewer_api.post(address, body, format="json")
    assert made.status_code == 201, made.content
    assert labels_of([item])[item.pk].sentences == ("Cannot be judged",)
    [row] = open_rows(freeze_now(project=project))
    assert (len(row["judgments"]), list(label_pairs(row))) == (1, [])
    refused = reviewer_api.post(address, {"outcome": "skipped"}, format="json")
    assert [error["field"] for error in refused.json()["errors"]] == ["outcome"]
    assert Review.objects.count() == 1


def test_a_withdrawn_item_takes_no_final_answer(make_item, alice, reviewer_api):
    item = make_item()
    set_withdrawn(item=item, withdrawn=True, actor=alice)
    refused = reviewer_api.post(f"{P}/items/{item.pk}/reviews", FITS, format="json")
    assert (refused.status_code, refused.json()["detail"]) == (409, "The item was withdrawn.")
    assert (Review.objects.count(), Judgment.objects.count(), item.assignments.count()) == (0, 0, 0)


def test_items_judged_before_are_asked_again_under_a_breaking_version(
    project, make_item, annotator, alice_api
):
    items = [make_item(prompt=f"Say {k}.", wanted=1) for k in range(2)]
    old = project.schema
    submit(
        annotator=annotator, item_id=items[0].pk, schema_id=old.pk, uuid=uuid.uuid4(), answer=says(1),
        origin=Judgment.Origin.PAGE,
    )  # fmt: skip
    which = {"kind": "comparison", "name": "overall", "label": "Which?", "ties": ["equal"], "scale_max": 2}
    new = alice_api.post(f"{P}/schemas", {"definition": {"questions": [which]}}, format="json").json()
    address = f"{P}/schemas/{new['number']}/ask-again"
    seen = alice_api.get(f"{address}?people=2").json()
    assert (seen["items"], seen["judgments"], seen["judged"]) == (1, 2, 1)
    for people in (0, 51, "2"):
        assert alice_api.post(address, {"people": people}, format="json").status_code == 400
    project.refresh_from_db()
    assert project.schema_id == old.pk
    used = alice_api.post(f"{P}/schemas/{new['number']}/use").json()
    assert used["ask_again"] == {"items": 1, "judgments": 1, "cost": "0.0000", "judged": 1}
    started = alice_api.post(address, {"people": 2}, format="json")
    assert started.status_code == 202
    runner.run(started.json()["id"])
    project.refresh_from_db()
    items[0].refresh_from_db()
    items[1].refresh_from_db()
    assert (project.schema.number, items[0].wanted, items[0].open_slots, items[1].wanted) == (
        new["number"],
        3,
        2,
        1,
    )
    assert Judgment.objects.get().is_current
