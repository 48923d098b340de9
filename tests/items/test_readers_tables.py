"""Rows with keys of their own, in JSON and Parquet: mapped like the columns of a CSV, with the same outcome."""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from annotations.items import readers
from annotations.items.readers import Problem, Record, UnknownFormat
from annotations.items.readers.tables import HEADER_ROWS

ROWS = [
    {"nr": "1", "frage": "Why?", "links": "Because.", "rechts": "No.", "wer": "Ann", "urteil": "a", "note": "x"},
    {"nr": "1", "frage": "Why?", "links": "Because.", "rechts": "No.", "wer": "Bo", "urteil": "tie", "note": "x"},
    {"nr": "2", "frage": "Größe? 🙂", "links": "So.", "rechts": "Thus,\nthus.", "wer": "Ann", "urteil": "2", "note": ""},
    {"nr": "3", "frage": "How?", "links": "So.", "rechts": "Thus.", "wer": "Bo", "urteil": "maybe", "note": "y"},
]  # fmt: skip
MAPPING = {
    "nr": "id", "frage": "prompt", "links": "response_a", "rechts": "response_b", "wer": "annotator",
    "urteil": "label", "note": "meta",
}  # fmt: skip


def write(folder, kind: str, rows=ROWS):
    path = folder / f"votes.{kind}"
    if kind == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path, mapping=MAPPING, format="table"):
    found = list(readers.read(path, format, mapping))
    return [r for r in found if isinstance(r, Record)], [p for p in found if isinstance(p, Problem)]


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
def test_the_same_table_gives_the_same_items_in_every_container(tmp_path, kind):
    expected, wrong = read(write(tmp_path, "csv"), format="csv")
    assert [(r.external_id, len(r.judgments)) for r in expected] == [("1", 2), ("2", 1), ("3", 0)]
    path = write(tmp_path, kind)
    assert readers.sniff(path) == "table"
    records, problems = read(path)
    assert [{**_plain(r)} for r in records] == [{**_plain(r)} for r in expected]
    assert [(p.field, p.message) for p in problems] == [(p.field, p.message) for p in wrong]
    assert problems[0].line == 4


def _plain(record: Record) -> dict:
    return {name: getattr(record, name) for name in Record.__slots__ if name != "line"}


def test_cells_of_json_keep_their_kinds_and_objects_give_columns(tmp_path):
    rows = [
        {
            "n": 7,
            "chat": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi?"}],
            "out": {"text": [{"role": "assistant", "content": "Hello."}], "model": "m-1", "score": 3},
            "tags": ["a", 1.5],
            "at": None,
            "seen": True,
        }
    ]
    mapping = {
        "n": "id", "chat": "prompt", "out.text": "response_1", "out.model": "model_1", "out.score": "rating:quality",
        "tags": "meta", "at": "meta", "seen": "meta",
    }  # fmt: skip
    (record,), problems = read(write(tmp_path, "jsonl", rows), mapping)
    assert problems == []
    assert (record.external_id, record.prompt) == ("7", rows[0]["chat"])
    assert (record.responses[0].text, record.responses[0].model) == ("Hello.", "m-1")
    assert record.meta == {"tags": ["a", 1.5], "seen": True}
    assert record.judgments[0].scores[0].value == 3


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"links": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "response_1", "a conversation of 2"),
        ({"frage": [{"role": "user"}]}, "prompt[0].content", "expected text"),
        ({"links": "\ud800"}, "response_1", "surrogate"),
        ({"urteil": {"a": 1}}, "", ""),
        ({"urteil": 5}, "label", "expected a, b, tie"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_one_row_is_named_and_the_others_go_in(tmp_path, change, field, words):
    good = [{**ROWS[0], "nr": str(n)} for n in range(5)]
    path = write(tmp_path, "jsonl", [*good[:2], {**ROWS[0], "nr": "bad", **change}, *good[2:]])
    records, problems = read(path)
    assert [r.external_id for r in records if r.external_id != "bad"] == ["0", "1", "2", "3", "4"]
    if words:
        assert [(p.line, p.field) for p in problems] == [(3, field)]
        assert words in problems[0].message
    else:
        assert [r.judgments for r in records if r.external_id == "bad"] == [()]


def test_columns_are_the_keys_of_the_first_rows_and_a_mapping_must_name_some_of_them(tmp_path):
    late = [*({"q": "Q", "a": "A"} for _ in range(HEADER_ROWS)), {"q": "Q", "a": "A", "late": "x"}]
    path = write(tmp_path, "jsonl", late)
    assert readers.preview(path)["columns"] == ["q", "a"]
    records, problems = read(path, {"q": "prompt", "a": "response_1"})
    assert (len(records), problems) == (HEADER_ROWS + 1, [])
    for mapping, words in (
        ({"late": "meta", "q": "prompt", "a": "response_1"}, "'late' that is not there"),
        ({"q": "prompt"}, "no column is mapped to response_1"),
        ({"q": "prompt", "a": "nonsense"}, "expected a role"),
    ):
        with pytest.raises(UnknownFormat, match=words):
            readers.read(path, "table", mapping)
    with pytest.raises(UnknownFormat, match=r"or a mapping that says what the keys are; found the keys 'x'"):
        readers.read(write(tmp_path, "json", [{"x": 1}]))


def test_names_alone_may_say_what_the_keys_are(tmp_path):
    path = write(tmp_path, "jsonl", [{"question": "Q?", "output_1": "A.", "output_2": "B.", "winner": "2"}])
    (record,) = readers.read(path)
    assert (record.prompt, [r.text for r in record.responses]) == ("Q?", ["A.", "B."])
    assert record.judgments[0].comparisons[0].preference == 1
