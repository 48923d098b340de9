"""What a plain form says, as every database can take it. Forms of Django's own check their fields themselves."""

from __future__ import annotations

from django.http import HttpRequest

LONGEST_NUMBER = 18  # digits that fit into 64 bits


def text(request: HttpRequest, name: str) -> str:
    """The field's text without NUL characters, which PostgreSQL cannot hold; empty where there is none."""
    return request.POST.get(name, "").replace("\x00", "")


def number(given: str | None) -> int | None:
    """A whole number of at least 0 written in digits, or None: "²" is a digit to Python, and too long a number to no database."""
    given = given or ""
    if given.isascii() and given.isdigit() and len(given) <= LONGEST_NUMBER:
        return int(given)
    return None
