"""The judging page as a place to read: layouts, long texts, offsets, access, what is transferred."""

from __future__ import annotations

import gzip
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone

from annotations.datasets.snapshots import freeze_now, open_rows
from annotations.items.models import Batch
from annotations.judging.models import Judgment
from annotations.projects import schemas
from app.web.rendering import plain_text, render_markdown

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

JUDGE = "/work/pairs/"
LABELS = [{"value": "false", "label": "False statement"}, {"value": "unclear", "label": "Unclear"}]
COMPARISON = {
    "kind": "comparison",
    "name": "overall",
    "label": "Which response is better?",
    "scale_max": 3,
    "ties": ["equal_good", "equal_bad"],
}
QUESTIONS = [
    COMPARISON,
    {"kind": "ranking", "name": "rank", "label": "Order them", "required": False},
    {"kind": "rating", "name": "help", "label": "Helpfulness", "min": 0, "max": 4, "required": False},
    {"kind": "thumb", "name": "thumb", "label": "Good?", "required": False},
    {"kind": "choice", "name": "tone", "label": "Tone", "options": LABELS, "per_response": True, "required": False},
    {"kind": "text", "name": "flaw", "label": "What is wrong?", "per_response": True},
    {"kind": "span", "name": "parts", "label": "Mark what is wrong", "options": LABELS},
    {"kind": "rewrite", "name": "better", "label": "Write it better"},
    {"kind": "text", "name": "reason", "label": "Why?"},
]  # fmt: skip
LONG = (
    "# Title\n\nA paragraph with `code`, **bold** and $x^2$.\n\n```python\nprint(1)  # hm\n```\n\n"
    "| a | b |\n|---|---|\n| 1 | 2 |\n\nשלום עולם\n\n" + "Words go on and on. " * 60
)


def use(project, *questions, **more):
    definition = {"responses": {"min": 2, "max": 8}, "questions": list(questions), **more}
    schemas.use_schema(project=project, schema=schemas.add_schema(project=project, definition=definition))


def wait_for(page, words: str):
    page.wait_for_function(
        "words => document.getElementById('prompt-body')?.innerText.includes(words)"
        " || document.getElementById('desk-title').innerText.startsWith(words)",
        arg=words,
    )


def serious(page) -> list:
    return [
        (violation["id"], [node["html"][:200] for node in violation["nodes"]])
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in {"serious", "critical"}
    ]


def settles(page, covered: bool):
    """Wait until the item is covered, blurred and inert, or neither."""
    page.wait_for_function(
        """covered => {
          const blurred = getComputedStyle(document.querySelector('.pane .prose')).filter.includes('blur');
          return blurred === covered && document.querySelector('.panes').inert === covered;
        }""",
        arg=covered,
    )


def test_a_sensitive_batch_stays_covered_until_the_person_shows_it(bob, project, make_item, open_page):
    use(project, COMPARISON)
    batch = Batch.objects.create(project=project, name="hard", warning="Violence. Help: **0800 1234**")
    for number in range(3):
        make_item(f"Item {number}", batch=batch, priority=3 - number)
    page = open_page(bob, JUDGE)
    assert "0800 1234" in page.inner_text(".cover")
    settles(page, covered=True)
    page.keyboard.press("s")
    page.keyboard.press("3")
    wait_for(page, "Item 1")
    settles(page, covered=True)
    page.click("label[for=uncover]")
    settles(page, covered=False)
    for key in ("1", "Enter"):
        page.keyboard.press(key)
    wait_for(page, "Item 2")
    settles(page, covered=True)
    page.click(".cover-sitting")
    settles(page, covered=False)
    page.reload()
    settles(page, covered=False)
    assert page.locator(".cover").is_hidden()
    assert list(Judgment.objects.order_by("pk").values_list("outcome", flat=True)) == ["skipped", "answered"]


def test_responses_stand_as_the_task_says_until_the_person_chooses(bob, project, make_item, open_page):
    use(project, COMPARISON, layout="stacked")
    make_item("P", ("one", "two", "three"))
    page = open_page(bob, JUDGE)
    edges = "[...document.querySelectorAll('.pane')].map(p => Math.round(p.getBoundingClientRect().{}))"
    assert len(set(page.evaluate(edges.format("left")))) == 1
    page.keyboard.press("l")
    assert len(set(page.evaluate(edges.format("top")))) == 1
    widths = page.evaluate(edges.format("width"))
    assert max(widths) - min(widths) <= 1
    page.reload()
    assert page.get_attribute("#desk", "data-layout") == "columns"


def test_offsets_count_the_text_that_the_browser_shows(bob, project, make_item, open_page):
    use(project, COMPARISON, QUESTIONS[6])
    texts = (LONG, '1 < 2 & 3 > 2 "quoted" 🙂\n\n    indented\n\n<b>raw</b>\r\nline')
    make_item("P", texts)
    page = open_page(bob, JUDGE)
    page.wait_for_selector(".math-done")
    shown = page.evaluate(
        "[...document.querySelectorAll('.pane .prose')].map(p => window.plumbline.spanText.textOf(p))"
    )
    assert sorted(shown) == sorted(plain_text(render_markdown(text)) for text in texts)


def test_the_page_and_the_next_item_are_small(bob, project, make_item, open_page):
    """Bytes as a server that compresses sends them; an item without mathematics, its own text left out."""
    use(project, COMPARISON, QUESTIONS[2], QUESTIONS[8])
    for number in range(2):
        make_item(f"Item {number}", ("one", "two"), priority=2 - number)
    sizes: dict[str, int] = {}

    def note(response):
        kind = response.headers.get("content-type", "")
        body = response.body()
        text = kind.startswith(("text/", "application/javascript", "application/json", "image/svg"))
        sizes[response.url] = len(gzip.compress(body, 9)) if text else len(body)

    page = open_page(bob, "/healthz")
    page.on("response", note)
    page.goto(JUDGE)
    page.wait_for_load_state("networkidle")
    first = sum(sizes.values())
    assert first <= 150_000, sorted(sizes.items(), key=lambda each: -each[1])[:8]
    assert not any("katex" in url or "Sortable" in url for url in sizes)
    sizes.clear()
    page.keyboard.press("1")
    for key in "11":
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    wait_for(page, "Item 1")
    assert sum(sizes.values()) <= 30_000, sizes


def test_a_text_of_twenty_thousand_tokens_is_whole_and_scrolls(bob, project, make_item, open_page):
    use(project, COMPARISON)
    long = "\n\n".join(f"Paragraph {number} has a few words to read." * 3 for number in range(700))
    make_item("P", (long, long + "\n\nThe end."))
    page = open_page(bob, JUDGE)
    assert sorted(
        page.evaluate("[...document.querySelectorAll('.pane .prose')].map(p => p.textContent.length)")
    ) == sorted(len(plain_text(render_markdown(text))) for text in (long, long + "\n\nThe end."))
    usual, reached = page.evaluate(
        """async () => {
          const pane = document.querySelector('.pane'); const took = [];
          for (let i = 0; i < 30; i += 1) {
            const before = performance.now();
            pane.scrollTop += 900;
            await new Promise(done => requestAnimationFrame(done));
            took.push(performance.now() - before);
          }
          return [took.sort((a, b) => a - b)[15], pane.scrollTop];
        }"""
    )
    assert reached > 20_000
    assert usual < 1_000  # of thirty steps; a layout of the whole text at every one takes longer


def test_axe_finds_nothing_serious_with_every_kind(bob, project, make_item, open_page):
    use(project, *QUESTIONS)
    make_item("P", (LONG, "Short."), context="Some context.")
    page = open_page(bob, JUDGE)
    page.keyboard.press("1")
    page.focus("[data-pane='0']")
    for key in ("m", "1", "Enter", "Escape"):
        page.keyboard.press(key)
    assert page.locator(".mark-row").count() == 1
    assert serious(page) == []


def age(**moved):
    """Make every judgment this much older."""
    Judgment.objects.update(created_at=timezone.now() - timedelta(**moved))


@pytest.mark.parametrize("width", [1440, 390])
def test_an_answer_that_can_only_be_read_is_locked_as_a_whole(bob, project, make_item, open_page, width):
    """Every kind, filled in; no click and no key changes it, sends it, or offers to."""
    use(project, *QUESTIONS)
    make_item("P", (LONG, "Short."), context="Some context.")
    page = open_page(bob, JUDGE)
    page.keyboard.press("1")
    page.focus("[data-pane='0']")
    for key in ("m", "1", "Enter", "Escape"):
        page.keyboard.press(key)
    page.fill("#x-flaw-0", "It shouts.")
    page.fill("#w-better", "Better words.")
    page.fill("#x-reason", "Because.")
    for place in (0, 1):
        page.check(f"[name=r-help-{place}][value='3']", force=True)
    page.check("[name=o-tone-0][value=unclear]", force=True)
    page.focus(".order-confirm")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+Enter")
    wait_for(page, "Nothing")
    age(hours=3)
    before = Judgment.objects.values().get()

    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"/work/pairs/history/{before['uuid']}/")
    assert "can only be read" in page.inner_text(".desk-note")
    state = (
        "JSON.stringify([[...document.querySelectorAll('#answer input, #answer textarea')].filter(f => /^[a-z]-/.test(f.name)).map(f => [f.name, f.checked,"
        " f.value]), document.querySelector('[data-ranking]').textContent])"
    )
    shown = page.evaluate(state)
    assert all(words in shown for words in ("It shouts.", "Better words.", "Because.", "A > B"))
    assert page.locator(".mark-row").count() == 1
    # Nothing of the form can be pressed or written in, and every question is in sight or can be scrolled to.
    assert page.locator("#desk .mark-row :is(button, input)").count() == 0
    assert page.locator("#answer :is(button, input, textarea):enabled:not([type=hidden])").count() == 0
    assert page.locator("#answer .q:not([hidden])").evaluate_all(
        "all => all.every(q => q.getClientRects().length)"
    )
    assert page.locator("#answer :is(.submit, .outcomes, .order-confirm, .rewrite-clear)").evaluate_all(
        "all => all.every(each => !each.offsetParent)"
    )
    assert serious(page) == []
    page.focus(".locked-scroll")
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.className") == "locked-scroll"
    for key in (
        "ArrowLeft",
        "ArrowRight",
        "4",
        "1",
        "=",
        "-",
        "m",
        "s",
        "u",
        "f",
        "e",
        "q",
        "t",
        "x",
        "Enter",
    ):
        page.keyboard.press(key)
    page.keyboard.press("Control+Enter")
    assert page.locator(":popover-open").count() == 0
    assert page.evaluate(state) == shown
    page.reload()
    assert page.evaluate(state) == shown
    assert Judgment.objects.values().get() == before


@pytest.mark.parametrize(
    ("pressed", "words"), [("u 2", "cannot be judged"), ("s 3", "skipped"), ("f 1", "flagged")]
)
def test_what_was_said_instead_of_an_answer_can_be_read(bob, project, make_item, open_page, pressed, words):
    use(project, COMPARISON)
    make_item("P", ("one", "two"))
    page = open_page(bob, JUDGE)
    for key in pressed.split():
        page.keyboard.press(key)
    wait_for(page, "Nothing")
    age(hours=3)
    page.goto(f"/work/pairs/history/{Judgment.objects.get().uuid}/")
    assert page.inner_text(".desk-note").split(" Go on")[0].endswith(f"Your answer: {words}.")


def test_five_ways_not_to_prefer_one_are_five_facts_in_the_dataset(bob, project, make_item, open_page):
    use(project, COMPARISON)
    for number in range(5):
        make_item(f"Item {number}", (f"one {number}", f"two {number}"), priority=5 - number)
    page = open_page(bob, JUDGE)
    for number, pressed in enumerate(["4 Enter", "5 Enter", "u 2", "s 3", "f 1"]):
        wait_for(page, f"Item {number}")
        for key in pressed.split():
            page.keyboard.press(key)
    wait_for(page, "Nothing")
    found = {}
    for row in open_rows(freeze_now(project=project)):
        for judgment in row["judgments"]:
            ties = [comparison["tie"] for comparison in judgment["comparisons"]]
            found[row["prompt"]] = (judgment["outcome"], ties, judgment.get("answers") or {})
    assert found == {
        "Item 0": ("answered", ["equal_good"], {}),
        "Item 1": ("answered", ["equal_bad"], {}),
        "Item 2": ("cannot_judge", [], {"cannot_judge": "lacks_knowledge"}),
        "Item 3": ("skipped", [], {"skip": "uncomfortable"}),
        "Item 4": ("flagged", [], {"flag": "harmful"}),
    }
