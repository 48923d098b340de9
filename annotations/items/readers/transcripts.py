"""Anthropic's hh-rlhf pairs: two whole conversations, chosen and rejected (MIT)."""

import re
from collections.abc import Iterator

from .checks import Bad, responses_of, text, with_extras
from .files import json_rows, records
from .labels import labelled
from .records import Problem, Record
from .short import FILE_ANNOTATOR

SPEAKER = re.compile(r"\n\n(Human|Assistant):")
ROLES = {"Human": "user", "Assistant": "assistant"}
KEYS = frozenset(("chosen", "rejected"))


def is_pair(row: dict) -> bool:
    both = (row.get("chosen"), row.get("rejected"))
    return "prompt" not in row and all(type(side) is str and SPEAKER.search(side) for side in both)


def read(path, mapping=None) -> Iterator[Record | Problem]:
    return records(json_rows(path), parse)


def turns(transcript: str, field: str) -> list[dict]:
    """A transcript as messages, each content without the space around it."""
    pieces = SPEAKER.split(transcript)
    if len(pieces) < 3 or pieces[0].strip():
        raise Bad(field, "expected a transcript that begins with \\n\\nHuman: or \\n\\nAssistant:")
    return [
        {"role": ROLES[who], "content": said.strip()}
        for who, said in zip(pieces[1::2], pieces[2::2], strict=True)
    ]


def parse(row: dict, line: int, problems: list[Problem]) -> Record:
    """The common turns are the prompt, the rest of each transcript is the response."""
    chosen, rejected = (turns(text(row.get(key), key), key) for key in ("chosen", "rejected"))
    shared = 0
    for left, right in zip(chosen[:-1], rejected[:-1], strict=False):
        if left != right:
            break
        shared += 1
    while shared and chosen[shared]["role"] != rejected[shared]["role"]:
        shared -= 1
    if not shared:
        raise Bad("rejected", "expected both transcripts to begin with the same turn")
    prompt = chosen[:shared]
    return Record(
        line=line,
        external_id=None,
        source="hh_rlhf",
        prompt=prompt,
        group=next((turn["content"] for turn in prompt if turn["role"] == "user"), None),
        responses=responses_of([("chosen", rest(chosen, shared)), ("rejected", rest(rejected, shared))]),
        meta=with_extras({}, row, KEYS),
        judgments=(labelled("a", FILE_ANNOTATOR),),
    )


def rest(messages: list[dict], shared: int) -> str:
    """What follows the prompt: the last turn, or several of them written as in the file."""
    first, *later = messages[shared:]
    words = {role: word for word, role in ROLES.items()}
    return first["content"] + "".join(f"\n\n{words[turn['role']]}: {turn['content']}" for turn in later)
