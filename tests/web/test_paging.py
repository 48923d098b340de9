"""Keyset paging gives every row once, in order, and refuses foreign cursors."""

import base64
import json

import pytest

from app.web.models import RenderedText
from app.web.paging import BadCursorError, keyset_page

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows():
    # Three texts share each html, so that the primary key must break ties.
    return RenderedText.objects.bulk_create(
        RenderedText(key=f"{number:02}", html=f"h{number // 3}") for number in range(10)
    )


@pytest.mark.parametrize(
    "order_by", [("html", "pk"), ("-html",), ("-html", "pk"), ("html", "-key"), ("-created_at",)]
)
@pytest.mark.parametrize("size", [1, 3, 10, 50])
def test_pages_join_to_the_whole_list(rows, order_by, size):
    seen, cursor = [], None
    while True:
        page = keyset_page(RenderedText.objects.all(), cursor=cursor, size=size, order_by=order_by)
        assert len(page.rows) <= size
        seen += [row.key for row in page.rows]
        cursor = page.next_cursor
        if cursor is None:
            break
    total = order_by if order_by[-1] in ("pk", "-key") else (*order_by, "-pk")
    assert seen == list(RenderedText.objects.order_by(*total).values_list("key", flat=True))


def test_a_row_added_before_the_cursor_moves_nothing(rows):
    first = keyset_page(RenderedText.objects.all(), cursor=None, size=4, order_by=("pk",))
    RenderedText.objects.create(key="00a", html="new")
    second = keyset_page(RenderedText.objects.all(), cursor=first.next_cursor, size=4, order_by=("pk",))
    assert [row.key for row in second.rows] == ["04", "05", "06", "07"]


def make(values):
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


FOREIGN = [
    "x",
    "é",
    "%%%",
    make({}),
    make([]),
    make([1, 2, 3]),
    make([None, "a"]),
    make([["a"], "b"]),
    "A" * 5000,
]


@pytest.mark.parametrize("cursor", [*FOREIGN, make(["no date", "a"])], ids=lambda cursor: ascii(cursor[:12]))
def test_a_foreign_cursor_is_refused(rows, cursor):
    with pytest.raises(BadCursorError):
        keyset_page(RenderedText.objects.all(), cursor=cursor, size=4, order_by=("-created_at", "pk"))
