"""Experiment arms: balanced draws, what each arm is shown, what is stored, how they compare."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.judging import arm_report, arms, queue
from annotations.judging.intervals import clustered, difference, wilson
from annotations.judging.models import Assignment, Judgment
from annotations.projects import presets, rules, schemas
from annotations.projects.access import annotator_for
from annotations.projects.models import Annotator, CriteriaRelease, Membership
from tests.conftest import make_user
from tests.judging.gated import says, work

TWO = (rules.Arm(name="plain"), rules.Arm(name="criteria", weight=1))


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(0, 10**6), st.integers(1, 120))
def test_arms_fill_as_their_weights_say(weights, seed, people):
    wanted = tuple(rules.Arm(name=f"arm{n}", weight=weight) for n, weight in enumerate(weights))
    filled: Counter[str] = Counter()
    for person in range(people):
        filled[arms.choose(wanted, filled, f"{seed}:{person}").name] += 1
    shares = [filled[arm.name] / arm.weight for arm in wanted]
    assert max(shares) - min(shares) <= 1


def test_the_draw_depends_on_the_seed():
    first = {arms.choose(TWO, {}, f"{seed}:1").name for seed in range(20)}
    assert first == {"plain", "criteria"}


def test_intervals_by_hand():
    assert wilson(0, 0) is None
    found = wilson(8, 10)
    assert [round(found[k], 4) for k in ("value", "lo", "hi")] == [0.8, 0.4902, 0.9433]
    published = wilson(81, 263)  # Newcombe 1998, table I
    assert (round(published["lo"], 4), round(published["hi"], 4), published["n"]) == (0.2553, 0.3662, 263)
    assert wilson(20, 20)["hi"] == 1.0
    assert wilson(0, 20)["lo"] == 0.0
    est, draws = clustered([np.array([1.0, 1.0]), np.array([0.0])], np.mean, draws=400, seed=3)
    assert (est["value"], est["n"]) == (2 / 3, 3)
    assert {round(v, 3) for v in draws} == {0.0, 0.667, 1.0}
    assert (est["lo"], est["hi"]) == (0.0, 1.0)
    alone, _ = clustered([np.array([1.0])], np.mean)
    assert (alone["value"], alone["lo"]) == (1.0, None)
    assert clustered([], np.mean)[0] is None
    assert difference((est, draws), (est, draws)) == {"value": 0.0, "lo": 0.0, "hi": 0.0, "n": 6}
    assert difference((None, draws), (est, draws)) is None


def crowd(project, n):
    people = []
    for k in range(n):
        user = make_user(f"person-{k}")
        Membership.objects.create(project=project, user=user, role="annotator")
        people.append(annotator_for(user, project.slug))
    return people


@pytest.mark.django_db
def test_people_stay_in_their_arm_and_it_is_stored(project, make_item):
    for k in range(4):
        make_item(prompt=f"work {k}", wanted=6)
    rules.change(project=project, arms=TWO)
    people = crowd(project, 6)
    for person in people:
        work(person, 2)
    stored = dict(Annotator.objects.filter(pk__in=[p.pk for p in people]).values_list("pk", "arm"))
    assert Counter(stored.values()) == {"plain": 3, "criteria": 3}
    assert {(j.annotator_id, j.arm) for j in Judgment.objects.all()} == set(stored.items())
    assert {(a.annotator_id, a.arm) for a in Assignment.objects.all()} == set(stored.items())
    rules.change(project=project, arms=(*TWO, rules.Arm(name="third")))
    work(people[0], 1)
    assert Annotator.objects.get(pk=people[0].pk).arm == stored[people[0].pk]


@pytest.mark.django_db
def test_an_arm_has_its_own_questions_and_criteria(project, make_item, bob, bob_client, annotator, alice):
    from tests.api.conftest import token_client

    make_item(wanted=2)
    other = schemas.add_schema(project=project, definition=presets.PRESETS["thumbs"], actor=alice)
    release = CriteriaRelease.objects.create(
        project=project,
        number=1,
        criteria=[{"name": "Kindness", "wording": "Which <b>one</b> is kinder?", "version": 1}],
    )
    arm = rules.Arm(name="thumbs", schema_number=other.number, criteria=True)
    rules.change(project=project, arms=(arm,))
    page = bob_client.get(reverse("work:judge", args=["pairs"])).content.decode()
    assert f'name="schema" value="{other.pk}"' in page
    assert "Which &lt;b&gt;one&lt;/b&gt; is kinder?" in page
    shown = token_client(bob).post("/api/v1/projects/pairs/next").json()
    assert shown["schema_version"] == other.label
    lease = Assignment.objects.get()
    post = {"uuid": "0b8c1a52-6f0e-4d2b-9a53-3a0c1a5e7f10", "assignment": lease.pk, "schema": other.pk,
            "criteria": release.pk, "t-thumb-0": "1", "t-thumb-1": "0"}  # fmt: skip
    bob_client.post(reverse("work:submit", args=["pairs"]), post)
    judgment = Judgment.objects.get()
    assert (judgment.schema_id, judgment.criteria_release_id, judgment.arm) == (
        other.pk,
        release.pk,
        "thumbs",
    )
    rules.change(project=project, arms=(rules.Arm(name="thumbs", criteria=False),))
    annotator.refresh_from_db()
    annotator.project.refresh_from_db()
    assert arms.criteria_for(annotator) is None
    assert arms.schema_id_for(annotator) == project.schema_id


@pytest.mark.django_db
def test_without_arms_nothing_is_drawn_and_no_query_made(project, annotator, django_assert_num_queries):
    with django_assert_num_queries(0):
        arms.draw(annotator)
        assert arms.schema_id_for(annotator) == annotator.project.schema_id
        assert arms.criteria_for(annotator) is None


@pytest.mark.django_db
def test_the_report_compares_arms_person_by_person(project, make_item, alice_client):
    for k in range(4):
        make_item(prompt=f"work {k}", wanted=4)
    rules.change(project=project, arms=TWO)
    people = crowd(project, 4)
    for person in people:
        queue.next_assignment(person)
        person.refresh_from_db()
        slow = person.arm == "criteria"
        work(person, 4, lambda _, slow=slow: says("equal" if slow else 2, active_ms=9000 if slow else 3000))
    plain, criteria = arm_report.report(project)
    assert (plain.name, plain.people, plain.judgments) == ("plain", 2, 8)
    assert plain.estimates["seconds"] == {"value": 3.0, "lo": 3.0, "hi": 3.0, "n": 8}
    assert criteria.against["seconds"] == {"value": 6.0, "lo": 6.0, "hi": 6.0, "n": 16}
    assert (plain.estimates["ties"]["value"], criteria.estimates["ties"]["value"]) == (0.0, 1.0)
    assert plain.estimates["agreement"]["value"] == pytest.approx(1 / 3)
    assert plain.estimates["gold"] is None
    page = alice_client.get(reverse("quality:arms", args=["pairs"])).content.decode()
    assert "criteria minus plain" in page


@pytest.mark.django_db
def test_arms_are_set_on_the_page(project, alice_client):
    url = reverse("quality:arms", args=["pairs"])
    assert "Show the released criteria" not in alice_client.get(url).content.decode()
    CriteriaRelease.objects.create(
        project=project,
        number=1,
        criteria=[{"name": "Kindness", "wording": "Which is kinder?", "version": 1}],
    )
    assert "Show the released criteria" in alice_client.get(url).content.decode()
    post = {"form-TOTAL_FORMS": "2", "form-INITIAL_FORMS": "0", "form-0-name": "plain", "form-0-weight": "2",
            "form-1-name": "second", "form-1-criteria": "on", "form-1-schema_number": "1"}  # fmt: skip
    assert alice_client.post(url, post).status_code == 302
    project.refresh_from_db()
    assert [(a.name, a.weight, a.schema_number, a.criteria) for a in rules.of(project).arms] == [
        ("plain", 2, None, False),
        ("second", 1, 1, True),
    ]
    for bad in ({"form-1-name": "plain"}, {"form-1-name": "Not Good"}, {"form-1-schema_number": "77"}):
        assert alice_client.post(url, {**post, **bad}).status_code == 400
    project.refresh_from_db()
    assert len(rules.of(project).arms) == 2


@pytest.mark.parametrize(
    ("gaps", "sentence"),
    [
        ({"ties": (0.2, 0.1, 0.3)}, "b differs from a in ties: +20 points [+10, +30]."),
        (
            {"ties": (-0.2, -0.3, -0.1), "seconds": (4.0, 3.9, 4.1)},
            "b differs from a in median active time: +4.0 s [+3.9, +4.1]; 1 other difference.",
        ),
        ({"ties": (0.2, -0.1, 0.5)}, "Nothing differs from a beyond chance."),
        ({"ties": (0.2, None, None)}, "Too few people have judged in each arm to compare them."),
    ],
)
def test_the_report_begins_with_what_was_found(gaps, sentence):
    found = {key: {"value": v, "lo": lo, "hi": hi, "n": 9} for key, (v, lo, hi) in gaps.items()}
    rows = [arm_report.ArmNumbers("a", 3, 9, {}), arm_report.ArmNumbers("b", 3, 9, {}, found)]
    assert arm_report.finding(rows) == sentence
