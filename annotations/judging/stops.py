"""Reasons to give a person no item that rooms above this one know of: consent, an ended place, an empty purse.

A room registers its checks when it is loaded. A check must cost nothing for projects that do not use its feature:
look at `annotator.project.rules`, which is loaded, before any query.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from annotations.projects.models import Annotator

When = Literal["before", "empty"]


@dataclass(frozen=True, slots=True)
class Stop:
    """Why there is no item for this person now, in words for the person.

    `html` is safe HTML of our own renderer. `post` is the address of a form with the one button `button`; `link` is an
    address to go to instead. `code` is a text to copy.
    """

    reason: str
    title: str
    text: str
    html: str = ""
    code: str = ""
    post: str = ""
    link: str = ""
    button: str = ""


Check = Callable[[Annotator], Stop | None]
_checks: dict[str, list[Check]] = {"before": [], "empty": []}


def register(when: When, check: Check) -> Check:
    """Ask this check before an item is leased, or when the queue had none. Registering twice changes nothing."""
    if check not in _checks[when]:
        _checks[when].append(check)
    return check


def why_not(annotator: Annotator, when: When) -> Stop | None:
    """The first reason to stop, in the order of registration; `annotator.project` is loaded."""
    for check in _checks[when]:
        stop = check(annotator)
        if stop is not None:
            return stop
    return None
