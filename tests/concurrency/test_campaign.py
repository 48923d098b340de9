"""A whole campaign over real HTTP: many people, every way to the next item, and the pool run dry."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from django.db import connection

from tests.concurrency.crowds import Program, Typist, Watch, people_in_every_way
from tests.faults import harness, stored
from tests.faults.people import Crowd

ITEMS = int(os.environ.get("CAMPAIGN_ITEMS", "900"))  # 5000 for the whole measure
POSTGRES = os.environ.get("TEST_DATABASE_URL") or os.environ.get("DATABASE_URL", "")


def run_campaign(site: harness.Site, *, people: int, items: int, overlap: int, seconds: float) -> None:
    """Let them judge everything, and look at what is stored: counted from the rows, not from counters."""
    names = [f"person-{n}" for n in range(people)]
    site.add_items(items, overlap=overlap, people=names, slug="campaign", render=False)
    site.start_web()
    crowd = Crowd(people_in_every_way(site, names, "campaign"))
    watch = Watch(site)
    watch.start()
    crowd.start()
    crowd.join(seconds)
    watch.done.set()
    watch.join(30)
    assert all(person.finished for person in crowd.people)
    assert watch.looks > 0
    assert watch.over == []
    acknowledged = [one.uuid.replace("-", "") for person in crowd.people for one in person.given]
    assert len(acknowledged) == len(set(acknowledged)) == items * overlap
    assert stored.stored_uuids(site, "campaign") == sorted(acknowledged)
    stored.assert_consistent(site)
    rows = site.rows("SELECT item_id, annotator_id, presented_order FROM judging_judgment WHERE is_current")
    assert len({row[:2] for row in rows}) == len(rows) == items * overlap
    assert set(Counter(item for item, *_ in rows).values()) == {overlap}
    leans = (Counter(), Counter())
    for row in rows:
        for side, lean in enumerate(leans):
            lean[row[side]] += 1 if row[2] == "01" else -1
    assert max(map(abs, leans[0].values())) <= 1
    # When the pool runs dry, its last item may turn one person further: there is no other left to give.
    assert sum(abs(n) > 2 for n in leans[1].values()) <= 1
    assert max(map(abs, leans[1].values())) <= 3
    # Nobody starves: everybody has worked, by whichever way they came, and stopped only when nothing was left.
    for kind in (Typist, Program):
        assert all(person.given for person in crowd.people if isinstance(person, kind))
    assert min(len(person.given) for person in crowd.people) > 0
    assert site.rows("SELECT count(*) FROM items_item WHERE n_human <> wanted OR n_leased <> 0") == [(0,)]
    site.manage("verify_counts", "campaign")


@pytest.mark.no_database  # it brings its own
def test_a_small_crowd_on_sqlite():
    with harness.site() as site:
        run_campaign(site, people=6, items=60, overlap=3, seconds=120)


@pytest.mark.slow
@pytest.mark.skipif(connection.vendor != "sqlite", reason="runs once, with the suite on SQLite")
def test_32_people_on_sqlite():
    with harness.site() as site:
        run_campaign(site, people=32, items=ITEMS // 2, overlap=3, seconds=900)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.skipif(connection.vendor != "postgresql", reason="needs PostgreSQL")
def test_200_people_on_postgresql():
    with harness.site(database=POSTGRES, redis=os.environ.get("REDIS_URL", "")) as site:
        run_campaign(site, people=200, items=ITEMS, overlap=3, seconds=3600)
