"""The queue ordered by what the ranking needs: who comes first, what stays as it was, and when it is chosen anew."""

from __future__ import annotations

import uuid

import pytest

from annotations.analysis import ordering
from annotations.items.models import Item, Response
from annotations.judging import queue
from annotations.judging.submit import submit
from annotations.projects import rules
from annotations.projects.models import Annotator, Project
from tests.judging.gated import says

pytestmark = pytest.mark.django_db


def asks_for_the_ranking(project: Project) -> Project:
    project.rules = {"limits": {"order": "ranking"}}
    project.save(update_fields=["rules"])
    assert rules.of(project).limits.order == "ranking"
    return project


@pytest.fixture
def compared(project, make_item, monkeypatch):
    """Models x and y are compared forty times, z never; six more items of x and y are open, and two of y and z."""
    monkeypatch.setattr(ordering, "EVERY", 2)
    person = Annotator.objects.create(project=project, kind="human", name="someone")

    def item(n, one, two, **fields):
        made = make_item(f"Question {n}", (f"one {n}", f"two {n}"), **fields)
        for index, name in enumerate((one, two)):
            Response.objects.filter(item=made, index=index).update(model=name)
        return made

    for n in range(40):
        submit(
            annotator=person, item_id=item(n, "x", "y").pk, schema_id=project.schema_id, uuid=uuid.uuid4(),
            answer=says(-2 if n % 3 else 2), origin="api",
        )  # fmt: skip
    known = [item(n, "x", "y", wanted=2) for n in range(100, 106)]
    unknown = [item(n, "y", "z", wanted=2) for n in range(200, 202)]
    return asks_for_the_ranking(project), known, unknown


def test_the_next_person_is_given_what_the_ranking_needs(compared, annotator):
    project, _, unknown = compared
    assert ordering.reorder(project) == 2
    front = set(Item.objects.filter(project=project, priority=ordering.CHOSEN).values_list("pk", flat=True))
    assert front == {item.pk for item in unknown}
    given = queue.next_assignment(annotator)
    assert given.item_id in front
    assert given.item.human_propensity == 1.0
    item = Item.objects.get(pk=given.item_id)
    assert (item.wanted, item.n_leased, item.open_slots, item.route_ref) == (2, 1, 1, "")
    submit(
        annotator=annotator, item_id=given.item_id, schema_id=project.schema_id, uuid=uuid.uuid4(), answer=says(-1),
        origin="page",
    )  # fmt: skip
    ordering.reorder(project)  # begun items are completed before others begin
    assert Item.objects.get(pk=given.item_id).priority == ordering.BEGUN


def test_the_best_is_looked_for_among_those_that_may_be_it(compared):
    project, known, unknown = compared
    project.rules = {"limits": {"order": "best"}}
    project.save(update_fields=["rules"])
    assert (ordering.tick(), ordering.tick()) == (1, 0)
    front = set(Item.objects.filter(project=project, priority=ordering.CHOSEN).values_list("pk", flat=True))
    assert len(front) in (1, 2)
    assert front <= {item.pk for item in known + unknown}


def test_what_a_plan_or_a_person_put_in_place_stays(compared):
    project, known, unknown = compared
    Item.objects.filter(pk=known[0].pk).update(priority=9, route_ref="plan:1")
    Item.objects.filter(pk=unknown[0].pk).update(priority=0, route_ref="admin:alice")
    epoch = Project.objects.get(pk=project.pk).queue_epoch
    ordering.reorder(project)
    assert Item.objects.get(pk=known[0].pk).priority == 9
    assert Item.objects.get(pk=unknown[0].pk).priority == 0
    assert Item.objects.get(pk=unknown[1].pk).priority == ordering.CHOSEN
    assert Project.objects.get(pk=project.pk).queue_epoch == epoch + 1


def test_it_is_chosen_anew_after_enough_judgments_and_only_where_asked(compared, annotator):
    project, _, _ = compared
    assert ordering.tick() == 1
    assert ordering.tick() == 0
    for _ in range(2):
        given = queue.next_assignment(annotator)
        submit(
            annotator=annotator, item_id=given.item_id, schema_id=project.schema_id, uuid=uuid.uuid4(),
            answer=says(-1), origin="page",
        )  # fmt: skip
    assert ordering.tick() == 1
    project.rules = {}
    project.save(update_fields=["rules"])
    before = list(Item.objects.order_by("pk").values_list("priority", flat=True))
    assert ordering.reorder(project) == 0
    assert list(Item.objects.order_by("pk").values_list("priority", flat=True)) == before
