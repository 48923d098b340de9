"""The native form: lossless both ways, and every bad value named while the good ones go in."""

import gzip
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotations.items import readers
from annotations.items.readers import (
    CallRecord,
    ComparisonRecord,
    JudgmentRecord,
    Problem,
    Record,
    ResponseRecord,
    ScoreRecord,
    UnknownFormat,
    native,
)
from annotations.items.readers import files as reader_files

PAIR = {"id": "1", "prompt": "Why?", "response_a": "Because.", "response_b": "So.", "human": [], "lm": []}
FULL = {
    "id": "7",
    "source": "test",
    "prompt": [{"role": "user", "content": "Why?"}],
    "context": "A lesson.",
    "group": "g",
    "responses": [{"text": "Because.", "model": "m1", "meta": {"n": 1}}, {"text": "So."}, {"text": ""}],
    "meta": {"tags": ["a", {"deep": None}]},
    "judgments": [
        {
            "id": "0190a5e4-9b3e-7d3e-8a51-6f1a1c2b3d4e",
            "annotator": "Alice",
            "kind": "human",
            "outcome": "answered",
            "comparisons": [
                {"first": 0, "second": 2, "aspect": "style", "preference": -3, "scale_max": 3, "tie": None},
                {
                    "first": 1,
                    "second": 2,
                    "aspect": "style",
                    "preference": None,
                    "scale_max": 3,
                    "tie": "equal_bad",
                },
            ],
            "scores": [{"response": 2, "attribute": "mqm", "value": -2.5, "scale": [None, 0]}],
            "answers": {"confidence": 3},
            "reason": "It says why.",
            "probability": 0.25,
            "presented_order": [2, 0, 1],
            "schema_version": "3",
            "guideline_version": "2",
            "supersedes": "0190a5e4-9b3e-7d3e-8a51-6f1a1c2b3d4f",
            "propensity": 0.5,
            "created_at": "2026-01-31T12:00:00.250000Z",
            "active_ms": 41200,
            "wall_ms": 58000,
        },
        {
            "annotator": "m2 · CoT",
            "kind": "lm",
            "outcome": "cannot_judge",
            "answers": {"cannot_judge": "unparsed"},
            "order_consistent": False,
            "calls": [{"order": "ba", "label": None, "raw": "?", "reason": "", "meta": {"temperature": 0.5}}],
        },
    ],
}


def read_text(tmp_path, text: str | bytes, name="rows.jsonl", format="native") -> tuple[list, list]:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = list(readers.read(path, format))
    return [r for r in found if isinstance(r, Record)], [p for p in found if isinstance(p, Problem)]


def read_rows(tmp_path, *rows) -> tuple[list, list]:
    return read_text(tmp_path, "\n".join(json.dumps(row) for row in rows))


def test_the_full_form_comes_back_word_for_word(tmp_path):
    (record,), problems = read_rows(tmp_path, FULL)
    assert problems == []
    assert readers.to_native(record) == FULL | {
        "responses": [FULL["responses"][0], {"text": "So."}, {"text": ""}]
    }
    assert record.judgments[0].created_at == datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
names = words.filter(lambda word: word.strip())
metas = st.dictionaries(
    words,
    st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | words, st.lists, max_leaves=5),
    max_size=3,
)
call = st.builds(
    CallRecord,
    st.sampled_from(["ab", "ba", ""]),
    st.sampled_from(["a", "b", "tie", None]),
    words,
    words,
    metas,
)


@st.composite
def comparison(draw, n):
    first, second = sorted(draw(st.permutations(range(n)))[:2])
    scale_max = draw(st.integers(1, 3))
    size = draw(st.integers(1, scale_max))
    if draw(st.booleans()):
        return ComparisonRecord(
            first, second, draw(names), draw(st.sampled_from([size, -size])), scale_max, None
        )
    tie = draw(st.sampled_from(["equal", "equal_good", "equal_bad"]))
    return ComparisonRecord(first, second, draw(names), None, draw(st.sampled_from([None, scale_max])), tie)


@st.composite
def score(draw, n):
    low, high = draw(st.sampled_from([(None, None), (0, 4), (1, None), (None, 3)]))
    value = draw(st.integers(1, 3) | st.floats(1, 3))
    return ScoreRecord(draw(st.integers(0, n - 1)), draw(names), value, low, high)


@st.composite
def judgment(draw, n):
    comparisons = draw(st.lists(comparison(n), max_size=3, unique_by=lambda c: (c.first, c.second, c.aspect)))
    optional = st.none()
    times = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
    return JudgmentRecord(
        annotator=draw(names),
        kind=draw(st.sampled_from(["human", "lm", "reward_model"])),
        outcome=draw(
            st.sampled_from(["answered", "flagged"] if comparisons else ["skipped", "cannot_judge"])
        ),
        id=draw(optional | st.uuids().map(str)),
        comparisons=tuple(comparisons),
        scores=tuple(draw(st.lists(score(n), max_size=3, unique_by=lambda s: (s.response, s.attribute)))),
        answers=draw(metas),
        reason=draw(words),
        probability=draw(optional | st.floats(0, 1)),
        order_consistent=draw(optional | st.booleans()),
        presented_order=draw(optional | st.permutations(range(n)).map(tuple)),
        schema_version=draw(optional | words),
        guideline_version=draw(optional | words),
        supersedes=draw(optional | st.uuids().map(str)),
        propensity=draw(optional | st.floats(0, 1)),
        created_at=draw(optional | times),
        active_ms=draw(optional | st.integers(0, 10**9)),
        wall_ms=draw(optional | st.integers(0, 10**9)),
        calls=tuple(draw(st.lists(call, max_size=2))),
    )


@st.composite
def record(draw):
    n = draw(st.integers(2, 8))
    message = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": words})
    return Record(
        line=1,
        external_id=draw(st.none() | names),
        source=draw(words),
        prompt=draw(words | st.lists(message, min_size=1, max_size=3)),
        responses=tuple(
            draw(st.lists(st.builds(ResponseRecord, words, words, metas), min_size=n, max_size=n))
        ),
        context=draw(st.none() | words),
        group=draw(st.none() | words),
        meta=draw(metas),
        judgments=tuple(draw(st.lists(judgment(n), max_size=2))),
    )


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)
@given(record())
def test_any_record_survives_writing_and_reading(given_record):
    row = json.loads(json.dumps(readers.to_native(given_record)))
    problems = []
    assert native.parse(row, 1, problems) == given_record
    assert problems == []


def test_a_comparison_turned_round_keeps_its_meaning(tmp_path):
    turned = {"first": 1, "second": 0, "preference": -2, "scale_max": 3}
    row = {
        "prompt": "p",
        "responses": ["x", "y"],
        "judgments": [{"annotator": "A", "comparisons": [turned], "probability": 0.25}],
    }
    (record,), _ = read_rows(tmp_path, row)
    assert record.judgments[0].comparisons == (ComparisonRecord(0, 1, "overall", 2, 3, None),)
    assert record.judgments[0].probability == 0.75


def test_short_pair_fields_find_their_places(tmp_path):
    human = {
        "annotator": "w1",
        "label": "tie",
        "reason": "Same.",
        "accepted_at": "2016-02-01 20:00:46.0 UTC",
        "submitted_at": "2016-02-01 20:06:14.5 UTC",
        "hit": "h",
    }
    calls = [
        {"model": "M", "strategy": "S", "label": "a", "order": "ab", "raw": "1"},
        {"model": "M", "strategy": "S", "label": "b", "order": "ba", "temperature": 0.5},
        {"model": "M", "label": None, "order": "ab"},
    ]
    row = PAIR | {
        "human": [human, {"annotator": "w2", "label": None}],
        "lm": calls,
        "gold": "a",
        "meta": {"gold": 1, "model_pair": "A_B"},
    }
    (record,), problems = read_rows(tmp_path, row)
    assert problems == []
    assert record.meta == {"gold": 1, "model_pair": "A_B", "gold_row": "a"}
    assert [response.model for response in record.responses] == ["A", "B"]
    first, second, both, single = record.judgments
    assert (first.wall_ms, first.answers) == (328_500, {"source_meta": {"hit": "h"}})
    assert first.created_at == datetime(2016, 2, 1, 20, 6, 14, 500_000, tzinfo=UTC)
    assert (second.outcome, second.comparisons, second.answers) == (
        "cannot_judge",
        (),
        {"cannot_judge": "unparsed"},
    )
    assert (both.annotator, both.kind, both.probability, both.order_consistent) == ("M · S", "lm", 0.5, False)
    assert both.comparisons[0].tie == "equal"
    assert both.calls[1].meta == {"temperature": 0.5}
    assert (single.annotator, single.outcome) == ("M", "cannot_judge")


def test_ratings_group_by_rater_and_take_their_spans(tmp_path):
    ratings = [
        {"rater": "r1", "attribute": "style", "value": -0.0, "scale": [None, 0]},
        {"rater": "r2", "attribute": "style", "value": 1, "scale": [None, 0]},
        {"rater": "r1", "attribute": "mqm", "value": -2, "scale": [None, 0]},
    ]
    row = {
        "id": "1",
        "context": "c",
        "response": "r",
        "system": "s0",
        "ratings": ratings,
        "spans": [{"rater": "r1", "span": "x"}, {"rater": "r9"}],
    }
    (record,), problems = read_rows(tmp_path, row)
    assert (record.prompt, record.context, record.responses[0].model) == ("c", None, "s0")
    assert [judgment.annotator for judgment in record.judgments] == ["r1"]
    assert record.judgments[0].scores == (
        ScoreRecord(0, "style", 0.0, None, 0),
        ScoreRecord(0, "mqm", -2, None, 0),
    )
    assert record.judgments[0].answers == {"spans": [{"span": "x"}]}
    assert record.meta == {"spans": [{"rater": "r9"}]}
    assert [(p.field, p.message) for p in problems] == [
        ("ratings[1].value", "expected a number from … to 0, found 1")
    ]


def test_chosen_and_rejected_make_one_judgment(tmp_path):
    (record,), _ = read_rows(
        tmp_path, {"id": "1", "prompt": "p", "chosen": "c", "rejected": "r", "margin": 0.6}
    )
    assert record.meta == {"vote_margin": 0.6}
    assert record.judgments == (
        JudgmentRecord("chosen/rejected file", comparisons=(ComparisonRecord(0, 1, "overall", -1, 1, None),)),
    )


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
            "from 1 to 3",
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
        (b"[1, 2]", "found no JSON object"),
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
