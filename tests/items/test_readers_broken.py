"""A corpus of broken and hostile files: every one ends in clear errors, whole items, and little memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from annotations.items import readers
from annotations.items.models import Item, Response
from annotations.items.readers import Problem, Record, UnknownFormat
from annotations.judging import importing
from annotations.judging.models import Comparison, Judgment
from tests.items.broken_files import LINES, MB, REFUSED, jsonl, parquet


def test_a_key_that_stands_twice_is_named_with_its_line(tmp_path):
    path = tmp_path / "twice.jsonl"
    path.write_bytes(
        jsonl('{"id": "n", "prompt": "p", "response": "r", "ratings": [{"rater": "x", "rater": "y"}]}')
    )
    _, (problem,) = read(path)
    assert problem == Problem(6, "rater", "expected each key once, found this one twice")
    columns = pa.Table.from_arrays(
        [pa.array(["p"]), pa.array(["x"]), pa.array(["z"])], ["prompt", "chosen", "chosen"]
    )
    pq.write_table(columns, tmp_path / "twice.parquet")
    with pytest.raises(UnknownFormat, match="'chosen' twice"):
        read(tmp_path / "twice.parquet")


def read(path: Path) -> tuple[list[Record], list[Problem]]:
    found = list(readers.read(path))
    return [r for r in found if isinstance(r, Record)], [p for p in found if isinstance(p, Problem)]


@pytest.mark.parametrize("name", LINES)
@pytest.mark.django_db
def test_good_rows_go_in_whole_and_bad_ones_are_named(tmp_path, project, name):
    data, good, word = LINES[name]
    path = tmp_path / name
    path.write_bytes(data)
    report = importing.import_records(
        project=project, records=readers.read(path), options=importing.ImportOptions(), origin_label=name
    )
    if good is not None:
        assert report.new == good
    if word is None:
        assert report.errors == []
    else:
        assert report.invalid >= 1
        assert word.lower() in " ".join(e["message"] for e in report.errors).lower(), report.errors
        assert all(e["line"] > 0 and len(e["message"]) < 500 for e in report.errors)
    assert Item.objects.count() == report.new
    assert Response.objects.count() == sum(Item.objects.values_list("n_responses", flat=True))
    assert Judgment.objects.count() == Comparison.objects.count() == report.judgments


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_are_none_are_refused_in_words_and_little_memory(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(REFUSED[name])
    tracemalloc.start()
    try:
        records, problems = read(path)
    except UnknownFormat as refusal:
        said = [refusal.message]
    else:
        assert records == []
        said = [problem.message for problem in problems]
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert said
    assert all(0 < len(message) < 500 for message in said)
    assert peak < 250 * MB, f"{peak / MB:.0f} MB"


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_parquet_file_cut_anywhere_gives_no_half_row(tmp_path, cut):
    whole = parquet()
    path = tmp_path / "cut.parquet"
    path.write_bytes(whole[: len(whole) * cut // 40])
    with pytest.raises(UnknownFormat):
        read(path)


@pytest.mark.parametrize("place", range(1172, 3000, 180))
def test_a_parquet_file_with_a_flipped_byte_never_breaks_the_reader(tmp_path, place):
    data = bytearray(parquet())
    data[place % len(data)] ^= 0xFF
    path = tmp_path / "flipped.parquet"
    path.write_bytes(bytes(data))
    try:
        records, problems = read(path)
    except UnknownFormat:
        return
    assert len(records) <= 500
    assert all(problem.message for problem in problems)
