"""One consistent view of the database for minutes, without holding a write lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

BEGIN = {
    "postgresql": "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
    "sqlite": "BEGIN DEFERRED",  # in WAL mode a reader that blocks nobody; Django's own BEGIN would take the lock
}


@contextmanager
def consistent_view() -> Iterator[BaseDatabaseWrapper]:
    """A connection of its own inside a read-only transaction: what others commit meanwhile is not seen.

    The default connection stays free for short writes, such as a job's progress. A caller already inside a
    transaction sees that transaction instead, with its own uncommitted rows.
    """
    if connection.in_atomic_block:
        yield connection
        return
    reader = connection.copy()
    try:
        with reader.cursor() as cursor:
            cursor.execute(BEGIN[reader.vendor])
        yield reader
        with reader.cursor() as cursor:
            cursor.execute("ROLLBACK")
    finally:
        reader.close()


def fetch(queryset: QuerySet, reader: BaseDatabaseWrapper) -> list[tuple]:
    """All rows of a `values_list` queryset, read through this connection."""
    return list(queryset.query.get_compiler(connection=reader).results_iter(tuple_expected=True))
