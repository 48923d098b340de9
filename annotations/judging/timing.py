"""What the page says of time and circumstances, read with doubt: bounded, and dropped where it makes no sense.

active_ms, wall_ms       worked on with the page in sight and some movement within 30 s; by the clock
first_interaction_ms     from the item's appearance to the first key, press, touch or wheel
n_changes, position      how often the answer was changed; judgments given before in the same sitting
viewport, page_version   "1440x900"; which build of the page asked (`interface.version`)
dwell                    JSON {part: ms} of active time, part: prompt, answer, or a response's letter as shown;
                         only where the project's rules ask for it
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from annotations.projects.models import Project

LONGEST_MS = 7 * 24 * 3600 * 1000
MOST = 100_000
LETTERS = "ABCDEFGH"
KEPT_IN_DRAFTS = ("active_ms", "wall_ms", "n_changes", "first_interaction_ms", "dwell")
_COUNT = re.compile(r"[0-9]{1,12}")
_VIEWPORT = re.compile(r"[0-9]{2,5}x[0-9]{2,5}")
_VERSION = re.compile(r"[0-9a-f]{12}")

Values = Mapping[str, Sequence[str]]


def asks_dwell(project: Project) -> bool:
    """Whether the project's rules ask where the time was spent; read without parsing all rules, on each page."""
    page = project.rules.get("page") if isinstance(project.rules, dict) else None
    return isinstance(page, dict) and page.get("dwell") is True


def fields(values: Values, project: Project) -> dict[str, str]:
    """The hidden fields that carry the time on, as the page starts with them."""
    found = {
        name: _first(values, name) or ("0" if name in ("active_ms", "wall_ms", "n_changes") else "")
        for name in KEPT_IN_DRAFTS
    }
    if not asks_dwell(project):
        del found["dwell"]
    return found


def read(values: Values, n_responses: int) -> dict:
    """`active_ms`, `wall_ms` and `meta` of an Answer."""
    active, wall = (_bounded(_first(values, name), LONGEST_MS) for name in ("active_ms", "wall_ms"))
    if active is not None and wall is not None:
        active = min(active, wall)
    meta: dict = {}
    for key, field, most in (
        ("position_in_session", "position", MOST),
        ("n_changes", "n_changes", MOST),
        ("first_interaction_ms", "first_interaction_ms", LONGEST_MS if wall is None else wall),
    ):
        if (count := _bounded(_first(values, field), most)) is not None:
            meta[key] = count
    for field, pattern in (("viewport", _VIEWPORT), ("page_version", _VERSION)):
        if pattern.fullmatch(_first(values, field)):
            meta[field] = _first(values, field)
    if dwell := _dwell(_first(values, "dwell"), n_responses, LONGEST_MS if active is None else active):
        meta["dwell_ms"] = dwell
    return {"active_ms": active, "wall_ms": wall, "meta": meta}


def _first(values: Values, name: str) -> str:
    return (values.get(name) or [""])[0]


def _bounded(given: str, most: int) -> int | None:
    """A count the browser reports; None where it is missing or makes no sense, which must not stop anybody."""
    return min(int(given), most) if _COUNT.fullmatch(given) else None


def _dwell(given: str, n_responses: int, most: int) -> dict[str, int]:
    if not given or len(given) > 1000:
        return {}
    try:
        parts = json.loads(given)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(parts, dict):
        return {}
    known = ("prompt", "answer", *LETTERS[:n_responses])
    return {
        name: min(ms, most) for name in known if type(ms := parts.get(name)) is int and 0 < ms <= LONGEST_MS
    }
