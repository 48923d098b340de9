"""Small files that unpack to large ones, or to endless rows: refused in words, in little memory and time."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from annotations.items import readers
from annotations.items.models import Item
from annotations.items.readers import Problem, Record, UnknownFormat, bombs, files, parquet, tables
from annotations.judging import importing

MB = 1 << 20
GOOD = b'{"id":"g","prompt":"p","chosen":"a","rejected":"b"}\n'
TABLE = b"prompt,chosen,rejected\np,a,b\n"


def shared(text: str, n: int) -> pa.Array:
    """A text that is stored once and stands n times."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), pa.array([text]))


def columns(prompt) -> pa.Table:
    return pa.table({"prompt": prompt, "chosen": ["a"] * len(prompt), "rejected": ["b"] * len(prompt)})


def read(path):
    found = list(readers.read(path))
    return [r for r in found if isinstance(r, Record)], [p for p in found if isinstance(p, Problem)]


@pytest.mark.parametrize("unit", [b"{}\n", b"a"])
def test_a_packed_file_is_read_up_to_a_hundred_times_its_size(tmp_path, monkeypatch, unit):
    monkeypatch.setattr(bombs, "FREE", 600_000)
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(GOOD + unit * (10 * MB // len(unit)), 9)[:-2000])
    assert path.stat().st_size < 200_000
    monkeypatch.setattr(bombs, "RATIO", 2)
    with bombs.Gunzip(path) as file, pytest.raises(OSError, match="more than 2 times its"):
        while file.read1(1 << 16):
            pass
    records, problems = read(path)
    assert len(records) >= 1
    assert "unpacks to more than 2 times" in problems[-1].message


def test_a_page_of_parquet_and_a_batch_of_arrow_that_unpack_to_gigabytes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bombs, "FREE", MB)
    table = columns(pa.array(["b" * (8 * MB)]))
    pq.write_table(table, tmp_path / "page.parquet", compression="zstd", use_dictionary=False)
    for compression in ("zstd", "lz4"):
        packed = pa.ipc.IpcWriteOptions(compression=compression)
        for kind, open_it in (("file", pa.ipc.new_file), ("stream", pa.ipc.new_stream)):
            path = tmp_path / f"{compression}-{kind}.arrow"
            with open_it(str(path), table.schema, options=packed) as writer:
                writer.write_table(table)
    table = columns(shared("b" * (8 * MB), 3))
    with pa.ipc.new_stream(str(tmp_path / "words.arrow"), table.schema, options=packed) as writer:
        writer.write_table(table)
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 6
    for path in paths:
        with pytest.raises(UnknownFormat, match="more than 100 times its"):
            read(path)


def test_a_text_that_parquet_or_arrow_hold_once_is_not_unpacked_a_million_times(tmp_path, monkeypatch):
    many = shared("a" * MB, 100)
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 100], pa.int32()), many)
    pq.write_table(columns(lists), tmp_path / "lists.parquet")
    table = columns(lists)
    with pa.ipc.new_file(str(tmp_path / "lists.arrow"), table.schema) as writer:
        writer.write_table(table)
    monkeypatch.setattr(bombs, "MOST_AT_ONCE", 10 * MB)
    for name in ("lists.parquet", "lists.arrow"):
        (_, first), (number, second) = parquet.rows(tmp_path / name)
        assert first["prompt"] == ["a" * MB]
        assert second == Problem(number, "", "expected a row of at most 64 MB")
    pq.write_table(columns(shared("a" * 3 * MB, 300)), tmp_path / "rows.parquet")
    metadata = pq.read_metadata(tmp_path / "rows.parquet")
    assert bombs.way_to_read(tmp_path, metadata, 256) == {"batch_size": 3, "read_dictionary": []}
    endless = pa.ListArray.from_arrays(pa.array([0, 200_000_000], pa.int32()), pa.nulls(200_000_000))
    with pa.ipc.new_file(str(tmp_path / "nulls.arrow"), pa.schema([("prompt", endless.type)])) as writer:
        writer.write_table(pa.table({"prompt": endless}))
    with pytest.raises(UnknownFormat, match="row 1: expected a row of at most 64 MB"):
        read(tmp_path / "nulls.arrow")


@pytest.mark.parametrize(("name", "start"), [("x.jsonl", GOOD), ("x.csv", TABLE)])
def test_endless_empty_lines_end(tmp_path, monkeypatch, name, start):
    monkeypatch.setattr(files, "MOST_BLANK", 50)
    monkeypatch.setattr(tables, "MOST_BLANK", 50)
    (tmp_path / name).write_bytes(start + b"\n" * 40 + start.splitlines()[-1] + b"\n" * 10_000)
    records, problems = read(tmp_path / name)
    assert len(records) == 2
    assert [problem.message for problem in problems] == ["more than 50 empty lines; reading stopped here"]


@pytest.mark.django_db
def test_endless_bad_rows_take_no_memory_and_a_list_of_bounded_length(tmp_path, project, monkeypatch):
    for name, value in (
        ("ERRORS_LISTED", 5),
        ("BAD_ROWS_HELD", 4),
        ("PROGRESS_ROWS", 10),
        ("ERRORS_KEPT", 3),
        ("MOST_ERRORS", 20),
    ):
        monkeypatch.setattr(importing, name, value)
    (tmp_path / "x.jsonl").write_bytes(b"{}\n" * 9 + GOOD + b"{}\n" * 20)
    told = []
    report = importing.import_records(
        project=project,
        records=readers.read(tmp_path / "x.jsonl", "native"),
        origin_label="x.jsonl",
        options=importing.ImportOptions(report_path=str(tmp_path / "errors")),
        progress=told.append,
    )
    assert (report.new, report.invalid, report.errors_total, len(report.errors)) == (1, 20, 20, 3)
    assert [json.loads(line)["line"] for line in (tmp_path / "errors").read_text().splitlines()] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert "The list of what is wrong ends after 5 lines." in report.notes
    assert report.notes[-1] == "Reading stopped at x.jsonl:22 after 20 mistakes; nothing after it was read."
    assert told == [10, 20, 21]
    assert Item.objects.count() == 1
