"""Keyset paging: a page begins after the last row seen, so deep pages cost what the first one costs."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import Model, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP

LARGEST = 500  # rows on one page
INVALID = "This page link is not valid. Start again from the first page."


class BadCursorError(ValueError):
    """The cursor was not made by this list; answer 400."""


@dataclass(frozen=True)
class Page:
    """One page: ``next_cursor`` is None on the last one, ``cursor`` None on the first."""

    rows: list
    next_cursor: str | None
    cursor: str | None = None


def keyset_page(queryset: QuerySet, *, cursor: str | None, size: int, order_by: tuple[str, ...]) -> Page:
    """Give up to ``size`` rows after ``cursor``.

    ``order_by`` names non-null fields of the model ("-created_at"), relations with ``__``; the primary key
    is added where it is missing, so the order is total. Raises ``BadCursorError`` for a foreign cursor.
    """
    size = max(1, min(size, LARGEST))
    if not any(name.lstrip("-") in ("pk", queryset.model._meta.pk.name) for name in order_by):
        order_by = (*order_by, "-pk" if order_by and order_by[0].startswith("-") else "pk")
    ordered = queryset.order_by(*order_by)
    if not cursor:
        rows = list(ordered[: size + 1])
    else:
        values = _decode(cursor, len(order_by))
        try:
            rows = list(ordered.filter(_after(order_by, values))[: size + 1])
        except (ValueError, TypeError, ValidationError, OverflowError, DataError) as error:
            raise BadCursorError(INVALID) from error
    more = len(rows) > size
    rows = rows[:size]
    return Page(rows, _encode(rows[-1], order_by) if more else None, cursor or None)


def _after(order_by: tuple[str, ...], values: list[Any]) -> Q:
    """Say "behind these values" in lexicographic order: (a > x) or (a = x and (b > y or …))."""
    condition = Q()
    for name, value in reversed(list(zip(order_by, values, strict=True))):
        field, operator = name.lstrip("-"), "lt" if name.startswith("-") else "gt"
        beyond = Q((f"{field}__{operator}", value))
        condition = beyond | (Q((field, value)) & condition) if condition else beyond
    # Implied by the rest, but an index range that every database can use.
    first = order_by[0]
    bound = "lte" if first.startswith("-") else "gte"
    return Q((f"{first.lstrip('-')}__{bound}", values[0])) & condition


def _encode(row: Model | dict, order_by: tuple[str, ...]) -> str:
    values = [_value(row, name.lstrip("-")) for name in order_by]
    raw = json.dumps(values, separators=(",", ":"), default=_plain).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _value(row: Model | dict, name: str) -> Any:
    if isinstance(row, dict):
        return row[name]
    for part in name.split(LOOKUP_SEP):
        row = getattr(row, part)
    return row


def _plain(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    raise TypeError(f"cannot page by a {type(value).__name__}")


def _decode(cursor: str, length: int) -> list[Any]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        values = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise BadCursorError(INVALID) from error
    scalars = isinstance(values, list) and all(isinstance(v, str | int | float | bool) for v in values)
    if not scalars or len(values) != length:
        raise BadCursorError(INVALID)
    return values
