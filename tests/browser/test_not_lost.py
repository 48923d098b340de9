"""Signing in again without leaving the page, what this browser keeps and for whom, and what counts as time."""

from __future__ import annotations

import json
import time

import pytest
from allauth.mfa.totp.internal import auth as totp
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client

from annotations.judging.models import Assignment, Judgment
from annotations.projects import rules
from tests.conftest import PASSWORD

from .test_judging import JUDGE, PROVOKED, prompt_of, wait_for_next

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ANSWER = ["2", "3", "1", "4", "4"]


def session_of(user) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def become(context, user, url: str) -> None:
    """Somebody else signs in in this browser."""
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session_of(user), "url": url}])


def answer(page, *, text: str = "") -> None:
    for key in ANSWER:
        page.keyboard.press(key)
    if text:
        page.fill("#x-reason", text)
        page.focus("#desk-title")


@pytest.fixture
def two_items(make_item):
    make_item("First", ("one", "two"), priority=2, wanted=2)
    make_item("Second", ("three", "four"), priority=1, wanted=2)


def test_signing_in_again_happens_on_the_page_and_sends_what_waits(bob, two_items, open_page, watch):
    watch.allowed = PROVOKED
    page = open_page(bob, JUDGE)
    answer(page, text="Typed before the session ended.")
    Session.objects.all().delete()
    page.keyboard.press("Enter")
    page.wait_for_selector("#relogin[open]")
    assert page.evaluate("document.activeElement.id") == "relogin-password"
    assert page.input_value("#relogin-login") == "bob"
    page.keyboard.type("not the password")
    page.keyboard.press("Enter")
    page.wait_for_selector("#relogin-error:not([hidden])")
    assert "not correct" in page.inner_text("#relogin-error")
    assert Judgment.objects.count() == 0
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    wait_for_next(page, "First")
    assert prompt_of(page) == "Second"
    assert not page.locator("#relogin").is_visible()
    assert page.locator("#outbox").is_hidden()
    assert Judgment.objects.get().reason == "Typed before the session ended."
    answer(page)
    page.keyboard.press("Enter")
    wait_for_next(page, "Second")
    assert Judgment.objects.count() == 2


def test_a_second_factor_is_given_in_a_new_tab_and_this_one_goes_on(bob, two_items, open_page, watch):
    watch.allowed = PROVOKED
    secret = totp.generate_totp_secret()
    totp.TOTP.activate(bob, secret)
    page = open_page(bob, JUDGE)
    answer(page, text="With a second factor.")
    Session.objects.all().delete()
    page.keyboard.press("Enter")
    page.wait_for_selector("#relogin[open]")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#relogin-second-link", state="visible")
    assert Judgment.objects.count() == 0
    with page.context.expect_page() as opened:
        page.keyboard.press("Enter")
    tab = opened.value
    code = totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30))
    tab.fill("input[name=code]", code)
    tab.press("input[name=code]", "Enter")
    tab.wait_for_url("**/work/**")
    page.evaluate("window.dispatchEvent(new Event('focus'))")  # headless tabs never lose the focus
    wait_for_next(page, "First")
    assert Judgment.objects.get().reason == "With a second factor."
    assert not page.locator("#relogin").is_visible()


def test_somebody_elses_session_does_not_take_the_answer(
    bob, alice, two_items, open_page, watch, live_server
):
    watch.allowed = PROVOKED
    page = open_page(bob, JUDGE)
    answer(page, text="Bob's own words.")
    become(page.context, alice, live_server.url)
    page.keyboard.press("Enter")
    page.wait_for_selector("#relogin[open]")
    assert page.inner_text("#outbox-words").startswith("Somebody else has signed in here.")
    assert Judgment.objects.count() == 0
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    wait_for_next(page, "First")
    stored = Judgment.objects.get()
    assert (stored.annotator.user, stored.reason) == (bob, "Bob's own words.")


def test_what_is_typed_offline_comes_back_and_only_to_whoever_typed_it(
    bob, alice, two_items, open_page, watch, live_server
):
    watch.allowed = PROVOKED
    page = open_page(bob, JUDGE)
    context = page.context
    context.set_offline(True)
    answer(page, text="Typed where there was no network.")
    page.close()
    context.set_offline(False)
    assert Assignment.objects.get().draft is None

    become(context, alice, live_server.url)
    page = context.new_page()
    page.goto(JUDGE)
    assert prompt_of(page) == "First"
    assert page.input_value("#x-reason") == ""
    assert "no network" not in page.inner_text("body")
    page.close()

    become(context, bob, live_server.url)
    page = context.new_page()
    page.route("**/draft/", lambda route: None)  # never answered: it stays this browser's
    page.goto(JUDGE)
    assert page.input_value("#x-reason") == "Typed where there was no network."
    assert page.inner_text("#draft-state") == "Draft restored from this browser"
    page.keyboard.press("Enter")
    wait_for_next(page, "First")
    assert Judgment.objects.get().reason == "Typed where there was no network."
    assert page.evaluate("Object.keys(localStorage).filter(key => /draft|outbox|kept/.test(key))") == []


def test_the_servers_newer_draft_wins_over_an_older_one_of_this_browser(bob, two_items, open_page, annotator):
    page = open_page(bob, JUDGE)
    page.fill("#x-reason", "First thought")
    page.wait_for_function(
        "() => document.getElementById('draft-state').textContent.startsWith('Draft saved')"
    )
    page.evaluate("window.__old = JSON.stringify(localStorage)")
    old = {"values": [["x-reason", "Older, from this browser"]], "base": "1", "at": 1000}
    key = f"plumbline.draft.{bob.pk}.pairs.a{Assignment.objects.get().pk}"
    page.evaluate("([key, value]) => localStorage.setItem(key, value)", [key, json.dumps(old)])
    page.reload()
    assert page.input_value("#x-reason") == "First thought"


def test_what_is_typed_in_one_tab_stands_in_the_other_and_a_submit_moves_both_on(bob, two_items, open_page):
    page = open_page(bob, JUDGE)
    other = page.context.new_page()
    other.goto(JUDGE)
    assert Assignment.objects.count() == 1
    answer(page, text="Typed in the first tab.")
    other.wait_for_function("() => document.querySelector('#x-reason').value === 'Typed in the first tab.'")
    assert other.is_checked("#answer [name=c-overall][value='-2']")
    other.keyboard.press("Enter")
    wait_for_next(other, "First")
    wait_for_next(page, "First")
    assert prompt_of(page) == prompt_of(other) == "Second"
    assert Judgment.objects.get().reason == "Typed in the first tab."
    assert Assignment.objects.filter(state="leased").count() == 1


def test_an_answer_that_is_refused_later_stays_readable(bob, two_items, open_page, watch):
    watch.allowed = PROVOKED
    page = open_page(bob, JUDGE, meddle=True)
    answer(page, text="Words that must not vanish.")
    page.route("**/submit/", lambda route: route.abort("connectionrefused"))
    page.keyboard.press("Enter")
    page.wait_for_selector("#outbox:not([hidden])")
    first = Assignment.objects.get()
    first.item.withdrawn_at = first.leased_at  # nobody is to judge it any more
    first.item.open_slots = 0
    first.item.save()
    Assignment.objects.update(state="released")
    page.unroute("**/submit/")
    page.goto(JUDGE)
    assert prompt_of(page) == "Second"
    page.wait_for_selector("#kept:not([hidden])")
    assert "The item was withdrawn." in page.inner_text("#kept")
    page.click("#kept summary")
    assert "Words that must not vanish." in page.inner_text("#kept-text")
    page.reload()
    page.wait_for_selector("#kept:not([hidden])")
    page.click("#kept-discard")
    assert page.locator("#kept").is_hidden()
    assert Judgment.objects.count() == 0


def test_the_second_half_of_a_double_click_answers_nothing(bob, project, make_item, open_page):
    from annotations.projects import schemas

    optional = {"questions": [{"kind": "text", "name": "reason", "label": "Why?"}]}  # may be left empty
    schemas.use_schema(project=project, schema=schemas.add_schema(project=project, definition=optional))
    for number in range(3):
        make_item(f"Prompt {number}", ("one", "two"))
    page = open_page(bob, JUDGE)
    prompt = prompt_of(page)
    page.fill("#x-reason", "Only this one.")
    page.focus("#desk-title")
    page.keyboard.press("Enter")
    wait_for_next(page, prompt)
    page.click(".submit")
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    assert [judgment.reason for judgment in Judgment.objects.all()] == ["Only this one."]


# --- Time ---------------------------------------------------------------------------------------------------


@pytest.fixture
def frozen(bob, open_page):
    """The judging page with a clock that goes on only by `page.clock.run_for`."""
    page = open_page(bob, "/work/")
    page.clock.install(time=time.time())
    page.goto(JUDGE)
    page.clock.pause_at(time.time() + 3600)
    return page


def give(page) -> dict:
    """Submit, and return what the page reported about it."""
    prompt = prompt_of(page)
    page.clock.resume()
    page.keyboard.press("Enter")
    wait_for_next(page, prompt)
    judgment = Judgment.objects.latest("pk")
    return {"active": judgment.active_ms, "wall": judgment.wall_ms, **judgment.meta}


def hide(page, state: str) -> None:
    page.evaluate(
        "state => { Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')) }",
        state,
    )


def test_an_idle_or_hidden_tab_adds_no_active_time(two_items, frozen):
    page = frozen
    page.reload()
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 1)
    start = page.evaluate("plumbline.timing.write(document.getElementById('answer')) || Number(document.querySelector('[name=active_ms]').value)")  # fmt: skip
    read = "plumbline.timing.write(document.getElementById('answer')) || [Number(document.querySelector('[name=active_ms]').value), Number(document.querySelector('[name=wall_ms]').value)]"
    page.keyboard.press("ArrowDown")  # a sign of life, then nothing for an hour
    _, wall = page.evaluate(read)
    page.clock.run_for(10_000)
    active, _ = page.evaluate(read)
    assert active == start + 10_000
    page.clock.fast_forward(3600_000)
    assert page.evaluate(read) == [start + 30_000, wall + 3_610_000]
    page.clock.fast_forward(3600_000)
    assert page.evaluate(read)[0] == start + 30_000
    # Movement while the page is out of sight is no work on it, nor is the stretch until it comes back.
    hide(page, "hidden")
    page.keyboard.press("ArrowDown")
    page.clock.run_for(20_000)
    hide(page, "visible")
    assert page.evaluate(read)[0] == start + 30_000
    page.keyboard.press("ArrowDown")
    page.clock.run_for(5_000)
    assert page.evaluate(read)[0] == start + 35_000


def test_the_first_touch_and_the_dwell_on_each_part_are_recorded(project, two_items, frozen):
    rules.change(project=project, page=rules.Page(dwell=True))
    page = frozen
    page.reload()
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 1)
    before = page.evaluate("plumbline.timing.write(document.getElementById('answer')) || Number(document.querySelector('[name=wall_ms]').value)")  # fmt: skip
    page.clock.run_for(700)
    page.keyboard.press("p")
    page.clock.run_for(2_000)
    page.keyboard.press("a")
    page.clock.run_for(4_000)
    page.keyboard.press("d")
    page.clock.run_for(3_000)
    page.locator("[data-pane='0']").hover()
    page.clock.run_for(500)
    for key in ANSWER:
        page.keyboard.press(key)
    page.clock.run_for(1_500)
    given = give(page)
    assert given["first_interaction_ms"] == before + 700
    assert given["dwell_ms"]["prompt"] == 2_000
    assert given["dwell_ms"]["A"] == 4_500
    assert given["dwell_ms"]["B"] == 3_000
    assert given["dwell_ms"]["answer"] >= 1_500
    assert given["active"] >= 11_000
    assert given["n_changes"] == 5


def test_a_break_is_suggested_after_many_items_blocks_nothing_and_starts_over_after_a_pause(
    bob, project, make_item, open_page
):
    rules.change(project=project, limits=rules.Limits(break_items=5, break_minutes=45))
    for number in range(14):
        make_item(f"Prompt {number}", (f"one {number}", f"two {number}"))
    page = open_page(bob, "/work/")
    page.clock.install(time=time.time())
    page.goto(JUDGE)

    def judge(n: int) -> None:
        for _ in range(n):
            prompt = prompt_of(page)
            answer(page)
            page.keyboard.press("Enter")
            wait_for_next(page, prompt)

    judge(4)
    assert page.locator("#break").is_hidden()
    judge(1)
    assert page.inner_text("#break-words").startswith("That makes 5 judgments in a row.")
    assert page.evaluate("document.activeElement.id") == "desk-title"
    judge(1)  # it may be left standing
    page.click("#break-dismiss")
    assert page.locator("#break").is_hidden()
    judge(4)
    assert page.locator("#break").is_hidden()
    judge(1)
    assert page.locator("#break").is_visible()
    page.clock.fast_forward(11 * 60_000)  # ten minutes away are a break
    judge(1)
    assert page.locator("#break").is_hidden()
    positions = [judgment.meta["position_in_session"] for judgment in Judgment.objects.order_by("pk")]
    assert positions == [*range(12)]
    judge(1)
    assert Judgment.objects.latest("pk").meta["position_in_session"] == 1


def test_a_break_is_suggested_after_long_work(bob, two_items, open_page):
    page = open_page(bob, "/work/")
    page.clock.install(time=time.time())
    page.goto(JUDGE)
    for _ in range(92):  # half a minute at a time, with a sign of life each
        page.clock.run_for(30_000)
        page.keyboard.press("ArrowDown")
    answer(page)
    page.keyboard.press("Enter")
    wait_for_next(page, "First")
    assert page.inner_text("#break-words").startswith("You have been judging for 46 minutes.")


def test_a_skip_without_a_network_closes_its_box_and_arrives_later(bob, two_items, open_page, watch):
    watch.allowed = PROVOKED
    page = open_page(bob, JUDGE)
    page.context.set_offline(True)
    page.keyboard.press("s")
    page.keyboard.press("1")
    page.wait_for_selector("#answer[inert]")
    assert not page.locator("#box-skipped").is_visible()
    page.context.set_offline(False)
    wait_for_next(page, "First")
    assert Judgment.objects.get().outcome == Judgment.Outcome.SKIPPED
