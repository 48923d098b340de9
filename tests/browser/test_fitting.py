"""The judging page shows what an item takes: keys of its own responses, no letter for one, and whether a prompt is cut."""

from __future__ import annotations

import pytest

from annotations.projects import presets, schemas

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

JUDGE = "/work/pairs/"
KEYS = """() => Array.from(document.querySelectorAll('#help [data-action]:not([hidden]) dd'))
  .map((dd) => dd.textContent)"""
PANES = ["Response A; then ↑ ↓ to scroll", *(f"Response {letter}" for letter in "BCDEFGH")]


def test_the_help_lists_the_keys_of_a_pair_and_of_more(bob, make_item, open_page, project):
    definition = presets.PRESETS["preference_ratings"] | {"responses": {"min": 2, "max": 8}}
    schemas.use_schema(
        project=project, schema=schemas.add_schema(project=project, definition=definition, actor=None)
    )
    make_item("Two", ("one", "two"), priority=2)
    page = open_page(bob, JUDGE)
    page.keyboard.press("?")
    shown = page.evaluate(KEYS)
    assert [words for words in PANES if words in shown] == PANES[:2]
    assert "Tie" in shown
    assert page.inner_text("#pane-0").split("\n")[0].startswith("Response A")


def test_one_response_has_no_letter_and_no_keys_of_others(bob, make_item, open_page, project):
    schema = schemas.add_schema(project=project, definition=presets.PRESETS["ratings"], actor=None)
    schemas.use_schema(project=project, schema=schema)
    make_item("One", ("only",))
    page = open_page(bob, JUDGE)
    page.keyboard.press("?")
    shown = page.evaluate(KEYS)
    assert not {*PANES, "Tie", "Both bad", "Responses side by side or stacked"} & set(shown)
    assert "The response; then ↑ ↓ to scroll" in shown
    page.keyboard.press("Escape")
    assert page.inner_text("#pane-0").split() in (["Response"], ["Response", "a"])
    assert page.locator(".rating-letter").count() == 0
    assert page.locator(".rating").first.get_attribute("aria-label").endswith(", response")
    page.keyboard.press("a")
    assert page.evaluate("document.activeElement.dataset.pane") == "0"


def test_a_phone_says_where_a_prompt_is_cut_and_shows_it_all(bob, make_item, open_page):
    make_item("\n\n".join(f"Paragraph {n} of a long prompt." for n in range(30)), priority=2)
    make_item("Short.", ("one", "two"), priority=1)
    page = open_page(bob, JUDGE, width=390, height=844)
    button = page.locator(".prompt-fold")
    assert (button.is_visible(), button.inner_text()) == (True, "Show all")
    seen = page.locator("#prompt-body").bounding_box()["height"]
    button.click()
    assert page.locator("#prompt-body").bounding_box()["height"] > 1.5 * seen
    page.reload()
    page.keyboard.press("s")
    page.keyboard.press("1")
    page.wait_for_function("() => document.getElementById('prompt-body').innerText.trim() === 'Short.'")
    assert page.locator(".prompt.is-folded").count() == 1
    assert not page.locator(".prompt-fold").is_visible()  # nothing is cut
