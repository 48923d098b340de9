"""After a breaking change items judged before are asked again: previewed to the number, opened once, nothing lost."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest

from annotations.items.models import Item
from annotations.judging import asking_again, queue
from annotations.judging.answers import Answer, ComparisonAnswer
from annotations.judging.models import Judgment
from annotations.judging.submit import submit
from annotations.judging.verify import verify_counts
from annotations.projects import schemas
from annotations.projects.access import annotator_for
from annotations.projects.models import Membership, Project, TaskSchema
from app.accounts.models import AuditEvent
from app.jobs import runner
from app.jobs.models import Job

WHICH = {"kind": "comparison", "name": "overall", "label": "Which?", "ties": ["equal"]}
V1 = {"questions": [WHICH]}
ADDITIVE = {"questions": [WHICH, {"kind": "text", "name": "reason", "label": "Why?"}]}
BREAKING = {"questions": [{**WHICH, "scale_max": 2}]}
PAGE = "/p/pairs/design/2/ask-again/"


@pytest.fixture
def judged(project, annotator, make_item, charlie):
    """Three items of two people each, the first two judged by Bob under v1; Charlie has joined."""
    TaskSchema.objects.all()
    schema = schemas.add_schema(project=project, definition=V1)
    Project.objects.filter(pk=project.pk).update(schema=schema, overlap=2, human_cost=Decimal("0.25"))
    TaskSchema.objects.filter(project=project).exclude(pk=schema.pk).delete()
    TaskSchema.objects.filter(pk=schema.pk).update(number=1)
    project.refresh_from_db()
    items = [make_item(f"Say {n}.", wanted=2) for n in range(3)]
    for item in items[:2]:
        judge(annotator, item, schema, 3)
    Membership.objects.create(project=project, user=charlie, role=Membership.Role.ANNOTATOR)
    return project, items, annotator_for(charlie, "pairs")


def judge(annotator, item, schema, scale_max):
    answer = Answer(comparisons=(ComparisonAnswer(0, 1, "overall", -1, scale_max),))
    return submit(
        annotator=annotator, item_id=item.pk, schema_id=schema.pk, uuid=uuid.uuid4(), answer=answer,
        origin=Judgment.Origin.PAGE,
    ).judgment  # fmt: skip


def wanted():
    return list(Item.objects.order_by("pk").values_list("wanted", "n_human", "open_slots"))


def test_items_judged_under_what_breaks_are_opened_once_for_others(judged):
    project, items, charlie = judged
    assert wanted() == [(2, 1, 1), (2, 1, 1), (2, 0, 2)]
    new = schemas.add_schema(project=project, definition=BREAKING)
    preview = asking_again.preview(project=project, schema=new, people=2)
    assert preview == asking_again.Preview(items=2, judgments=2, cost=Decimal("0.50"), judged=2)
    assert asking_again.ask_again(project=project, schema=new, people=2) == 2
    assert wanted() == [(3, 1, 2), (3, 1, 2), (2, 0, 2)]
    assert asking_again.ask_again(project=project, schema=new, people=2) == 0  # once is enough
    judge(charlie, items[0], new, 2)
    assert asking_again.preview(project=project, schema=new, people=2).items == 0
    assert asking_again.preview(project=project, schema=new, people=3).judgments == 3 - 1 + 3 - 1 - 2
    assert Judgment.objects.filter(is_current=True).count() == 3  # the old ones stay
    assert list(verify_counts(project=project)) == []


def test_an_additive_version_asks_nothing_again(judged):
    project, _, _ = judged
    new = schemas.add_schema(project=project, definition=ADDITIVE)
    assert not asking_again.any_judged(project, new)
    assert asking_again.preview(project=project, schema=new, people=2) == asking_again.Preview(
        0, 0, Decimal(0), 0
    )
    assert asking_again.ask_again(project=project, schema=new, people=2) == 0


def test_models_and_withdrawn_items_are_left_alone(judged):
    project, items, _ = judged
    Item.objects.filter(pk=items[0].pk).update(route=Item.Route.LM, open_slots=0)
    new = schemas.add_schema(project=project, definition=BREAKING)
    assert asking_again.preview(project=project, schema=new, people=5).items == 1
    assert asking_again.ask_again(project=project, schema=new, people=5) == 1
    assert wanted() == [(2, 1, 0), (6, 1, 5), (2, 0, 2)]


def test_the_page_previews_starts_the_job_and_the_queue_gives_them_out(judged, alice_client):
    project, items, charlie = judged
    schemas.add_schema(project=project, definition=BREAKING)
    used = alice_client.post("/p/pairs/design/2/use/")
    assert used["Location"] == PAGE  # it breaks what was judged
    project.refresh_from_db()
    assert project.schema.number == 1
    text = alice_client.get(PAGE).content.decode()
    assert "People judged 2 items under a version whose answers may not hold any more." in text
    assert "“Which?” has 2 strengths instead of 3." in text
    assert "<dt>Judgments wanted</dt><dd>2</dd>" in text
    assert "<dd>0.5000 </dd>" in text or "0.50" in text
    assert "<dt>Judgments wanted</dt><dd>6</dd>" in alice_client.get(PAGE, {"people": "4"}).content.decode()
    assert alice_client.get(PAGE, {"people": "0"}).status_code == 400
    assert alice_client.post(PAGE, {"again": "1", "people": "999"}).status_code == 400
    assert Job.objects.count() == 0
    started = alice_client.post(PAGE, {"again": "1", "people": "2"})
    job = Job.objects.get()
    assert started["Location"] == f"/jobs/{job.pk}/"
    runner.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.result) == ("succeeded", {"items": 2})
    project.refresh_from_db()
    assert project.schema.number == 2
    assert wanted() == [(3, 1, 2), (3, 1, 2), (2, 0, 2)]
    charlie.project.refresh_from_db()
    assert {queue.next_assignment(charlie).item_id} <= {item.pk for item in items}
    assert list(AuditEvent.objects.order_by("pk").values_list("action", "target")) == [
        ("schema.used", "v2"),
        ("items.asked_again", "v2"),
    ]


def test_new_work_only_changes_no_item(judged, alice_client):
    project, _, _ = judged
    schemas.add_schema(project=project, definition=BREAKING)
    before = wanted()
    assert alice_client.post(PAGE, {"again": "0"}).status_code == 302
    project.refresh_from_db()
    assert (project.schema.number, wanted(), Job.objects.count()) == (2, before, 0)
