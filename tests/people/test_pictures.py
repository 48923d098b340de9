"""The overview's pictures: exact counts however they are tallied, an honest forecast, and a page that rests."""

from __future__ import annotations

import csv
import random
import uuid
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.items.models import Batch, Item
from annotations.judging.models import Judgment
from annotations.judging.progress import batches_of, progress_of
from annotations.people import pictures, tallies
from annotations.people.forecast import forecast
from annotations.people.models import Tally, TallyMark
from annotations.projects.models import Annotator
from app.ledger.models import Account

NOON = datetime(2026, 3, 20, 12, tzinfo=UTC)
TODAY = date(2026, 3, 20)


@pytest.fixture(autouse=True)
def _nothing_kept():
    cache.clear()


@pytest.fixture
def give(project, make_item):
    """Store a judgment as given at a time, and as received then, unless said otherwise."""
    item = make_item("Given", wanted=1)

    def make(annotator, at, *, outcome="answered", active_ms=60_000, origin="page", received=None):
        row = Judgment.objects.create(
            uuid=uuid.uuid4(), project=project, item=item, annotator=annotator, schema=project.schema,
            outcome=outcome, origin=origin, created_at=at, active_ms=active_ms, is_current=False,
        )  # fmt: skip
        Judgment.objects.filter(pk=row.pk).update(received_at=received or at)
        return row

    return make


@pytest.fixture
def model(project):
    return Annotator.objects.create(project=project, kind="lm", name="judge-lm")


def counted(project):
    """(given, answered, timed, active_ms) by kind and day, straight from the rows."""
    found = {}
    for row in Judgment.objects.filter(project=project).exclude(origin="import").select_related("annotator"):
        key = (row.annotator.kind, row.created_at.date())
        old = found.get(key, (0, 0, 0, 0))
        answered = row.outcome in ("answered", "cannot_judge")
        new = (1, int(answered), int(answered and (row.active_ms or 0) > 0), row.active_ms or 0)
        found[key] = tuple(a + b for a, b in zip(old, new, strict=True))
    return found


def told(project):
    days = tallies.by_day(project, since=date(2000, 1, 1))
    return {key: (g.given, g.answered, g.timed, g.active_ms) for key, g in days.items()}


@pytest.mark.django_db
def test_tallied_and_fresh_make_the_same_as_counting_whenever_it_is_done(
    project, give, annotator, model, monkeypatch
):
    monkeypatch.setattr(tallies, "AT_ONCE", 7)
    dice = random.Random(5)
    for step in range(60):
        who = model if dice.random() < 0.3 else annotator
        give(
            who,
            NOON - timedelta(hours=dice.randrange(200)),
            outcome=dice.choice(["answered", "skipped", "cannot_judge", "flagged"]),
            active_ms=dice.choice([None, 0, 30_000]),
            origin=dice.choice(["page", "api", "import"]),
            received=NOON,
        )
        if step % 9 == 0:
            tallies.catch_up(project=project, now=NOON + timedelta(hours=1))
        assert told(project) == counted(project)
    while tallies.catch_up(project=project, now=NOON + timedelta(hours=1)):
        pass
    assert TallyMark.objects.get().through == Judgment.objects.latest("pk").pk
    assert told(project) == counted(project)
    people = tallies.by_person(project)
    assert people[annotator.pk].given + people[model.pk].given == sum(
        row[0] for row in counted(project).values()
    )


@pytest.mark.django_db
def test_what_arrived_just_now_waits_since_lower_ids_may_still_come(project, give, annotator):
    give(annotator, NOON, received=NOON)
    fresh = give(annotator, NOON, received=NOON + timedelta(minutes=9))
    give(annotator, NOON, received=NOON)
    assert tallies.catch_up(project=project, now=NOON + timedelta(minutes=10)) == 1
    assert TallyMark.objects.get().through < fresh.pk
    assert Tally.objects.get().given == 1
    assert told(project) == counted(project)
    assert tallies.catch_up(project=project, now=NOON + timedelta(minutes=12)) == 2
    assert Tally.objects.get().given == 3


def test_the_forecast_by_hand():
    steady = forecast(100, [0, 0, 10, 10, 10, 10])
    assert (steady.pace, steady.n, steady.days, steady.fastest, steady.slowest) == (10, 4, 10, 10, 10)
    # Days 8, 12, 10: mean 10, s = 2, t(0.95, 2) = 2.920, half = 2.920 * 2 / sqrt(3) = 3.372
    uneven = forecast(100, [8, 12, 10])
    assert uneven.pace_lo == pytest.approx(6.628, abs=1e-3)
    assert uneven.pace_hi == pytest.approx(13.372, abs=1e-3)
    assert uneven.slowest == pytest.approx(100 / 6.628, abs=1e-2)
    wild = forecast(100, [30, 0, 1])
    assert (wild.slowest, wild.days) == (None, pytest.approx(100 / (31 / 3)))


@pytest.mark.parametrize(
    ("left", "answers", "why"),
    [
        (0, [5, 5, 5], "Nothing is left"),
        (9, [0] * 14, "Nobody has judged"),
        (9, [], "Nobody has judged"),
        (9, [0, 0, 4, 4], "less than 3 full days"),
        (9, [4, 4, 0, 0, 0], "the pace before says nothing"),
    ],
)
def test_the_forecast_says_when_it_cannot_tell(left, answers, why):
    found = forecast(left, answers)
    assert found.days is None
    assert why in found.why


@settings(deadline=None)
@given(st.integers(1, 10**6), st.lists(st.integers(0, 5000), min_size=3, max_size=14))
def test_a_forecast_is_within_its_interval(left, answers):
    found = forecast(left, answers)
    if found.days is not None:
        assert 0 < found.fastest <= found.days
        assert found.slowest is None or found.days <= found.slowest


@pytest.mark.django_db
def test_the_pictures_hold_what_the_rows_say(project, make_item, give, annotator, model):
    make_item("A", wanted=3)
    make_item("B", wanted=2)
    untouched = pictures.pictures_of(project, progress_of([project])[project.pk], None, today=TODAY)
    assert untouched.burn_down is None  # nobody judged: no past to draw
    for back in range(1, 6):
        for _ in range(4):
            give(annotator, NOON - timedelta(days=back))
        give(model, NOON - timedelta(days=back), active_ms=None)
    give(annotator, NOON, outcome="skipped")
    give(annotator, NOON - timedelta(days=2), origin="import")
    progress = progress_of([project])[project.pk]
    assert progress.votes_left == 6
    account = Account(name="x", cap_micros=10_000_000, spent_micros=2_500_000, held_micros=1_000_000)
    found = pictures.pictures_of(project, progress, account, today=TODAY)
    days = {row[0]: row[1:] for row in found.days.rows}
    assert (days["2026-03-20"], days["2026-03-18"], days["2026-03-01"]) == (
        ["1", "0"],
        ["4", "1"],
        ["0", "0"],
    )
    left = {row[1]: row[2] for row in found.burn_down.rows if row[0] == "Left"}
    assert (
        int(left["−5"]) - int(left["0"]) == 16
    )  # four days of four answers lie between; the day itself is before
    assert found.forecast.pace == 4
    assert "at about 4 a day" in found.sentence
    assert found.budget.rows == [["Spent", "2.5", "", "", ""], ["Held for work under way", "1", "", "", ""], ["Left", "6.5", "", "", ""]]  # fmt: skip
    (person,) = [row for row in found.people if row.annotator == annotator]
    assert (person.given.given, person.rate, person.given.last_at) == (
        21,
        pytest.approx(20 / (21 / 60)),
        NOON,
    )


@pytest.mark.django_db
def test_batches_are_counted_apart(project, make_item):
    first = Batch.objects.create(project=project, name="First")
    for n in range(4):
        item = make_item(f"F{n}", wanted=2, batch=first)
        Item.objects.filter(pk=item.pk).update(n_human=2 if n < 3 else 1)
    make_item("None")
    assert [(row.name, row.n, row.complete, row.votes_left) for row in batches_of(project)] == [
        ("First", 4, 3, 1),
        ("", 1, 0, 1),
    ]


@pytest.mark.django_db
def test_the_page_rests_while_nothing_happens_and_answers_when_something_does(
    project, give, annotator, alice_client, charlie_client, bob_client, django_assert_max_num_queries
):
    page = alice_client.get(reverse("projects:overview", args=["pairs"])).content.decode()
    version = page.split("/live/?v=")[1].split('"')[0]
    address = reverse("projects:overview_live", args=["pairs"])
    with django_assert_max_num_queries(6):
        assert alice_client.get(address, {"v": version}).status_code == 204
    give(annotator, timezone.now())
    fresh = alice_client.get(address, {"v": version})
    assert fresh.status_code == 200
    assert version not in fresh.content.decode()
    assert 'hx-trigger="every 10s"' in fresh.content.decode()
    assert bob_client.get(address).status_code == 403
    assert charlie_client.get(address).status_code == 404


@pytest.mark.django_db
def test_every_table_is_a_file(project, give, annotator, alice_client):
    annotator.name = "=HYPERLINK(1)"
    annotator.save()
    give(annotator, timezone.now())
    for name, first in (
        ("days", ["Day (UTC)", "People"]),
        ("left", ["Series", "Days from today"]),
        ("batches", ["batch", "items"]),
        ("people", ["name", "pseudonym"]),
        ("budget", ["name"]),
    ):
        answer = alice_client.get(reverse("projects:overview_table", args=["pairs", name]))
        assert answer.status_code == 200, name
        rows = list(csv.reader(b"".join(answer).decode("utf-8-sig").splitlines()))
        if name != "budget":
            assert rows[0][: len(first)] == first, name
            assert len(rows) > 1, name
    people = b"".join(alice_client.get(reverse("projects:overview_table", args=["pairs", "people"]))).decode()
    assert "'=HYPERLINK(1)" in people
    assert alice_client.get(reverse("projects:overview_table", args=["pairs", "anything"])).status_code == 404
