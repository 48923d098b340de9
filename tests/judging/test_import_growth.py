"""An import into a project that is large already asks the database for what its batch is about, and no more."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotations.items.models import Item
from annotations.judging import importing
from tests.judging.import_state import pair

pytestmark = pytest.mark.django_db


def test_the_database_counts_anew_as_a_project_grows(bring, monkeypatch):
    counted = []
    monkeypatch.setattr(importing, "BATCH_ITEMS", 2)
    monkeypatch.setattr(importing, "COUNTED_ANEW_FIRST", 3)
    monkeypatch.setattr(importing, "count_anew", lambda *tables: counted.append(Item.objects.count()))
    rows = [pair(str(n)) for n in range(30)]
    bring(*rows, dry_run=True)
    assert counted == []
    bring(*rows)
    assert counted == [4, 24]
    bring(*rows)
    assert counted == [4, 24]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite plans by its indexes alone")
def test_a_batch_reads_no_more_of_a_large_project_than_of_a_small_one(bring, monkeypatch):
    monkeypatch.setattr(importing, "COUNTED_ANEW_FIRST", 200)

    def read_by(numbers: range) -> int:
        before = read_so_far()
        bring(*[pair(str(n), a=f"{n}") for n in numbers])
        return read_so_far() - before

    def read_so_far() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'items_item'")
            return cursor.fetchone()[0]

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # at this size it would be right
    read_by(range(400))
    few = read_by(range(400, 450))
    read_by(range(450, 4000))
    assert read_by(range(4000, 4050)) <= few + 50


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL plans by what it counted")
def test_sqlite_looks_a_batch_up_by_what_it_asks_for_and_not_through_the_whole_project(bring):
    with CaptureQueriesContext(connection) as asked:
        bring(*[pair(str(n), a=f"{n}") for n in range(5)])
    lookups = ("WITH asked", '"content_hash" IN')
    looked_up = [q["sql"] for part in lookups for q in asked if part in q["sql"]]
    assert len(looked_up) == 2
    indexes = ("item_identity_once (project_id=? AND source=? AND external_id=?)", "item_content")
    with connection.cursor() as cursor:
        for sql, index in zip(looked_up, indexes, strict=True):
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            assert index in str(cursor.fetchall())
