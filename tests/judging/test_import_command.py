"""`import_items`, its job and the rendering after it: exit codes, JSON, dry runs, cancelling."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from annotations.items import tasks as item_tasks
from annotations.items.models import Item
from annotations.judging import importing
from annotations.judging import tasks as judging_tasks
from annotations.judging.models import Judgment
from annotations.projects.models import Project
from annotations.projects.schemas import load
from app.jobs import runner
from app.jobs.models import Job
from app.ledger.models import Account
from app.web.models import RenderedText

pytestmark = pytest.mark.django_db
HANDLERS = (item_tasks.render, judging_tasks.import_file)  # importing them registers them, as a worker does


@pytest.fixture
def rows(tmp_path):
    """Write these rows to a file and return its path."""

    def rows(*rows, name="rows.jsonl"):
        path = tmp_path / name
        path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        return str(path)

    return rows


def pair(key, **fields):
    return {"id": key, "prompt": "p", "response_a": f"a {key}", "response_b": "b", **fields}


def run(capsys, *arguments):
    """(exit code, the JSON on the last line of stdout, stderr)."""
    code = 0
    try:
        call_command("import_items", *arguments, "--json")
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    return code, json.loads(out.splitlines()[-1]), err


def test_good_rows_end_with_0_and_bad_ones_with_1(project, rows, capsys, tmp_path):
    code, report, err = run(capsys, "pairs", rows(pair("1", human=[{"annotator": "x", "label": "a"}])))
    assert (code, report["new"], report["judgments"], report["errors"], err) == (0, 1, 1, [], "")
    file = rows(pair("1"), pair("2"), "{", {"id": "3"})
    code, report, err = run(capsys, "pairs", file, "--report", str(tmp_path / "e.jsonl"))
    assert code == 1
    assert (report["new"], report["updated"], report["duplicate"], report["invalid"]) == (1, 0, 1, 2)
    assert [(e["file"], e["line"]) for e in report["errors"]] == [("rows.jsonl", 3), ("rows.jsonl", 4)]
    assert set(report["errors"][0]) == {"file", "line", "field", "message"}
    assert "rows.jsonl:3" in err
    assert len((tmp_path / "e.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "{file}"], "No project 'nowhere'; --create"),
        (["pairs", "missing.jsonl"], "missing.jsonl: cannot be read"),
        (["pairs", "{other}"], "expected"),
        (["pairs", "{file}", "--mapping", "{"], "--mapping"),
        (["pairs", "{file}", "--wanted", "-1"], "wanted"),
        (["no slug!", "{file}", "--create"], "letters, digits"),
        (["nowhere", "{file}", "--create", "--owner", "nobody"], "no active person 'nobody'"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_writes_nothing(project, rows, arguments, words):
    names = {"file": rows(pair("1")), "other": rows("some prose", name="prose.txt")}
    filled = [names.get(a.strip("{}"), a) if a.startswith("{") and a != "{" else a for a in arguments]
    with pytest.raises(CommandError, match=words) as failed:
        call_command("import_items", *filled)
    assert failed.value.returncode == 2
    assert (Item.objects.count(), Project.objects.count()) == (0, 1)


@pytest.mark.parametrize(
    ("row", "kinds"),
    [
        (pair("1", human=[{"annotator": "x", "label": "a"}]), {"overall": "comparison", "reason": "text"}),
        (
            {"id": "1", "prompt": "p", "response": "r",
             "ratings": [{"rater": "x", "attribute": "Style", "value": 2, "scale": [1, 5]},
                         {"rater": "x", "attribute": "mqm", "value": -2.5, "scale": [None, 0]}]},
            {"style": "rating", "reason": "text"},
        ),
        ({"id": "1", "prompt": "p", "responses": ["a", "b", "c"]}, {"rank": "ranking", "reason": "text"}),
    ],
    ids=["pairs", "ratings", "three responses"],
)  # fmt: skip
def test_create_makes_a_project_that_fits_the_file(row, kinds, rows, capsys):
    code, report, _ = run(capsys, "fresh", rows(row), "--create")
    assert (code, report["new"]) == (0, 1)
    project = Project.objects.get(slug="fresh")
    assert {q.name: q.kind for q in load(project.schema_id)[1].questions} == kinds
    assert run(capsys, "fresh", rows(row), "--create")[1]["duplicate"] == 1


def test_a_dry_run_leaves_no_trace_even_of_the_project(rows, capsys):
    code, report, _ = run(capsys, "fresh", rows(pair("1"), pair("1"), pair("2")), "--create", "--dry-run")
    assert (code, report["new"], report["duplicate"]) == (0, 2, 1)
    assert (Project.objects.count(), Account.objects.count(), Job.objects.count()) == (0, 0, 0)


def test_a_table_comes_in_by_its_mapping(project, rows, capsys):
    file = rows("q,one,two", "p?,x,y", name="t.csv")
    mapping = json.dumps({"q": "prompt", "one": "response_a", "two": "response_b"})
    code, report, _ = run(capsys, "pairs", file, "--mapping", mapping, "--wanted", "4")
    assert (code, report["new"]) == (0, 1)
    item = Item.objects.get()
    assert (item.prompt, item.wanted, item.open_slots) == ("p?", 4, 4)


def test_a_mapping_is_saved_and_named_again(project, rows, capsys):
    mapping = {"q": "prompt", "one": "response_a", "two": "response_b"}
    first = rows({"q": "p?", "one": "x", "two": "y"}, name="a.jsonl")
    code, report, _ = run(capsys, "pairs", first, "--mapping", json.dumps(mapping), "--save-mapping", "ours")
    assert (code, report["new"]) == (0, 1)
    assert project.saved_mappings.get().columns == mapping
    code, report, _ = run(
        capsys, "pairs", rows("q,one,two", "r?,x,y", name="t.csv"), "--saved-mapping", "ours"
    )
    assert (code, report["new"]) == (0, 1)
    for wrong in (
        ["--saved-mapping", "theirs"],
        ["--saved-mapping", "ours", "--mapping", "{}"],
        ["--save-mapping", "x"],
    ):
        with pytest.raises(CommandError, match="mapping"):
            call_command("import_items", "pairs", first, *wrong)
    assert (Item.objects.count(), project.saved_mappings.count()) == (2, 1)


def test_the_texts_are_rendered_after_an_import(project, rows, capsys):
    run(capsys, "pairs", rows(pair("1")), "--no-render")
    assert Job.objects.count() == 0
    run(capsys, "pairs", rows(pair("1"), pair("2")))
    job = runner.run(Job.objects.get(kind="items.render").pk)
    assert (job.state, job.result, job.done, job.total) == ("succeeded", {"rendered": 4}, 2, 2)
    assert RenderedText.objects.count() == 4  # p, b, a 1, a 2


def test_the_job_reports_progress_and_writes_all_errors(project, alice, rows, settings):
    path = Path(settings.MEDIA_ROOT) / "uploads" / "x" / "rows.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join([json.dumps(pair("1")), "{", json.dumps(pair("2"))]))
    job = importing.start_import_job(project=project, path="uploads/x/rows.jsonl", actor=alice)
    assert (job.scope, job.created_by) == ("pairs", alice)
    job = runner.run(job.pk)
    assert (job.state, job.error) == ("succeeded", "")
    assert (job.result["new"], job.result["invalid"], job.done) == (2, 1, 3)
    errors = [json.loads(line) for line in Path(job.result["report_path"]).read_text().splitlines()]
    assert errors == job.result["errors"]
    assert Job.objects.filter(kind="items.render", created_by=alice).count() == 1
    again = runner.run(importing.start_import_job(project=project, path=path, actor=alice).pk)
    assert (again.result["duplicate"], Item.objects.count()) == (2, 2)


def test_a_job_that_is_cancelled_keeps_whole_batches(project, alice, rows, monkeypatch):
    monkeypatch.setattr(importing, "BATCH_ITEMS", 2)
    monkeypatch.setattr(runner, "REPORT_EVERY", 0)
    file = rows(*[pair(str(n), human=[{"annotator": "x", "label": "a"}]) for n in range(9)])
    job = importing.start_import_job(project=project, path=file, actor=alice)
    write = importing._Importer._write

    def then_cancel(self, batch):
        write(self, batch)
        Job.objects.filter(pk=job.pk).update(cancel_requested=True)

    monkeypatch.setattr(importing._Importer, "_write", then_cancel)
    assert runner.run(job.pk).state == "cancelled"
    assert (Item.objects.count(), Judgment.objects.count()) == (2, 2)


def test_a_job_for_a_file_nobody_can_read_says_so(project, alice, rows):
    job = importing.start_import_job(project=project, path=rows("some prose"), actor=alice)
    job = runner.run(job.pk)
    assert job.state == "failed"
    assert "rows.jsonl: expected" in job.error


def test_create_can_make_somebody_the_owner(alice, alice_client, rows, capsys):
    code, _, _ = run(capsys, "hers", rows(pair("1")), "--create", "--owner", alice.username)
    made = Project.objects.get(slug="hers")
    assert (code, made.created_by, list(made.memberships.values_list("user", "role"))) == (
        0,
        alice,
        [(alice.pk, "owner")],
    )
    assert alice_client.get("/p/hers/").status_code == 200
