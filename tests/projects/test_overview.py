"""The overview counts what there is, says it in a sentence, and never counts slowly twice in a row."""

import uuid

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from annotations.judging import progress
from annotations.judging.answers import Answer, ComparisonAnswer
from annotations.judging.project_queries import projects_for
from annotations.judging.submit import submit
from annotations.projects import presets, schemas
from annotations.projects.models import Annotator
from app.jobs import runner

pytestmark = pytest.mark.django_db
PAGE = "/p/pairs/"


@pytest.fixture(autouse=True)
def _nothing_kept():
    cache.clear()


@pytest.fixture
def judge(project):
    schema = schemas.add_schema(project=project, definition=presets.PRESETS["strength7"])

    def give(item, name, kind="human", at=None, origin="page"):
        annotator, _ = Annotator.objects.get_or_create(project=project, name=name, kind=kind)
        submit(
            annotator=annotator, item_id=item.pk, schema_id=schema.pk, uuid=uuid.uuid4(), origin=origin,
            answer=Answer(comparisons=(ComparisonAnswer(0, 1, "overall", 1, 3),), presented_order="01"),
            created_at=at,
        )  # fmt: skip

    return give


def test_the_sentence_and_the_routes_count_what_there_is(project, make_item, judge, alice_client):
    assert "There is nothing to judge yet." in alice_client.get(PAGE).content.decode()
    complete, started, _ = (make_item(f"P{number}", wanted=2) for number in range(3))
    model_item, both = make_item("L", route="lm"), make_item("B", route="both")
    make_item("W", withdrawn_at=timezone.now())
    make_item("F", is_audit=True)
    for item, name, kind in [
        (complete, "ann", "human"), (complete, "ben", "human"), (started, "ann", "human"),
        (model_item, "judge-lm", "lm"), (both, "judge-lm", "lm"),
    ]:  # fmt: skip
        judge(item, name, kind)
    counted = progress.progress_of([project])[project.pk]
    assert [(r.route, r.n, r.complete, r.started, r.untouched) for r in counted.routes] == [
        ("human", 4, 1, 1, 2),
        ("lm", 1, 1, 0, 0),
        ("both", 1, 0, 1, 0),
    ]
    assert (counted.n, counted.complete, counted.percent, counted.withdrawn, counted.audits) == (
        6,
        2,
        33,
        1,
        1,
    )
    text = alice_client.get(PAGE).content.decode()
    assert (
        "1 of 5 items have the people they need, and 1 more go to models; 2 people and 1 model have judged."
        in text
    )
    assert "Judge the next item" in text


def test_a_slow_count_is_kept_and_says_its_age(project, make_item, monkeypatch):
    make_item()
    clock = iter([0.0, 3.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock, 3.0))
    first = progress.progress_of([project])[project.pk]
    make_item("More")
    assert progress.progress_of([project])[project.pk] == first  # kept: 3 s of counting serve for 90 s
    cache.clear()
    assert progress.progress_of([project])[project.pk].n == 2
    make_item("Still more")
    assert progress.progress_of([project])[project.pk].n == 3  # a quick count is made anew


def test_the_list_has_its_figures(project, make_item, judge, alice, alice_client):
    judge(make_item(), "ann")
    make_item("Open")
    (card,) = projects_for(alice)
    assert (card.role, card.people, card.progress.n, card.progress.percent) == ("owner", 2, 2, 50)
    assert "50 %" in alice_client.get(reverse("projects:index")).content.decode()


def test_running_jobs_show_their_progress(project, make_item, alice, alice_client):
    make_item()
    job = runner.start(kind="x", title="Freeze <all>", args={}, scope="pairs", actor=alice)
    text = alice_client.get(PAGE).content.decode()
    assert "Freeze &lt;all&gt;" in text
    assert reverse("jobs:progress", args=[job.pk]) in text


def test_while_the_first_import_runs_nobody_is_told_to_import(project, make_item, alice, alice_client):
    runner.start(kind="judging.import", title="Import pairs.csv", args={}, scope="pairs", actor=alice)
    page = alice_client.get(PAGE).content.decode()
    assert "Items are on their way." in page
    assert "Items come from a file" not in page
