"""Exports: exact rows, the same bytes every time, whole or absent."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from annotations.datasets import export, snapshots, writers
from annotations.datasets.export import start_export, write_export
from annotations.datasets.formats import FORMATS, BadOption, check_options
from annotations.datasets.models import Export
from annotations.datasets.rows import CALL_COUNTS, moment
from annotations.datasets.snapshots import SnapshotDamaged, freeze_now, open_rows
from annotations.items.models import Item
from annotations.judging.models import Judgment, Review
from annotations.projects.models import Annotator
from app.jobs import runner

pytestmark = pytest.mark.django_db

GOLDEN = Path(__file__).parent / "trl_preference.jsonl"


def write(snapshot, tmp_path, format, container=None, name="out", **options):
    manifest = write_export(
        snapshot=snapshot, format=format, container=container, options=options, folder=tmp_path / name
    )
    return manifest, tmp_path / name


def rows_of(folder, manifest):
    found = []
    for entry in manifest["files"]:
        if entry["split"]:
            content = (folder / entry["path"]).read_bytes()
            content = gzip.decompress(content) if entry["path"].endswith(".gz") else content
            found += [json.loads(line) for line in content.splitlines()]
    return found


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_native_export_is_the_snapshot(project, judged, tmp_path):
    snapshot = freeze_now(project=project)
    manifest, folder = write(snapshot, tmp_path, "native", "jsonl.gz")
    rows = sorted(rows_of(folder, manifest), key=lambda row: row["plumbline"]["item"])
    assert rows == list(open_rows(snapshot))
    by_split = {entry["split"]: entry["rows"] for entry in manifest["files"] if entry["split"]}
    counted = snapshot.counts["items_by_split"]
    assert by_split == {split: n for split, n in counted.items() if n}


def test_people_have_names_only_where_that_was_asked_for(project, judged, tmp_path):
    snapshot = freeze_now(project=project)
    bea = Annotator.objects.get(name="Bea")
    manifest, folder = write(snapshot, tmp_path, "native")
    assert b"Bea" not in b"".join(tree(folder).values())
    named, folder = write(snapshot, tmp_path, "native", name="named", annotators="name")
    for plain, with_name in zip(rows_of(tmp_path / "out", manifest), rows_of(folder, named), strict=True):
        for judgment in plain["judgments"]:
            if judgment["annotator"] == str(bea.pseudonym):
                judgment["annotator"] = "Bea"
        assert {j["annotator"] for j in with_name["judgments"]} <= {"Bea", "Cem", "Dana", "judge-1", "rm-1"}
        assert [j["id"] for j in plain["judgments"]] == [j["id"] for j in with_name["judgments"]]
    Annotator.objects.filter(pk=bea.pk).update(name="erased")
    _, folder = write(snapshot, tmp_path, "native", name="erased", annotators="name")
    assert b"Bea" not in b"".join(tree(folder).values())


def test_trl_preference_rows_are_exactly_these(project, judged, tmp_path):
    manifest, folder = write(freeze_now(project=project), tmp_path, "trl_preference")
    rows = sorted(rows_of(folder, manifest), key=lambda row: (row["id"], row["chosen"][0]["content"]))
    for row in rows:
        if row["id"].startswith("item-"):
            row["id"] = "item-N"
    golden = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    assert rows == golden
    assert manifest["rows"] == len(golden) == 5
    assert manifest["dropped"] == {"items without a judged pair": 1, "ties": 1}


def test_plain_texts_and_models_only(project, judged, tmp_path):
    manifest, folder = write(
        freeze_now(project=project), tmp_path, "trl_preference", style="standard", judged_by="lm"
    )
    (row,) = rows_of(folder, manifest)
    assert (row["prompt"], row["chosen"], row["rejected"]) == ("No id", "Two.", "One.")
    assert (row["margin"], row["strength"], row["annotator_kind"]) == (2, 2, "lm")
    assert manifest["dropped"] == {"items without a judged pair": 3, "ties": 1}


def test_unpaired_rows_come_from_thumbs_and_from_wins(project, judged, tmp_path):
    manifest, folder = write(freeze_now(project=project), tmp_path, "trl_unpaired", style="standard")
    found = {(row["id"], row["response"]): row["label"] for row in rows_of(folder, manifest)}
    plain = f"item-{judged[3].pk}"
    assert found == {
        ("pair", 0): True,
        ("pair", 1): False,
        ("chat", 0): True,
        ("chat", 1): False,
        ("chat", 2): True,
        (plain, 0): False,
        (plain, 1): True,
    }
    assert manifest["dropped"] == {"responses neither good nor bad": 4}


def test_parquet_has_the_declared_columns_and_the_same_rows(project, judged, tmp_path):
    snapshot = freeze_now(project=project)
    lines, folder = write(snapshot, tmp_path, "trl_preference")
    expected = rows_of(folder, lines)
    manifest, folder = write(snapshot, tmp_path, "trl_preference", "parquet", name="parquet")
    files = [folder / entry["path"] for entry in manifest["files"] if entry["split"]]
    tables = [pq.read_table(path) for path in files]
    messages = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    assert tables[0].schema.field("prompt").type == messages
    assert tables[0].schema.names == list(expected[0])
    assert [row for table in tables for row in table.to_pylist()] == expected
    assert pq.ParquetFile(files[0]).metadata.row_group(0).column(0).compression == "ZSTD"
    frame = tables[0].to_pandas()
    assert frame["margin"].dtype == "float64"
    assert {entry["rows"] for entry in manifest["files"]} - {0} == {table.num_rows for table in tables}


def test_native_parquet_keeps_everything(project, judged, tmp_path):
    """Reviews, and the model whose label stands, among it."""
    final = Judgment.objects.filter(item=judged[0], outcome="answered", comparisons__isnull=False).first()
    Judgment.objects.filter(pk=final.pk).update(aside="review")
    Review.objects.create(project=project, item=judged[0], judgment=final, causes=["ambiguity"])
    Review.objects.create(project=project, item=judged[1])
    Item.objects.filter(pk=judged[1].pk).update(label_by=Annotator.objects.filter(kind="lm").first())
    snapshot = freeze_now(project=project)
    assert [
        row["plumbline"]["review"]["decision"] for row in open_rows(snapshot) if "review" in row["plumbline"]
    ] == [
        "answer",
        "votes_stand",
    ]
    manifest, folder = write(snapshot, tmp_path, "native", "parquet")
    found = [
        row
        for entry in manifest["files"]
        if entry["split"]
        for row in pq.read_table(folder / entry["path"]).to_pylist()
    ]
    found.sort(key=lambda row: row["plumbline"]["item"])
    for row, frozen in zip(found, open_rows(snapshot), strict=True):
        prompt_json = row.pop("prompt_json")
        for key in [key for key in ("experts", "label_by", "review") if row["plumbline"][key] is None]:
            del row["plumbline"][key]
        if review := row["plumbline"].get("review"):
            review["answers"] = json.loads(review["answers"])
            review["created_at"] = moment(review["created_at"])
        row["prompt"] = json.loads(prompt_json) if prompt_json else row["prompt"][0]["content"]
        row["meta"] = json.loads(row["meta"])
        for response in row["responses"]:
            response["meta"] = json.loads(response["meta"])
        for judgment in row["judgments"]:
            judgment["answers"] = json.loads(judgment["answers"])
            assert judgment["created_at"] == datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
            judgment["created_at"] = "2026-03-01T09:30:00Z"
            for call in judgment["calls"]:
                call["meta"] = json.loads(call["meta"])
                for key in [key for key in CALL_COUNTS if call[key] is None]:
                    del call[key]
            if not judgment["calls"]:
                del judgment["calls"]
        assert row == frozen


def test_the_table_holds_one_line_per_answer_and_nothing_a_spreadsheet_runs(project, judged, tmp_path):
    manifest, folder = write(freeze_now(project=project), tmp_path, "csv")
    lines = []
    for entry in manifest["files"]:
        if entry["split"]:
            with (folder / entry["path"]).open(newline="", encoding="utf-8") as file:
                lines += csv.DictReader(file)
    assert len(lines) == manifest["rows"] == 20
    first = [line for line in lines if line["judgment_id"].endswith("0001")]
    assert [(line["aspect"], line["attribute"], line["value"]) for line in first] == [
        ("overall", "", ""),
        ("", "helpfulness", "4"),
        ("", "helpfulness", "1"),
    ]
    assert (first[0]["is_current"], first[0]["presented_order"]) == ("false", "10")
    assert first[0]["reason"] == "'=It says “hello”.\nKinder."
    assert [line["outcome"] for line in lines if line["judgment_id"].endswith("000b")] == ["flagged"]


CASES = [(name, container) for name, found in FORMATS.items() for container in found.containers]


@pytest.mark.parametrize(("format", "container"), CASES)
def test_exporting_again_gives_the_same_bytes_with_true_checksums(
    project, judged, tmp_path, format, container
):
    snapshot = freeze_now(project=project)
    manifest, folder = write(snapshot, tmp_path, format, container)
    write(snapshot, tmp_path, format, container, name="again")
    assert tree(folder) == tree(tmp_path / "again")
    assert json.loads((folder / "manifest.json").read_text()) == manifest
    assert {"manifest.json", *(entry["path"] for entry in manifest["files"])} == set(tree(folder))
    for entry in manifest["files"]:
        content = (folder / entry["path"]).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry["sha256"], entry["bytes"])


def test_the_card_tells_loaders_which_file_is_which_split(project, judged, tmp_path):
    project.name = "Pairs <b>& `more`\n# not a heading"
    project.save()
    manifest, folder = write(freeze_now(project=project), tmp_path, "trl_preference", "parquet")
    _, head, body = (folder / "README.md").read_text().split("---\n", 2)
    (config,) = yaml.safe_load(head)["configs"]
    files = {entry["split"]: entry["path"] for entry in config["data_files"]}
    assert files == {e["split"]: e["path"] for e in manifest["files"] if e["split"]}
    assert body.splitlines()[1] == "# Pairs b& more not a heading"
    assert "- ties: 1" in body


def test_a_changed_snapshot_is_not_exported(project, judged, alice, tmp_path):
    snapshot = freeze_now(project=project)
    path = snapshots.rows_path(snapshot)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"Hello.", b"Hullo.")))
    with pytest.raises(SnapshotDamaged):
        write(snapshot, tmp_path, "native")
    assert list(tmp_path.glob("out*")) == []
    started, created = start_export(snapshot=snapshot, actor=alice, format="native")
    job = runner.run(started.job_id)
    started.refresh_from_db()
    assert (created, job.state, started.state) == (True, "failed", "failed")
    assert "sha256 differs" in job.error
    assert list(export.folder_of(started).parent.iterdir()) == []


def test_the_job_writes_the_export_once(project, judged, alice):
    snapshot = freeze_now(project=project)
    started, created = start_export(
        snapshot=snapshot, actor=alice, format="trl_preference", container="parquet"
    )
    assert runner.run(started.job_id).state == "succeeded"
    started.refresh_from_db()
    assert (created, started.state, started.rows) == (True, "ready", 5)
    again, created = start_export(
        snapshot=snapshot, actor=alice, format="trl_preference", container="parquet"
    )
    assert (again.pk, created) == (started.pk, False)
    other, created = start_export(
        snapshot=snapshot,
        actor=alice,
        format="trl_preference",
        container="parquet",
        options={"method": "mean"},
    )
    assert created
    assert other.pk != started.pk
    assert Export.objects.count() == 2


@pytest.mark.parametrize(
    ("format", "container", "options", "words"),
    [
        ("word", None, {}, "one of native, trl_preference"),
        ("csv", "parquet", {}, "csv, csv.gz"),
        ("native", None, {"style": "standard"}, "no option 'style'"),
        ("trl_preference", None, {"method": "magic"}, "majority, mean"),
        ("trl_preference", None, {"aspect": "x" * 65}, "at most 64 characters"),
    ],
)
def test_settings_nobody_knows_are_refused_with_what_was_expected(format, container, options, words):
    with pytest.raises(BadOption, match=words):
        check_options(format, container, options)


def test_row_groups_are_bounded_whatever_the_number_of_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "ROW_GROUP", 1000)
    monkeypatch.setattr(writers, "ARROW_BATCH", 500)
    _, options = check_options("trl_preference", None, {"style": "standard"})
    writer = writers.ParquetWriter(tmp_path / "x.parquet", FORMATS["trl_preference"].tables[0], options)
    votes = {"chosen": 1, "tie": 0, "rejected": 0}
    for n in range(2300):
        writer.write({"prompt": "p", "chosen": "c", "rejected": "r", "margin": 1.0, "id": str(n), "group": "g",
                      "split": "train", "strength": 1, "votes": votes, "annotator_kind": "human"})  # fmt: skip
        assert len(writer._lines) + writer._held <= 1000
    writer.close()
    found = pq.ParquetFile(tmp_path / "x.parquet").metadata
    assert [found.row_group(n).num_rows for n in range(found.num_row_groups)] == [1000, 1000, 300]
