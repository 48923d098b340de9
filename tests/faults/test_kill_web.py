"""kill -9 of the web server while eight people judge: nothing acknowledged is lost, no item is over its quota."""

from __future__ import annotations

import random
import time

import pytest

from tests.faults import stored
from tests.faults.conftest import PEOPLE
from tests.faults.people import Crowd, Person

pytestmark = pytest.mark.faults


def people_of(site, sessions, slug, seed):
    """The people of one test; another `seed` for each, since the UUIDs they make follow from it."""
    return Crowd(
        [Person(name, sessions[name], site.port, slug, seed * 100 + n) for n, name in enumerate(PEOPLE)]
    )


@pytest.mark.parametrize(
    ("overlap", "kills", "items"),
    [
        pytest.param(2, 3, 50, marks=pytest.mark.smoke),
        pytest.param(2, 20, 200, marks=pytest.mark.slow),
    ],
)
def test_no_acknowledged_judgment_is_lost(site, sessions, overlap, kills, items):
    slug = f"kill-{overlap}-{kills}"
    site.add_items(items, overlap=overlap, people=PEOPLE, slug=slug)
    site.start_web()
    delays = random.Random(overlap * 1000 + kills)
    crowd = people_of(site, sessions, slug, seed=100 * overlap + kills)
    done = []

    def kill_web() -> None:
        time.sleep(0.04 * delays.random())
        given_before = crowd.n_given
        site.web.kill()
        stored.assert_consistent(site)
        assert len(stored.stored_uuids(site, slug)) >= given_before
        site.start_web()
        done.append(given_before)

    for kill in range(1, kills + 1):
        crowd.after(kill * items * overlap // (kills + 2), kill_web)
    crowd.start()
    try:
        crowd.join(900)
    finally:
        crowd.stopped.set()
        site.web.kill()
    assert len(done) == kills
    assert all(person.finished for person in crowd.people)
    retried = [one for person in crowd.people for one in person.given if one.tries > 1]
    assert len(retried) >= kills, "few answers were under way when the server was killed"
    acknowledged = sorted(one.uuid.replace("-", "") for person in crowd.people for one in person.given)
    assert stored.stored_uuids(site, slug) == acknowledged
    assert len(acknowledged) == len(set(acknowledged)) == items * overlap
    stored.assert_stored(site, slug, {person.name: person.given for person in crowd.people})
    stored.assert_consistent(site)
    stored.assert_sound(site)
    assert site.rows("SELECT count(*) FROM items_item WHERE n_human <> wanted OR n_leased <> 0") == [(0,)]
    site.manage("verify_counts")  # fails unless it exits with 0: every counter is what it counts


@pytest.mark.smoke
def test_the_checks_see_a_lost_and_a_bent_answer(site, sessions):
    slug = "seen"
    site.add_items(12, overlap=1, people=PEOPLE, slug=slug)
    site.start_web()
    crowd = people_of(site, sessions, slug, seed=5)
    crowd.start()
    try:
        crowd.join(120)
    finally:
        site.web.kill()
    given = {person.name: person.given for person in crowd.people}
    stored.assert_stored(site, slug, given)
    name, answers = next((name, answers) for name, answers in given.items() if answers)
    lost = {name: [*answers, answers[0].__class__("0" * 32, 1, "equal", {}, "", 1, 0.0)]}
    with pytest.raises(AssertionError, match="was acknowledged; stored: None"):
        stored.assert_stored(site, slug, lost)
    place = sorted(answers[0].ratings)[0]
    answers[0].ratings[place] = (answers[0].ratings[place] + 1) % 5
    with pytest.raises(AssertionError):
        stored.assert_stored(site, slug, given)
