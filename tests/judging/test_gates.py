"""Training, qualification, gold, hidden repeats, pauses: what people are given, what is stored, what is counted."""

from __future__ import annotations

import json
import uuid
from collections import Counter

import pytest
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.items.models import Item
from annotations.judging import gate_items, gates, queue
from annotations.judging.answers import Answer, ComparisonAnswer, InvalidAnswer, ScoreAnswer
from annotations.judging.expected import Tolerance, consistent, fits, from_json, to_json
from annotations.judging.models import Assignment, Check, Judgment
from annotations.judging.submit import Conflict, submit
from annotations.judging.verify import verify_counts
from annotations.projects import people, rules
from annotations.projects.models import Annotator
from app.accounts.models import AuditEvent
from tests.judging.gated import give, make_gates, prefers, says, set_gates, work

pytestmark = pytest.mark.django_db


def wrong(project):
    return [(d.kind, d.id, d.counter, d.stored, d.counted) for d in verify_counts(project=project)]


# --- What is expected ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "said", "within", "fit"),
    [
        (2, 3, None, True),
        (2, 1, None, True),
        (2, -1, None, False),
        (2, "equal", None, False),
        (2, 1, 1, True),
        (2, -1, 2, False),
        (1, "equal", 1, True),
        (2, 2, 0, True),
        (2, 3, 0, False),
    ],
)
def test_a_preference_fits_by_side_or_by_steps(expected, said, within, fit):
    assert fits(prefers(expected), says(said), Tolerance(within)) is fit


def test_scores_choices_and_outcomes_fit():
    wanted = Answer(scores=(ScoreAnswer(0, "helpfulness", 4, 0, 4),), answers={"why": ["a", "b"]})
    said = Answer(scores=(ScoreAnswer(0, "helpfulness", 3, 0, 4),), answers={"why": ["b", "a"], "more": "x"})
    either = Tolerance(unordered=frozenset({"why"}))
    assert fits(wanted, said, either)
    assert not fits(wanted, said, Tolerance())
    assert not fits(wanted, said, Tolerance(score_within=0, unordered=frozenset({"why"})))
    assert not fits(wanted, Answer(answers={"why": ["a", "b"]}), Tolerance())
    assert not fits(prefers(1), Answer(outcome="cannot_judge"), Tolerance())
    assert fits(Answer(outcome="cannot_judge"), Answer(outcome="cannot_judge"), Tolerance())


@given(st.integers(-3, 3).filter(bool), st.integers(-3, 3).filter(bool))
def test_consistency_is_the_same_side_and_symmetric(a, b):
    assert consistent(says(a), says(b)) is (a * b > 0)
    assert consistent(says(a), says(b)) is consistent(says(b), says(a))


def test_an_expectation_reads_back_as_it_was_written():
    answer = Answer(
        comparisons=(ComparisonAnswer(0, 1, "overall", -2, 3), ComparisonAnswer(0, 1, "x", tie="equal")),
        scores=(ScoreAnswer(1, "helpfulness", 4.0, 0, 4),),
        answers={"why": ["a"]},
    )
    assert from_json(json.loads(json.dumps(to_json(answer)))) == answer
    for broken in ([], {}, {"comparisons": 3}, {"scores": [{}]}, {"votes": []}, {"outcome": "skipped"}):
        with pytest.raises(InvalidAnswer):
            from_json(broken)


def test_what_the_project_does_not_ask_cannot_be_expected(project, make_item, alice):
    item = make_item()
    for answer in (
        prefers(5),
        Answer(comparisons=(ComparisonAnswer(0, 1, "beauty", 1, 3),)),
        Answer(scores=(ScoreAnswer(5, "helpfulness", 3, 0, 4),)),
    ):
        with pytest.raises(InvalidAnswer):
            gate_items.set_gate(item=item, purpose="gold", answer=answer, actor=alice)
    item.refresh_from_db()
    assert (item.purpose, item.open_slots) == ("data", 1)


# --- Before the work -----------------------------------------------------------------------------------------


def test_training_comes_first_and_explains_after_the_answer(project, make_item, annotator, alice, bob_client):
    make_item(prompt="real work")
    [practice] = make_gates(make_item, alice, "training", 1, explanation="The second one *greets*.")
    set_gates(project, training=True)
    page = bob_client.get(reverse("work:judge", args=["pairs"])).content.decode()
    assert "training 0" in page
    assert "Practice" in page
    assert "greets" not in page

    lease = Assignment.objects.get()
    values = {"uuid": str(uuid.uuid4()), "assignment": lease.pk, "schema": project.schema_id, "day": ""}
    left_better = {"c-overall": "-2"}
    ratings = {f"r-{name}-{p}": "3" for name in ("helpfulness", "correctness") for p in (0, 1)}
    post = {**values, **left_better, **ratings}
    shown = bob_client.post(reverse("work:submit", args=["pairs"]), post, HTTP_HX_REQUEST="true")
    text = shown.content.decode()
    right = lease.presented_order == "10"
    assert ("That is what this project expects" in text) is right
    assert ("This project expects another answer" in text) is not right
    assert "<em>greets</em>" in text

    judgment = Judgment.objects.get()
    assert (judgment.aside, judgment.is_current) == ("training", False)
    assert Check.objects.get().passed is right
    after = bob_client.get(reverse("work:judge", args=["pairs"])).content.decode()
    assert "real work" in after
    again = bob_client.get(reverse("work:explained", args=["pairs", judgment.uuid])).content.decode()
    assert "<em>greets</em>" in again
    practice.refresh_from_db()
    assert (practice.n_human, practice.n_leased, practice.n_forward, practice.n_reversed) == (0, 0, 0, 0)
    assert wrong(project) == []


@pytest.mark.parametrize(("right", "stage"), [(9, "ready"), (8, "failed")])
def test_nine_of_ten_pass_the_test_and_eight_do_not(project, make_item, annotator, alice, right, stage):
    for k in range(3):
        make_item(prompt=f"work {k}")
    make_gates(make_item, alice, "qualification", 12)
    set_gates(project, qualification_items=10, qualification_pass=0.9, message="Thanks, not this time.")
    answers = iter([2] * right + [-2] * 20)
    done = work(annotator, 10, lambda _: says(next(answers)))
    assert [j.aside for j in done] == ["qualification"] * 10
    following = queue.next_assignment(annotator)
    annotator.refresh_from_db()
    assert annotator.stage == stage
    assert (following is None) is (stage == "failed")
    if stage == "failed":
        assert annotator.note == "Thanks, not this time."
        assert AuditEvent.objects.get(action="annotator.not_qualified").detail == {"right": 8, "of": 10}
        assert queue.next_assignment(annotator) is None
    else:
        assert following.purpose == "data"
    assert wrong(project) == []


def test_a_skipped_test_item_counts_as_wrong_and_answers_cannot_be_changed(
    project, make_item, annotator, alice
):
    make_item()
    make_gates(make_item, alice, "qualification", 2)
    set_gates(project, qualification_items=2, qualification_pass=0.9)
    [first] = work(annotator, 1)
    with pytest.raises(Conflict):
        submit(
            annotator=annotator,
            item_id=first.item_id,
            schema_id=project.schema_id,
            uuid=uuid.uuid4(),
            answer=says(3),
            origin="page",
            supersedes=first.uuid,
        )
    work(annotator, 1, lambda _: Answer(outcome="skipped", answers={"skip": "not_now"}))
    assert queue.next_assignment(annotator) is None
    annotator.refresh_from_db()
    assert annotator.stage == "failed"


def test_who_worked_before_the_gates_came_is_not_sent_to_the_test(project, make_item, annotator, alice):
    for k in range(3):
        make_item(prompt=f"work {k}")
    work(annotator, 1)
    make_gates(make_item, alice, "qualification", 2)
    set_gates(project, qualification_items=2)
    assert queue.next_assignment(annotator).purpose == "data"


# --- Within the work -----------------------------------------------------------------------------------------


def test_gold_and_repeats_come_by_their_shares_and_touch_no_counter(project, make_item, annotator, alice):
    for k in range(150):
        make_item(prompt=f"work {k}")
    make_gates(make_item, alice, "gold", 40)
    set_gates(project, gold_share=0.15, gold_first=2, repeat_share=0.1)
    done = work(annotator, 120)
    kinds = Counter(j.aside for j in done)
    assert [j.aside for j in done[:2]] == ["gold", "gold"]
    assert 3 <= kinds["gold"] - 2 <= 38  # draws by the numbers of the person: wide enough for any
    assert 1 <= kinds["repeat"] <= 30
    assert kinds["gold"] + kinds["repeat"] + kinds[""] == 120
    assert len({j.item_id for j in done if j.aside == "gold"}) == kinds["gold"]

    place = {}
    for number, j in enumerate(done):
        if j.aside == "repeat":
            before, order = place[j.item_id]
            assert number - before > gates.REPEAT_AFTER
            assert (j.occasion, j.presented_order) == (1, order[::-1])
        else:
            place[j.item_id] = (number, j.presented_order)
    annotator.refresh_from_db()
    assert annotator.n_judged == kinds[""]
    assert abs(annotator.n_forward - annotator.n_reversed) <= 2
    assert not Item.objects.filter(n_human__gt=1).exists()
    assert not Item.objects.exclude(purpose="data").exclude(n_human=0, n_leased=0, open_slots=0).exists()
    assert Check.objects.filter(kind="gold", passed=True).count() == kinds["gold"]
    assert Check.objects.filter(kind="repeat", passed=True).count() == kinds["repeat"]
    assert wrong(project) == []


def test_without_other_work_no_gold_is_given(project, make_item, annotator, alice):
    make_gates(make_item, alice, "gold", 5)
    set_gates(project, gold_share=0.5, gold_first=3)
    assert queue.next_assignment(annotator) is None


def test_an_expired_gold_lease_leaves_the_counters_alone(project, make_item, annotator, alice):
    from datetime import timedelta

    from django.utils import timezone

    make_item()
    make_gates(make_item, alice, "gold", 1)
    set_gates(project, gold_share=0.5, gold_first=1)
    lease = queue.next_assignment(annotator)
    assert lease.purpose == "gold"
    assert queue.expire_leases(now=timezone.now() + timedelta(hours=3)) == 1
    assert wrong(project) == []
    late = give(annotator, lease, says(1))
    assert (late.aside, late.meta) == ("gold", {"late": True})
    assert wrong(project) == []


def test_gold_and_repeats_can_be_corrected_like_anything_else(
    project, make_item, annotator, alice, bob_client
):
    for k in range(2):
        make_item(prompt=f"work {k}")
    make_gates(make_item, alice, "gold", 1)
    set_gates(project, gold_share=0.5, gold_first=1)
    [gold] = work(annotator, 1, lambda _: says(-1))
    assert not Check.objects.get().passed
    fixed = submit(
        annotator=annotator,
        item_id=gold.item_id,
        schema_id=project.schema_id,
        uuid=uuid.uuid4(),
        answer=says(1),
        origin="page",
        supersedes=gold.uuid,
    ).judgment
    assert (fixed.aside, fixed.is_current, fixed.supersedes_id) == ("gold", False, gold.pk)
    assert list(Check.objects.values_list("judgment", "passed")) == [(fixed.pk, True)]
    with pytest.raises(Conflict):
        give(annotator, Assignment.objects.get(), says(2))
    with pytest.raises(Conflict):
        submit(
            annotator=annotator,
            item_id=gold.item_id,
            schema_id=project.schema_id,
            uuid=uuid.uuid4(),
            answer=says(2),
            origin="page",
            supersedes=gold.uuid,
        )
    page = bob_client.get(reverse("work:history", args=["pairs"])).content.decode()
    assert page.count("replaced by a later answer") == 1
    assert "1 judged" in page
    assert wrong(project) == []


def test_people_are_paused_below_the_mark_and_not_again_for_the_same(project, make_item, annotator, alice):
    for k in range(30):
        make_item(prompt=f"work {k}")
    make_gates(make_item, alice, "gold", 10)
    set_gates(
        project, gold_share=0.5, gold_first=3, pause_after_gold=3, pause_below_gold=0.6, message="Look again."
    )
    answers = iter([2, -2, -2])
    assert len(work(annotator, 5, lambda _: says(next(answers, 2)))) == 3
    annotator.refresh_from_db()
    assert (annotator.status, annotator.note) == ("paused", "Look again.")
    assert AuditEvent.objects.get(action="annotator.paused_by_gate").detail == {
        "gate": "gold",
        "right": 1,
        "of": 3,
    }
    people.set_paused(annotator=annotator, paused=False, actor=alice)
    work(annotator, 12)
    annotator.refresh_from_db()
    assert (annotator.status, annotator.note) == ("active", "")


def test_a_paused_person_reads_why(project, make_item, annotator, alice, bob_client):
    make_item()
    people.set_paused(annotator=annotator, paused=True, actor=alice, note="Please read the guidelines again.")
    page = bob_client.get(reverse("work:judge", args=["pairs"])).content.decode()
    assert "Your part in this project is paused" in page
    assert "Please read the guidelines again." in page


def test_answers_faster_than_reading_are_marked(project, make_item, annotator):
    make_item(prompt="long", responses=("x" * 1500, "y" * 500))
    make_item(prompt="short", responses=("x", "y"))
    set_gates(project, fastest_ms=1000)
    for _ in range(2):
        assignment = queue.next_assignment(annotator)
        give(annotator, assignment, says(1, active_ms=1900))
    fast = {j.item.prompt: j.meta.get("fast", False) for j in Judgment.objects.select_related("item")}
    assert fast == {"long": True, "short": False}


def test_a_changed_expectation_checks_old_answers_again(project, make_item, annotator, alice):
    make_item()
    [item] = make_gates(make_item, alice, "gold", 1, preference=2)
    set_gates(project, gold_share=0.5, gold_first=1)
    work(annotator, 1, lambda _: says(-3))
    assert list(Check.objects.values_list("passed", flat=True)) == [False]
    gate_items.set_gate(item=item, purpose="gold", answer=prefers(-1), actor=alice)
    assert list(Check.objects.values_list("passed", flat=True)) == [True]
    gate_items.clear_gate(item=item, actor=alice)
    item.refresh_from_db()
    assert (item.purpose, item.open_slots) == ("data", 1)
    assert wrong(project) == []


def test_an_item_that_becomes_gold_is_taken_from_who_holds_it(project, make_item, annotator, alice):
    item = make_item()
    lease = queue.next_assignment(annotator)
    gate_items.set_gate(item=item, purpose="gold", answer=prefers(1), actor=alice)
    lease.refresh_from_db()
    assert lease.state == "released"
    assert wrong(project) == []


def test_a_project_without_gates_pays_no_query(project, make_item, annotator, django_assert_num_queries):
    """Two identical items: the second claim, warm, costs what it cost before there were gates."""
    for k in range(3):
        make_item(prompt=f"work {k}")
    work(annotator, 1)
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as seen:
        work(annotator, 1)
    assert not [q["sql"] for q in seen if "expectation" in q["sql"] or "judging_check" in q["sql"]]
    assert not [q["sql"] for q in seen if "GROUP BY" in q["sql"] or "SUM(LENGTH" in q["sql"]]


# --- Bulk ----------------------------------------------------------------------------------------------------


def test_gates_come_from_a_file_and_bad_rows_are_named(project, make_item, alice):
    make_item(prompt="one", external_id="q-1")
    two = make_item(prompt="two")
    text = (
        "Item,purpose,expected,explanation\n"
        'q-1,gold,b,"Because, of course."\n'
        f"{two.pk},training,-3,\n"
        "nobody,gold,a,\n"
        "q-1,silver,a,\n"
        "q-1,gold,9,\n"
        "q-1,gold,perhaps,\n"
        'q-1,gold,"{""comparisons"": 1}",\n'
    )
    found = gate_items.read_gates(project, text)
    assert [(line, column) for line, column, _ in found.errors] == [
        (4, "item"),
        (5, "purpose"),
        (6, "expected"),
        (7, "expected"),
        (8, "expected"),
    ]
    assert gate_items.apply_gates(found=found, actor=alice) == 2
    gold = Item.objects.get(external_id="q-1")
    assert (gold.purpose, gold.expectation.explanation) == ("gold", "Because, of course.")
    assert gates.fits_expectation(gold.expectation, says(3), project.schema_id)
    assert not gates.fits_expectation(gold.expectation, says(-3), project.schema_id)
    assert gates.fits_expectation(Item.objects.get(pk=two.pk).expectation, says(-1), project.schema_id)


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 0.5), st.floats(0, 0.2), st.integers(0, 10_000))
def test_draws_are_uniform_enough_and_repeatable(gold_share, repeat_share, seed):
    from types import SimpleNamespace

    person = SimpleNamespace(pk=3, project=SimpleNamespace(seed=seed))
    draws = [gates._draw(person, n) for n in range(400)]
    assert draws == [gates._draw(person, n) for n in range(400)]
    assert all(0 <= draw < 1 for draw in draws)
    share = sum(draw < gold_share for draw in draws) / 400
    assert abs(share - gold_share) < 5 * (gold_share * (1 - gold_share) / 400) ** 0.5 + 0.02


def test_the_rules_refuse_nonsense():
    for bad in ({"gold_share": 0.9}, {"qualification_pass": 2}, {"repeat_share": -1}, {"unknown": 1}):
        with pytest.raises(ValueError):
            rules.Gates(**bad)


def test_one_person_s_stage_is_not_another_s(project, make_item, annotator, alice):
    from annotations.projects.access import annotator_for

    make_item()
    make_gates(make_item, alice, "qualification", 1)
    set_gates(project, qualification_items=1)
    work(annotator, 1, lambda _: says(-1))
    assert queue.next_assignment(annotator) is None
    other = annotator_for(alice, project.slug)
    assert queue.next_assignment(other).purpose == "qualification"
    assert Annotator.objects.get(pk=other.pk).stage == "qualification"
