"""A reviewer's decision in a browser: the answer bar of the judging page, with every kind and by keyboard."""

from __future__ import annotations

import uuid

import pytest

from annotations.judging.answers import Answer, ComparisonAnswer
from annotations.judging.models import Judgment, Review
from annotations.judging.submit import submit
from annotations.projects.models import Annotator, Membership
from tests.browser.test_reading import LABELS, serious, use

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
QUESTIONS = (
    {"kind": "comparison", "name": "overall", "label": "Which is better?", "scale_max": 3, "ties": ["equal"]},
    {"kind": "ranking", "name": "rank", "label": "Order them", "required": False},
    {"kind": "span", "name": "parts", "label": "Mark what is wrong", "options": LABELS},
    {"kind": "rewrite", "name": "better", "label": "Write the best one better", "of": "best"},
    {"kind": "text", "name": "reason", "label": "Why?", "chips": ["Shorter", "Kinder"],
     "when": {"question": "overall", "op": "at_least", "number": 2}},
)  # fmt: skip


@pytest.fixture
def disputed(project, bob, charlie, make_item):
    """An item that two people judged differently; Charlie may review."""
    use(project, *QUESTIONS)
    item = make_item("Which words?", ("Hello there, friend.", "Go away now."), wanted=2)
    project.refresh_from_db()
    for name, preference in (("one", 1), ("two", -1)):
        person = Annotator.objects.create(project=project, kind="human", name=name)
        answer = Answer(comparisons=(ComparisonAnswer(0, 1, "overall", preference, 3),))
        submit(
            annotator=person, item_id=item.pk, schema_id=project.schema_id, uuid=uuid.uuid4(), answer=answer,
            origin="import",
        )  # fmt: skip
    Membership.objects.create(project=project, user=charlie, role=Membership.Role.REVIEWER)
    return item


def test_a_reviewer_marks_rewrites_and_orders_as_people_do(disputed, charlie, open_page):
    address = f"/p/pairs/quality/review/{disputed.pk}/"
    page = open_page(charlie, address)
    assert page.locator("[data-q=reason]").is_hidden()
    page.keyboard.press("1")  # A is much better
    page.wait_for_function("document.querySelector('#w-better').value === 'Hello there, friend.'")
    assert page.locator("[data-q=reason]").is_visible()
    page.focus(".order-confirm")
    page.keyboard.press("Enter")
    page.focus("[data-pane='1']")
    for key in ("m", "2", "Escape"):
        page.keyboard.press(key)
    assert page.locator(".mark-row").count() == 1
    page.fill("#w-better", "Hello there, dear friend.")
    page.click(".text-chips .chip >> nth=1")
    assert serious(page) == []
    page.focus("#desk-title")
    page.keyboard.press("Enter")
    page.wait_for_url("**/quality/review/")
    final = Review.objects.get().judgment
    assert (final.aside, final.origin, final.reason) == ("review", "page", "Kinder")
    assert final.comparisons.get(first=0, second=1, aspect="overall").preference == -3
    assert final.answers["better"] == {"response": 0, "text": "Hello there, dear friend."}
    [mark] = final.answers["parts"]
    assert (mark["response"], mark["quote"], mark["label"]) == (1, "Go", "unclear")
    assert {score.response: score.value for score in final.scores.all()} == {0: 1, 1: 2}

    page.goto(address)  # what was decided stands in the form
    assert page.locator(".mark-row").count() == 1
    assert page.input_value("#w-better") == "Hello there, dear friend."
    page.keyboard.press("u")
    page.keyboard.press("1")
    page.wait_for_url("**/quality/review/")
    newest = Review.objects.latest("pk").judgment
    assert (newest.outcome, newest.answers) == ("cannot_judge", {"cannot_judge": "not_valid"})
    assert "Cannot be judged" in page.goto(address).text()
    assert Judgment.objects.filter(is_current=True).count() == 2
