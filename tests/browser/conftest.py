"""A real chromium against a live server; a console error or a CSP violation fails the test."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

# Playwright's synchronous API runs an event loop in this thread, which Django's guard would take for async code.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

CHROMIUM = os.environ.get("CHROMIUM", shutil.which("chromium") or "/usr/bin/chromium")
PATIENCE_MS = 60_000  # a busy machine is no failure; what comes sooner is not waited for
WATCH = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.__violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


@pytest.fixture(scope="session")
def chromium():
    """One chromium for the whole run."""
    if not Path(CHROMIUM).exists():
        pytest.skip("chromium is not installed")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def intercept(context) -> None:
    """Have chromium ask about each request from the first page on, for a test that meddles with one later.

    Chromium lets a request pass now and then where `page.route` comes after the page was loaded.
    """
    context.route("**/nowhere/", lambda route: route.continue_())


class Watch:
    """What a page complained about. `allowed` are beginnings of console errors that the test provokes."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self.allowed: tuple[str, ...] = ()

    def add(self, context) -> None:
        context.add_init_script(WATCH)
        context.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("dialog", self._dismiss)

    def _dismiss(self, dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def complaints(self) -> list[str]:
        return [error for error in self.errors if not error.startswith(self.allowed or ("\x00",))]


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def open_page(chromium, live_server, watch, transactional_db):
    """`open_page(user, path, width=…, dark=…)` gives a page of a signed-in person; `meddle` where the test routes
    requests later.

    After the test no page may have had a console error or a CSP violation.
    """
    from django.conf import settings
    from django.test import Client

    contexts = []

    def open_one(
        user,
        path: str = "/",
        *,
        width: int = 1440,
        height: int = 900,
        dark: bool = False,
        meddle: bool = False,
        **options,
    ):
        context = chromium.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            **options,
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        watch.add(context)
        if meddle:
            intercept(context)
        if user is not None:
            client = Client()
            client.force_login(user)
            cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
            context.add_cookies(
                [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}]
            )
        page = context.new_page()
        page.goto(path)
        return page

    yield open_one
    violations = [
        violation
        for context in contexts
        for page in context.pages
        if not page.is_closed() and page.url.startswith("http")
        for violation in page.evaluate("window.__violations || []")
    ]
    for context in contexts:
        context.close()
    assert violations == []
    assert watch.complaints() == []
