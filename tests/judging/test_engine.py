"""The assignment engine: batches, tags, experts, weights, limits, own order, extra votes, work given by hand."""

from __future__ import annotations

import uuid
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.items import batches
from annotations.items.models import Batch, Item
from annotations.judging import limits, picking, queue, verify
from annotations.judging.agreement import PersonVote, agree
from annotations.judging.answers import Answer, ComparisonAnswer, ScoreAnswer
from annotations.judging.models import Judgment
from annotations.judging.pools import Part, drawn_order
from annotations.judging.submit import submit
from annotations.projects import rules
from annotations.projects.access import annotator_for
from annotations.projects.models import Annotator, Membership
from tests.conftest import make_user

pytestmark = pytest.mark.django_db

SCORES = tuple(
    ScoreAnswer(place, name, 3, 0, 4) for name in ("helpfulness", "correctness") for place in (0, 1)
)


def preferring(strength: int) -> Answer:
    return Answer(comparisons=(ComparisonAnswer(0, 1, "overall", strength, 3),), scores=SCORES)


def judge(person: Annotator, strength: int = -2, answer: Answer | None = None) -> int | None:
    """Take the person's next item and answer it; returns the item's id."""
    assignment = queue.next_assignment(person)
    if assignment is None:
        return None
    submit(
        annotator=person,
        item_id=assignment.item_id,
        schema_id=person.project.schema_id,
        uuid=uuid.uuid4(),
        answer=answer or preferring(strength),
        origin=Judgment.Origin.PAGE,
        assignment_id=assignment.pk,
    )
    return assignment.item_id


def drain(person: Annotator) -> list[int]:
    return list(iter(lambda: judge(person), None))


@pytest.fixture
def person(project):
    """Make an annotator of the project with these tags."""

    def make(name: str, *tags: str) -> Annotator:
        user = make_user(name)
        Membership.objects.create(project=project, user=user, role=Membership.Role.ANNOTATOR)
        annotator = annotator_for(user, project.slug)
        annotator.tags = list(tags)
        annotator.save()
        return annotator

    return make


@pytest.fixture
def fill(project, make_item):
    """Make a batch with these rules and `n` items in it; returns (batch, their ids)."""

    def make(n: int, **values) -> tuple[Batch, list[int]]:
        values.setdefault("name", f"batch {Batch.objects.count() + 1}")
        batch = batches.create_batch(project=project, actor=None, **values)
        made = [make_item(prompt=f"{values['name']}, question {k}").pk for k in range(n)]
        batches.move_items(project=project, item_ids=made, batch=batch)
        return batch, made

    return make


def assert_counts_hold(project):
    assert list(verify.verify_counts(project=project)) == []


def test_a_batch_asks_as_many_people_as_it_says_and_an_item_its_own_number(project, make_item, person, fill):
    plain = make_item(prompt="no batch").pk
    _, ids = fill(2, overlap=2)
    own = make_item(prompt="own", wanted=3).pk
    batches.move_items(project=project, item_ids=[own], batch=Batch.objects.get())
    crowd = [person(f"p{k}") for k in range(4)]
    done = Counter(item for one in crowd for item in drain(one))
    assert done == {plain: 1, ids[0]: 2, ids[1]: 2, own: 3}
    assert_counts_hold(project)


def test_a_changed_overlap_reaches_items_that_follow_the_batch_and_no_others(project, make_item, fill):
    batch, ids = fill(3, overlap=2)
    Item.objects.filter(pk=ids[0]).update(wanted=5, open_slots=5)
    batches.change_batch(batch=batch, actor=None, overlap=4)
    assert list(Item.objects.order_by("pk").values_list("wanted", "open_slots")) == [(5, 5), (4, 4), (4, 4)]
    batches.move_items(project=project, item_ids=ids, batch=None)
    assert list(Item.objects.order_by("pk").values_list("wanted", "open_slots")) == [(5, 5), (1, 1), (1, 1)]


def test_only_people_with_every_required_tag_are_given_a_batch(project, make_item, person, fill):
    plain = make_item(prompt="for all").pk
    _, german = fill(2, required_tags=["de", "medicine"])
    anybody, half, whole = person("a"), person("b", "de"), person("c", "de", "law", "medicine")
    assert drain(half) == [plain]
    assert drain(anybody) == []
    assert sorted(drain(whole)) == german


def test_the_last_places_are_the_experts_and_the_first_are_not(project, person, fill):
    """MultiPref's design: two people of the crowd and two experts of the field on every item."""
    _, ids = fill(3, overlap=4, expert_slots=2, expert_tags=["physics", "chemistry"])
    crowd = [person(f"crowd-{k}") for k in range(3)]
    experts = [person("e1", "physics"), person("e2", "chemistry"), person("e3", "physics", "chemistry")]
    by_expert = Counter(item for one in experts for item in drain(one))
    assert by_expert == dict.fromkeys(ids, 2)
    assert set(Item.objects.values_list("n_human", "open_slots", "expert_slots")) == {(2, 2, 0)}
    by_crowd = Counter(item for one in crowd for item in drain(one))
    assert by_crowd == dict.fromkeys(ids, 2)
    assert set(Item.objects.values_list("n_human", "n_expert", "open_slots", "expert_slots")) == {
        (4, 2, 0, 0)
    }
    assert_counts_hold(project)


def test_an_experts_place_is_free_again_when_they_skip_or_let_the_lease_end(project, person, fill):
    _, [item] = fill(1, overlap=2, expert_slots=1, expert_tags=["law"])
    first, second = person("e1", "law"), person("e2", "law")
    held = queue.next_assignment(first)
    assert queue.next_assignment(second) is None
    queue.release(assignment_id=held.pk, annotator=first)
    assert_counts_hold(project)
    assert judge(first, answer=Answer(outcome="skipped", answers={"skip": "not_now"})) == item
    assert_counts_hold(project)
    assert judge(second) == item
    assert_counts_hold(project)
    assert Item.objects.values_list("n_human", "n_expert", "open_slots", "expert_slots").get() == (1, 1, 1, 0)


def test_a_batch_with_weight_0_is_not_given_out_until_it_has_one(project, person, fill):
    batch, ids = fill(2, weight=0)
    someone = person("a")
    assert queue.next_assignment(someone) is None
    batches.change_batch(batch=batch, actor=None, weight=3)
    assert sorted(drain(someone)) == ids


@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (8, 1)])
def test_first_draws_follow_the_weights(weights):
    parts = [Part(batch=n, weight=weight) for n, weight in enumerate(weights, 1)]
    draws = [drawn_order(parts, seed=5, person=9, draw=n)[0].batch for n in range(4000)]
    share = weights[0] / sum(weights)
    bound = 4 * (share * (1 - share) / 4000) ** 0.5
    assert abs(draws.count(1) / 4000 - share) < bound
    assert draws == [drawn_order(parts, seed=5, person=9, draw=n)[0].batch for n in range(4000)]
    assert draws != [drawn_order(parts, seed=6, person=9, draw=n)[0].batch for n in range(4000)]


def test_people_work_through_all_batches_by_weight(project, person, fill):
    _, often = fill(30, weight=5)
    _, rarely = fill(30, weight=1)
    done = drain(person("a"))
    assert sorted(done) == sorted(often + rarely)
    early = sum(item in often for item in done[:24])
    assert 14 <= early <= 24


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("n", [1, 7, 90])
def test_in_an_order_of_their_own_everybody_gets_each_item_once(project, make_item, person, fill, n, batched):
    rules.change(project=project, limits=rules.Limits(order="per_person"))
    if batched:
        _, ids = fill(n, overlap=2)
    else:
        ids = [make_item(prompt=f"Question {k}", wanted=2, priority=k % 3).pk for k in range(n)]
    first, second = drain(person("a")), drain(person("b"))
    assert sorted(first) == sorted(second) == ids
    if n == 90:
        assert first != second
        place = {item: where for where, item in enumerate(first)}
        neighbours = sum(abs(place[a] - place[b]) == 1 for a, b in pairwise(second))
        assert neighbours < 20
    if not batched:
        priority = dict(Item.objects.values_list("pk", "priority"))
        levels = [priority[item] for item in first]
        passed_over = sum(a < b for a, b in pairwise(levels))
        assert passed_over <= 1 + n // 10  # only to balance the sides
    assert_counts_hold(project)


def test_an_own_order_is_the_same_when_asked_again():
    assert picking.own_order(3, 8) == picking.own_order.__wrapped__(3, 8)
    assert sorted(picking.own_order(3, 8)[0]) == list(range(picking.SECTIONS))


# --- Limits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["per_day", "per_person"])
def test_a_limit_ends_the_work_and_the_page_says_which(project, make_item, annotator, bob_client, kind):
    for k in range(4):
        make_item(prompt=f"Question {k}")
    rules.change(project=project, limits=rules.Limits(**{kind: 2}))
    assert [judge(annotator) is not None for _ in range(3)] == [True, True, False]
    annotator.refresh_from_db()
    assert limits.reached(annotator) == limits.Limit(kind, 2)
    page = bob_client.get("/work/pairs/").content.decode()
    assert ("2 items today" in page) == (kind == "per_day")
    assert ("2 items, the most this project takes from one person" in page) == (kind == "per_person")
    answer = bob_client.post("/api/v1/projects/pairs/next")
    assert (answer.status_code, answer.json()["title"]) == (409, "You have reached a limit")


def test_a_limit_does_not_take_away_what_is_held(project, make_item, annotator):
    make_item()
    held = queue.next_assignment(annotator)
    rules.change(project=project, limits=rules.Limits(per_person=1))
    Annotator.objects.filter(pk=annotator.pk).update(n_judged=1)
    assert queue.next_assignment(annotator).pk == held.pk


# --- Further votes ------------------------------------------------------------------------------------------


def test_people_are_asked_until_most_agree(project, make_item, person):
    make_item(wanted=2)
    rules.change(project=project, limits=rules.Limits(max_votes=5))
    crowd = [person(f"p{k}") for k in range(6)]
    wanted = []
    for one, strength in zip(crowd, (-1, 2, -3), strict=False):
        judge(one, strength)
        wanted.append(Item.objects.values_list("wanted", "open_slots").get())
    assert wanted == [(2, 1), (3, 1), (3, 0)]
    assert queue.next_assignment(crowd[3]) is None
    assert_counts_hold(project)


def test_the_cap_ends_the_asking_and_a_batch_may_have_its_own(project, person, fill):
    rules.change(project=project, limits=rules.Limits(max_votes=9, agreement="unanimous"))
    fill(1, overlap=2, max_votes=4)
    crowd = [person(f"p{k}") for k in range(6)]
    assert [judge(one, (-1) ** k) is not None for k, one in enumerate(crowd)] == [True] * 4 + [False] * 2
    assert Item.objects.values_list("wanted", "n_human").get() == (4, 4)
    assert_counts_hold(project)


def test_a_correction_that_ends_the_agreement_asks_one_more(project, make_item, person):
    make_item(wanted=2)
    rules.change(project=project, limits=rules.Limits(max_votes=3))
    first, second = person("a"), person("b")
    judge(first, 1)
    judge(second, 2)
    assert Item.objects.get().wanted == 2
    before = Judgment.objects.get(annotator=second)
    submit(
        annotator=second,
        item_id=before.item_id,
        schema_id=project.schema_id,
        uuid=uuid.uuid4(),
        answer=preferring(-2),
        origin="page",
        supersedes=before.uuid,
    )
    assert Item.objects.values_list("wanted", "open_slots").get() == (3, 1)


def votes(*verdicts) -> list[PersonVote]:
    return [PersonVote(verdict=verdict) for verdict in verdicts]


def test_agreement_of_verdicts():
    assert agree([], "majority")
    assert agree(votes("a"), "unanimous")
    assert [agree(votes("a", "b"), rule) for rule in ("majority", "two_thirds", "unanimous")] == [False] * 3
    assert [agree(votes("a", "a", "b"), rule) for rule in ("majority", "two_thirds", "unanimous")] == [
        True,
        True,
        False,
    ]
    assert [agree(votes(*"aaabb"), rule) for rule in ("majority", "two_thirds")] == [True, False]
    assert not agree(votes("a", "b", "cannot judge"), "majority")


def test_agreement_of_ratings_allows_half_the_scale():
    def rated(*values):
        return [PersonVote(marks=((("helpfulness", 0), value, 0, 4),)) for value in values]

    assert agree(rated(1, 3), "unanimous")
    assert not agree(rated(0, 3), "majority")
    assert agree(rated(0, 3, 4), "majority")
    assert not agree(rated(0, 3, 4), "unanimous")
    assert not agree(rated(0, 2.5, 0, 4), "majority")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=7), st.randoms())
def test_agreement_depends_on_the_votes_and_not_on_their_order(names, rng):
    shuffled = list(names)
    rng.shuffle(shuffled)
    for rule in ("majority", "two_thirds", "unanimous"):
        found = agree(votes(*names), rule)
        assert found == agree(votes(*shuffled), rule)
        most = max(Counter(names).values(), default=0)
        bound = {"majority": 2 * most > len(names), "two_thirds": 3 * most >= 2 * len(names)}
        assert found == (len(names) < 2 or bound.get(rule, most == len(names)))


def test_items_follow_a_changed_number_of_people_where_it_was_the_project_s(
    project, make_item, alice_client, person
):
    plain, raised, batched = make_item("a"), make_item("b", wanted=3), make_item("c", wanted=2)
    Item.objects.filter(pk=batched.pk).update(
        batch=batches.create_batch(project=project, actor=None, name="own", overlap=2)
    )
    Item.objects.filter(pk=plain.pk).update(
        batch=batches.create_batch(project=project, actor=None, name="follows")
    )
    form = alice_client.get("/p/pairs/settings/").context["form"]
    values = {name: field.value() for name, field in ((f.name, f) for f in form)}
    posted = alice_client.post("/p/pairs/settings/", {**values, "overlap": 2, "description": ""})
    assert posted["Location"] == "/p/pairs/settings/overlap/1/"
    assert "1 item here still wants 1" in alice_client.get(posted["Location"]).content.decode()
    assert alice_client.post(posted["Location"])["Location"] == "/p/pairs/settings/"
    wanted = dict(Item.objects.values_list("prompt", "wanted"))
    assert wanted == {"a": 2, "b": raised.wanted, "c": 2}
    assert Item.objects.get(pk=plain.pk).open_slots == 2
    assert_counts_hold(project)
