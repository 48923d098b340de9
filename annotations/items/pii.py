"""What looks like personal data in texts: e-mail addresses, telephone and payment card numbers, network addresses. Pure.

A finder, not a judge: it says where a person should look, and changes nothing. Card numbers must pass Luhn's check,
telephone numbers need an international prefix or a form in which only they are written, network addresses must be ones
that belong to somebody.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

KINDS = {
    "email": "an e-mail address",
    "phone": "a telephone number",
    "card": "a payment card number",
    "ip": "a network address",
}

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
_CARD = re.compile(r"(?<![\w.+-])\d(?:[ -]?\d){12,18}(?![\w-]|\.\d)")
_PHONE = re.compile(
    r"(?<![\w.+-])(?:(?:\+|00)[1-9]\d{0,2}[ .-]?(?:\(0?\d{1,4}\)[ .-]?)?\d{1,4}(?:[ ./-]?\d{2,4}){2,5}"
    r"|\(?[2-9]\d{2}\)?[ .-][2-9]\d{2}[ .-]\d{4}|0[1-9]\d{1,4}[ /-]\d{3,8}(?:[ -]\d{2,5})?)(?![\w-]|\.\d)"
)
_IP = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4})(?![\w:]|\.\d)"
)
_HINT = re.compile(r"@|\d[\d ./()-]{6}|:[0-9A-Fa-f]*:|\d\.\d+\.\d")


class Found(NamedTuple):
    """A place in a text, and what it looks like: a key of KINDS."""

    kind: str
    start: int
    end: int


def find(text: str) -> list[Found]:
    """The places in their order; no two overlap."""
    if not _HINT.search(text):
        return []
    found: list[Found] = []  # in order, and apart: only its neighbours can overlap a new one
    for one in _all(text):
        at = bisect(found, one.start, key=lambda other: other.start)
        after_last = at == 0 or found[at - 1].end <= one.start
        if after_last and (at == len(found) or one.end <= found[at].start):
            found.insert(at, one)
    return found


def kinds_in(text: str) -> set[str]:
    """Which kinds the text holds."""
    return {one.kind for one in find(text)}


def _all(text: str) -> Iterator[Found]:
    yield from (Found("email", *match.span()) for match in _EMAIL.finditer(text))
    yield from (Found("card", *m.span()) for m in _CARD.finditer(text) if _luhn(m.group()))
    yield from (Found("ip", *m.span()) for m in _IP.finditer(text) if _is_somebodys(m.group()))
    yield from (Found("phone", *match.span()) for match in _PHONE.finditer(text))


def _luhn(number: str) -> bool:
    digits = [int(digit) for digit in number if digit.isdigit()]
    if digits[0] not in (2, 3, 4, 5, 6) or len(set(digits)) < 2:
        return False
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_somebodys(address: str) -> bool:
    try:
        return ip_address(address).is_global
    except ValueError:
        return False


def texts_of(
    prompt: str | list[dict], context: str | None, responses: list[str]
) -> Iterator[tuple[str, str]]:
    """(field, text) of an item's texts."""
    if isinstance(prompt, str):
        yield "prompt", prompt
    else:
        for index, message in enumerate(prompt):
            yield f"prompt[{index}]", str(message.get("content") or "")
    if context:
        yield "context", context
    for index, text in enumerate(responses):
        yield f"responses[{index}]", text
