"""Every plot and table of the analysis pages in a browser: light and dark, wide and on a phone, for everybody."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command

from annotations.items.models import Batch, Item
from annotations.judging.models import Judgment
from annotations.projects.models import Membership, Project
from tests.analysis.test_project_pages import pair
from tests.browser.test_reading import serious

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PLOTS = {
    "agreement": {"agreement", "alpha", "pairs", "over_time", "by_batch"},
    "rankings": {"ratings", "wins", "style", "kept", "designs"},
    "bias": {"left", "longer", "markdown", "assertive", "ties", "order_flips", "first_shown", "drift"},
    "annotators": {"annotators"},
}
# Words that stick out of their drawing, and plots wider than what may scroll.
OUTSIDE = """() => [...document.querySelectorAll('svg.plot')].flatMap(svg => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].filter(text => {
    const at = text.getBoundingClientRect();
    return at.left < box.left - 1 || at.right > box.right + 1 || at.top < box.top - 1 || at.bottom > box.bottom + 1;
  }).map(text => text.textContent);
})"""


@pytest.fixture
def judged(tmp_path, alice):
    """Sixty pairs in two batches, by three people at known times, who saw them either way, and two models."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(json.dumps(pair(n)) for n in range(60)))
    call_command("import_items", "judged", str(rows), "--create", "--json")
    project = Project.objects.get(slug="judged")
    Membership.objects.create(project=project, user=alice, role="owner")
    batch = Batch.objects.create(project=project, name="second")
    some = Item.objects.filter(project=project, pk__gt=Item.objects.order_by("pk")[29].pk)
    some.update(batch=batch)
    for judgment in Judgment.objects.filter(annotator__kind="human"):
        Judgment.objects.filter(pk=judgment.pk).update(presented_order="01" if judgment.pk % 2 else "10")
    return project


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_every_plot_is_whole_and_for_everybody(judged, alice, open_page, width, dark):
    page = open_page(alice, "/p/judged/quality/agreement/", width=width, dark=dark)
    for name, plots in PLOTS.items():
        page.goto(f"/p/judged/quality/{name}/")
        drawn = {
            section.get_attribute("id")
            for section in page.locator(".analysis-section").all()
            if section.locator("svg.plot").count()
        }
        assert drawn == plots, name
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        assert page.evaluate(OUTSIDE) == [], name
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
        assert serious(page) == [], name
    page.goto("/p/judged/quality/selection/")
    page.select_option("[name=group]", "model")
    page.fill("[name=k]", "6")
    page.fill("[name=at_least]", "2")
    page.click("main form button:has-text('Choose')")
    page.wait_for_url("**k=6**")
    assert page.locator(".analysis-section").last.locator("tbody tr").count() == 6
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert serious(page) == []
