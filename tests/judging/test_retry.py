"""The same UUID again, whatever happened since it was stored; and one that belongs to something else."""

from __future__ import annotations

import uuid

import pytest
from django.utils import timezone

from annotations.items.models import Item
from annotations.judging import queue
from annotations.judging.answers import Answer
from annotations.judging.models import Judgment
from annotations.judging.submit import Conflict, submit
from annotations.projects.models import Annotator

pytestmark = pytest.mark.django_db

CANNOT = Answer(outcome="cannot_judge", answers={"cannot_judge": "not_valid"})
SKIPPED = Answer(outcome="skipped", answers={"skip": "not_now"})


def give(project, annotator, item, answer=CANNOT, **fields):
    fields.setdefault("uuid", uuid.uuid4())
    return submit(
        annotator=annotator,
        item_id=item.pk,
        schema_id=project.schema_id,
        answer=answer,
        origin="page",
        **fields,
    )


def counters():
    items = Item.objects.order_by("pk").values_list(
        "n_human", "n_leased", "n_skipped", "n_forward", "n_reversed"
    )
    return [*items, *Annotator.objects.order_by("pk").values_list("n_judged", "n_forward", "n_reversed")]


def test_a_retry_of_a_skip_is_no_second_skip(project, annotator, make_item):
    item = make_item()
    queue.next_assignment(annotator)
    first = give(project, annotator, item, SKIPPED)
    before = counters()
    again = give(project, annotator, item, SKIPPED, uuid=first.judgment.uuid)
    assert (again.created, again.judgment.pk) == (False, first.judgment.pk)
    assert Judgment.objects.get().is_current
    assert counters() == before


def test_a_retry_after_a_correction_returns_what_was_stored_first(project, annotator, make_item):
    item = make_item()
    first = give(project, annotator, item)
    second = give(project, annotator, item, supersedes=first.judgment.uuid)
    before = counters()
    for stored, supersedes in ((first, None), (second, first.judgment.uuid)):
        again = give(project, annotator, item, uuid=stored.judgment.uuid, supersedes=supersedes)
        assert (again.created, again.judgment.pk) == (False, stored.judgment.pk)
    assert Judgment.objects.filter(is_current=True).get().pk == second.judgment.pk
    assert counters() == before


def test_a_retry_is_answered_even_if_the_item_was_withdrawn_since(project, annotator, make_item):
    item = make_item()
    first = give(project, annotator, item)
    Item.objects.update(withdrawn_at=timezone.now())
    assert give(project, annotator, item, uuid=first.judgment.uuid).judgment.pk == first.judgment.pk


@pytest.mark.parametrize("outcome", [CANNOT, SKIPPED])
def test_a_uuid_of_another_item_is_refused_and_nothing_is_written(project, annotator, make_item, outcome):
    item, other = make_item(), make_item(prompt="Another question")
    first = give(project, annotator, item)
    before = counters()
    with pytest.raises(Conflict, match="belongs to another judgment"):
        give(project, annotator, other, outcome, uuid=first.judgment.uuid)
    assert Judgment.objects.count() == 1
    assert counters() == before
