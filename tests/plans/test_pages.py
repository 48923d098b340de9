"""Pages of routing plans: the whole way from the form to a plan in force, and who may go it."""

from __future__ import annotations

import pytest
from django.urls import reverse

from annotations.items.models import Item
from app.jobs import runner
from app.jobs.models import Job
from routing.plans import build, draft
from routing.plans.budget import Budget
from routing.plans.models import RoutingPlan

pytestmark = pytest.mark.django_db

FORM = {
    "budget": "25 %",
    "audit_share": "5 %",
    "overlap": "1",
    "policy": "uncertainty",
    "seed": "3",
    "alpha": "10 %",
}


def test_from_the_form_to_a_plan_in_force(plain_project, real_pairs, alice_client):
    page = alice_client.get(reverse("plans:list", args=["pairs"])).content.decode()
    assert "No plan is in force: every item goes to people." in page

    models = [str(row.pk) for row in draft.default_annotators(plain_project)]
    response = alice_client.post(reverse("plans:new", args=["pairs"]), {**FORM, "annotators": models})
    detail = reverse("plans:detail", args=["pairs", 1])
    assert (response.status_code, response.url) == (302, detail)
    page = alice_client.get(detail).content.decode()
    assert "Plan 1 is being made." in page
    assert "Who judges" not in page
    assert "renew=1" in page
    runner.run(Job.objects.get().pk)
    page = alice_client.get(detail).content.decode()
    assert "Plan 1 would send 15 of 60 items to people; 4 of them are audits." in page
    assert "ChatGPT Vanilla" in page
    assert "label would stand gave no verdict" in page or "contradicts itself in the two orders" in page
    assert "<title>Items by score</title>" in page

    response = alice_client.post(reverse("plans:apply", args=["pairs", 1]), follow=True)
    page = response.content.decode()
    assert "Plan 1 sends 15 of 60 items to people; 4 of them are audits." in page
    audits = RoutingPlan.objects.get().decisions.filter(is_audit=True).count()
    assert f"{audits} of {audits} audits are judged" in page
    assert Item.objects.filter(route="lm").count() == 45
    page = alice_client.get(reverse("plans:list", args=["pairs"])).content.decode()
    assert "Plan 1 sends 15 of 60 items" in page


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("budget", "lots", "expected a share of items"),
        ("budget", "10 EUR", "Judgments have no price in this project"),
        ("audit_share", "120 %", "expected a share"),
        ("overlap", "0", "greater than or equal to 1"),
        ("seed", str(10**20), "less than or equal to"),
        ("policy", "best", "Select a valid choice"),
    ],
)
def test_bad_input_is_answered_beside_the_field(project, make_item, alice_client, field, value, words):
    make_item()
    response = alice_client.post(reverse("plans:new", args=["pairs"]), {**FORM, field: value})
    assert response.status_code == 422
    assert words in response.content.decode()
    assert (RoutingPlan.objects.count(), Job.objects.count()) == (0, 0)


def test_a_plan_that_cannot_be_made_says_why_and_can_be_discarded(project, alice_client):
    alice_client.post(reverse("plans:new", args=["pairs"]), FORM)
    runner.run(Job.objects.get().pk)
    detail = reverse("plans:detail", args=["pairs", 1])
    assert (
        "Plan 1 could not be made: The project has no items to route."
        in alice_client.get(detail).content.decode()
    )
    assert alice_client.post(reverse("plans:drop", args=["pairs", 1])).status_code == 302
    assert RoutingPlan.objects.get().state == "dropped"
    assert alice_client.get(detail).status_code == 200


def test_only_researchers_come_in_and_a_denied_post_changes_nothing(
    project, make_item, bob_client, charlie_client, client
):
    make_item()
    plan = draft.draft_plan(project=project, budget=Budget(share=1.0), in_background=False)
    build.build_plan(plan)
    before = list(Item.objects.values())
    for visitor, status in ((bob_client, 403), (charlie_client, 404), (client, 302)):
        for name, args in (("list", []), ("new", []), ("detail", [1])):
            assert visitor.get(reverse(f"plans:{name}", args=["pairs", *args])).status_code == status
        assert visitor.post(reverse("plans:new", args=["pairs"]), FORM).status_code == status
        for name in ("apply", "drop"):
            assert visitor.post(reverse(f"plans:{name}", args=["pairs", 1])).status_code == status
    plan.refresh_from_db()
    assert (plan.state, RoutingPlan.objects.count(), Job.objects.count()) == ("draft", 1, 0)
    assert list(Item.objects.values()) == before


def test_prompts_are_text_on_the_page(project, make_item, alice_client):
    make_item("<img src=x onerror=alert(1)>")
    build.build_plan(draft.draft_plan(project=project, budget=Budget(share=1.0), in_background=False))
    page = alice_client.get(reverse("plans:detail", args=["pairs", 1])).content.decode()
    assert "&lt;img src=x" in page
    assert "<img src=x" not in page
