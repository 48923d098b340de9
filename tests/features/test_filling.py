"""The feature table fills itself: in batches with progress, from where a stopped run ended, where items came in."""

from __future__ import annotations

import numpy as np
import pytest
from django.urls import reverse

from annotations.items.models import Item
from annotations.lm import registry
from app.jobs import runner
from app.jobs.models import Job
from routing.features import filling, stored

pytestmark = pytest.mark.django_db


@pytest.fixture
def items(make_item, monkeypatch):
    monkeypatch.setattr(filling, "READ", 4)
    monkeypatch.setattr(filling, "SAVE_EVERY", 2)
    return [make_item(f"prompt {i}", (f"one {i}", f"two {i}"), external_id=f"f{i}") for i in range(22)]


class Stop(Exception):
    pass


def test_a_stopped_run_goes_on_where_it_ended(project, items, monkeypatch):
    seen = []

    def report(done, total, words):
        seen.append((done, total))
        if done == 12:
            raise Stop

    with pytest.raises(Stop):
        filling.fill(project, report)
    assert seen == [(4, 22), (8, 22), (12, 22)]
    assert len(stored.load(project)) == 12

    looked, real = [], stored._texts
    monkeypatch.setattr(stored, "_texts", lambda ids: looked.extend(ids.tolist()) or real(ids))
    result = filling.fill(project, lambda *_: None)
    assert sorted(looked) == [item.pk for item in items[12:]]
    assert result == {"items": 22, "read": 10, "rows": 22, "through": items[-1].pk}
    ids = np.array([item.pk for item in items])
    looked.clear()
    stored.rows(stored.load(project), ids)
    assert looked == []


def test_it_starts_by_itself_where_items_came_in_and_only_there(project, items, make_item):
    assert filling.start_due() == 0  # nobody routes here: no model
    registry.add_baseline(project=project)
    assert filling.start_due() == 1
    assert filling.start_due() == 0  # under way
    job = Job.objects.get(kind=filling.KIND)
    runner.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.done, job.total, job.result["rows"]) == ("succeeded", 22, 22, 22)
    assert filling.start_due() == 0
    make_item("new", ("x", "y"), external_id="new")
    importing = runner.start(kind=filling.IMPORTING, title="i", args={}, scope="pairs")
    assert filling.start_due() == 0  # it would be read in pieces
    runner.cancel(importing)
    assert filling.start_due() == 1
    runner.cancel(Job.objects.filter(kind=filling.KIND, state="queued").get())
    assert filling.start_due() == 0  # somebody did not want it
    assert Item.objects.count() == 23


def test_it_is_started_and_followed_from_the_page(project, items, alice_client, bob_client, charlie_client):
    page, read = (reverse(f"features:{name}", args=["pairs"]) for name in ("features", "read"))
    for visitor, status in ((bob_client, 403), (charlie_client, 404)):
        assert visitor.get(page).status_code == status
        assert visitor.post(read).status_code == status
    assert Job.objects.count() == 0
    assert "Not read yet." in alice_client.get(page).content.decode()
    assert alice_client.post(read).url == page
    alice_client.post(read)
    runner.run(Job.objects.get().pk)
    assert (
        "22 of 22 items are read: 22 different contents, 22 of them new"
        in alice_client.get(page).content.decode()
    )
