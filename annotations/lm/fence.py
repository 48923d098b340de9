"""Untrusted text on its way into a prompt: one JSON document between two lines that carry a random code.

Prompts and responses come from strangers and may say "ignore your instructions". They go into the user message
only, as JSON strings on a single line, so that no line of theirs can pass for one of ours, between fences whose
code is new for every call and occurs in none of the texts. Invisible and direction-changing characters are written
as escapes. This keeps texts apart from instructions; it cannot make a model heed the difference, which is what
`scanner` and the canaries are for (JudgeDeceiver, arXiv 2403.17710: delimiters alone are not enough).
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable

CODE_BYTES = 8
# Cc, Cf and the line separators beyond ASCII: what a reader cannot see, JSON leaves raw.
_INVISIBLE = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def code_for(document: str, new: Callable[[], str] = lambda: secrets.token_hex(CODE_BYTES)) -> str:
    """A random code that occurs nowhere in the document."""
    while True:
        code = new()
        if code not in document:
            return code


def encode(value: object) -> str:
    """The value as JSON on one line, without any invisible character."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()
    return _INVISIBLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return json.dumps(match.group())[1:-1]


def opening(code: str) -> str:
    return f"----- BEGIN DATA {code} -----"


def closing(code: str) -> str:
    return f"----- END DATA {code} -----"


def fenced(document: str, code: str) -> str:
    """The one-line document between its fences. Raises ValueError if it could leave them."""
    if "\n" in document or "\r" in document or code in document:
        raise ValueError("a fenced document is one line and does not hold its own code")
    return f"{opening(code)}\n{document}\n{closing(code)}"


def unfenced(message: str, code: str) -> object:
    """What stands between the fences of a message, decoded. Raises ValueError where they are not there once."""
    head, _, rest = message.partition(opening(code) + "\n")
    document, end, tail = rest.partition("\n" + closing(code))
    if not end or code in head or code in document or code in tail:
        raise ValueError("expected exactly one fenced document")
    return json.loads(document)
