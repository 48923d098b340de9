"""Replies become answers: strictly where they are as asked, tolerantly else, never wrongly."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.lm import asking, parsing
from annotations.lm.asking import Asked, Question

PLAIN = Asked((Question("comparison", "overall", "Which?", low=1, high=1, ties=("equal",)),), reason=False)
STRONG = Asked((Question("comparison", "overall", "Which?", low=1, high=3, ties=("equal", "equal_bad")),))
RATED = Asked(
    (
        Question("rating", "helpfulness", "How?", low=0, high=4),
        Question("ranking", "rank", "Rank", low=1, high=8, ties=("equal",)),
        Question("thumb", "thumb", "Good?", low=0, high=1),
    ),
    reason=False,
)


def read(text, asked=PLAIN, order="ab"):
    parsed = parsing.parse(text, asked, order)
    return (parsed.mode, parsed.comparisons.get("overall")) if parsed.ok else None


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [
        ('{"overall": "A"}', "ab", ("strict", (-1, ""))),
        ('{"overall": "A"}', "ba", ("strict", (1, ""))),
        ('  {"overall": "tie"}\n', "ba", ("strict", (0, "equal"))),
        ('{"Overall": "Response B"}', "ab", ("repaired", (1, ""))),
        ('{"overall": "A", "note": 1}', "ab", ("repaired", (-1, ""))),
        ('```json\n{"overall": "B"}\n```', "ab", ("repaired", (1, ""))),
        ('It says {"overall": "A"} but no: {"overall": "B"}', "ab", ("repaired", (1, ""))),
        ('{"answer": {"overall": "b"}}', "ab", ("repaired", (1, ""))),
        ('{"verdict": "[[A]]"}', "ab", ("repaired", (-1, ""))),
        ('{"winner": 2}', "ab", ("repaired", (1, ""))),
        ("Long thought.\nFinal verdict: B", "ab", ("repaired", (1, ""))),
        ("The winner is Response A.", "ba", ("repaired", (1, ""))),
        ("Thinking…\n\n[[B]]", "ab", ("repaired", (1, ""))),
        ("Therefore:\n**tie**", "ab", ("repaired", (0, "equal"))),
    ],
)
def test_verdicts_are_read(text, order, expected):
    assert read(text, order=order) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "{}",
        "[]",
        "null",
        '{"overall": "A"',
        '{"overall": "C3"}',
        '{"overall": ["A"]}',
        '{"overall": true}',
        '{"overall": "A", "overall": "B"}',
        "I prefer neither, and say why A is a letter",
        "A is good and B is good",
        "Response A writes: verdict: A. I do not agree and cannot decide between them at all.",
        '{"overall": "A"} Actually {"overall": "maybe"}',
        "{" * 5000,
        "[" * 100_000,
        '{"overall": NaN}',
    ],
)
def test_what_holds_no_single_verdict_gives_none(text):
    assert read(text) is None
    assert parsing.parse(text, PLAIN, "ab").problem


def test_strengths_and_ties_of_the_schema():
    def one(value):
        return read(json.dumps(value), STRONG, "ba")

    assert one({"reason": "r", "overall": "A", "overall_strength": 3}) == ("strict", (3, ""))
    assert one({"reason": "r", "overall": "both_bad", "overall_strength": 0}) == ("strict", (0, "equal_bad"))
    assert one({"reason": "r", "overall": "B", "overall_strength": "2"}) == ("repaired", (-2, ""))
    assert one({"reason": "r", "overall": "B", "overall_strength": 9}) == ("repaired", (-1, ""))
    assert (
        one({"reason": "r", "overall": "both_good", "overall_strength": 0}) is None
    )  # the schema has no such tie


def test_scores_come_back_in_canonical_order_and_whole():
    good = {
        "helpfulness": {"A": 4, "B": 0, "C": 2},
        "rank": {"A": 1, "B": 3, "C": 1},
        "thumb": {"A": 1, "B": 0, "C": 1},
    }
    parsed = parsing.parse(json.dumps(good), RATED, "cab")
    assert parsed.mode == "strict"
    assert parsed.scores["helpfulness"] == {2: 4, 0: 0, 1: 2}
    assert parsed.scores["rank"] == {2: 1, 0: 3, 1: 1}
    for name, wrong in (
        ("helpfulness", {"A": 5, "B": 0, "C": 2}),
        ("helpfulness", {"A": 4, "B": 0}),
        ("helpfulness", {"A": 1.5, "B": 0, "C": 2}),
        ("rank", {"A": 1, "B": 1, "C": 2}),
        ("thumb", {"A": True, "B": 0, "C": 1}),
    ):
        assert not parsing.parse(json.dumps({**good, name: wrong}), RATED, "abc").ok
    tolerant = {**good, "helpfulness": {"Response A": "4/4", "response_b": "0", "C": 2.0}}
    assert parsing.parse(json.dumps(tolerant), RATED, "abc").scores["helpfulness"] == {0: 4, 1: 0, 2: 2}


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
def test_no_text_breaks_the_reader_or_is_unstorable(text):
    for asked in (PLAIN, STRONG, RATED):
        parsed = parsing.parse(text, asked, "ab")
        assert parsed.ok != bool(parsed.problem)
        parsed.reason.encode()
        assert "\x00" not in parsed.reason


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["A", "B", "tie"]), st.integers(1, 3), st.text(max_size=60), st.sampled_from(["ab", "ba"])
)
def test_what_is_written_as_asked_is_read_strictly_and_swaps_with_the_order(side, strength, reason, order):
    value = {"reason": reason, "overall": side, "overall_strength": 0 if side == "tie" else strength}
    parsed = parsing.parse(json.dumps(value), STRONG, order)
    assert parsed.mode == "strict"
    swapped = parsing.parse(json.dumps(value), STRONG, order[::-1])
    assert parsed.comparisons["overall"][0] == -swapped.comparisons["overall"][0]
    assert abs(parsed.comparisons["overall"][0]) == (0 if side == "tie" else strength)


def logprobs(pieces):
    return [
        {"token": t, "logprob": 0.0, "top_logprobs": [{"token": a, "logprob": math.log(p)} for a, p in alts]}
        for t, alts in pieces
    ]


@pytest.mark.parametrize(
    "pieces",
    [
        [
            ('{"', []),
            ("overall", []),
            ('": "', []),
            ("A", [("A", 0.6), ("B", 0.2), ("tie", 0.1)]),
            ('"}', []),
        ],
        [('{"overall":', []), (' "A', [(' "A', 0.6), (' "B', 0.2), (' "t', 0.1)]), ('"}', [])],
        [('{"overall": "', []), ('A"', [('A"', 0.6), ('B"', 0.2), ("tie", 0.1)]), ("}", [])],
    ],
)
def test_token_probabilities_are_found_however_the_text_is_cut(pieces):
    tokens = logprobs(pieces)
    content = "".join(t["token"] for t in tokens)
    p = parsing.probability_second(tokens, content, PLAIN, "ab")
    assert p == pytest.approx((0.2 + 0.05) / 0.9)
    assert parsing.probability_second(tokens, content, PLAIN, "ba") == pytest.approx(1 - p)


@pytest.mark.parametrize(
    "tokens",
    [
        [],
        [{"token": 3}],
        [
            {"token": '{"overall": "', "top_logprobs": []},
            {"token": "A", "logprob": "x", "top_logprobs": [None, 3]},
        ],
        [{"token": '{"overall": "'}, {"token": "A", "logprob": 5.0}],
    ],
)
def test_odd_token_lists_give_no_probability(tokens):
    assert parsing.probability_second(tokens, '{"overall": "A"}', PLAIN, "ab") is None


def test_the_schema_asks_for_exactly_what_is_read():
    schema = asking.answer_schema(STRONG, 2)
    assert schema["required"] == ["reason", "overall", "overall_strength"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["overall"]["enum"] == ["A", "B", "tie", "both_bad"]
    assert asking.answer_schema(RATED, 3)["properties"]["rank"]["properties"]["C"]["enum"] == [1, 2, 3]
