"""Every kind of question on the judging page, answered by keyboard alone and stored as chosen."""

from __future__ import annotations

import pytest

from annotations.judging.models import Comparison, Judgment, Score
from annotations.projects import schemas

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

JUDGE = "/work/pairs/"
PROVOKED = ("Failed to load resource", "htmx:", "Response Status Error Code")
LABELS = [{"value": "false", "label": "False statement"}, {"value": "unclear", "label": "Unclear"}]
REASON = {"kind": "text", "name": "reason", "label": "Why?"}


@pytest.fixture
def ask(project):
    """Make the project ask these questions."""

    def use(*questions, **more):
        definition = {"responses": {"min": 1, "max": 8}, "questions": list(questions), **more}
        if any(question["kind"] == "comparison" for question in questions):
            definition["responses"] = {"min": 2, "max": 8}
        schemas.use_schema(project=project, schema=schemas.add_schema(project=project, definition=definition))

    return use


def keys(page, *pressed):
    for key in pressed:
        page.keyboard.press(key)


def wait_until_stored(page):
    page.wait_for_function("() => document.getElementById('desk-title').innerText.startsWith('Nothing')")


def drag(page, grip: str, target: str):
    start, end = (page.locator(each).bounding_box() for each in (grip, target))
    page.mouse.move(start["x"] + 8, start["y"] + 12)
    page.mouse.down()
    page.mouse.move(end["x"] + 4, end["y"] + 12, steps=30)
    page.wait_for_timeout(100)
    page.mouse.move(end["x"] + 2, end["y"] + 12)
    page.mouse.up()


def canonical(judgment, place: int) -> int:
    return int(judgment.presented_order[place])


def test_choices_and_texts_about_each_response(bob, ask, make_item, open_page):
    ask(
        {
            "kind": "choice",
            "name": "tone",
            "label": "Tone",
            "per_response": True,
            "options": [{"value": "kind", "label": "Kind"}, {"value": "curt", "label": "Curt"}],
        },
        {"kind": "text", "name": "flaw", "label": "What is wrong?", "per_response": True},
    )
    make_item("P", ("one", "two", "three"))
    page = open_page(bob, JUDGE)
    keys(page, "1", "2", "2", "Tab")
    page.keyboard.type("first 1")
    keys(page, "Tab", "Tab")
    page.keyboard.type("third 3")
    keys(page, "Control+Enter")
    wait_until_stored(page)
    judgment = Judgment.objects.get()
    tone, flaw = [None] * 3, [None] * 3
    for place, (word, text) in enumerate([("kind", "first 1"), ("curt", ""), ("curt", "third 3")]):
        tone[canonical(judgment, place)], flaw[canonical(judgment, place)] = word, text
    assert judgment.answers == {"tone": tone, "flaw": flaw}


def test_a_ranking_counts_only_once_it_was_touched_or_confirmed(bob, ask, make_item, open_page, watch):
    watch.allowed = PROVOKED
    ask({"kind": "ranking", "name": "rank", "label": "Order them"})
    make_item("P", ("one", "two", "three", "four"))
    page = open_page(bob, JUDGE)
    keys(page, "Enter")
    page.wait_for_selector(".field-error")
    assert page.inner_text("#e-rank") == "Put the responses in order, or confirm the order shown"
    assert not Judgment.objects.exists()
    assert page.is_visible(".order-confirm")
    page.focus(".order-confirm")
    keys(page, "Enter")
    assert page.inner_text("[data-ranking]") == "A > B > C > D"
    # The focus is on the first card: it goes down two places, then is tied with the one before.
    keys(page, "ArrowDown", "ArrowDown", "=")
    assert page.inner_text("[data-ranking]") == "B > C = A > D"
    keys(page, "Control+Enter")
    wait_until_stored(page)
    judgment = Judgment.objects.get()
    ranks = {s.response: s.value for s in Score.objects.all()}
    assert ranks == {canonical(judgment, place): rank for place, rank in enumerate((2, 1, 2, 4))}


def test_a_ranking_by_dragging_by_buttons_and_by_digits(bob, ask, make_item, open_page):
    ask({"kind": "ranking", "name": "rank", "label": "Order them", "ties": False})
    make_item("P", ("one", "two", "three"))
    page = open_page(bob, JUDGE)
    for digit in "231":
        page.keyboard.press(digit)
    assert page.inner_text("[data-ranking]") == "C > A > B"
    page.click("[data-letter=B] [data-order='-1']")
    assert page.inner_text("[data-ranking]") == "C > B > A"
    page.wait_for_function("() => window.Sortable && Sortable.get(document.querySelector('.order'))")
    drag(page, "[data-letter=A] .order-grip", "[data-letter=C] .order-grip")
    assert page.inner_text("[data-ranking]") == "A > C > B"
    assert page.locator(".order-sign:not([hidden]):not([disabled])").count() == 0
    page.click(".submit")
    wait_until_stored(page)
    judgment = Judgment.objects.get()
    ranks = {s.response: s.value for s in Score.objects.all()}
    assert ranks == {canonical(judgment, place): rank for place, rank in enumerate((1, 3, 2))}


def test_questions_come_and_go_with_their_conditions(bob, ask, make_item, open_page):
    ask(
        {"kind": "comparison", "name": "overall", "label": "Which?", "scale_max": 3, "ties": ["equal_bad"]},
        {
            "kind": "text",
            "name": "why_strong",
            "label": "Why so strong?",
            "required": True,
            "when": {"question": "overall", "op": "at_least", "number": 2},
        },
        {
            "kind": "choice",
            "name": "fault",
            "label": "What is bad?",
            "options": LABELS,
            "when": {"question": "overall", "op": "is", "values": ["equal_bad"]},
        },
        {
            "kind": "rating",
            "name": "sure",
            "label": "How sure?",
            "min": 0,
            "max": 2,
            "when": {"question": "overall", "op": "is", "values": ["first"]},
        },
    )
    make_item("P", ("one", "two"))
    page = open_page(bob, JUDGE)
    asked = "[...document.querySelectorAll('.q')].filter(q => q.offsetParent).map(q => q.dataset.q)"
    order = page.evaluate("document.querySelector('[data-q=sure]').dataset.when")
    first_key, other_key = ("3", "5") if '"left"' in order else ("5", "3")
    assert page.evaluate(asked) == ["overall"]
    keys(page, "4")
    assert page.evaluate(asked) == ["overall", "fault"]
    keys(page, "2")
    page.focus("[data-q=overall] input:checked")
    keys(page, first_key)
    assert page.evaluate(asked) == ["overall", "sure"]
    keys(page, "1", "1")
    page.focus("[data-q=overall] input:checked")
    keys(page, "1" if other_key == "3" else "7")
    assert page.evaluate(asked) == ["overall", "why_strong"]
    page.focus("[data-q=overall] input:checked")
    keys(page, "Tab")
    assert page.evaluate("document.activeElement.name") == "x-why_strong"
    page.keyboard.type("Because")
    keys(page, "Control+Enter")
    wait_until_stored(page)
    judgment = Judgment.objects.get()
    # What was entered for questions that are no longer asked is not sent.
    assert judgment.answers == {"why_strong": "Because"}
    assert not Score.objects.exists()
    assert Comparison.objects.get().preference == 3


def test_marking_parts_by_keys_counts_in_code_points(bob, ask, make_item, open_page):
    ask({"kind": "span", "name": "parts", "label": "What is wrong?", "options": LABELS})
    make_item("P", ("Grüße 🙂🙂 from *Paris*. It is in **Spain**, they say. Fine.", "Nothing here."))
    page = open_page(bob, JUDGE)
    place = 0 if "Paris" in page.inner_text("[data-pane='0']") else 1
    keys(page, "ad"[place], "m")
    assert page.evaluate("document.getSelection().toString()") == "Grüße"
    keys(page, "ArrowRight", "ArrowRight")
    assert page.evaluate("document.getSelection().toString()") == "Paris"
    keys(page, "ArrowDown", "Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight")
    assert page.evaluate("document.getSelection().toString()") == "It is in Spain"
    keys(page, "Enter", "1")
    page.keyboard.type("It is in France")
    keys(page, "Enter")
    keys(page, "ArrowRight", "2")  # a digit marks at once
    keys(page, "Enter")  # no note
    assert page.locator(f"[data-pane='{place}'] .mark-row").count() == 2
    assert page.inner_text(".span-count") == "2 parts marked"
    keys(page, "Escape", "Control+Enter")
    wait_until_stored(page)
    judgment = Judgment.objects.get()
    text = "Grüße 🙂🙂 from Paris. It is in Spain, they say. Fine."
    assert [text[s["start"] : s["end"]] for s in judgment.answers["parts"]] == ["It is in Spain", "they"]
    at = text.index("It is")
    assert judgment.answers["parts"][0] == {
        "response": canonical(judgment, place),
        "start": at,
        "end": at + len("It is in Spain"),
        "quote": "It is in Spain",
        "label": "false",
        "note": "It is in France",
    }
    assert judgment.answers["parts"][1]["label"] == "unclear"


def test_marking_by_mouse_deleting_and_finding_the_marks_again(bob, ask, make_item, open_page):
    ask({"kind": "span", "name": "parts", "label": "What is wrong?", "options": LABELS[:1], "note": False})
    make_item("P", ("The formula $x^2$ is wrong. And so on.", "Nothing here."))
    page = open_page(bob, JUDGE)
    place = 0 if "formula" in page.inner_text("[data-pane='0']") else 1
    page.wait_for_selector(".math-done")
    page.evaluate(
        "place => { const p = document.querySelector(`[data-pane='${place}'] .prose p`);"
        " document.getSelection().setBaseAndExtent(p.firstChild, 4, p.lastChild, 9) }",
        place,
    )
    page.click(".span-float")
    page.click("[data-span-label=false]")
    assert page.inner_text(".mark-quote") == "formula x^2 is wrong"
    assert page.evaluate("[...CSS.highlights.get('mark-0')].length") == 1
    page.wait_for_function(
        "() => document.getElementById('draft-state').textContent.startsWith('Draft saved')"
    )
    page.reload()
    assert page.inner_text(".mark-quote") == "formula x^2 is wrong"
    page.wait_for_selector(".math-done")
    assert page.evaluate("[...CSS.highlights.get('mark-0')].map(String)") != []
    page.click(".mark-row button")
    assert page.locator(".mark-row").count() == 0
    page.focus(f"[data-pane='{place}']")
    keys(page, "m", "Shift+ArrowRight", "1", "Escape", "Control+Enter")
    wait_until_stored(page)
    judgment = Judgment.objects.get()
    assert [(s["start"], s["end"], s["quote"]) for s in judgment.answers["parts"]] == [(0, 11, "The formula")]


def test_a_rewrite_starts_from_the_preferred_response_and_keeps_what_was_typed(
    bob, ask, make_item, open_page
):
    ask(
        {"kind": "comparison", "name": "overall", "label": "Which?", "scale_max": 1, "ties": ["equal"]},
        {"kind": "rewrite", "name": "better", "label": "Make it better"},
    )
    make_item("P", ("**One** text.", "Another\n\ntext."))
    page = open_page(bob, JUDGE)
    texts = {0: "**One** text.", 1: "Another\n\ntext."}
    assert page.input_value("#w-better") == ""
    keys(page, "1")
    page.wait_for_function("() => document.getElementById('w-better').value !== ''")
    left = page.input_value("#w-better")
    keys(page, "3")
    page.wait_for_function("left => document.getElementById('w-better').value !== left", arg=left)
    right = page.input_value("#w-better")
    assert {left, right} == set(texts.values())
    page.focus("#w-better")
    keys(page, "Control+End")
    page.keyboard.type(" Better now.")
    page.focus("[data-q=overall] input:checked")
    keys(page, "1")
    assert page.input_value("#w-better") == f"{right} Better now."
    keys(page, "3", "Control+Enter")
    wait_until_stored(page)
    judgment = Judgment.objects.get()
    assert judgment.answers["better"] == {"response": canonical(judgment, 1), "text": f"{right} Better now."}


def test_an_unchanged_rewrite_is_not_stored(bob, ask, make_item, open_page):
    ask(
        {"kind": "comparison", "name": "overall", "label": "Which?", "scale_max": 1},
        {"kind": "rewrite", "name": "better", "label": "Make it better"},
    )
    make_item()
    page = open_page(bob, JUDGE)
    keys(page, "1")
    page.wait_for_function("() => document.getElementById('w-better').value !== ''")
    keys(page, "Control+Enter")
    wait_until_stored(page)
    assert Judgment.objects.get().answers == {}
