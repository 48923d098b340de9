"""The digest of one judgment: SHA-256 over all it says, the same from memory and from either database.

It covers every column but `is_current` and `aside`, which change by design, and the comparisons and scores in the
order of their keys. What a model was asked and replied (`LMCall`) is evidence beside it and not covered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

EXACT = 2**53  # beyond it a database may give an equal number back as the other type
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
FIELDS = tuple(
    """uuid project_id item_id annotator_id schema_id guideline_id criteria_release_id outcome origin answers
    reason probability order_consistent presented_order propensity supersedes_id occasion arm created_at
    received_at active_ms wall_ms meta""".split()
)
_encode = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False
).encode


def digest(fields: Iterable, comparisons: Iterable[tuple], scores: Iterable[tuple]) -> bytes:
    """32 bytes. `fields` are the values of `FIELDS`; `uuid` may be a UUID or 32 hex digits.

    Comparisons are (first, second, aspect, preference, scale_max, tie), scores are (response, attribute, value,
    scale_min, scale_max).
    """
    (uuid, *ids, outcome, origin, answers, reason, probability, consistent, order, propensity, supersedes,
     occasion, arm, created, received, active, wall, meta) = fields  # fmt: skip
    said = [
        uuid if type(uuid) is str else uuid.hex,
        ids,
        outcome,
        origin,
        plain(answers) if answers else {},
        reason,
        _real(probability),
        consistent,
        order,
        _real(propensity),
        supersedes,
        occasion,
        arm,
        (created - EPOCH) // MICROSECOND,
        (received - EPOCH) // MICROSECOND,
        active,
        wall,
        plain(meta) if meta else {},
        [list(row) for row in comparisons],
        [[r, name, _real(value), _real(low), _real(high)] for r, name, value, low, high in scores],
    ]
    return hashlib.sha256(_encode(said).encode()).digest()


def _real(value: float | None) -> float | None:
    return None if value is None else float(value)


def plain(value: object) -> object:
    """A JSON value with each number in the one form that survives both databases (jsonb writes 1e2 as 100)."""
    kind = type(value)
    if kind is str:
        return value
    if kind is dict:
        return {str(key): plain(part) for key, part in value.items()}
    if kind in (list, tuple):
        return [plain(part) for part in value]
    if kind is float:
        return int(value) if value == int(value) and abs(value) < EXACT else value
    if kind is int and abs(value) >= EXACT:
        try:
            return float(value)
        except OverflowError:
            return str(value)
    return value
