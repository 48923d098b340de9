"""What people meet around judging, in a browser: a panel's study, gates within live work, breaks, pay."""

from __future__ import annotations

import pytest

from annotations.judging import gates
from annotations.judging.answers import Answer, ComparisonAnswer
from annotations.judging.models import Judgment
from annotations.people.models import PayLine, Place
from annotations.projects import rules
from app.ledger.models import Account
from tests.judging.gated import make_gates, work
from tests.people.study import open_study

from .test_annotator_pages import check
from .test_reading import COMPARISON, JUDGE, use, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_participant_comes_from_prolific_judges_in_german_and_takes_the_code_back(
    project, make_item, open_page
):
    use(project, COMPARISON)
    for number in range(3):
        make_item(f"Item {number}", priority=3 - number)
    open_study(project, items_per_place=2)
    ids = "PROLIFIC_PID=5f0000000000000000000001&STUDY_ID=study1&SESSION_ID=s1"
    page = open_page(None, f"/join/prolific/pairs/?{ids}", width=390, height=844, locale="en-GB")
    page.click("text=Begin")
    page.wait_for_selector("#desk")
    assert "Submit" in page.inner_text(".submit")
    page.click(".menu summary")
    page.click(".languages button[lang=de]")
    page.wait_for_selector("html[lang=de] #desk")
    assert "Absenden" in page.inner_text(".submit")
    for number in range(2):
        wait_for(page, f"Item {number}")
        page.keyboard.press("1")
        page.keyboard.press("Enter")
    page.wait_for_selector(".completion-code")
    assert page.inner_text(".completion-code") == "DONE123"
    assert page.locator("a.btn-primary[href*='cc=DONE123']").count() == 1
    assert (Place.objects.get().state, Judgment.objects.count()) == ("complete", 2)


def test_gold_and_repeats_come_within_the_work_and_a_break_is_offered(
    alice, bob, annotator, project, make_item, open_page, monkeypatch
):
    use(project, COMPARISON)
    project.refresh_from_db()
    annotator.project.refresh_from_db()
    for number in range(29):
        make_item(f"Item {number}", priority=99 - number)
    work(annotator, 23, lambda _: Answer(comparisons=(ComparisonAnswer(0, 1, "overall", 2, 3),)))
    make_gates(make_item, alice, "gold", 1)
    rules.change(
        project=project,
        gates=rules.Gates(gold_first=1, repeat_share=0.2),
        limits=rules.Limits(break_items=5),
    )
    monkeypatch.setattr(
        gates, "_draw", lambda annotator, number: 0.0
    )  # gold, then repeats while there are any
    page = open_page(bob, JUDGE)
    shapes = set()
    for number in range(5):
        assert page.locator("#break").is_hidden()
        page.wait_for_function(
            "n => document.getElementById('today').textContent.startsWith(`${n} `)", arg=23 + number
        )
        shapes.add(
            page.evaluate(
                "[...document.querySelectorAll('#desk *')].map(e => e.tagName + e.className).join()"
            )
        )
        page.keyboard.press("2")
        page.keyboard.press("Enter")
    page.wait_for_selector("#break:not([hidden])")
    assert "5 judgments in a row" in page.inner_text("#break-words")
    page.click("#break-dismiss")
    assert page.locator("#break").is_hidden()
    given = list(Judgment.objects.order_by("pk").values_list("aside", flat=True))[23:]
    assert given[0] == "gold"
    assert "repeat" in given
    assert len(shapes) == 1  # nothing on the page tells them from the others


def test_a_person_is_paid_and_the_pages_about_people_are_accessible(
    alice, bob, annotator, project, make_item, open_page
):
    use(project, COMPARISON)
    for number in range(2):
        make_item(f"Item {number}", priority=2 - number)
    project.account_id = Account.objects.create(name="Pairs", currency="EUR", cap_micros=9_000_000).pk
    project.save(update_fields=["account_id"])
    page = open_page(alice, "/p/pairs/people/pay/")
    page.check("[name=unit][value=item]")
    page.fill("[name=rate]", "0.50")
    page.click("text=Save")
    assert "People are paid 0.50 EUR an item." in page.inner_text(".lede")
    judging = open_page(bob, JUDGE)
    for number in range(2):
        wait_for(judging, f"Item {number}")
        judging.keyboard.press("1")
        judging.keyboard.press("Enter")
    wait_for(judging, "Nothing")
    page.select_option("[name=annotator]", label="bob")
    page.fill("[name=amount]", "1.00")
    page.fill("[name=note]", "Thank you.")
    page.click("text=Pay the bonus")
    assert "A bonus of 1.00 for bob." in page.inner_text("#messages")
    assert PayLine.objects.get(kind="bonus").paid == 1
    judging.goto("/work/pairs/pay/")
    assert "Thank you." in judging.inner_text("main")

    wrong: dict = {}
    check(judging, wrong, "own statement")
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for name in ("", "entry/", "places/", "pay/", f"pay/{annotator.pk}/"):
            page.goto(f"/p/pairs/people/{name}")
            check(page, wrong, f"{name} {width}")
    assert wrong == {}
