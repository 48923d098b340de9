"""LMArena's votes: lmsys/chatbot_arena_conversations, the later releases, and the 55k table with one turn a side."""

import json
from collections.abc import Iterator

from .checks import (
    Bad,
    conversation,
    identifier,
    name,
    one_turn,
    optional_text,
    responses_of,
    shown,
    text,
    with_extras,
)
from .files import json_rows, records
from .labels import labelled
from .multipref import time_of
from .records import MAX_NAME, ComparisonRecord, JudgmentRecord, Problem, Record
from .transcripts import rest

WINNERS = {
    "model_a": "a",
    "model_b": "b",
    "tie": "tie",
    "tie (bothbad)": "bad",
    "both_bad": "bad",
    "bothbad": "bad",
}
FLAGS = {"winner_model_a": "model_a", "winner_model_b": "model_b", "winner_tie": "tie"}
VOTER = "lmarena voter"
BOTH_BAD = (ComparisonRecord(0, 1, "overall", None, None, "equal_bad"),)
KEYS = frozenset(
    """id question_id model_a model_b winner judge conversation_a conversation_b prompt response_a response_b tstamp
    timestamp winner_model_a winner_model_b winner_tie full_conversation""".split()
)


def is_row(row: dict) -> bool:
    has_texts = "conversation_a" in row or "response_a" in row
    return has_texts and "model_a" in row and ("winner" in row or "winner_model_a" in row)


def read(path, mapping=None) -> Iterator[Record | Problem]:
    return records(json_rows(path), parse)


def parse(row: dict, line: int, problems: list[Problem]) -> Record:
    if "conversation_a" in row:
        prompt, answers = shared(
            [conversation(row.get(key), key) for key in ("conversation_a", "conversation_b")]
        )
    else:
        prompt, answers = from_turns(row)
    try:
        judgments = (vote(row),)
    except Bad as bad:
        problems.append(Problem(line, bad.field, bad.message))
        judgments = ()
    meta = {key: value for key, value in row.items() if value is not None}
    return Record(
        line=line,
        external_id=identifier(row.get("question_id", row.get("id")), "question_id"),
        source="lmarena",
        prompt=one_turn(prompt),
        responses=responses_of(
            answers, tuple(optional_text(row.get(key), key, MAX_NAME) or "" for key in ("model_a", "model_b"))
        ),
        meta=with_extras({}, meta, KEYS),
        judgments=judgments,
    )


def shared(sides: list[list[dict]]) -> tuple[list[dict], list[tuple[str, str]]]:
    """(the turns both begin with, what follows on each side)."""
    left, right = sides
    count = 0
    for one, other in zip(left[:-1], right[:-1], strict=False):
        if one != other:
            break
        count += 1
    if not count:
        raise Bad("conversation_b", "expected both conversations to begin with the same turn")
    return left[:count], [
        (f"conversation_{side}", transcript(turns, count)) for side, turns in (("a", left), ("b", right))
    ]


def transcript(turns: list[dict], count: int) -> str:
    known = [turn if turn["role"] in ("user", "assistant") else {**turn, "role": "user"} for turn in turns]
    return rest(known, count)


def from_turns(row: dict) -> tuple[list[dict], list[tuple[str, str]]]:
    """The 55k table: JSON lists of the turns' texts in `prompt`, `response_a` and `response_b`."""
    said, *answers = (turns_of(row.get(key), key) for key in ("prompt", "response_a", "response_b"))
    if not said or any(len(side) != len(said) for side in answers):
        raise Bad("prompt", "expected as many turns in the prompt as in each response")
    sides = [
        [
            {"role": role, "content": words}
            for pair in zip(said, side, strict=True)
            for role, words in zip(("user", "assistant"), pair, strict=True)
        ]
        for side in answers
    ]
    return shared(sides)


def turns_of(value, field: str) -> list[str]:
    if type(value) is str and value[:1] == "[":
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Bad(field, "expected a JSON list of texts") from None
    found = value if isinstance(value, list) else [value]
    return [text("" if turn is None else turn, field) for turn in found]


def vote(row: dict) -> JudgmentRecord:
    winner = row.get("winner")
    if winner is None:
        winner = next((word for key, word in FLAGS.items() if row.get(key) in (1, True)), None)
    word = WINNERS.get(winner.lower()) if type(winner) is str else None
    if word is None:
        raise Bad("winner", f"expected one of {', '.join(WINNERS)}, found {shown(winner)}")
    judge = name(row.get("judge") or VOTER, "judge")
    when = time_of(row.get("tstamp", row.get("timestamp")), "tstamp")
    if word == "bad":
        return JudgmentRecord(judge, comparisons=BOTH_BAD, created_at=when)
    return labelled(word, judge, created_at=when)
