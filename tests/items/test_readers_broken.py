"""A corpus of broken and hostile files: every one ends in clear errors, whole items, and little memory."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from annotations.items import readers
from annotations.items.models import Item, Response
from annotations.items.readers import Problem, Record, UnknownFormat
from annotations.judging import importing
from annotations.judging.models import Comparison, Judgment

ROW = {
    "id": "q1", "prompt": "Größe?", "response_a": "Eins.", "response_b": "Zwei 🙂.",
    "human": [{"annotator": "ann", "label": "a"}],
}  # fmt: skip
GOOD = "".join(json.dumps({**ROW, "id": f"q{n}"}, ensure_ascii=False) + "\n" for n in range(20))
MB = 1 << 20


def jsonl(*lines: str) -> bytes:
    """Ten good rows with these lines among them."""
    good = GOOD.splitlines()[:10]
    return ("\n".join([*good[:5], *lines, *good[5:]]) + "\n").encode("utf-8", "surrogatepass")


def parquet() -> bytes:
    out = io.BytesIO()
    rows = [{"prompt": f"p{n}", "chosen": "x", "rejected": "y"} for n in range(500)]
    pq.write_table(pa.Table.from_pylist(rows), out, compression="zstd")
    return out.getvalue()


def bomb(size: int, begin: bytes = b"", unit: bytes = b" ") -> bytes:
    """A gzip of `size` bytes that is a thousand times smaller."""
    packer = zlib.compressobj(9, wbits=31)
    out = [packer.compress(begin)]
    for _ in range(size // MB):
        out.append(packer.compress(unit * (MB // len(unit))))
    return b"".join([*out, packer.flush()])


# name → (bytes, rows that are good, a word in the first error; None: the file is refused as a whole)
LINES = {
    "cut in a row.jsonl": (jsonl()[:-40], 9, "JSON"),
    "nested.jsonl": (jsonl("[" * 100_000), 10, "nest"),
    "nested in a row.jsonl": (jsonl('{"id": "n", "meta": ' + '{"a":' * 5000 + "1" + "}" * 5000 + "}"), 10, "nest"),
    "nan.jsonl": (jsonl('{"id": "n", "prompt": "p", "response": "r", "ratings": [{"rater": "x", "attribute": "a", "value": NaN}]}'), 11, ""),
    "infinity.jsonl": (jsonl('{"id": "n", "prompt": "p", "chosen": "c", "rejected": "r", "margin": Infinity}'), 10, ""),
    "duplicate keys.jsonl": (jsonl('{"id": "n", "prompt": "p", "prompt": "q", "chosen": "c", "rejected": "r"}'), 10, "once"),
    "duplicate keys.json": (("[" + ",".join([*GOOD.splitlines()[:3], '{"id": "n", "prompt": "p", "chosen": "c", "rejected": "r", "meta": {"a": 1, "b": 2, "a": 3}}', *GOOD.splitlines()[3:6]]) + "]").encode(), 6, "once"),
    "surrogate.jsonl": (jsonl('{"id": "n", "prompt": "\\ud800", "chosen": "c", "rejected": "r"}'), 10, "surrogate"),
    "raw surrogate.jsonl": (jsonl('{"id": "n", "prompt": "\ud800", "chosen": "c", "rejected": "r"}'), 10, "UTF-8"),
    "nul.jsonl": (jsonl('{"id": "n", "prompt": "a\\u0000b", "chosen": "c", "rejected": "r"}'), 10, "NUL"),
    "ten megabytes.jsonl": (jsonl(json.dumps({**ROW, "id": "long", "prompt": "x" * 10 * MB})), 10, "2,000,000"),
    "no object.jsonl": (jsonl("5", '"text"', "[1]", "null"), 10, "JSON object"),
    "empty lines.jsonl": (jsonl("", "  ", ""), 10, None),
    "huge number.jsonl": (jsonl('{"id": "n", "prompt": "p", "response": "r", "ratings": [{"rater": "x", "attribute": "a", "value": 1' + "0" * 5000 + "}]}"), 10, ""),
    "wrong gzip.jsonl.gz": (gzip.compress(GOOD.encode())[:-12], None, "cut"),
    "list not closed.json": (("[" + ",".join(GOOD.splitlines()[:5])).encode(), 5, "cut or damaged"),
}  # fmt: skip
REFUSED = {
    "latin-1.jsonl": GOOD.replace("🙂", "").encode("latin-1"),
    "empty.jsonl": b"",
    "spaces.jsonl": b" \n \n",
    "binary.jsonl": bytes(range(256)) * 50,
    "utf-16.jsonl": GOOD.encode("utf-16"),
    "zip.jsonl": b"PK\x03\x04" + b"\x00" * 100,
    "cut.parquet": parquet()[:-200],
    "garbage.parquet": b"PAR1" + b"\x00" * 500 + b"PAR1",
    "spaces bomb.jsonl.gz": bomb(300 * MB),
    "line bomb.jsonl.gz": bomb(300 * MB, b'{"id": "x", "prompt": "', b"a"),
    "nesting bomb.json.gz": bomb(100 * MB, b"[", b"["),
}


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
