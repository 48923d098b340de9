"""Over the API: gate items, the identity rule, arms, ways in, pay, and the overview's figures."""

from __future__ import annotations

from decimal import Decimal

import pytest

from annotations.items.models import Item
from annotations.judging import queue
from annotations.judging.models import Judgment
from annotations.judging.verify import verify_counts
from annotations.people.models import PayLine
from annotations.projects import rules
from app.accounts.models import AuditEvent
from app.jobs import runner
from app.ledger.models import Account
from tests.judging.gated import says, set_gates, work

pytestmark = pytest.mark.django_db
P = "/api/v1/projects/pairs"
GOLD = {
    "purpose": "gold",
    "expected": {"comparisons": [{"first": 0, "second": 1, "aspect": "overall", "preference": 2}]},
    "explanation": "It is.",
}


def test_an_item_becomes_a_gate_and_data_again(project, make_item, annotator, alice_api):
    gold = make_item(prompt="gold")
    for n in range(3):
        make_item(prompt=f"work {n}")
    set_gates(project, gold_first=1)
    address = f"{P}/items/{gold.pk}/gate"
    assert alice_api.get(address).status_code == 404
    made = alice_api.put(address, GOLD, format="json")
    assert made.status_code == 200, made.content
    assert (made.json()["purpose"], made.json()["score_within"], made.json()["passed"]) == ("gold", 1, None)
    work(annotator, 1, lambda _: says(1))
    [row] = alice_api.get(f"{P}/quality/gate-items").json()["results"]
    assert (row["id"], row["expected"], row["explanation"]) == (
        str(gold.pk),
        made.json()["expected"],
        "It is.",
    )
    assert (row["passed"]["value"], row["passed"]["n"]) == (1.0, 1)
    stricter = alice_api.put(address, {**GOLD, "strength_within": 0}, format="json").json()
    assert stricter["passed"]["value"] == 0.0  # answered before, and held against what is expected now
    assert alice_api.get(address).json() == stricter
    assert alice_api.delete(address).status_code == 204
    assert Item.objects.get(pk=gold.pk).purpose == "data"
    assert Judgment.objects.get().aside == "gold"
    assert list(verify_counts(project=project)) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"purpose": "data"}, "purpose"),
        ({"expected": {}}, "expected"),
        (
            {"expected": {"comparisons": [{"first": 0, "second": 1, "aspect": "none", "preference": 1}]}},
            "none",
        ),
        ({"score_within": -1}, "score_within"),
        ({"strictness": 1}, "strictness"),
    ],
)
def test_gates_that_make_no_sense_change_nothing(make_item, alice_api, change, field):
    item = make_item()
    refused = alice_api.put(f"{P}/items/{item.pk}/gate", {**GOLD, **change}, format="json")
    assert refused.status_code == 400
    assert field in [error["field"] for error in refused.json()["errors"]]
    assert Item.objects.get().purpose == "data"
    assert not AuditEvent.objects.filter(action="item.made_gate").exists()


def test_the_identity_rule_is_changed_and_applied(project, make_item, alice_api):
    make_item(responses=("As ChatGPT, I'm an AI made by OpenAI.", "No."))
    assert alice_api.get(f"{P}/quality/identity").json() == {"mode": "flag"}
    started = alice_api.put(f"{P}/quality/identity", {"mode": "exclude"}, format="json")
    assert started.status_code == 202
    runner.run(started.json()["id"])
    assert Item.objects.get().withdrawn_for == "identity"
    assert alice_api.get(f"{P}/quality/identity").json() == {"mode": "exclude"}
    assert alice_api.put(f"{P}/quality/identity", {"mode": "hide"}, format="json").status_code == 400


def test_arms_are_set_and_compared(project, make_item, annotator, alice_api):
    for n in range(3):
        make_item(prompt=f"work {n}")
    body = {"arms": [{"name": "plain"}, {"name": "other", "weight": 3, "schema_number": 1}]}
    made = alice_api.put(f"{P}/quality/arms", body, format="json")
    assert made.status_code == 200, made.content
    annotator.project.refresh_from_db()
    work(annotator, 2)
    arms = alice_api.get(f"{P}/quality/arms").json()["arms"]
    assert [(arm["name"], arm["weight"], arm["schema_number"]) for arm in arms] == [
        ("plain", 1, None),
        ("other", 3, 1),
    ]
    assert sum(arm["judgments"] for arm in arms) == 2
    assert (arms[0]["against_first"], set(arms[1]["against_first"])) == (
        None,
        {"seconds", "ties", "agreement", "gold"},
    )
    for arms, field in (
        ([{"name": "a", "schema_number": 9}], "arms.0.schema_number"),
        ([{"name": "a"}, {"name": "a"}], "arms"),
        ([{"name": "Big"}], "arms.0.name"),
    ):
        refused = alice_api.put(f"{P}/quality/arms", {"arms": arms}, format="json")
        assert refused.status_code == 400
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    project.refresh_from_db()
    assert len(rules.of(project).arms) == 2


def test_ways_in_change_in_part(project, alice_api):
    alice_api.patch(f"{P}/entry", {"mode": "open_link", "consent": "You agree."}, format="json")
    changed = alice_api.patch(f"{P}/entry", {"erase": "delete"}, format="json").json()
    assert (changed["mode"], changed["consent"], changed["erase"]) == ("open_link", "You agree.", "delete")
    assert changed["address"].endswith("/join/open/pairs/")
    for body, field in (
        ({"mode": "prolific"}, "completion_code"),
        ({"completion_url": "http://example.org"}, "completion_url"),
        ({"places": 0}, "places"),
    ):
        refused = alice_api.patch(f"{P}/entry", body, format="json")
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert alice_api.get(f"{P}/entry").json() == changed


def test_pay_is_set_and_a_bonus_paid_within_the_budget(project, make_item, annotator, alice_api):
    assert [
        e["field"] for e in alice_api.patch(f"{P}/pay", {"unit": "item"}, format="json").json()["errors"]
    ] == ["rate"]
    pay = {"unit": "item", "rate": "0.5000"}
    refused = alice_api.patch(f"{P}/pay", pay, format="json")
    assert [error["field"] for error in refused.json()["errors"]] == ["unit"]  # no account yet
    project.account_id = Account.objects.create(name="Pairs", cap_micros=2_000_000).pk
    project.save(update_fields=["account_id"])
    changed = alice_api.patch(f"{P}/pay", pay, format="json")
    assert (changed.status_code, changed.json().get("rate")) == (200, "0.5000"), changed.content
    make_item()
    annotator.project.refresh_from_db()
    work(annotator, 1, lambda _: says(2, active_ms=1000))
    [row] = alice_api.get(f"{P}/pay/people?fields=name,items,accrued").json()["results"]
    assert (row["name"], row["items"]) == ("bob", 1)
    bonus = {"person": annotator.pk, "amount": "1.00", "note": "Thank you."}
    paid = alice_api.post(f"{P}/pay/bonuses", bonus, format="json")
    assert (paid.status_code, Decimal(paid.json()["amount"])) == (201, 1)
    assert alice_api.post(f"{P}/pay/bonuses", {**bonus, "amount": "9.00"}, format="json").status_code == 409
    for body, field in ({**bonus, "amount": "0"}, "amount"), ({**bonus, "person": 10**9}, "person"):
        refused = alice_api.post(f"{P}/pay/bonuses", body, format="json")
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert PayLine.objects.filter(kind="bonus").count() == 1


def test_the_overview_s_figures(project, make_item, annotator, reviewer_api):
    for n in range(3):
        make_item(prompt=f"work {n}")
    work(annotator, 2)
    seen = reviewer_api.get(f"{P}/overview").json()
    assert (seen["items"], seen["complete"], seen["votes_left"], seen["people"], seen["by_people"]) == (
        3,
        2,
        1,
        1,
        2,
    )
    assert (len(seen["days"]), seen["days"][-1]["people"]) == (30, 2)
    assert (seen["forecast"]["days"], seen["forecast"]["why"] != "") == (None, True)
    assert [(p["name"], p["judged"]) for p in seen["latest_people"]] == [("bob", 2)]
    assert queue.next_assignment(annotator) is not None
    few = reviewer_api.get(f"{P}/overview?fields=items,votes_left").json()
    assert few == {"items": 3, "votes_left": 1}
