"""Keys in a real browser: one's own keys, other layouts, arrows, and a long session without a mouse."""

from __future__ import annotations

import pytest

from annotations.judging.models import Comparison, Judgment
from annotations.projects import schemas
from tests.judging.gated import make_gates, set_gates

from .test_judging import JUDGE, PROVOKED, prompt_of, wait_for_next

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

CHOSEN = "(document.querySelector('#answer [name=c-overall]:checked') || {}).value"


def press(page, key: str, code: str, *, shift: bool = False) -> None:
    """A key as a keyboard of another layout gives it: what is written on it, and where it stands."""
    devtools = page.context.new_cdp_session(page)
    event = {"key": key, "code": code, "modifiers": 8 if shift else 0}
    devtools.send("Input.dispatchKeyEvent", {"type": "keyDown", **event})
    devtools.send("Input.dispatchKeyEvent", {"type": "keyUp", **event})
    devtools.detach()


def test_ones_own_keys_work_and_stand_on_the_page(bob, make_item, open_page, watch):
    watch.allowed = PROVOKED  # the refused clash is answered with 400
    make_item()
    page = open_page(bob, "/me/keys/")
    page.focus("#key-tie")
    page.keyboard.press("y")
    page.focus("#key-flag")
    page.keyboard.press("Backspace")
    page.focus("#key-submit")
    page.keyboard.press("ArrowRight")
    assert page.input_value("#key-submit") == "ArrowRight"
    page.click("button.btn-primary")
    page.wait_for_selector("#error-submit")
    assert "→ is also the key of" in page.inner_text("#error-submit")
    page.focus("#key-submit")
    page.keyboard.press("Enter")
    page.click("button.btn-primary")
    page.wait_for_load_state()
    assert page.locator(".field-error").count() == 0

    page.goto(JUDGE)
    page.keyboard.press("t")
    assert page.evaluate(CHOSEN) is None
    page.keyboard.press("y")
    assert page.evaluate(CHOSEN) == "equal"
    page.keyboard.press("f")
    assert not page.locator("#box-flagged").is_visible()
    assert not page.locator("[data-kbd=flag]").is_visible()
    assert page.inner_text("[data-kbd=skip]") == "s"
    page.keyboard.press("?")
    sheet = page.inner_text("#help .sheet-body")
    assert "y\nTie" in sheet
    assert "Flag" not in sheet
    page.keyboard.press("?")
    assert not page.locator("#help").is_visible()


@pytest.mark.parametrize(
    ("layout", "tie", "digit"),
    [
        ("Cyrillic", ("е", "KeyT"), ("2", "Digit2")),
        ("Greek", ("τ", "KeyT"), ("2", "Digit2")),
        ("Arabic", ("ف", "KeyT"), ("٢", "Digit2")),
        ("AZERTY", ("t", "KeyT"), ("é", "Digit2")),
        ("Dvorak", ("t", "KeyK"), ("2", "Digit2")),
        ("number pad", ("t", "KeyT"), ("2", "Numpad2")),
    ],
)
def test_other_layouts_work(bob, make_item, open_page, layout, tie, digit):
    make_item()
    page = open_page(bob, JUDGE)
    press(page, *digit)
    assert page.evaluate(CHOSEN) == "-2", layout
    page.focus("#desk-title")
    press(page, *tie)
    assert page.evaluate(CHOSEN) == "equal", layout


def test_a_key_is_what_is_written_on_it_not_where_it_stands(bob, make_item, open_page):
    make_item()
    page = open_page(bob, JUDGE)
    press(page, "o", "KeyS")  # Dvorak: the o stands where QWERTY has its s
    assert not page.locator("#box-skipped").is_visible()
    press(page, "!", "Digit1", shift=True)
    assert page.evaluate(CHOSEN) is None
    press(page, "؟", "Slash", shift=True)  # the Arabic question mark asks for help too
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    press(page, "S", "KeyS", shift=True)
    assert page.locator("#box-skipped").is_visible()


def test_arrows_move_the_strength_and_stop_at_the_ends(bob, alice, make_item, open_page):
    make_item(wanted=2)
    page = open_page(bob, JUDGE)
    seen = []
    for key in ["ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight", *["ArrowLeft"] * 7]:
        page.keyboard.press(key)
        seen.append(page.evaluate(CHOSEN))
    assert seen == ["1", "2", "3", "3", "2", "1", "equal", "-1", "-2", "-3", "-3"]
    page.reload()
    page.wait_for_function(f"({CHOSEN}) === '-3'")  # the draft is put back
    other = open_page(alice, JUDGE)
    other.keyboard.press("ArrowLeft")
    assert other.evaluate(CHOSEN) == "-1"


@pytest.mark.slow
def test_fifty_items_without_a_mouse(bob, make_item, open_page):
    for number in range(50):
        make_item(f"Prompt {number}", (f"one {number}", f"two {number}"))
    page = open_page(bob, JUDGE)
    given = {}
    for number in range(50):
        prompt = prompt_of(page)
        strength = 1 + number % 7
        for key in [str(strength), *(str((number + place) % 5) for place in range(4))]:
            page.keyboard.press(key)
        given[prompt] = strength
        page.keyboard.press("Enter")
        wait_for_next(page, prompt)
    assert Judgment.objects.filter(is_current=True).count() == 50
    for comparison in Comparison.objects.select_related("judgment__item"):
        shown = given[comparison.judgment.item.prompt] - 4
        turned = 1 if comparison.judgment.presented_order == "01" else -1
        assert (comparison.preference or 0) == shown * turned


def test_the_question_keys_reach_texts_marks_and_rewrites(bob, project, make_item, open_page):
    questions = [
        {"kind": "comparison", "name": "overall", "label": "Which?", "scale_max": 1},
        {"kind": "text", "name": "flaw", "label": "What is wrong?", "per_response": True},
        {"kind": "span", "name": "parts", "label": "Where?", "options": [{"value": "bad", "label": "Bad"}]},
        {"kind": "rewrite", "name": "better", "label": "Better?"},
        {"kind": "text", "name": "reason", "label": "Why?"},
    ]
    definition = {"responses": {"min": 2, "max": 2}, "questions": questions}
    schemas.use_schema(project=project, schema=schemas.add_schema(project=project, definition=definition))
    make_item()
    page = open_page(bob, JUDGE)
    here = "document.activeElement.name || document.activeElement.className.split(' ').pop()"
    stops = ["c-overall", "x-flaw-0", "x-flaw-1", "span-start", "w-better", "x-reason"]
    seen = []
    for _ in stops:
        page.keyboard.press("e")
        seen.append(page.evaluate(here))
        page.keyboard.press("Escape")  # out of a text; elsewhere it does nothing
    assert seen == stops
    page.keyboard.press("q")
    assert page.evaluate(here) == "w-better"


def test_training_is_answered_read_and_left_by_keys(bob, alice, project, make_item, open_page):
    make_item("Real work")
    make_gates(make_item, alice, "training", 1, explanation="Because it **is**.")
    set_gates(project, training=True)
    page = open_page(bob, JUDGE)
    for key in ["1", *"1111", "Enter"]:
        page.keyboard.press(key)
    page.wait_for_selector(".explained")
    assert "Because it is." in page.inner_text(".explained")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => (document.getElementById('prompt-body')?.innerText || '').includes('Real work')"
    )
