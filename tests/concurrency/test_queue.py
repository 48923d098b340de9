"""The queue with many people at once: quotas hold, nobody starves, sides balance, counters stay true."""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.db.models import F
from django.utils import timezone

from annotations.items.models import Item
from annotations.judging import queue
from annotations.judging.answers import Answer, ComparisonAnswer, ScoreAnswer
from annotations.judging.models import Assignment, Judgment
from annotations.judging.submit import Conflict, submit
from annotations.projects.access import annotator_for
from annotations.projects.models import Annotator, Membership
from tests.conftest import make_user
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

ANSWERED = Answer(
    comparisons=(ComparisonAnswer(0, 1, "overall", -2, 3),),
    scores=tuple(
        ScoreAnswer(place, name, 3, 0, 4) for name in ("helpfulness", "correctness") for place in (0, 1)
    ),
)


def given(outcome: str) -> Answer:
    """An answer with this outcome that the project's schema takes."""
    if outcome == "answered":
        return ANSWERED
    key, value = {
        "cannot_judge": ("cannot_judge", "not_valid"),
        "skipped": ("skip", "not_now"),
        "flagged": ("flag", "broken"),
    }[outcome]
    return Answer(outcome=outcome, answers={key: value})


def write(annotator, assignment, answer=ANSWERED, uid=None):
    return submit(
        annotator=annotator,
        item_id=assignment.item_id,
        schema_id=annotator.project.schema_id,
        uuid=uid or uuid.uuid4(),
        answer=answer,
        origin=Judgment.Origin.PAGE,
        assignment_id=assignment.pk,
    )


@pytest.fixture
def people(project):
    """Make `n` annotators of the project."""

    def make(n: int) -> list[Annotator]:
        users = [make_user(f"person-{k}") for k in range(n)]
        for user in users:
            Membership.objects.create(project=project, user=user, role=Membership.Role.ANNOTATOR)
        return [annotator_for(user, project.slug) for user in users]

    return make


def raised(found: list) -> list[Exception]:
    return [one for one in found if isinstance(one, Exception)]


def assert_counters_are_true(project):
    """Every counter of items and annotators equals a recount, written down here on its own."""
    answers = ("answered", "cannot_judge")
    current = list(
        Judgment.objects.filter(project=project, is_current=True).values_list(
            "item_id", "annotator_id", "outcome"
        )
    )
    assert len({(item, person) for item, person, _ in current}) == len(current)
    humans = Counter(item for item, _, outcome in current if outcome in answers)
    skipped = Counter(item for item, _, outcome in current if outcome == "skipped")
    flagged = Counter(item for item, _, outcome in current if outcome == "flagged")
    judged = Counter(person for _, person, outcome in current if outcome in answers)
    outcome_of = {(item, person): outcome for item, person, outcome in current}
    leased, sides, own_sides = Counter(), Counter(), Counter()
    for row in Assignment.objects.filter(item__project=project):
        leased[row.item_id] += row.state == "leased"
        answered = outcome_of.get((row.item_id, row.annotator_id)) in answers
        if row.state == "leased" or (row.state == "submitted" and answered):
            sides[row.item_id, row.presented_order] += 1
            own_sides[row.annotator_id, row.presented_order] += 1
    for item in Item.objects.filter(project=project):
        kept = (item.n_human, item.n_leased, item.n_skipped, item.n_flagged, item.n_forward, item.n_reversed)
        recount = (
            humans[item.pk],
            leased[item.pk],
            skipped[item.pk],
            flagged[item.pk],
            sides[item.pk, "01"],
            sides[item.pk, "10"],
        )
        assert kept == recount, f"item {item.pk}: kept {kept}, counted {recount}"
        assert item.open_slots == max(0, item.wanted - item.n_human - item.n_leased)
    for person in Annotator.objects.filter(project=project):
        kept = (person.n_judged, person.n_forward, person.n_reversed)
        assert kept == (judged[person.pk], own_sides[person.pk, "01"], own_sides[person.pk, "10"])


class Watch(threading.Thread):
    """Looks at the items again and again while others work; `over` has every item seen beyond its quota."""

    def __init__(self, project):
        super().__init__(daemon=True)
        self.project, self.over, self.looks = project, [], 0
        self.done = threading.Event()

    def run(self):
        beyond = Item.objects.filter(project=self.project, wanted__lt=F("n_human") + F("n_leased"))
        try:
            while True:
                self.over += list(beyond.values_list("pk", "wanted", "n_human", "n_leased"))
                self.looks += 1
                if self.done.wait(0.02):
                    return
        finally:
            connections.close_all()


@pytest.mark.parametrize("overlap", [1, 2, 3])
def test_sixteen_people_drain_the_queue(project, make_item, people, overlap):
    items = [make_item(prompt=f"Question {n}", wanted=overlap) for n in range(60)]
    crowd = people(16)

    def drain(person):
        done = []
        while (assignment := queue.next_assignment(person)) is not None:
            write(person, assignment)
            done.append(assignment.item_id)
        return done

    watch = Watch(project)
    watch.start()
    found = at_once([lambda person=person: drain(person) for person in crowd])
    watch.done.set()
    watch.join(20)
    assert raised(found) == []
    assert watch.looks > 0
    assert watch.over == []
    assert all(len(done) == len(set(done)) for done in found)
    assert Counter(item for done in found for item in done) == {item.pk: overlap for item in items}
    assert not Item.objects.exclude(n_human=overlap, n_leased=0, open_slots=0).exists()
    assert_counters_are_true(project)
    for item in Item.objects.all():
        assert abs(item.n_forward - item.n_reversed) == overlap % 2
    # A pool that runs dry leaves no choice (docs/decisions.md): somebody may be turned a little further by its last items.
    leans = [abs(p.n_forward - p.n_reversed) for p in Annotator.objects.filter(project=project)]
    assert sum(lean > 2 for lean in leans) <= 1
    assert max(leans) <= 4


def test_one_person_alone_drains_what_wants_two_and_cannot_do_it_twice(project, make_item, people):
    for n in range(5):
        make_item(prompt=f"Question {n}", wanted=2)
    [person] = people(1)
    for _ in range(5):
        write(person, queue.next_assignment(person))
    assert queue.next_assignment(person) is None
    assert set(Item.objects.values_list("n_human", "open_slots")) == {(1, 1)}
    assert_counters_are_true(project)


def test_the_same_answer_sent_twice_at_once_is_one_judgment(project, make_item, people):
    make_item()
    [person] = people(1)
    assignment, uid = queue.next_assignment(person), uuid.uuid4()
    found = at_once([lambda: write(person, assignment, uid=uid)] * 6)
    assert raised(found) == []
    assert sorted(one.created for one in found) == [False] * 5 + [True]
    assert {one.judgment.pk for one in found} == {Judgment.objects.get().pk}
    assert_counters_are_true(project)


def test_two_answers_to_one_assignment_store_the_first_and_refuse_the_other(project, make_item, people):
    make_item(wanted=2)
    [person] = people(1)
    assignment = queue.next_assignment(person)
    found = at_once([lambda: write(person, assignment)] * 4)
    assert [type(error) for error in raised(found)] == [Conflict] * 3
    assert Judgment.objects.count() == 1
    assert Item.objects.values_list("n_human", "n_leased", "open_slots").get() == (1, 0, 1)
    assert_counters_are_true(project)


def test_all_tabs_of_one_person_share_a_lease(project, make_item, people):
    for n in range(10):
        make_item(prompt=f"Question {n}")
    [person] = people(1)
    found = at_once([lambda: queue.next_assignment(person)] * 8)
    assert raised(found) == []
    assert len({one.pk for one in found}) == 1
    assert Assignment.objects.count() == 1
    assert Item.objects.filter(n_leased=1).count() == 1
    assert_counters_are_true(project)


def test_the_last_item_goes_to_one_of_many(project, make_item, people):
    make_item(wanted=1)
    found = at_once([lambda person=person: queue.next_assignment(person) for person in people(12)])
    assert raised(found) == []
    assert sum(one is not None for one in found) == 1
    assert_counters_are_true(project)


def test_a_lease_is_given_back_once_however_many_end_it(project, make_item, people):
    make_item(wanted=3)
    [person] = people(1)
    assignment = queue.next_assignment(person)
    late = timezone.now() + timedelta(hours=2)
    actions = [lambda: queue.expire_leases(now=late)] * 4
    actions += [lambda: queue.release(assignment_id=assignment.pk, annotator=person)] * 4
    found = at_once(actions)
    assert raised(found) == []
    assert sum(found) == 1
    assert Item.objects.values_list("n_leased", "open_slots").get() == (0, 3)
    assert_counters_are_true(project)


def test_an_answer_and_the_end_of_its_lease_at_once_keep_the_answer(project, make_item, people):
    crowd = people(6)
    for n in range(6):
        make_item(prompt=f"Question {n}")
    assignments = [queue.next_assignment(person) for person in crowd]
    late = timezone.now() + timedelta(hours=2)
    actions = [
        lambda person=person, held=held: write(person, held)
        for person, held in zip(crowd, assignments, strict=True)
    ]
    actions += [lambda: queue.expire_leases(now=late)] * 3
    assert raised(at_once(actions)) == []
    assert Judgment.objects.count() == 6
    assert set(Item.objects.values_list("n_human", "n_leased", "open_slots")) == {(1, 0, 0)}
    assert_counters_are_true(project)


@pytest.mark.parametrize("seed", range(4))
def test_any_mixture_keeps_quotas_and_counters(project, make_item, people, seed):
    rng = random.Random(seed)
    for n in range(14):
        make_item(prompt=f"Question {n}", wanted=rng.choice([1, 2, 3]))
    seeds = [rng.getrandbits(32) for _ in range(8)]

    def work(person, own_seed):
        own = random.Random(own_seed)
        stale = []
        for _ in range(22):
            act = own.random()
            if act < 0.08:
                queue.expire_leases(now=timezone.now() + timedelta(hours=own.choice([-1, 2])))
                continue
            assignment = queue.next_assignment(person)
            if assignment is None:
                break
            if act < 0.22:
                queue.release(assignment_id=assignment.pk, annotator=person)
                stale.append(assignment)
            elif act < 0.30 and stale:
                _late_answer(person, own.choice(stale))
            elif act < 0.36:
                queue.extend(assignment_id=assignment.pk, annotator=person, draft={"x-reason": ["half"]})
            else:
                outcome = own.choices(["answered", "cannot_judge", "skipped", "flagged"], [6, 1, 2, 1])[0]
                _late_answer(person, assignment, given(outcome))

    watch = Watch(project)
    watch.start()
    found = at_once([lambda p=p, s=s: work(p, s) for p, s in zip(people(8), seeds, strict=True)])
    watch.done.set()
    watch.join(20)
    assert raised(found) == []
    assert_counters_are_true(project)
    over = {pk for pk, *_ in watch.over}
    late = set(Judgment.objects.filter(meta__late=True).values_list("item_id", flat=True))
    assert over <= late, "only an answer that came after its lease had ended may exceed a quota"


def _late_answer(person, assignment, answer=ANSWERED):
    """Answer, where the same person may have answered the same item before."""
    with suppress(Conflict):
        write(person, assignment, answer)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="row locks")
@pytest.mark.postgres
def test_people_who_claim_at_once_do_not_wait_for_each_other(project, make_item, people):
    from django.db import transaction

    for n in range(8):
        make_item(prompt=f"Question {n}")
    first, second = people(2)
    with transaction.atomic():
        held = queue.next_assignment(first)
        [other] = at_once([lambda: queue.next_assignment(second)])
        assert other.item_id != held.item_id
    assert connection.in_atomic_block is False
