"""`verify_counts` finds every wrong counter and sets it right; `expire_leases` reopens slots."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotations.items.models import Item
from annotations.judging import queue
from annotations.judging.answers import Answer
from annotations.judging.models import Assignment
from annotations.judging.submit import submit
from annotations.judging.verify import ANNOTATOR_COUNTERS, ITEM_COUNTERS, verify_counts
from annotations.projects.models import Annotator
from tests.judging.test_submit import answer, give

pytestmark = pytest.mark.django_db

SKIP = Answer(outcome="skipped", answers={"skip": "not_now"})
FLAG = Answer(outcome="flagged", answers={"flag": "broken"})


def wrong(project):
    return [(d.kind, d.counter, d.stored, d.counted) for d in verify_counts(project=project)]


@pytest.fixture
def busy(project, annotator, make_item, alice):
    """Leases, answers, skips, flags, corrections, a model and a withdrawn item."""
    from annotations.judging.withdraw import set_withdrawn
    from annotations.projects.access import annotator_for

    for n in range(6):
        make_item(prompt=f"p{n}", responses=("x", f"y{n}"), wanted=2)
    model = Annotator.objects.create(project=project, kind="lm", name="m")
    for given in (answer(), SKIP, FLAG, Answer(outcome="cannot_judge", answers={"cannot_judge": "other"})):
        lease = queue.next_assignment(annotator)
        give(project, annotator, lease.item, given, assignment_id=lease.pk)
        give(project, model, lease.item, answer())
    queue.next_assignment(annotator)
    queue.next_assignment(annotator_for(alice, project.slug))
    set_withdrawn(item=Item.objects.order_by("pk").last(), withdrawn=True, actor=alice)
    return project


def test_the_write_path_leaves_nothing_to_find(busy):
    assert wrong(busy) == []


@pytest.mark.parametrize("outcomes", ["afa", "aff", "faf", "fsa", "ccfc"])
def test_corrections_there_and_back_count_each_side_once(project, annotator, make_item, outcomes):
    given = {
        "a": answer(),
        "f": FLAG,
        "s": SKIP,
        "c": Answer(outcome="cannot_judge", answers={"cannot_judge": "other"}),
    }
    make_item()
    lease = queue.next_assignment(annotator)
    before = None
    for code in outcomes:
        stored = submit(
            annotator=annotator,
            item_id=lease.item_id,
            schema_id=project.schema_id,
            uuid=uuid4(),
            answer=given[code],
            origin="page",
            assignment_id=lease.pk,
            supersedes=before,
        )
        before = stored.judgment.uuid
        assert wrong(project) == []


def test_every_counter_is_checked_and_set_right(busy):
    item, person = Item.objects.order_by("pk").first(), Annotator.objects.get(name="bob")
    for row, names in ((item, ITEM_COUNTERS), (person, ANNOTATOR_COUNTERS)):
        type(row).objects.filter(pk=row.pk).update(**{name: getattr(row, name) + 3 for name in names})
    found = wrong(busy)
    assert [(kind, counter) for kind, counter, *_ in found] == [
        *(("item", name) for name in ITEM_COUNTERS),
        *(("annotator", name) for name in ANNOTATOR_COUNTERS),
    ]
    assert all(stored - counted == 3 for *_, stored, counted in found)
    assert len(list(verify_counts(project=busy, fix=True))) == len(found)
    assert wrong(busy) == []


def test_the_command_ends_with_1_where_something_differs(busy, capsys):
    call_command("verify_counts", "pairs", "--json")
    assert json.loads(capsys.readouterr().out)["differences"] == 0
    Item.objects.filter(pk=Item.objects.first().pk).update(n_human=9)
    with pytest.raises(SystemExit) as ended:
        call_command("verify_counts")
    assert ended.value.code == 1
    assert "n_human is 9, counted" in capsys.readouterr().out
    call_command("verify_counts", "--fix", "--json")
    assert json.loads(capsys.readouterr().out)["fixed"] == 1
    assert wrong(busy) == []
    with pytest.raises(CommandError, match="No project 'nowhere'") as failed:
        call_command("verify_counts", "nowhere")
    assert failed.value.returncode == 2


def test_expire_leases_ends_those_that_ran_out(busy, capsys):
    live = Assignment.objects.filter(state="leased")
    live.filter(pk=live.first().pk).update(expires_at=timezone.now() - timedelta(minutes=1))
    call_command("expire_leases", "pairs", "--json")
    assert json.loads(capsys.readouterr().out) == {"expired": 1}
    assert live.count() == 1
    assert wrong(busy) == []
