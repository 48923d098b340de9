"""Every preset answered by keyboard alone, on a desktop and on a phone, in both themes, and stored as it was chosen."""

from __future__ import annotations

import pytest

from annotations.judging import forms
from annotations.judging.models import Judgment
from annotations.judging.pages import stored_texts
from annotations.judging.stored import answer_of
from annotations.projects import presets, schemas

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
SHAPES = [
    pytest.param(1440, 900, False, id="desktop"),
    pytest.param(390, 844, True, id="phone-dark"),
]
MOST_KEYS = 80
MARKED = {"rag": "unsupported_parts", "false_parts": "false_parts"}
WRITTEN = {
    "strength7": ["x-reason"],
    "helpsteer2_preference": ["x-statement", "x-elaboration"],
    "rewrite": ["w-rewrite"],
}
# How to reach the row in turn (nothing where the next digit goes to it: after ticking boxes a person stays with them),
# then its digits, as they stand on the page. Null where every row has its answer.
IN_TURN = """() => {
  const next = document.querySelector('.q.is-next');
  if (!next) return null;
  const rows = Array.from(next.querySelectorAll('[data-slot]')).filter((row) => !row.closest('[hidden], :disabled'));
  const row = rows.find((each) => !each.querySelector('input:checked'));
  const here = document.activeElement.closest('[data-slot]');
  if (!row) return null;
  const way = !here || here === row ? '' : here.compareDocumentPosition(row) & Node.DOCUMENT_POSITION_FOLLOWING ? 'e' : 'q';
  return [way, ...Array.from(row.querySelectorAll('input[data-key]')).map((input) => input.dataset.key)];
}"""
CHOSEN = """() => Array.from(document.querySelectorAll('#answer .q:not(:disabled) input:checked'))
  .map((input) => [input.name, input.value])"""
COUNT_POINTERS = """window.pointers = 0;
for (const kind of ['pointerdown', 'mousedown', 'touchstart']) addEventListener(kind, () => (window.pointers += 1), true);"""


def write_here(page) -> None:
    """Where the focus is in a text, write into it once, and leave it."""
    if page.evaluate("document.activeElement.tagName") == "TEXTAREA":
        if page.evaluate("!document.activeElement.value.includes('Said by keys')"):
            page.keyboard.type("Said by keys: s f u 7.")
        page.keyboard.press("Escape")


def answer_everything(page, preset: str) -> list:
    """Press digits until every row has its answer, another digit each time; then write into every empty text."""
    for n in range(MOST_KEYS):
        row = page.evaluate(IN_TURN)
        if row is None:
            break
        way, *digits = row
        page.keyboard.press(way or digits[n % len(digits)])
        write_here(page)
    else:
        pytest.fail(f"{preset}: no end after {MOST_KEYS} keys: {row}, {page.evaluate(CHOSEN)}")
    stops = page.evaluate(
        "() => document.querySelectorAll('.q:not(:disabled) :is([data-slot], textarea)').length"
    )
    for _ in range(stops + 1):  # the next-question key leads through rows and texts
        page.keyboard.press("e")
        write_here(page)
    if page.locator(".q-span:not([hidden])").count():
        for key in ["a", "m", "ArrowRight", "Enter", "1", "Enter", "Escape"]:  # the second word of response A
            page.keyboard.press(key)
    return page.evaluate(CHOSEN)


@pytest.mark.parametrize(("width", "height", "dark"), SHAPES)
def test_every_preset_is_answered_by_keyboard_alone(project, bob, make_item, open_page, width, height, dark):
    page = open_page(bob, "/work/", width=width, height=height, dark=dark)
    page.add_init_script(COUNT_POINTERS)
    for preset, definition in presets.PRESETS.items():
        schema = schemas.add_schema(project=project, definition=definition)
        schemas.use_schema(project=project, schema=schema)
        most = definition.get("responses", {}).get("max", 2)
        item = make_item(
            preset, tuple(f"answer {n} to {preset}" for n in range(min(most, 3))), context="A passage."
        )
        page.goto("/work/pairs/")
        assert preset in page.inner_text("#prompt-body")
        chosen = answer_everything(page, preset)
        assert chosen, preset
        page.keyboard.press("Control+Enter")
        page.wait_for_function(
            "() => document.querySelector('.field-error')"
            " || document.getElementById('desk-title').innerText.startsWith('Nothing')"
        )
        assert page.locator(".field-error").all_inner_texts() == [], (
            preset,
            page.inner_text(".has-error legend"),
        )
        judgment = Judgment.objects.get(item=item)
        assert judgment.outcome == "answered"
        _, asked = schemas.load(judgment.schema_id)
        kept = forms.to_values(asked, answer_of(judgment), judgment.presented_order)
        for name, value in chosen:
            if not name.startswith("rank-"):  # what digits say of a ranking is stored as the order it gives
                assert value in kept.get(name, ()), (preset, name, value, kept)
        if preset in MARKED:
            (mark,) = judgment.answers[MARKED[preset]]
            assert mark["quote"] == stored_texts(item)[mark["response"]].split()[1]
        for name in WRITTEN.get(preset, ()):
            assert "Said by keys: s f u 7." in "".join(kept[name]), (preset, name)
    assert page.evaluate("window.pointers") == 0
