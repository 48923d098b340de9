"""A project's votes, reports and pages: the same numbers everywhere, kept until the data changes, for researchers only."""

from __future__ import annotations

import csv
import io
import json
import re
import uuid
import zipfile

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from annotations.analysis import agreement, files, reports, stored, tasks
from annotations.judging import quarantine
from annotations.judging.models import Judgment
from annotations.judging.submit import submit
from annotations.people import erase
from annotations.projects.models import Annotator, Membership, Project
from app.jobs import runner
from app.jobs.models import Job
from tests.conftest import make_user
from tests.judging.gated import says

pytestmark = pytest.mark.django_db
PAGES = ("agreement", "rankings", "bias", "annotators")
HANDLERS = (tasks.compute,)


def pair(n: int) -> dict:
    """An item with three people and two models, who differ by a fixed pattern; models write as named."""
    labels = "ab" if n % 3 else "ba"
    people = [labels[0], labels[0] if n % 4 else labels[1], labels[0] if n % 5 else "tie"]
    return {
        "id": str(n), "source": "src", "prompt": f"Question {n}", "group": str(n),
        "response_a": "short answer" if n % 2 else "a **long** answer\n- with\n- a list",
        "response_b": "another answer, maybe", "model_a": f"m{n % 3}", "model_b": f"m{(n + 1) % 3}",
        "human": [
            {"annotator": f"p{i}", "label": label, "submitted_at": f"2026-01-{1 + n % 28:02d}T10:00:00Z"}
            for i, label in enumerate(people)
        ],
        "lm": [
            {"model": "judge", "label": labels[0] if n % 6 else "tie", "order": "ab"},
            {"model": "turning", "label": "a", "order": "ab"},
            {"model": "turning", "label": "b" if n % 2 else "a", "order": "ba"},
        ],
    }  # fmt: skip


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(pair(n)) for n in range(60)))
    return path


@pytest.fixture
def judged(path, alice, bob):
    """The same rows as a project of Alice's; Bob is an annotator in it, Rita a reviewer."""
    call_command("import_items", "judged", str(path), "--create", "--json")
    project = Project.objects.get(slug="judged")
    rita = make_user("rita")
    for user, role in ((alice, "owner"), (bob, "annotator"), (rita, "reviewer")):
        Membership.objects.create(project=project, user=user, role=role)
    return project


def test_the_database_says_what_the_file_says(judged, path, capsys):
    capsys.readouterr()
    from_file = agreement.results(files.read([path]).votes)
    from_rows = agreement.results(stored.votes_of(judged))
    for mine, theirs in zip(from_file, from_rows, strict=True):
        for key, value in mine.items():
            if isinstance(value, dict) and "value" in value:
                assert theirs[key] == pytest.approx(value)
            elif key == "n_votes":
                assert theirs[key] == value
    for command in ("agreement", "rank", "bias"):
        found = []
        for what in ("judged", str(path)):
            call_command(command, what, "--json")
            found.append(json.loads(capsys.readouterr().out.splitlines()[-1])["results"])
        assert len(found[0]) == len(found[1]) > 1
        for one, two in zip(*found, strict=True):
            assert flat(one) == pytest.approx(flat(two)), command


def flat(value, path="") -> dict:
    """Numbers of a nested value by their path."""
    if isinstance(value, dict):
        return {k: v for key, each in value.items() for k, v in flat(each, f"{path}.{key}").items()}
    if isinstance(value, list):
        return {k: v for n, each in enumerate(value) for k, v in flat(each, f"{path}.{n}").items()}
    return {path: value} if isinstance(value, int | float) and not isinstance(value, bool) else {}


def test_votes_are_read_once_per_version_and_anew_after_a_vote_or_a_quarantine(
    judged, alice, django_assert_max_num_queries
):
    first = stored.votes_of(judged)
    with django_assert_max_num_queries(5):
        again = stored.votes_of(judged)
    assert again.version == first.version
    assert len(again.comparisons) == 60 * 5
    person = Annotator.objects.get(project=judged, name="p0")
    quarantine.quarantine(annotator=person, actor=alice, reason="test")
    less = stored.votes_of(judged)
    assert less.version != first.version
    assert len(less.comparisons) == 60 * 4
    quarantine.restore(annotator=Annotator.objects.get(pk=person.pk), actor=alice)
    assert len(stored.votes_of(judged).comparisons) == 60 * 5


def test_an_erased_name_is_in_no_report_no_cache_and_no_file(
    judged, settings, alice, bob, alice_client, monkeypatch
):
    Annotator.objects.filter(project=judged, user=bob).delete()
    person = Annotator.objects.get(project=judged, name="p0")
    person.name, person.user = "Penelope Secret", bob
    person.save()
    for name in PAGES:
        reports.find(judged, name)
    assert "Penelope Secret" in json.dumps(reports.find(judged, "annotators").report)
    kept = [repr(cache.get(reports._key(judged, name))) for name in PAGES]
    assert all("agreement" in text or "results" in text for text in kept)
    assert not any("Penelope" in text or "p1" in text for text in kept)
    files_kept = [path for path in settings.VOTES_DIR.rglob("*") if path.is_file()]
    assert files_kept
    assert not any(b"Penelope" in path.read_bytes() for path in files_kept)
    # Large projects show their last figures while new ones are computed: those too without the name.
    monkeypatch.setattr(reports, "LARGE", 10)
    erase.erase(user=bob)
    quarantine.quarantine(annotator=Annotator.objects.get(project=judged, name="p1"), actor=alice, reason="")
    alias = Annotator.objects.get(pk=person.pk).name
    found = reports.find(judged, "annotators")
    assert found.stale
    text = json.dumps(found.report)
    assert "Penelope" not in text
    assert alias in text
    html = alice_client.get(reverse("analysis:annotators", args=["judged"])).content.decode()
    assert "Penelope" not in html
    assert alias in html


def test_sides_and_new_votes_come_from_what_people_saw(project, make_item, annotator):
    item = make_item(wanted=3)
    submit(
        annotator=annotator, item_id=item.pk, schema_id=project.schema_id, uuid=uuid.uuid4(), answer=says(-2),
        origin="api",
    )  # fmt: skip
    Judgment.objects.update(presented_order="10")
    votes = stored.votes_of(project)
    c = votes.comparisons
    row = [int(array[0]) for array in (c.verdict, c.strength, c.scale, c.shown)]
    assert row == [-1, -2, 3, -1]
    assert (votes.aspects, votes.kinds.tolist()) == (("overall",), [0])


@pytest.mark.parametrize("name", PAGES)
def test_each_page_shows_its_report_and_gives_the_same_numbers_as_files(judged, alice_client, name):
    url = reverse(f"analysis:{name}", args=["judged"])
    page = alice_client.get(url)
    html = page.content.decode()
    assert page.status_code == 200
    words = re.findall(r"\w+", html.lower())  # a token of the page may hold the letters by chance
    assert "nan" not in words
    assert '<svg class="plot plot-rows"' in html
    report = alice_client.get(f"/api/v1/projects/judged/analysis/{name}").json()
    assert report["version"] == stored.version_of(judged)
    table = {"agreement": "coefficients", "rankings": "ratings", "bias": "bias", "annotators": "annotators"}[
        name
    ]
    text = b"".join(alice_client.get(f"{url}?table={table}")).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    if name == "agreement":
        people = next(row for row in report["results"] if row["annotators"] == "human")
        assert float(rows[0]["Agree"]) == people["percent"]["value"]
        assert f"{100 * people['percent']['value']:.1f} %" in html
        assert float(rows[0]["α ordinal low"]) == people["alpha_ordinal"]["lo"]
    if name == "rankings":
        best = report["results"][0]["players"][0]
        assert (rows[0]["Model"], float(rows[0]["Rating"])) == (best["name"], best["rating"]["value"])
    svg = alice_client.get(
        f"{url}?plot={'agreement' if name == 'agreement' else 'ratings' if name == 'rankings' else 'longer' if name == 'bias' else 'annotators'}"
    )
    assert svg["Content-Type"] == "image/svg+xml"
    assert b"<style>" in svg.content
    assert b"var(--human)" not in svg.content


def test_the_paper_pack_holds_the_pages_numbers(judged, alice_client):
    response = alice_client.get(reverse("analysis:paper", args=["judged"]))
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    names = set(archive.namelist())
    assert {"methods.md", "agreement/report.json", "rankings/src-overall-human/ratings.csv"} <= names
    report = json.loads(archive.read("agreement/report.json"))
    assert report == json.loads(json.dumps(reports.find(judged, "agreement").report))
    table = list(csv.reader(io.StringIO(archive.read("agreement/src-overall/coefficients.csv").decode())))
    assert table[1][0] == "People"
    assert float(table[1][2]) == report["results"][0]["percent"]["value"]
    assert report["version"] in archive.read("methods.md").decode()
    assert sum(name.endswith(".svg") for name in names) >= 8


@pytest.mark.parametrize("name", [*PAGES, "paper"])
def test_only_researchers_see_them(judged, name, alice_client, bob_client, charlie_client, client):
    url = reverse(f"analysis:{name}", args=["judged"])
    rita = Client()
    rita.force_login(Membership.objects.get(project=judged, role="reviewer").user)
    statuses = [c.get(url).status_code for c in (alice_client, rita, bob_client, charlie_client)]
    assert statuses == [200, 403, 403, 404]
    assert Client().get(url).status_code == 302


def test_an_empty_project_says_what_will_be_here(project, alice_client):
    for name in PAGES:
        html = alice_client.get(reverse(f"analysis:{name}", args=["pairs"])).content.decode()
        assert "Figures come with the judgments" in html
    assert alice_client.get("/api/v1/projects/pairs/analysis/agreement").json()["results"] == []


def test_a_large_project_is_computed_by_one_job_and_shows_its_last_figures_meanwhile(
    judged, alice_client, monkeypatch, alice
):
    monkeypatch.setattr(reports, "LARGE", 10)
    url, api = reverse("analysis:agreement", args=["judged"]), "/api/v1/projects/judged/analysis/agreement"
    assert "The figures are being computed." in alice_client.get(url).content.decode()
    assert alice_client.get(api).status_code == 202
    job = Job.objects.get(kind=reports.KIND)  # one job, however often one looks
    runner.run(job.pk)
    job.refresh_from_db()
    assert job.state == "succeeded"
    assert alice_client.get(api).json()["results"]
    assert not Job.objects.filter(kind=reports.KIND).exclude(pk=job.pk).exists()
    quarantine.quarantine(annotator=Annotator.objects.get(project=judged, name="p0"), actor=alice, reason="")
    html = alice_client.get(url).content.decode()
    assert "Judgments came since these figures were computed" in html
    assert '<svg class="plot plot-rows"' in html
    assert Job.objects.filter(kind=reports.KIND, state="queued").count() == 1


def test_names_of_models_and_people_are_texts_on_the_page(judged, alice_client):
    Annotator.objects.filter(project=judged, name="p1").update(name="<b>=cmd|' /C calc'!A0</b>")
    html = alice_client.get(reverse("analysis:annotators", args=["judged"])).content.decode()
    assert "<b>=cmd" not in html
    assert "&lt;b&gt;=cmd" in html
