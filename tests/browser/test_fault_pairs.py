"""Between any two steps of the judging loop anything may break: nothing typed is lost, nothing is stored twice.

Every pair of a step and a fault, on the product's own processes and a real chromium. The fault strikes right after
the step; the person goes on as people do, with the fault in place; then it is repaired, and what they entered must
be stored once, and the next item too.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress

import pytest
from playwright.sync_api import Error, Page, Route

from tests.browser.conftest import PATIENCE_MS, intercept
from tests.faults import harness
from tests.faults.conftest import services

pytestmark = pytest.mark.browser

STEPS = [
    "page loaded",
    "item shown",
    "answer begun",
    "draft saved",
    "submit sent",
    "stored",
    "response received",
    "next item shown",
]
HELD = ("submit sent", "stored", "response received")  # the request or its answer is held
FAULTS = [
    "network off",
    "session expired",
    "server killed",
    "lease expired",
    "browser clock wrong",
    "tab closed",
    "double submit",
    "two tabs",
]
# One of each in the quick suite, where each hurts most.
QUICK = {
    ("answer begun", "tab closed"),
    ("draft saved", "session expired"),
    ("submit sent", "network off"),
    ("submit sent", "double submit"),
    ("stored", "server killed"),
    ("stored", "two tabs"),
    ("response received", "lease expired"),
    ("next item shown", "browser clock wrong"),
}
PAIRS = [(step, fault) for step in STEPS for fault in FAULTS]
PASSWORD = "a long one for the pairs"
SLUG = "pairs"
JUDGE = f"/work/{SLUG}/"
CHOICES = {"c-overall": "-2", "r-helpfulness-0": "3", "r-helpfulness-1": "1", "r-correctness-0": "4", "r-correctness-1": "0"}  # fmt: skip
BEGUN = ["c-overall", "r-helpfulness-0"]
BEGINNING = "Half a thought, with keys in it: z s f u 7?"
READY = "() => document.getElementById('answer') && window.plumbline && window.plumbline.draft && document.querySelector('.q.is-next')"
LEASE = "(document.querySelector('#answer [name=assignment]') || {}).value"
MOVED_ON = f"""was => {LEASE} !== was && document.getElementById('outbox').hidden
  && !Object.keys(localStorage).some(key => key.startsWith('plumbline.outbox.'))"""
WRONG_CLOCK = "(() => { const real = Date.now.bind(Date); Date.now = () => real() - 400 * 86400000; })()"


def name_of(step: str, fault: str) -> str:
    return f"{step}-{fault}".replace(" ", "-")


def choose(page: Page, name: str) -> None:
    """Choose the answer to a question, wherever the page has scrolled to: a click at a place may miss it."""
    radio = page.locator(f"#answer [name={name}][value='{CHOICES[name]}']")
    radio.evaluate("radio => radio.click()")
    assert radio.is_checked()


@pytest.fixture(scope="module")
def site():
    """A site of its own on SQLite, with a person and items for every pair."""
    if services():
        pytest.skip("the pairs run on SQLite; what differs on PostgreSQL is in the fault tests")
    with harness.site() as made:
        people = [name_of(*pair) for pair in PAIRS]
        made.add_items(4 * len(PAIRS), overlap=1, people=people, slug=SLUG)
        made.inside("passwords", people=people, password=PASSWORD)
        made.start_web()
        yield made


@pytest.fixture(scope="module")
def sessions(site):
    return site.inside("sessions", people=[name_of(*pair) for pair in PAIRS])


class Loop:
    """One person's loop, into which one fault strikes once."""

    def __init__(self, site: harness.Site, browser, person: str, session: str, step: str, fault: str):
        self.site, self.person, self.session, self.step, self.fault = site, person, session, step, fault
        self.context = browser.new_context(base_url=f"http://127.0.0.1:{site.port}", reduced_motion="reduce")
        if step in HELD:
            intercept(self.context)
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.add_cookies(
            [{"name": "sessionid", "value": session, "url": f"http://127.0.0.1:{site.port}"}]
        )
        self.held: Route | None = None
        self.broken = self.mended = False
        self.first = ""
        self.page = self.context.new_page()
        self.other: Page | None = None
        self.text = f"{BEGINNING} Now whole, says {person}."

    # --- The person ------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """Two items, with the fault after the step of the first."""
        self.open(wait="commit")
        self.after("page loaded")
        self.ready(self.page)
        self.first = first = self.page.evaluate(LEASE)
        self.after("item shown")
        self.begin(self.page)
        self.after("answer begun")
        if STEPS.index(self.step) >= STEPS.index("draft saved"):
            self.page.wait_for_function(
                "() => document.getElementById('draft-state').textContent.startsWith('Draft saved')"
            )
        self.after("draft saved")
        self.complete(self.page, begun=True)
        self.send(first)
        self.settle(first)
        self.after("next item shown")
        second = self.page.evaluate(LEASE)
        assert second not in (None, first)
        if not self.page.input_value("#x-reason"):
            self.begin(self.page)
        self.complete(self.page, begun=True)
        self.submit(self.page)
        self.settle(second)

    def after(self, step: str) -> None:
        if step == self.step:
            self.strike()

    def open(self, wait: str = "load") -> None:
        self.page.goto(JUDGE, wait_until=wait)

    def ready(self, page: Page) -> None:
        page.wait_for_function(READY)

    def begin(self, page: Page) -> None:
        for name in BEGUN:
            choose(page, name)
        page.fill("#x-reason", BEGINNING)

    def complete(self, page: Page, *, begun: bool) -> None:
        """Answer the rest. What was entered before must stand there still."""
        if begun:
            page.wait_for_function(
                "text => document.querySelector('#x-reason').value === text", arg=BEGINNING
            )
            assert all(page.is_checked(f"#answer [name={name}][value='{CHOICES[name]}']") for name in BEGUN)
        for name in CHOICES:
            choose(page, name)
        page.fill("#x-reason", self.text)

    def submit(self, page: Page) -> None:
        page.focus("#desk-title")
        page.keyboard.press("Enter")
        if self.fault == "double submit" and self.broken:
            page.evaluate(
                "document.querySelector('.submit').click(); document.querySelector('.submit').click()"
            )
            page.keyboard.press("Enter")

    def send(self, first: str) -> None:
        """Submit the first item; the request or its answer is held where the fault is to strike in between."""
        if self.step not in HELD:
            self.submit(self.page)
            return
        page = self.page
        page.route("**/submit/", self.hold)
        self.submit(page)
        for _ in range(PATIENCE_MS // 25):
            if self.held is not None:
                break
            page.wait_for_timeout(25)
        route = self.held
        assert route is not None, "nothing was sent"
        lost = self.fault in ("network off", "server killed")
        if self.step == "submit sent":
            assert self.stored() == []
            self.strike()
            if not page.is_closed():
                route.abort("internetdisconnected") if lost else route.continue_()
            return
        answer = route.fetch()
        assert len(self.stored()) == 1
        if self.step == "stored":
            self.strike()
            if not page.is_closed():
                route.abort("connectionreset") if lost else route.fulfill(response=answer)
        else:
            with page.expect_response("**/submit/"):
                route.fulfill(response=answer)
            self.strike()

    def hold(self, route: Route) -> None:
        if self.held is None:
            self.held = route
        else:
            route.continue_()

    def settle(self, was: str) -> None:
        """Until the page stands at another item and nothing waits to be sent, with the fault repaired on the way."""
        if self.broken and not self.mended and (was != self.first or not self.late):
            self.mended = True
            self.mend()
        for page in self.pages():
            page.wait_for_function(MOVED_ON, arg=was)
            self.ready(page)

    def pages(self) -> list[Page]:
        return [page for page in (self.page, self.other) if page is not None]

    # --- What breaks -----------------------------------------------------------------------------------------

    def strike(self) -> None:
        assert not self.broken
        self.broken = True
        getattr(self, "break_" + self.fault.replace(" ", "_"))()

    @property
    def late(self) -> bool:
        """Whether the first item comes through with the fault in place, and the second meets it."""
        if self.step in ("response received", "next item shown"):
            return True
        return (self.step, self.fault) == ("stored", "session expired")

    def mend(self) -> None:
        """Undo what was broken, as the world or the person would."""
        getattr(self, "mend_" + self.fault.replace(" ", "_"), lambda: None)()

    def reload_half_loaded(self) -> None:
        """A page that was cut off while it loaded is loaded again."""
        if self.step == "page loaded":
            self.mended = True
            self.mend()
            self.page.goto(JUDGE)

    def seen_outbox(self) -> None:
        """The person is told that something waits, if something does."""
        if self.step != "page loaded":
            self.page.wait_for_selector("#outbox:not([hidden])")

    def break_network_off(self) -> None:
        self.context.set_offline(True)
        self.reload_half_loaded()

    def mend_network_off(self) -> None:
        self.seen_outbox()
        self.context.set_offline(False)

    def break_server_killed(self) -> None:
        self.site.web.kill()
        self.reload_half_loaded()

    def mend_server_killed(self) -> None:
        self.seen_outbox()
        self.site.start_web()

    def break_session_expired(self) -> None:
        assert self.write("DELETE FROM django_session WHERE session_key = ?", self.session) == 1

    def mend_session_expired(self) -> None:
        self.page.wait_for_selector("#relogin[open]")
        self.page.fill("#relogin-password", PASSWORD)
        self.page.click("#relogin .btn-primary")
        self.page.wait_for_selector("#relogin:not([open])", state="attached")

    def break_lease_expired(self) -> None:
        mine = "annotator_id = (SELECT id FROM projects_annotator WHERE name = ?)"
        live = self.write(f"UPDATE judging_assignment SET expires_at = '2000-01-01 00:00:00' WHERE state = 'leased' AND {mine}", self.person)  # fmt: skip
        assert live == 1
        self.site.manage("expire_leases")

    def break_browser_clock_wrong(self) -> None:
        self.context.add_init_script(WRONG_CLOCK)
        self.page.evaluate(WRONG_CLOCK)

    def break_tab_closed(self) -> None:
        self.page.close()
        self.page = self.context.new_page()
        self.open()
        self.ready(self.page)

    def break_double_submit(self) -> None:
        if self.step in ("page loaded", "item shown", "answer begun", "draft saved"):
            with suppress(Error):  # a page that is still loading may go away under the click
                self.page.locator(".submit").dblclick(timeout=2000, no_wait_after=True)
            self.page.wait_for_timeout(100)
        elif not self.page.is_closed():
            self.page.evaluate(
                "document.querySelector('.submit').click(); document.querySelector('.submit').click()"
            )
            self.page.keyboard.press("Enter")

    def break_two_tabs(self) -> None:
        """A second tab, where the person goes on; the first must follow."""
        self.other, self.page = self.page, self.context.new_page()
        self.open()
        self.page.wait_for_function(
            "() => window.plumbline && window.plumbline.draft && document.getElementById('answer')"
        )

    # --- What is stored --------------------------------------------------------------------------------------

    def rows(self, sql: str, *values: object) -> list[tuple]:
        with sqlite3.connect(self.site.folder / "plumbline.sqlite3", timeout=30) as connection:
            return connection.execute(sql, values).fetchall()

    def write(self, sql: str, *values: object) -> int:
        with sqlite3.connect(self.site.folder / "plumbline.sqlite3", timeout=30) as connection:
            return connection.execute(sql, values).rowcount

    def stored(self) -> list[tuple]:
        """The person's judgments, oldest first: (id, item, text, order shown)."""
        return self.rows(
            "SELECT j.id, j.item_id, j.reason, j.presented_order FROM judging_judgment j"
            " JOIN projects_annotator p ON p.id = j.annotator_id WHERE p.name = ? ORDER BY j.id",
            self.person,
        )

    def assert_whole(self) -> None:
        """Two judgments of two items, each with all that was entered and nothing else."""
        stored = self.stored()
        assert [row[2] for row in stored] == [self.text, self.text]
        assert len({row[1] for row in stored}) == 2
        for judgment, _, _, order in stored:
            left, right = int(order[0]), int(order[1])
            sign = 1 if order == "01" else -1
            comparisons = self.rows(
                "SELECT aspect, preference FROM judging_comparison WHERE judgment_id = ?", judgment
            )
            assert comparisons == [("overall", -2 * sign)]
            scores = self.rows(
                "SELECT attribute, response, value FROM judging_score WHERE judgment_id = ?", judgment
            )
            assert sorted(scores) == sorted(
                [("helpfulness", left, 3.0), ("helpfulness", right, 1.0), ("correctness", left, 4.0), ("correctness", right, 0.0)]
            )  # fmt: skip


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        pytest.param(*pair, marks=() if pair in QUICK else pytest.mark.slow, id=name_of(*pair))
        for pair in PAIRS
    ],
)
def test_nothing_is_lost_or_doubled(site, sessions, chromium, step, fault):
    person = name_of(step, fault)
    loop = Loop(site, chromium, person, sessions[person], step, fault)
    try:
        loop.judge()
        assert loop.broken
        loop.assert_whole()
    finally:
        loop.context.close()
        if site.web.child.poll() is not None:
            site.start_web()


def test_the_counters_are_right_after_all_that(site):
    assert site.rows("SELECT count(*) FROM judging_judgment")[0][0] > 0
    site.manage("verify_counts")  # fails unless it exits with 0
