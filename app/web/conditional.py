"""ETags of the API: `If-None-Match` saves an answer one has, `If-Match` saves a change one has not seen (RFC 9110, 13).

The ETag of a JSON answer is the hash of its content. `If-Match` is held against what a GET of the same address answers
in full at that moment. That look and the write are one transaction (`one_view`), so that nobody slips in between, be it over
the API or a page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import parse_etags, quote_etag
from rest_framework.request import Request
from rest_framework.response import Response

from .problems import Problem


def etag_of(content: bytes) -> str:
    return quote_etag(hashlib.sha256(content).hexdigest()[:32])


class ApiConditionalMiddleware:
    """Gives JSON answers of the API to a GET their ETag, and answers 304 to who has it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if (
            request.method != "GET"
            or not request.path.startswith("/api/v1/")
            or response.status_code != 200
            or response.streaming
            or response.has_header("ETag")
        ):
            return response
        response["ETag"] = etag_of(response.content)
        response["Cache-Control"] = "private, no-cache"
        return get_conditional_response(request, etag=response["ETag"], response=response)


def check_if_match(view, request: Request, *args, **kwargs) -> None:
    """Raise a 412 if `If-Match` names another version than the one that is stored; views without GET have none."""
    asked = request.headers.get("If-Match")
    if asked is None or request.method in ("GET", "HEAD", "OPTIONS"):
        return
    etags = parse_etags(asked)
    read = getattr(view, "get", None)
    if read is None or not etags:
        raise Problem(412, "The condition cannot be checked", "This address has no ETag to match.")
    response: Response = read(_Bare(request), *args, **kwargs)
    response.accepted_renderer, response.accepted_media_type = (
        request.accepted_renderer,
        request.accepted_media_type,
    )
    response.renderer_context = view.get_renderer_context()
    current = etag_of(response.render().content)
    if "*" not in etags and current not in etags:
        raise Problem(412, "It has changed since you read it", f"Its ETag is {current} now: read it again.")


class ChangedMeanwhileError(Exception):
    """Somebody else's change to the same rows was committed between the look and the write."""


@contextmanager
def one_view(*, adds: bool = False) -> Iterator[None]:
    """A transaction in which what was read cannot be changed under the writer's hands.

    SQLite shuts out every other writer. PostgreSQL keeps one view of the data (REPEATABLE READ) and refuses a write to
    a row that changed since: ChangedMeanwhileError. A new row (`adds`) meets no such row, so there PostgreSQL watches
    what was read (SERIALIZABLE): of two that looked at one list and add to it, one is refused.
    """
    level = "SERIALIZABLE" if adds else "REPEATABLE READ"
    outermost = not connection.in_atomic_block
    try:
        with transaction.atomic():
            if outermost and connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
            yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != "40001":
            raise
        raise ChangedMeanwhileError("Another change came first: read it again.") from None


class _Bare:
    """The request, read as a GET of the whole resource."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def __getattr__(self, name: str):
        return getattr(self._request, name)

    @property
    def query_params(self):
        return type(self._request.query_params)()
