"""The native form's reader: every bad value named while the good ones go in, whatever the file holds."""

import gzip
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.items import readers
from annotations.items.readers import (
    Problem,
    Record,
    UnknownFormat,
)
from annotations.items.readers import files as reader_files
from tests.items.rows import PAIR, read_rows, read_text


def judged(**fields) -> dict:
    entry = {"annotator": "A", "comparisons": [{"first": 0, "second": 1, "preference": 1, "scale_max": 1}]}
    return {"prompt": "p", "responses": ["x", "y"], "judgments": [entry | fields]}


@pytest.mark.parametrize(
    ("row", "field", "message"),
    [
        (PAIR | {"response_b": True}, "response_b", "expected text, found true"),
        (PAIR | {"response_a": "a\0b"}, "response_a", "NUL character at position 1"),
        (PAIR | {"prompt": "\ud800"}, "prompt", "lone surrogate at position 0"),
        (PAIR | {"meta": {"x": ["\udfff"]}}, "meta.x[0]", "lone surrogate"),
        (
            PAIR | {"response_a": "x" * 2_000_001},
            "response_a",
            "at most 2,000,000 characters, found 2,000,001",
        ),
        (PAIR | {"meta": {"x": float("nan")}}, "meta.x", "finite number"),
        (PAIR | {"id": "x" * 501}, "id", "at most 500 characters"),
        (PAIR | {"prompt": [{"role": "user"}]}, "prompt[0].content", "expected text, found null"),
        ({"prompt": "p", "responses": []}, "responses", "expected 1 to 8 responses, found 0"),
        ({"prompt": "p", "responses": ["x"] * 9}, "responses", "expected 1 to 8 responses, found 9"),
        ({"prompt": "p", "chosen": "c"}, "rejected", "expected text, found null"),
        ({"prompt": "p"}, "", "expected responses"),
        (17, "", "expected a JSON object, found 17"),
    ],
)
def test_a_bad_item_is_named_and_the_next_one_goes_in(tmp_path, row, field, message):
    records, (problem,) = read_rows(tmp_path, row, PAIR)
    assert [record.line for record in records] == [2]
    assert (problem.line, problem.field) == (1, field)
    assert message in problem.message


@pytest.mark.parametrize(
    ("row", "field", "message"),
    [
        (
            PAIR | {"human": [{"annotator": "A", "label": "c"}]},
            "human[0].label",
            "expected a, b, tie or null, found 'c'",
        ),
        (PAIR | {"human": [{"annotator": "A", "label": True}]}, "human[0].label", "found true"),
        (PAIR | {"human": [{"annotator": "", "label": "a"}]}, "human[0].annotator", "expected a name"),
        (PAIR | {"human": [{"annotator": "A", "label": "a", "reason": "\0"}]}, "human[0].reason", "NUL"),
        (PAIR | {"human": [{"annotator": "A", "label": "a", "x": 1e999}]}, "human[0].x", "finite"),
        (PAIR | {"human": "A"}, "human", "expected a list, found 'A'"),
        (PAIR | {"lm": [{"model": "M", "label": "a", "order": "xy"}]}, "lm[0].order", "expected ab or ba"),
        (judged(outcome="maybe"), "judgments[0].outcome", "expected one of answered"),
        (judged(outcome="skipped"), "judgments[0].comparisons", "expected none"),
        (judged(probability=1.5), "judgments[0].probability", "from 0 to 1"),
        (judged(presented_order=[0, 0]), "judgments[0].presented_order", "once"),
        (judged(id="7"), "judgments[0].id", "expected a UUID"),
        (judged(created_at="yesterday"), "judgments[0].created_at", "expected a time"),
        (
            judged(comparisons=[{"preference": 2, "scale_max": 1}]),
            "judgments[0].comparisons[0].preference",
            "from -1 to 1",
        ),
        (
            judged(comparisons=[{"preference": 0, "scale_max": 3}]),
            "judgments[0].comparisons[0].preference",
            "a tie",
        ),
        (
            judged(comparisons=[{"preference": 1, "tie": "equal", "scale_max": 1}]),
            "judgments[0].comparisons[0].preference",
            "exactly one",
        ),
        (
            judged(comparisons=[{"preference": 1, "scale_max": 9}]),
            "judgments[0].comparisons[0].scale_max",
            "from 1 to 4",
        ),
        (
            judged(comparisons=[{"first": 0, "second": 2, "preference": 1, "scale_max": 1}]),
            "judgments[0].comparisons[0].second",
            "from 0 to 1",
        ),
        (
            judged(comparisons=[{"first": 1, "preference": 1, "scale_max": 1}]),
            "judgments[0].comparisons[0].second",
            "two different",
        ),
        (
            judged(comparisons=[{"preference": 1, "scale_max": 1, "why": "?"}]),
            "judgments[0].comparisons[0].why",
            "expected only",
        ),
        (
            judged(scores=[{"attribute": "x", "value": 99, "scale": [1, 5]}]),
            "judgments[0].scores[0].value",
            "from 1 to 5, found 99",
        ),
        (
            judged(scores=[{"attribute": "x", "value": float("inf")}]),
            "judgments[0].scores[0].value",
            "finite",
        ),
        (judged(scores=[{"attribute": "x", "value": 1}] * 2), "judgments[0].scores", "found one twice"),
        (judged(answers={"a": {"b": "\ud800"}}), "judgments[0].answers.a.b", "lone surrogate"),
    ],
)
def test_a_bad_judgment_is_named_and_its_item_goes_in_without_it(tmp_path, row, field, message):
    (record,), (problem,) = read_rows(tmp_path, row)
    assert record.judgments == ()
    assert (problem.line, problem.field) == (1, field)
    assert message in problem.message


def test_lines_that_are_not_rows(tmp_path):
    good = json.dumps(PAIR)
    bomb = "[" * 100_000
    text = b"\xef\xbb\xbf" + f"{good}\r\n\n  \n{good[:-5]}\n{bomb}\n".encode() + b'{"prompt": "\xff"}\n'
    text += b'{"prompt": ' + b"9" * 5000 + b"}\n" + good.encode()
    records, problems = read_text(tmp_path, text)
    assert [record.line for record in records] == [1, 8]
    assert [problem.line for problem in problems] == [4, 5, 6, 7]
    assert "nested too deep" in problems[1].message
    assert "expected UTF-8, found the byte 0xff at position 12" in problems[2].message


def test_a_json_list_goes_on_after_a_bad_element(tmp_path, monkeypatch):
    monkeypatch.setattr(reader_files, "CHUNK", 7)
    good = json.dumps(PAIR | {"meta": {"text": '"]}\\'}})
    deep = '{"meta": ' + "[" * 3000 + "]" * 3000 + "}"
    text = f'[{good},\n{{"a": tru}}, {deep}, 17, {good}]'
    records, problems = read_text(tmp_path, text, "rows.json")
    assert [record.line for record in records] == [1, 5]
    assert [problem.line for problem in problems] == [2, 3, 4]
    for broken in (text[:-1], text[:-30], text + "x", "[" + good + " " + good + "]"):
        records, problems = read_text(tmp_path, broken, "rows.json")
        assert records
        assert "cut or damaged" in problems[-1].message


def test_a_long_line_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(reader_files, "MAX_LINE", 1000)
    monkeypatch.setattr(reader_files, "CHUNK", 64)
    long = json.dumps(PAIR | {"prompt": "x" * 5000})
    records, problems = read_text(tmp_path, f"{json.dumps(PAIR)}\n{long}\n{json.dumps(PAIR)}\n")
    assert [record.line for record in records] == [1, 3]
    assert [(problem.line, problem.field) for problem in problems] == [(2, "")]


@pytest.mark.parametrize("harm", ["cut", "flipped", "tail"])
def test_a_damaged_gzip_gives_what_came_before(tmp_path, harm):
    rows = b"".join(
        json.dumps(PAIR | {"id": str(n), "prompt": f"{n * 7919}?"}).encode() + b"\n" for n in range(5000)
    )
    packed = bytearray(gzip.compress(rows))
    if harm == "cut":
        del packed[len(packed) // 2 :]
    elif harm == "flipped":
        packed[len(packed) // 2 : len(packed) // 2 + 200] = b"\xff" * 200
    else:
        packed += b"tail"
    records, problems = read_text(tmp_path, bytes(packed), "rows.jsonl.gz")
    assert [record.line for record in records[:1000]] == list(range(1, 1001))
    assert problems
    if harm != "flipped":
        assert "cut or damaged" in problems[-1].message
        assert problems[-1].line == len(records) + 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"PK\x03\x04rest", "Excel"),
        (b"\xff\xfea\0", "UTF-16"),
        (b"just words\nand more", "expected JSON lines, a JSON list, a table"),
        (b"<html></html>", "UKPConvArg1"),
        (b'{"text": "x", "score": 1}', "found the keys 'text', 'score'"),
        (b"[1, 2]", "rows that are JSON objects, found none"),
        (b"\x1f\x8bnot gzip", "damaged at its start"),
    ],
)
def test_unknown_files_say_what_was_expected(tmp_path, content, message):
    path = tmp_path / "file.jsonl"
    path.write_bytes(content)
    with pytest.raises(UnknownFormat, match=message):
        readers.read(path)


def test_missing_files_and_formats_are_refused(tmp_path):
    with pytest.raises(UnknownFormat, match="No such file"):
        readers.read(tmp_path / "nothing.jsonl", "native")
    with pytest.raises(UnknownFormat, match="expected one of native"):
        readers.read(tmp_path / "nothing.jsonl", "word")


KEYS = st.sampled_from(
    """id prompt context group source meta responses judgments response_a response_b human lm chosen rejected margin
    response ratings spans label annotator model order reason comparisons scores answers first second preference tie
    scale_max value scale attribute rater calls kind outcome presented_order created_at probability idx instruction
    input output_1 output_2 results response1 response2 annotator1 gpt_result reviews summaries fl response_1
    response_2 preference_strength all_preferences_unprocessed strength helpfulness winner completion text""".split()
)
wild = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["a", "tie", "\0", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=8)
    ),
    max_leaves=25,
)
JSON_FORMATS = [name for name in readers.FORMATS if name not in ("csv", "tsv", "ukp_csv", "ukp_xml")]


@settings(deadline=None, max_examples=400)
@given(
    rows=st.lists(st.dictionaries(KEYS, wild, max_size=10) | wild, min_size=1, max_size=3),
    as_list=st.booleans(),
)
def test_any_json_gives_records_and_problems_only(tmp_path_factory, rows, as_list):
    path = tmp_path_factory.getbasetemp() / "wild.json"
    path.write_text(json.dumps(rows) if as_list else "\n".join(map(json.dumps, rows)))
    for name in JSON_FORMATS:
        only_records_and_problems(path, name)


@settings(deadline=None, max_examples=300)
@given(
    content=st.binary(max_size=200)
    | st.text(alphabet='[]{}":,\\ntruefalse0123\t\r\n#<>&;ab', max_size=80).map(str.encode)
)
def test_any_bytes_give_records_and_problems_only(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "wild.bin"
    path.write_bytes(content)
    for name in (None, *readers.FORMATS):
        only_records_and_problems(path, name)


def only_records_and_problems(path, name):
    try:
        found = list(readers.read(path, name))
    except UnknownFormat:
        return
    for entry in found:
        assert isinstance(entry, Record | Problem)
        if isinstance(entry, Record):
            json.dumps(readers.to_native(entry), ensure_ascii=False, allow_nan=False).encode()
        else:
            f"{entry.field} {entry.message}".encode()
            assert len(entry.message) < 1000


def test_times_are_stored_in_utc(tmp_path):
    zone = timezone(timedelta(hours=2))
    (record,), _ = read_rows(tmp_path, judged(created_at=datetime(2026, 1, 1, 12, tzinfo=zone).isoformat()))
    assert record.judgments[0].created_at == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert record.judgments[0].created_at.tzinfo is UTC
