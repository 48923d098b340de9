"""Prepared statements give what the ORM gives, for every value bound."""

from __future__ import annotations

import threading

import pytest
from django.db import connection
from django.db.models import Exists, F, OuterRef
from django.db.transaction import TransactionManagementError

from annotations.items.models import Item, Response
from annotations.judging import locks
from annotations.projects.models import Annotator, Membership, Project
from app.web.prepared import Prepared, PreparedUpdate


@pytest.mark.django_db
def test_instances_are_those_of_the_orm_with_their_relations(
    project, annotator, bob, django_assert_num_queries
):
    find = Prepared(
        lambda slug, user: Annotator.objects.select_related("project").filter(
            project__slug=slug, user_id=user
        ),
        slug=str,
    )
    for slug, user in (("pairs", bob.pk), ("pairs", 0), ("other", bob.pk)):
        expected = list(Annotator.objects.filter(project__slug=slug, user_id=user))
        with django_assert_num_queries(1):
            found = find.rows(slug=slug, user=user)
            names = [each.project.name for each in found]
        assert found == expected
        assert names == ["Pairs"] * len(expected)
        for one, other in zip(found, expected, strict=True):
            fields = [field.attname for field in Annotator._meta.concrete_fields]
            assert [getattr(one, f) for f in fields] == [getattr(other, f) for f in fields]


@pytest.mark.django_db
def test_json_values_lists_and_subqueries_come_out_converted(make_item):
    item = make_item([{"role": "user", "content": "Hi"}], ("one", "two"), meta={"a": [1, None]})
    found = Prepared(lambda pk: Item.objects.filter(pk=pk)).first(pk=item.pk)
    assert (found.prompt, found.meta) == ([{"role": "user", "content": "Hi"}], {"a": [1, None]})
    assert found.withdrawn_at is None
    texts = Prepared(
        lambda pk: (
            Response.objects.filter(item_id=pk)
            .order_by("-index")
            .values_list("text", Exists(Item.objects.filter(pk=OuterRef("item_id"), n_responses=2)))
        )
    )
    assert [(text, bool(two)) for text, two in texts.rows(pk=item.pk)] == [("two", True), ("one", True)]
    assert texts.rows(pk=0) == []


@pytest.mark.django_db
def test_an_update_adds_what_is_bound_and_says_how_many_rows(project):
    add = PreparedUpdate(
        lambda pk, more, status: (
            Project.objects.filter(pk=pk),
            {"queue_epoch": F("queue_epoch") + more, "status": status},
        ),
        status=str,
    )
    assert add.run(pk=project.pk, more=3, status="paused") == 1
    assert add.run(pk=project.pk, more=-1, status="active") == 1
    assert add.run(pk=0, more=1, status="active") == 0
    project.refresh_from_db()
    assert (project.queue_epoch, project.status) == (2, "active")


@pytest.mark.django_db
def test_a_value_that_does_not_reach_the_sql_is_refused(project):
    lost = Prepared(lambda pk: Project.objects.filter(pk=pk + 1))
    with pytest.raises(ValueError, match="pk: not found"):
        lost.rows(pk=project.pk)


@pytest.mark.django_db(transaction=True)
def test_one_statement_serves_many_threads(project, bob):
    find = Prepared(lambda user: Membership.objects.select_related("project").filter(user_id=user))
    found = []

    def look():
        try:
            found.append([m.project.slug for m in find.rows(user=bob.pk)])
        finally:
            connection.close()

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["pairs"]] * 8


@pytest.mark.django_db(transaction=True)
def test_a_lock_outside_a_transaction_is_refused(annotator):
    with pytest.raises(TransactionManagementError):
        locks.lock_annotator(annotator.pk)


@pytest.mark.django_db
def test_a_value_of_a_small_field_can_be_bound(project, annotator, make_item):
    """PostgreSQL's SMALLINT ends at 32,767; a larger mark would be taken for a query that finds nothing."""
    from django.utils import timezone

    from annotations.judging.models import Assignment

    item, now = make_item(), timezone.now()
    for occasion in (0, 3):
        Assignment.objects.create(
            item=item,
            annotator=annotator,
            occasion=occasion,
            presented_order="01",
            leased_at=now,
            expires_at=now,
        )
    of_occasion = Prepared(lambda occasion: Assignment.objects.filter(occasion=occasion))
    assert [row.occasion for row in of_occasion.rows(occasion=3)] == [3]
    assert of_occasion.rows(occasion=2) == []
    field = Assignment._meta.get_field("occasion")
    marks = of_occasion._marks()
    assert all(isinstance(mark, int) and mark <= 32_767 for mark in marks)
    assert field.get_internal_type() == "PositiveSmallIntegerField"
