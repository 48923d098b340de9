"""The commands: what scripts read, and what they are told when nothing can be done."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command

from annotations.datasets import snapshots
from annotations.datasets.models import Snapshot

pytestmark = pytest.mark.django_db


def last_line(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_snapshot_then_export(project, judged, tmp_path, capsys):
    call_command("snapshot", "pairs", "--note", "x", "--query", '{"kinds": ["human"]}', "--json")
    frozen = last_line(capsys)
    snapshot = Snapshot.objects.get()
    assert frozen["snapshot"] == snapshot.public_id
    assert (frozen["sha256"], frozen["rows"], frozen["judgments"]) == (snapshot.sha256, 5, 9)

    out = tmp_path / "out"
    call_command("export_dataset", snapshot.public_id, "--format", "native", "--out", str(out), "--json")
    written = last_line(capsys)
    assert (written["snapshot"], written["sha256"], written["rows"]) == (
        snapshot.public_id,
        snapshot.sha256,
        5,
    )
    assert sum(entry["rows"] for entry in written["files"]) == 5
    for entry in written["files"]:
        assert (out / entry["path"]).is_file()


def test_a_project_is_frozen_first_and_an_earlier_export_replaced(project, judged, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ("--format", "trl_preference", "--out", str(out), "--option", "style=standard")
    call_command("export_dataset", "pairs", *arguments, "--json")
    first = last_line(capsys)
    assert (first["rows"], first["dropped"]["ties"]) == (5, 1)
    call_command("export_dataset", "pairs", *arguments, "--container", "parquet", "--json")
    second = last_line(capsys)
    assert (Snapshot.objects.count(), first["sha256"]) == (2, second["sha256"])
    assert {path.suffix for path in (out / "data").iterdir()} == {".parquet"}
    assert {path.name for path in tmp_path.iterdir()} == {"media", "out"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["snapshot", "nobody"], "no project 'nobody'"),
        (["snapshot", "pairs", "--query", "{"], "--query"),
        (["snapshot", "pairs", "--query", '{"colour": 1}'], "colour: not a filter"),
        (
            ["export_dataset", "snap_none", "--format", "native", "--out", "OUT"],
            "neither a snapshot nor a project",
        ),
        (["export_dataset", "pairs", "--format", "word", "--out", "OUT"], "format 'word' is not known"),
        (
            ["export_dataset", "pairs", "--format", "csv", "--out", "OUT", "--option", "x"],
            "expected KEY=VALUE",
        ),
    ],
)
def test_what_cannot_be_done_is_said_with_exit_code_2(project, tmp_path, arguments, words):
    out = tmp_path / "out"
    with pytest.raises(CommandError, match=words) as refused:
        call_command(*[str(out) if part == "OUT" else part for part in arguments])
    assert refused.value.returncode == 2
    assert not out.exists()
    assert not Snapshot.objects.exists()


def test_a_folder_with_other_things_is_left_alone(project, judged, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CommandError, match="not empty"):
        call_command("export_dataset", "pairs", "--format", "native", "--out", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir() if path.name != "media"] == ["thesis.tex"]
    assert not Snapshot.objects.exists()


def test_a_damaged_snapshot_is_not_exported(project, judged, tmp_path):
    snapshot = snapshots.freeze_now(project=project)
    snapshots.rows_path(snapshot).write_bytes(b"no gzip")
    with pytest.raises(CommandError, match="cannot be read"):
        call_command(
            "export_dataset", snapshot.public_id, "--format", "native", "--out", str(tmp_path / "out")
        )
    assert not (tmp_path / "out").exists()
