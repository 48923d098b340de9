"""Pages of LM annotators: true figures, escaped raw calls, and nobody beside researchers."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from annotations.judging.models import Judgment
from annotations.lm import report
from annotations.projects.models import Annotator
from app.jobs import runner
from app.jobs.models import Job

pytestmark = pytest.mark.django_db


def test_figures_come_from_the_judgments(plain_project, real_pairs):
    rows = {row.annotator.name: row for row in report.reports(plain_project)}
    assert set(rows) == {"gpt-3.5-turbo", "pandalm-7b", "GPT-4 Vanilla", "ChatGPT Vanilla"}

    gpt, nulls = rows["gpt-3.5-turbo"], 0
    agree = compared = 0
    for item in real_pairs[:40]:
        people = [j.comparisons.get() for j in item.judgments.filter(annotator__kind="human")]
        signs = [0 if c.tie else c.preference for c in people]
        top = max({signs.count(s) for s in signs})
        winners = [s for s in {-1, 0, 1} if signs.count(s) == top]
        majority = winners[0] if len(winners) == 1 else 0
        model = item.judgments.get(annotator=gpt.annotator)
        if model.outcome == "cannot_judge":
            nulls += 1
            continue
        verdict = model.comparisons.get()
        compared += 1
        agree += majority == (0 if verdict.tie else verdict.preference)
    assert nulls > 0
    assert (gpt.tally.judged, gpt.tally.nulls) == (40, nulls)
    assert (gpt.tally.agreement["value"], gpt.tally.agreement["n"]) == (
        pytest.approx(agree / compared),
        compared,
    )
    assert gpt.tally.consistency is None
    assert rows["GPT-4 Vanilla"].tally.consistency["n"] == 20
    assert rows["GPT-4 Vanilla"].calls == 40


def test_the_pages_show_them_and_escape_raw_calls(plain_project, make_item, judge, alice_client):
    item = make_item()
    judge("anna", "human", item, "a")
    raw = "<script>alert(1)</script> A is better"
    judge("parrot <b>", "lm", item, "a", raw=raw)
    page = alice_client.get(reverse("lm:list", args=["pairs"])).content.decode()
    assert "parrot &lt;b&gt;" in page
    assert "100.0\xa0%" in page
    assert "n 1" in page
    detail = Annotator.objects.get(kind="lm").lm
    page = alice_client.get(reverse("lm:detail", args=["pairs", detail.pk])).content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; A is better" in page
    assert "<script>alert" not in page


def test_a_new_judgment_is_in_the_figures_at_once(plain_project, make_item, judge, alice_client):
    first, second = make_item("one"), make_item("two")
    for item in (first, second):
        judge("m", "lm", item, "a")
    judge("anna", "human", first, "a")
    assert report.reports(plain_project)[0].tally.agreement["value"] == 1
    judge("anna", "human", second, "b")
    assert report.reports(plain_project)[0].tally.agreement["value"] == 0.5


def test_the_baseline_is_added_and_run_from_the_page(project, make_item, alice_client):
    make_item()
    response = alice_client.post(reverse("lm:baseline", args=["pairs"]))
    detail = Annotator.objects.get(kind="lm").lm
    assert (response.status_code, response.url) == (302, reverse("lm:detail", args=["pairs", detail.pk]))
    job = Job.objects.get()
    assert (job.kind, job.scope) == ("lm.annotate", "pairs")
    alice_client.post(reverse("lm:run", args=["pairs", detail.pk]))
    assert Job.objects.count() == 1  # one run at a time
    runner.run(job.pk)
    page = alice_client.get(response.url).content.decode()
    assert "A rule, not a language model." in page
    assert "second better" in page or "first better" in page


def test_only_researchers_come_in_and_a_denied_post_changes_nothing(
    project, make_item, bob_client, charlie_client, client
):
    make_item()
    for visitor, status in ((bob_client, 403), (charlie_client, 404), (client, 302)):
        assert visitor.get(reverse("lm:list", args=["pairs"])).status_code == status
        assert visitor.post(reverse("lm:baseline", args=["pairs"])).status_code == status
    assert (Annotator.objects.filter(kind="lm").count(), Job.objects.count(), Judgment.objects.count()) == (
        0,
        0,
        0,
    )


def test_a_cursor_of_another_list_is_answered_in_words(project, alice_client):
    from annotations.lm import registry

    detail = registry.add_baseline(project=project)
    page = alice_client.get(reverse("lm:detail", args=["pairs", detail.pk]), {"cursor": "nonsense"})
    assert page.status_code == 400


def test_without_an_endpoint_the_page_says_who_adds_one(project, make_item, judge, alice_client, admin):
    site_admin = Client()
    site_admin.force_login(admin)
    button = reverse("lm:endpoint_new")
    for judged in (False, True):
        if judged:
            judge("parrot", "lm", make_item(), "a")
        for path in (reverse("lm:list", args=["pairs"]), reverse("lm:new", args=["pairs"])):
            researcher = alice_client.get(path).content.decode()
            assert "site admin adds" in researcher
            assert button not in researcher
            assert f'href="{button}"' in site_admin.get(path).content.decode()
