"""From "Train a model" to "promoted", in a real browser: the run's page live, the model's page, two compared."""

import json
import os
import re
import uuid

import pytest
from playwright.sync_api import expect

from app.jobs import runner
from tests.rewards.conftest import pair_rows

pytestmark = [pytest.mark.browser]
SHOTS = os.environ.get("SHOTS")


def shoot(page, name):
    """Take a picture at both widths, light and dark, where somebody asked for pictures to look at."""
    if not SHOTS:
        return
    for dark in (False, True):
        page.emulate_media(color_scheme="dark" if dark else "light")
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=f"{SHOTS}/{name}-{width}-{'dark' if dark else 'light'}.png", full_page=True)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1440, "height": 900})


@pytest.fixture
def judged(project, tmp_path):
    """The project with 260 made-up pairs."""
    from annotations.items import readers
    from annotations.judging.importing import import_records

    path = tmp_path / "pairs.jsonl"
    rows = pair_rows(260)
    for row in rows:
        for judgment in row["judgments"]:
            judgment["id"] = str(uuid.uuid5(uuid.NAMESPACE_URL, judgment["id"]))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert import_records(project=project, records=readers.read(path)).invalid == 0
    return project


def test_a_model_is_trained_looked_at_compared_and_promoted(judged, alice, open_page):
    page = open_page(alice, "/p/pairs/reward-models/")
    shoot(page, "list-empty")
    page.get_by_role("link", name="Train a model").first.click()
    shoot(page, "train")
    page.get_by_label("Loss").select_option("bt")
    page.get_by_role("button", name="Start the training").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    from app.jobs.models import Job

    assert runner.run(Job.objects.get().pk).state == Job.State.SUCCEEDED
    expect(
        page.get_by_role("link", name=re.compile("Open rm_"))
    ).to_be_visible()  # the page found out by itself
    shoot(page, "run")
    page.get_by_role("link", name=re.compile("Open rm_")).click()
    expect(page.get_by_role("heading", name="Is it fooled?")).to_be_visible()
    page.get_by_label("First response").fill("bad vague")
    page.get_by_label("Second response").fill("good clear")
    page.get_by_role("button", name="Score").click()
    expect(page.get_by_role("status").filter(has_text="for the second response")).to_be_visible()
    page.get_by_role("button", name="Measure the learning curve").click()
    runner.run(Job.objects.get(kind="rewards.curve").pk)
    page.goto("/p/pairs/reward-models/")
    page.get_by_role("link", name=re.compile("^rm_")).first.click()
    expect(page.get_by_text("Measure again")).to_be_visible()
    shoot(page, "model")
    page.get_by_role("button", name="Promote").click()
    expect(page.get_by_text("is promoted.")).to_be_visible()

    page.goto("/p/pairs/reward-models/loop/")
    page.get_by_role("button", name="Begin a round now").click()
    from routing.rewards import loop

    runner.run(Job.objects.filter(kind="rewards.train").latest("created_at").pk)
    loop.tick()
    page.reload()
    shoot(page, "loop")
    page.get_by_role("button", name="Promote").click()
    expect(page.get_by_text("Promotion approved by alice.")).to_be_visible()
    page.goto("/p/pairs/reward-models/")
    page.get_by_role("link", name="Compare two").click()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("region", name="Figures of both models")).to_be_visible()
    shoot(page, "compare")
    page.goto("/p/pairs/reward-models/")
    shoot(page, "list")
