"""Many rows into one table, fast: primary keys in blocks, then COPY on PostgreSQL and executemany on SQLite.

No model instances are made and no signals are sent; the tables' own constraints hold as always. Rows are tuples
in the form the database stores: UUIDs as 32 hex digits, and what `json_text` and `moment_form` give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from django.db import connection, models
from pydantic_core import to_json


def json_text(value: object) -> str:
    """A JSON value as a JSONField stores it: text without NUL, half surrogates or numbers that are not finite."""
    if not value and type(value) is dict:
        return "{}"
    return to_json(value).decode()


def moment_form() -> Callable[[datetime], str]:
    """The function that writes an aware UTC time as a DateTimeField stores it; SQLite keeps no zone."""
    if connection.vendor == "sqlite":
        return lambda value: value.isoformat(" ")[:-6]
    return lambda value: value.isoformat(" ")


def allocate(model: type[models.Model], n: int) -> Sequence[int]:
    """Take `n` unused primary keys of the model's table, ascending. Call inside a transaction.

    PostgreSQL: from the table's sequence. SQLite: beyond the highest key ever used; the write transaction keeps
    others away, and the explicit keys move the table's own counter along.
    """
    if n <= 0:
        return ()
    table, key = model._meta.db_table, model._meta.pk.column
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                # the sequence in a subquery, or its name is looked up again for every key
                "SELECT nextval((SELECT pg_get_serial_sequence(%s, %s)::regclass)) FROM generate_series(1, %s)",
                [table, key, n],
            )
            return sorted(row[0] for row in cursor.fetchall())
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        row = cursor.fetchone()
        quote = connection.ops.quote_name
        cursor.execute(f"SELECT max({quote(key)}) FROM {quote(table)}")  # noqa: S608 - names of our own models
        highest = max(row[0] if row else 0, cursor.fetchone()[0] or 0)
    return range(highest + 1, highest + 1 + n)


@lru_cache(maxsize=64)
def _statement(model: type[models.Model], fields: tuple[str, ...], vendor: str) -> str:
    quote = connection.ops.quote_name
    known = {field.attname: field.column for field in model._meta.concrete_fields}
    missing = [
        field.attname
        for field in model._meta.concrete_fields
        if field.attname not in fields and not (field.primary_key or field.has_db_default())
    ]
    if missing:
        raise ValueError(f"{model.__name__}: rows need a value of {', '.join(missing)}")
    columns = ", ".join(quote(known[name]) for name in fields)
    table = quote(model._meta.db_table)
    if vendor == "postgresql":
        return f"COPY {table} ({columns}) FROM STDIN"
    places = ", ".join(["%s"] * len(fields))
    return f"INSERT INTO {table} ({columns}) VALUES ({places})"  # noqa: S608 - names of our own models


def insert(model: type[models.Model], fields: tuple[str, ...], rows: Iterable[tuple]) -> None:
    """Insert rows of the named fields (attnames) into the model's table: every column that the database does not
    fill by itself (the key, a default of the table).

    Raises django.db.IntegrityError like any insert, and ValueError if a column is left out.
    """
    statement = _statement(model, fields, connection.vendor)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with connection.wrap_database_errors, cursor.copy(statement) as copy:
                write = copy.write_row
                for row in rows:
                    write(row)
        else:
            cursor.executemany(statement, rows)


def add_to(model: type[models.Model], field: str, amounts: Mapping[int, int]) -> None:
    """Add to an integer column of many rows {primary key: amount}, in key order, in one statement."""
    pairs = sorted((pk, n) for pk, n in amounts.items() if n)
    if not pairs:
        return
    quote = connection.ops.quote_name
    table, key = quote(model._meta.db_table), quote(model._meta.pk.column)
    column = quote(model._meta.get_field(field).column)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                f"UPDATE {table} SET {column} = {column} + more.n "  # noqa: S608 - names of our own models
                f"FROM unnest(%s::bigint[], %s::int[]) AS more(key, n) WHERE {table}.{key} = more.key",
                [[pk for pk, _ in pairs], [n for _, n in pairs]],
            )
        else:
            cursor.executemany(
                f"UPDATE {table} SET {column} = {column} + %s WHERE {key} = %s",  # noqa: S608 - as above
                [(n, pk) for pk, n in pairs],
            )


def count_anew(*tables: type[models.Model]) -> None:
    """Have PostgreSQL look again at what the tables hold, so that its plans fit; SQLite plans by its indexes alone.

    It does so by itself a minute after many rows came in. Until then it takes a large project for a small one,
    and reads all of it where it should look a row up. A table that somebody else looks after right now is left out.
    """
    if connection.vendor == "postgresql":
        names = ", ".join(connection.ops.quote_name(model._meta.db_table) for model in tables)
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE (SKIP_LOCKED) {names}")
