"""A person who is given no item reads why, and what they read is true."""

from __future__ import annotations

import pytest
from django.utils import timezone

from annotations.items.models import Batch, Item
from annotations.judging import nothing_left, queue
from annotations.judging.answers import Answer
from annotations.projects import rules
from annotations.projects.access import annotator_for
from annotations.projects.models import Project
from tests.judging.gated import give, says

pytestmark = pytest.mark.django_db
JUDGE = "/work/pairs/"
REASONS = [
    nothing_left.NO_ITEMS,
    nothing_left.HAD_ALL,
    nothing_left.KEPT_FOR_OTHERS,
    nothing_left.WITH_OTHERS,
    nothing_left.ALL_JUDGED,
]


@pytest.fixture
def reads(bob_client):
    """What Bob's judging page says where an item would stand, and which of the reasons that is."""

    def read() -> str:
        html = bob_client.get(JUDGE).content.decode()
        said = [reason for reason in REASONS if str(reason.text) in html]
        assert len(said) == 1
        assert f'tabindex="-1">{said[0].title}</h1>' in html
        return said[0].code

    return read


def judge(person, answer=None):
    give(person, queue.next_assignment(person), answer or says(2))


def test_an_empty_project_has_no_items_yet_and_the_start_page_says_so(
    reads, bob_client, annotator, make_item
):
    assert reads() == "no_items"
    assert "No items here yet" in bob_client.get("/work/").content.decode()
    make_item(withdrawn_at=timezone.now())
    Item.objects.update(open_slots=0)
    assert reads() == "no_items"


def test_when_all_is_judged_it_says_so(reads, annotator, make_item):
    make_item()
    judge(annotator)
    assert reads() == "all_judged"


def test_items_that_models_judge_alone_wait_for_nobody(reads, annotator, make_item):
    make_item(wanted=0)
    assert reads() == "all_judged"


def test_an_item_with_somebody_else_may_come_back(reads, annotator, alice, make_item):
    make_item()
    queue.next_assignment(annotator_for(alice, "pairs"))
    assert reads() == "with_others"


@pytest.mark.parametrize("answer", [None, Answer(outcome="skipped", answers={"skip": "not_now"})])
def test_who_judged_or_skipped_all_that_is_open_has_had_it(reads, annotator, make_item, answer):
    make_item(wanted=2)
    judge(annotator, answer)
    assert reads() == "had_all"


@pytest.mark.parametrize(
    "batch", [{"weight": 0}, {"required_tags": ["de"]}, {"expert_slots": 1, "expert_tags": ["doctor"]}]
)
def test_items_for_others_or_held_back_are_called_so(reads, annotator, project, make_item, batch):
    item = make_item(batch=Batch.objects.create(project=project, name="A part", **batch))
    if "expert_slots" in batch:
        Item.objects.filter(pk=item.pk).update(open_slots=0, expert_slots=1)
    Project.objects.update(queue_epoch=1)
    assert reads() == "kept_for_others"


def test_a_gate_item_is_no_item_to_judge(reads, annotator, project, make_item):
    item = make_item(wanted=0)
    Item.objects.filter(pk=item.pk).update(purpose=Item.Purpose.GOLD)
    assert reads() == "no_items"


def test_a_stopped_person_is_told_what_stops_them_instead(bob_client, annotator, project, make_item):
    def page() -> str:
        html = bob_client.get(JUDGE).content.decode()
        assert not [reason for reason in REASONS if str(reason.text) in html]
        return html

    make_item("One")
    make_item("Two")
    rules.change(project=project, limits=rules.Limits(per_day=1))
    judge(annotator)
    assert "You have judged 1 item today, the most this project takes in a day." in page()
    rules.change(project=project, limits=rules.Limits(per_person=1))
    assert "You have judged 1 item, the most this project takes from one person." in page()
    rules.change(project=project, limits=rules.Limits())
    type(annotator).objects.filter(pk=annotator.pk).update(status="paused", note="Please write to us.")
    assert "Please write to us." in page()
    Project.objects.update(status="paused")
    assert "This project is paused" in page()
