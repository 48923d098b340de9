"""The judging page in a real browser: keys only, hostile texts, a broken network, and what axe-core says."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from annotations.judging.answers import storable
from annotations.judging.models import Assignment, Comparison, Judgment, Score
from annotations.projects.models import Project
from tests.web.xss import load_payloads

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

JUDGE = "/work/pairs/"
TRAP = "window.__xss = []; window.xss = window.pwned = (...args) => window.__xss.push(args);"
# What chromium and htmx write to the console about a request that the test made fail.
PROVOKED = ("Failed to load resource", "htmx:", "Response Status Error Code")


def wait_for_next(page, prompt: str) -> None:
    """Until another item than the one with this prompt stands there."""
    page.wait_for_function(
        "prompt => { const body = document.getElementById('prompt-body');"
        " return !body || body.innerText.trim() !== prompt }",
        arg=prompt,
    )


def prompt_of(page) -> str:
    return page.inner_text("#prompt-body").strip()


@pytest.mark.smoke
def test_five_items_by_keyboard_only_are_stored_as_chosen(bob, make_item, open_page):
    for number in range(5):
        make_item(f"Prompt {number}", (f"one {number}", f"two {number}"))
    page = open_page(bob, JUDGE)
    # Per item: strength 1–7 from left to right, helpfulness left and right, correctness left and right.
    chosen = ["13204", "52143", "71111", "40000", "63421"]
    prompts = []
    for number, keys in enumerate(chosen):
        prompt = prompt_of(page)
        prompts.append(prompt)
        for key in keys:
            page.keyboard.press(key)
        if number == 2:  # a reason typed between, with letters and digits that are keys elsewhere
            page.keyboard.press("j")
            page.keyboard.type("Because 7 reasons: z s f u ?")
            page.keyboard.press("Control+Enter")
        else:
            page.keyboard.press("Enter")
        wait_for_next(page, prompt)
        if number < 4:
            assert page.evaluate("document.activeElement.id") == "desk-title"
    assert page.inner_text("#desk-title") == "Nothing left for you right now"
    assert page.inner_text("#today") == "5 today"

    strength = {"1": -3, "2": -2, "3": -1, "4": None, "5": 1, "6": 2, "7": 3}
    for prompt, keys in zip(prompts, chosen, strict=True):
        judgment = Judgment.objects.get(item__prompt=prompt)
        left, right = (int(index) for index in judgment.presented_order)
        comparison = Comparison.objects.get(judgment=judgment)
        shown = strength[keys[0]]
        assert comparison.preference == (shown if shown is None or left == 0 else -shown)
        assert (comparison.tie == "equal") == (keys[0] == "4")
        scores = {(s.attribute, s.response): int(s.value) for s in Score.objects.filter(judgment=judgment)}
        assert scores == {
            ("helpfulness", left): int(keys[1]),
            ("helpfulness", right): int(keys[2]),
            ("correctness", left): int(keys[3]),
            ("correctness", right): int(keys[4]),
        }
        assert judgment.wall_ms is not None
        assert judgment.meta["viewport"] == "1440x900"
    assert [j.meta["position_in_session"] for j in Judgment.objects.order_by("pk")] == [0, 1, 2, 3, 4]
    assert Judgment.objects.get(item__prompt=prompts[2]).reason == "Because 7 reasons: z s f u ?"


def test_skip_undo_help_and_prompt_by_keyboard(bob, make_item, open_page):
    make_item("First", ("one", "two"), priority=2)
    make_item("Second", ("three", "four"), priority=1)
    page = open_page(bob, JUDGE)
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    page.keyboard.press("d")
    assert page.evaluate("document.activeElement.dataset.pane") == "1"
    page.keyboard.press("p")
    assert page.evaluate("document.activeElement.id") == "prompt-body"
    page.keyboard.press("p")
    assert page.get_attribute(".prompt-fold", "aria-expanded") == "false"
    page.keyboard.press("t")
    assert page.evaluate("document.querySelector('#answer [name=c-overall]:checked').value") == "equal"
    page.keyboard.press("s")
    assert page.locator("#box-skipped").is_visible()
    page.keyboard.press("2")
    wait_for_next(page, "First")
    assert Judgment.objects.get().answers == {"skip": "language"}

    page.keyboard.press("z")
    page.wait_for_selector("input[name=supersedes]", state="attached")
    assert prompt_of(page) == "First"
    for key in ["7", "4", "4", "4", "4", "Enter"]:
        page.keyboard.press(key)
    wait_for_next(page, "First")
    assert prompt_of(page) == "Second"
    assert Judgment.objects.get(is_current=True).outcome == "answered"
    assert Judgment.objects.count() == 2


def test_an_incomplete_answer_says_what_is_missing_beside_the_question(bob, make_item, open_page, watch):
    watch.allowed = PROVOKED
    make_item()
    page = open_page(bob, JUDGE)
    page.keyboard.press("2")
    page.keyboard.press("j")
    page.keyboard.type("Half done.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".field-error")
    assert page.inner_text("#e-helpfulness") == "Rate every response"
    assert page.evaluate("document.activeElement.closest('.q').dataset.q") == "helpfulness"
    assert page.input_value("#x-reason") == "Half done."
    assert page.is_checked("#answer [name=c-overall][value='-2']")
    page.keyboard.press("1")
    assert page.inner_text("#e-helpfulness") == "Rate every response"
    page.keyboard.press("1")
    assert page.locator("#e-helpfulness").count() == 0
    for key in ["1", "1", "Enter"]:
        page.keyboard.press(key)
    page.wait_for_function("() => document.getElementById('desk-title').innerText.startsWith('Nothing')")
    assert Judgment.objects.get().reason == "Half done."


@pytest.mark.smoke
@pytest.mark.parametrize("failure", ["refused", "lost answer", "server error", "signed out"])
def test_a_judgment_survives_a_broken_network_and_is_stored_once(bob, make_item, open_page, watch, failure):
    watch.allowed = PROVOKED
    make_item("First", ("one", "two"), priority=2)
    make_item("Second", ("three", "four"), priority=1)
    page = open_page(bob, JUDGE, meddle=True)
    broken = {"on": True}

    def meddle(route):
        if not broken["on"]:
            route.continue_()
        elif failure == "refused":
            route.abort("connectionrefused")
        elif failure == "lost answer":
            route.fetch()
            route.abort("connectionreset")
        elif failure == "server error":
            route.fulfill(status=502, body="Bad gateway")
        else:
            route.fulfill(status=403, headers={"X-Signed-Out": "1"}, body="Your session has ended.")

    page.route("**/submit/", meddle)
    for key in ["2", "3", "1", "4", "4", "Enter"]:
        page.keyboard.press(key)
    page.wait_for_selector("#outbox:not([hidden])")
    assert prompt_of(page) == "First"
    assert page.evaluate("document.getElementById('answer').inert")
    assert page.locator("#outbox-sign-in").is_visible() == (failure == "signed out")
    if failure == "signed out":
        page.click("#relogin-later")
    assert Judgment.objects.count() == (1 if failure == "lost answer" else 0)

    broken["on"] = False
    page.click("#outbox-retry")
    wait_for_next(page, "First")
    assert prompt_of(page) == "Second"
    assert page.locator("#outbox").is_hidden()
    assert Judgment.objects.count() == 1
    assert page.evaluate("Object.keys(localStorage).filter(key => key.includes('outbox'))") == []


def test_what_could_not_be_sent_is_sent_when_the_page_is_opened_again(bob, make_item, open_page, watch):
    watch.allowed = PROVOKED
    make_item("First", ("one", "two"), priority=2)
    make_item("Second", ("three", "four"), priority=1)
    page = open_page(bob, JUDGE, meddle=True)
    page.route("**/submit/", lambda route: route.abort("connectionrefused"))
    for key in ["2", "3", "1", "4", "4", "Enter"]:
        page.keyboard.press(key)
    page.wait_for_selector("#outbox:not([hidden])")
    page.unroute("**/submit/")
    page.reload()
    wait_for_next(page, "First")
    assert prompt_of(page) == "Second"
    assert Judgment.objects.count() == 1


def test_a_draft_is_saved_by_itself_and_stands_there_after_a_reload(bob, make_item, open_page):
    make_item()
    page = open_page(bob, JUDGE)
    with page.expect_response(lambda answer: "Half+a+thought" in (answer.request.post_data or "")):
        page.keyboard.press("6")
        page.keyboard.press("j")
        page.keyboard.type("Half a thought")
    page.wait_for_function(
        "() => document.getElementById('draft-state').textContent.startsWith('Draft saved')"
    )
    assert Assignment.objects.get().draft["x-reason"] == ["Half a thought"]
    page.reload()
    assert page.input_value("#x-reason") == "Half a thought"
    assert page.is_checked("#answer [name=c-overall][value='2']")
    assert page.inner_text("#draft-state").startswith("Draft saved")


@pytest.mark.parametrize("dark", [pytest.param(False, marks=pytest.mark.smoke), True])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_serious(bob, alice, project, make_item, open_page, dark, width):
    from annotations.projects.models import Acknowledgement, Guideline

    guideline = Guideline.objects.create(project=project, number=1, text="# Be fair", created_by=alice)
    make_item(
        [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "x^2?"}],
        ("# Title\n\nText with `code` and $x^2$.\n\n```python\nprint(1)  # hm\n```", "| a | b |\n|---|---|\n| 1 | 2 |"),
        context="Some context.",
    )  # fmt: skip
    page = open_page(bob, JUDGE, width=width, height=844 if width == 390 else 900, dark=dark)
    for state in ("gate", "item", "chosen", "index"):
        if state == "item":
            Acknowledgement.objects.create(guideline=guideline, annotator=bob.annotators.get())
            page.reload()
        elif state == "chosen":
            page.keyboard.press("2")
        elif state == "index":
            page.goto("/work/")
        found = [
            (violation["id"], [node["html"][:200] for node in violation["nodes"]])
            for violation in Axe().run(page).response["violations"]
            if violation["impact"] in {"serious", "critical"}
        ]
        assert found == [], state


def test_on_a_phone_one_response_and_one_question_at_a_time(bob, make_item, open_page):
    make_item()
    page = open_page(bob, JUDGE, width=390, height=844, has_touch=True, is_mobile=True)
    visible = "[...document.querySelectorAll('{}')].filter(e => e.offsetParent).length"
    assert page.evaluate(visible.format(".pane")) == 1
    assert page.evaluate(visible.format(".q")) == 1
    page.tap("[data-tab='1']")
    assert page.locator("[data-pane='1']").is_visible()
    page.tap("#answer .step:first-child")
    page.wait_for_function("() => document.querySelector('.q:not(.is-off)').dataset.q === 'helpfulness'")
    for row in (0, 1):
        page.locator("[data-q=helpfulness] .rating").nth(row).locator(".segment").nth(2).tap()
    page.wait_for_function("() => document.querySelector('.q:not(.is-off)').dataset.q === 'correctness'")
    for row in (0, 1):
        page.locator("[data-q=correctness] .rating").nth(row).locator(".segment").nth(3).tap()
    page.tap(".submit")
    page.wait_for_function("() => document.getElementById('desk-title').innerText.startsWith('Nothing')")
    assert Score.objects.filter(attribute="correctness", value=3).count() == 2
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0


@pytest.mark.parametrize("height", [844, 450])
def test_five_responses_fit_a_narrow_screen(bob, project, make_item, open_page, height):
    from annotations.projects import presets, schemas

    schema = schemas.add_schema(project=project, definition=presets.PRESETS["ranking"])
    schemas.use_schema(project=project, schema=schema)
    make_item("Rank these", tuple(f"Answer {number}. " + "word " * 200 for number in range(5)))
    page = open_page(bob, JUDGE, width=390, height=height)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert page.evaluate("document.querySelector('.submit').getBoundingClientRect().right") <= 390
    for key in "21435":
        page.keyboard.press(key)
    assert page.inner_text("[data-ranking]") == "B > A > D > C > E"
    page.keyboard.press("Enter")
    wait_for_next(page, "Rank these")
    order = Judgment.objects.get().presented_order
    assert {s.response: s.value for s in Score.objects.all()} == dict(
        zip(map(int, order), (2, 1, 4, 3, 5), strict=True)
    )


@pytest.mark.smoke
def test_hostile_texts_execute_nothing(bob, alice, project, make_item, open_page, watch, live_server):
    # Half a surrogate pair can be neither typed nor stored.
    payloads = [text for text in load_payloads() if storable(text)]
    assert len(payloads) >= 60
    Project.objects.update(name=payloads[0][:200], description=payloads[1])
    alice.username = payloads[2][:150]
    alice.save(update_fields=["username"])
    size = 12
    batches = [payloads[start : start + size] for start in range(0, len(payloads), size)]
    for number, batch in enumerate(batches):
        text = "\n\n".join(batch)
        messages = [{"role": payload[:200], "content": payload} for payload in batch]
        make_item(
            messages,
            (text, "\n".join(reversed(batch))),
            context=text,
            external_id=str(number),
            source=batch[0][:120],
        )
    watch.allowed = PROVOKED
    page = open_page(bob, "/work/")
    page.context.add_init_script(TRAP)
    page.goto(JUDGE)
    for batch in batches:
        # As typed into the page: the reason is refused once with the answer incomplete, and shown again.
        current = page.input_value("#answer [name=uuid]")
        page.fill("#x-reason", "\n".join(batch))
        page.click(".submit")
        page.wait_for_selector(".field-error")
        assert page.input_value("#answer [name=uuid]") == current
        for name in ("c-overall", "r-helpfulness-0", "r-helpfulness-1", "r-correctness-0", "r-correctness-1"):
            page.locator(f"#answer [name={name}]").first.check(force=True)
        page.click(".submit")
        page.wait_for_function(
            "uuid => { const form = document.getElementById('answer'); return !form || form.elements.uuid.value !== uuid }",
            arg=current,
        )
    page.goto("/work/pairs/history/")
    for link in page.locator("ul.rows a").all()[:1]:
        link.click()
    assert Judgment.objects.count() == len(batches)
    assert page.evaluate("window.__xss") == []
    assert watch.dialogs == []
    foreign = [url for url in watch.requests if not url.startswith((live_server.url, "data:image/svg"))]
    assert foreign == []
