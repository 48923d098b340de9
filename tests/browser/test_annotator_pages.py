"""Every page an annotator meets, at every size and in both themes: axe, the console, and nothing wider than the screen."""

from __future__ import annotations

import pytest

from annotations.judging.models import Judgment
from annotations.projects import rules
from annotations.projects.models import Guideline, Project

from .test_reading import COMPARISON, JUDGE, LONG, QUESTIONS, serious, use, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LEAST = (320, 640)
DESKTOP = (1440, 900)
ZOOMED = (720, 450)  # 1440 × 900 at 200 %
PHONE = (390, 844)
slow = pytest.mark.slow
SIZES = [
    pytest.param(LEAST, True, id="least-dark"),
    pytest.param(DESKTOP, False, id="desktop", marks=slow),
    pytest.param(DESKTOP, True, id="desktop-dark", marks=slow),
    pytest.param(ZOOMED, False, id="zoomed", marks=slow),
    pytest.param(ZOOMED, True, id="zoomed-dark", marks=slow),
    pytest.param(PHONE, False, id="phone", marks=slow),
    pytest.param(PHONE, True, id="phone-dark", marks=slow),
    pytest.param(LEAST, False, id="least", marks=slow),
]


def check(page, wrong: dict, name: str) -> None:
    too_wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    found = serious(page)
    if too_wide > 0 or found:
        wrong[name] = (too_wide, found)


@pytest.mark.parametrize(("size", "dark"), SIZES)
def test_every_page_of_an_annotator_is_accessible(alice, bob, project, make_item, open_page, size, dark):
    use(project, COMPARISON)
    for number in range(2):
        make_item(f"Item {number} https://example.org/{'a' * 90}", priority=2 - number)
    shape = {"width": size[0], "height": size[1], "dark": dark}
    wrong: dict = {}
    rules.change(project=project, entry=rules.Entry(mode="open_link", consent="We **store** what you enter."))
    Guideline.objects.create(project=project, number=1, text="# Be fair\n\n" + LONG, created_by=alice)

    page = open_page(None, "/accounts/login/", **shape)
    check(page, wrong, "sign-in")
    for name, address in (("sign-up", "/accounts/signup/"), ("join", "/join/open/pairs/")):
        page.goto(address)
        check(page, wrong, name)
    page = open_page(bob, JUDGE, **shape)
    assert page.locator("form[action*=consent]").count() == 1
    check(page, wrong, "consent")
    page.click("form[action*=consent] button")
    page.wait_for_selector("form[action*=acknowledge]")
    check(page, wrong, "gate")
    # Tab goes on into the text, not to the menu.
    assert page.evaluate("document.activeElement.id") == "desk-title"
    page.click("form[action*=acknowledge] button")
    wait_for(page, "Item 0")
    page.click(".step >> nth=0")
    page.click(".submit")
    wait_for(page, "Item 1")
    check(page, wrong, "second item")
    pages = {
        "start": "/work/",
        "history": "/work/pairs/history/",
        "correction": f"/work/pairs/history/{Judgment.objects.get().uuid}/",
        "me": "/me/",
        "keys": "/me/keys/",
        "data": "/me/data/",
    }
    for name, address in pages.items():
        page.goto(address)
        check(page, wrong, name)
    Project.objects.update(status=Project.Status.PAUSED)
    page.goto(JUDGE)
    check(page, wrong, "paused")
    assert wrong == {}


@pytest.mark.parametrize(("size", "dark"), SIZES)
def test_every_kind_of_question_fits_and_is_accessible(bob, project, make_item, open_page, size, dark):
    use(project, *QUESTIONS)
    make_item("P", (LONG, "Short.", LONG), context="Some context. " * 40)
    page = open_page(bob, JUDGE, width=size[0], height=size[1], dark=dark)
    page.keyboard.press("1")
    wrong: dict = {}
    folding = size[0] <= 832
    for number in range(len(QUESTIONS) if folding else 1):
        check(page, wrong, f"question {number}")
        wide = page.evaluate(
            "[...document.querySelectorAll('.q')].filter(q => q.offsetParent)"
            ".filter(q => q.scrollWidth > q.clientWidth + 1).map(q => q.dataset.q)"
        )
        assert wide == []
        if folding and page.locator("[data-fold='1']").is_enabled():
            page.click("[data-fold='1']")
    page.locator(".submit").scroll_into_view_if_needed()
    box = page.locator(".submit").bounding_box()
    assert 0 <= box["x"] <= size[0] - box["width"]
    assert wrong == {}
