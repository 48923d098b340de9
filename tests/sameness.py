"""What would differ from run to run is the same in every run of a test: seeds, tokens, and the keys of new rows.

A test that depends on chance then fails for whoever writes it, not once in thirty runs of somebody else. `TEST_SEED=2` gives
all of it anew, to look for such tests.
"""

from __future__ import annotations

import functools
import os
import random

FIRST, LAST = 1_000, 9_999  # of the keys that a table begins with; what the migrations put in lies below


def chance(test: str, *what: str) -> random.Random:
    """A generator of the test's own."""
    return random.Random(":".join((os.environ.get("TEST_SEED", ""), test, *what)))


def begin_keys(test: str) -> None:
    """The next row of each table gets a key of the test's own; of each another, so that one is not taken for another's."""
    from django.db import connection

    keys = chance(test, "keys")
    tables = [(table, column, keys.randint(FIRST, LAST)) for table, column in _numbered()]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("DELETE FROM sqlite_sequence")
            cursor.executemany(
                "INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [(t, k) for t, _, k in tables]
            )
        else:
            said = ", ".join("setval(%s, %s)" for _ in tables)
            names = [(_sequence(table, column), key) for table, column, key in tables]
            cursor.execute(f"SELECT {said}", [value for pair in names for value in pair])


@functools.cache
def _numbered() -> list[tuple[str, str]]:
    """Tables whose keys the database counts, and the column."""
    from django.apps import apps
    from django.db.models import AutoField

    return sorted(
        (model._meta.db_table, model._meta.pk.column)
        for model in apps.get_models(include_auto_created=True)
        if isinstance(model._meta.pk, AutoField) and model._meta.managed and not model._meta.proxy
    )


@functools.cache
def _sequence(table: str, column: str) -> str:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence(%s, %s)", [f'"{table}"', column])
        return cursor.fetchone()[0]
