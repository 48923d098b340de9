"""The offline baseline judges what it has not judged, through the one write path."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from annotations.items.models import Item
from annotations.judging.models import Judgment
from annotations.lm import annotate, registry
from annotations.lm.models import LMAnnotator
from annotations.projects import presets, schemas
from annotations.projects.models import Annotator
from app.jobs import runner
from app.jobs.models import Job

pytestmark = pytest.mark.django_db


def start(detail, **args):
    job = runner.start(kind="lm.annotate", title="t", args={"annotator_id": detail.annotator_id, **args})
    return runner.run(job.pk)


def test_the_longer_response_wins_under_a_schema_of_its_own(project, make_item):
    items = [make_item(f"p{i}", texts) for i, texts in enumerate([("aa", "b"), ("a", "bb"), ("ä", "b")])]
    make_item("alone", ("only one",))
    asked = project.schema_id

    job = start(registry.add_baseline(project=project))

    assert (job.state, job.result) == (Job.State.SUCCEEDED, {"judged": 3, "skipped": 0, "left": 0})
    rows = Judgment.objects.order_by("item_id")
    assert [j.item_id for j in rows] == [item.pk for item in items]
    assert [(j.comparisons.get().preference, j.comparisons.get().tie, j.probability) for j in rows] == [
        (-1, None, pytest.approx(0.2)),
        (1, None, pytest.approx(0.8)),
        (None, "equal", 0.5),
    ]
    assert {(j.origin, j.order_consistent, j.schema.origin) for j in rows} == {("model", True, "imported")}
    project.refresh_from_db()
    assert project.schema_id == asked  # people are asked what they were asked before
    assert list(Item.objects.order_by("pk").values_list("n_lm", "n_human", "open_slots")) == [
        (1, 0, 1)
    ] * 3 + [(0, 0, 1)]


def test_a_cancelled_run_keeps_what_it_judged_and_the_next_one_completes(project, make_item, monkeypatch):
    for i in range(120):
        make_item(f"p{i}", ("a", "bb"))
    detail = registry.add_baseline(project=project)
    calls = []

    def stop_after_one(done, total):
        calls.append((done, total))
        if len(calls) == 1:
            raise runner.JobCancelled

    with pytest.raises(runner.JobCancelled):
        annotate.annotate(detail=detail, report=stop_after_one)
    assert (Judgment.objects.count(), calls) == (50, [(50, 120)])
    assert annotate.annotate(detail=detail, limit=30) == {"judged": 30, "skipped": 0, "left": 40}
    assert annotate.annotate(detail=detail) == {"judged": 40, "skipped": 0, "left": 0}
    assert annotate.annotate(detail=detail) == {"judged": 0, "skipped": 0, "left": 0}
    assert Judgment.objects.count() == Annotator.objects.get(pk=detail.annotator_id).n_judged == 120


def test_imported_annotators_get_details_once_and_cannot_be_run(project):
    Annotator.objects.create(
        project=project, kind="lm", name="GPT-4 Vanilla", meta={"model": "GPT-4", "strategy": "Vanilla"}
    )
    assert (registry.ensure_details(project), registry.ensure_details(project)) == (1, 0)
    detail = LMAnnotator.objects.get()
    assert (detail.backend, detail.model, detail.strategy) == ("imported", "GPT-4", "Vanilla")
    job = start(detail)
    assert (job.state, Judgment.objects.count()) == (Job.State.FAILED, 0)
    assert "no endpoint" in job.error


def test_a_project_without_comparisons_is_refused_in_words(project):
    schema = schemas.add_schema(project=project, definition=presets.PRESETS["ratings"])
    schemas.use_schema(project=project, schema=schema)
    job = start(registry.add_baseline(project=project))
    assert (job.state, job.error.startswith("This project asks for no comparison")) == (
        Job.State.FAILED,
        True,
    )


def test_the_command_runs_the_baseline(project, make_item, capsys):
    import json

    for i in range(3):
        make_item(f"p{i}", ("a", "bb"))
    call_command("lm_annotate", project.slug, "--annotator", "longer_wins", "--limit", "2", "--json")
    said = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert (said["annotator"], said["judged"], said["left"]) == ("Longer response wins (baseline)", 2, 1)
    assert Judgment.objects.count() == 2
