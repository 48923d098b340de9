"""The task designer in a real browser: a task composed by keyboard alone, seen at once, asked at the end."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from annotations.projects.models import TaskSchema

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

EDIT = "/p/pairs/design/edit/?from=preset:arena4"
# A form that came back and whose controls htmx has taken up, which it does a moment after the swap.
SETTLED = "#builder:not([data-stale]):not(.htmx-added)"


def tab_to(page, selector: str, most: int = 200) -> None:
    """Press Tab until this element has the focus."""
    for _ in range(most):
        if page.evaluate(
            "(wish) => document.activeElement && document.activeElement.matches(wish)", selector
        ):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{selector} was not reached by Tab")


def enter(page, selector: str) -> None:
    """Reach a button by Tab and press it; then wait for the form that comes back."""
    tab_to(page, selector)
    page.evaluate("document.getElementById('builder').dataset.stale = '1'")
    page.keyboard.press("Enter")
    page.wait_for_selector(SETTLED)


def wait_for_focus(page, name: str) -> None:
    """The form that comes back sets the focus once it has settled."""
    page.wait_for_function("name => document.activeElement.id === name", arg=name)


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_a_task_is_composed_by_keyboard_alone(project, alice, open_page, width, dark):
    page = open_page(alice, EDIT, width=width, dark=dark)
    frame = page.frame_locator("iframe[name=preview]")
    frame.locator("[name=c-overall]").first.wait_for(state="attached")
    tab_to(page, "#title")
    page.keyboard.press("Control+A")
    page.keyboard.type("By keyboard")
    enter(page, "#add-choice")
    wait_for_focus(page, "q-1-label")
    page.keyboard.press("Control+A")
    page.keyboard.type("What is wrong with them?")
    tab_to(page, "#q-1-l-0")
    page.keyboard.press("Control+A")
    page.keyboard.type("Both are false")
    enter(page, "#q-1-option")
    wait_for_focus(page, "q-1-l-2")
    page.keyboard.type("Both are rude")
    tab_to(page, "#q-1-when")
    page.evaluate("document.getElementById('builder').dataset.stale = '1'")
    page.keyboard.press("ArrowDown")  # if the first question …
    page.wait_for_selector(SETTLED)
    wait_for_focus(page, "q-1-when")
    tab_to(page, "#q-1-when-op")
    page.evaluate("document.getElementById('builder').dataset.stale = '1'")
    page.keyboard.press("ArrowDown")  # … is one of
    page.wait_for_selector(SETTLED)
    tab_to(page, "[name=q-1-when-values][value=equal_bad]")
    page.keyboard.press("Space")
    enter(page, "#add-rating")
    wait_for_focus(page, "q-2-label")
    page.evaluate("document.getElementById('builder').dataset.stale = '1'")
    page.keyboard.press("Alt+ArrowUp")
    page.wait_for_selector(SETTLED)
    wait_for_focus(page, "q-1-up")
    # The preview shows it, with its condition.
    faults = frame.locator("[data-q=how_sure_are_you]")
    faults.wait_for(state="attached")
    frame.locator("[data-q=quality]").wait_for(state="attached")
    faults.wait_for(state="hidden")
    frame.locator("[name=c-overall][value=equal_bad]").check(force=True)
    if width > 800:
        faults.wait_for(state="visible")
    page.keyboard.press("Tab")
    tab_to(page, "button[value=save]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/design/?version=2")
    assert "v2 is stored" in page.inner_text("main")
    stored = TaskSchema.objects.get(project=project, number=2).definition
    assert stored["title"] == "By keyboard"
    assert [(q["kind"], q["label"]) for q in stored["questions"]] == [
        ("comparison", "Which response is better?"),
        ("rating", "Quality"),
        ("choice", "What is wrong with them?"),
    ]
    assert [o["label"] for o in stored["questions"][2]["options"]] == [
        "Both are false",
        "Unsure",
        "Both are rude",
    ]
    assert stored["questions"][2]["when"] == {
        "question": "overall", "op": "is", "values": ["equal_bad"], "number": None,
    }  # fmt: skip
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_preview_starts_a_rewrite_from_the_response_it_shows(project, alice, make_item, open_page, watch):
    make_item("P", ("**One**", "Two\n\n</script>"))
    page = open_page(alice, "/p/pairs/design/edit/?from=preset:rewrite")
    frame = page.frame_locator("iframe[name=preview]")
    for place, text in ((0, "**One**"), (-1, "Two\n\n</script>")):
        frame.locator("[name=c-overall]").nth(place).check(force=True)
        expect(frame.locator("#w-rewrite")).to_have_value(text)
    assert not any("/text/" in url for url in watch.requests)
