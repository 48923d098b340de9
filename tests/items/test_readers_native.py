"""The native form: lossless both ways, and its short forms read."""

import json
from datetime import UTC, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotations.items import readers
from annotations.items.readers import (
    CallRecord,
    ComparisonRecord,
    JudgmentRecord,
    Record,
    ResponseRecord,
    ScoreRecord,
    native,
)
from tests.items.rows import PAIR, read_rows

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
