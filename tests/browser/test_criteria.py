"""From five responses read without a criterion to a released set and back, in a browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from annotations.criteria.models import Criterion, Grade
from annotations.projects.models import CriteriaRelease
from app.jobs import runner
from app.jobs.models import Job
from tests.browser.test_reading import serious
from tests.criteria.conftest import say_more
from tests.lm.judged import judge, plain_project  # noqa: F401

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("SHOTS")


def look(page, name):
    """Keep a picture of the page at both widths and themes where SHOTS names a folder."""
    if not SHOTS:
        return
    for width in (1440, 390):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=Path(SHOTS) / f"{name}-{width}-{scheme}.png", full_page=width == 1440)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.emulate_media(color_scheme="light")


def test_from_reading_five_to_a_released_set_and_back(
    plain_project,  # noqa: F811
    make_item,
    judge,  # noqa: F811
    alice,
    open_page,
    watch,
):
    watch.allowed = (
        "Failed to load resource: the server responded with a status of 422",
    )  # a reason is missing
    say_more(make_item, judge, 66)
    page = open_page(alice, "/p/pairs/criteria/")
    look(page, "empty")
    page.click("text=Read five first")
    for n in range(5):
        assert page.locator("text=Criteria beside").count() == 0
        if n == 0:
            look(page, "read")
            page.click("button[value=bad]")
            page.wait_for_selector("#reason-error")
            page.fill("#reason", "It says too little.")
            page.click("button[value=bad]")
        else:
            page.click("button[value=good]")
        page.wait_for_function(
            f"document.querySelector('.lede').textContent.includes('{4 - n} more') || {n} === 4"
        )
    assert Grade.objects.filter(version=None).count() == 5
    page.click("text=To the criteria")
    page.click("text=Run a round")
    page.wait_for_selector(".job-progress")
    assert runner.run(Job.objects.get().pk).state == "succeeded"
    page.goto("/p/pairs/criteria/")
    assert serious(page) == []
    look(page, "board")
    page.click("text=Decide as the evidence recommends")
    page.wait_for_selector("text=accepted")
    look(page, "decided")
    page.goto("/p/pairs/criteria/grade/")
    assert serious(page) == []
    look(page, "grade")
    for name in page.locator(".grade-bar fieldset").all():
        name.locator("input[value=A]").check()
    page.click("text=Compare with the judge")
    page.wait_for_selector("text=You and the judge")
    look(page, "revealed")
    live = Criterion.objects.filter(status__in=["active", "trusted"]).first()
    page.goto(f"/p/pairs/criteria/{live.pk}/")
    page.fill("#id_wording", live.current.wording + " Nothing else counts.")
    page.click("text=Put in force")
    page.wait_for_selector("ins")
    look(page, "detail")
    page.goto("/p/pairs/criteria/releases/")
    page.click("text=Release the best set")
    page.wait_for_selector("text=Release 1")
    page.click("text=Release the best set")
    page.wait_for_selector("h2:has-text('Release 2')")
    page.click("text=Go back to this one")
    page.wait_for_selector("h2:has-text('Release 3')")
    assert serious(page) == []
    look(page, "releases")
    first, third = CriteriaRelease.objects.get(number=1), CriteriaRelease.objects.get(number=3)
    assert third.criteria == first.criteria
    for name in ("card", "drift", "conflicts", "settings", "new"):
        page.goto(f"/p/pairs/criteria/{name}/")
        assert serious(page) == []
        look(page, name)
