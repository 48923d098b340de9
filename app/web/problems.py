"""API errors as problem+json (RFC 9457): {type, title, status, detail, errors}."""

from __future__ import annotations

from http import HTTPStatus

from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_handler


class Problem(exceptions.APIException):
    """Raise to answer with a status, a sentence, and optionally errors [{field, message}]."""

    def __init__(self, status: int, title: str, detail: str = "", errors: list[dict] | None = None):
        super().__init__(detail or title)
        self.status_code, self.title, self.errors = status, title, errors or []


def _flatten(value: object, field: str = "") -> list[dict]:
    if isinstance(value, dict):
        return [e for key, part in value.items() for e in _flatten(part, f"{field}.{key}".strip("."))]
    if isinstance(value, list):
        return [e for part in value for e in _flatten(part, field)]
    return [_error(field, value)]


def _error(field: object, message: object) -> dict:
    """One error with everything it echoes made short and writable as UTF-8."""
    return {"field": _writable(field)[:200], "message": _writable(message)[:500]}


def _writable(value: object) -> str:
    return str(value)[:2000].encode("utf-8", "backslashreplace").decode()


def exception_handler(error: Exception, context: dict) -> Response | None:
    """Turn what DRF would answer into problem+json; unknown errors stay None (a 500, logged)."""
    response = drf_handler(error, context)
    if response is None:
        return None
    title = getattr(error, "title", HTTPStatus(response.status_code).phrase)
    errors = getattr(error, "errors", None)
    detail = ""
    if isinstance(error, exceptions.ValidationError):
        title, errors = "The request is not valid", _flatten(error.detail)
    elif isinstance(error, exceptions.APIException):
        detail = str(error.detail)
    elif error.args:
        detail = str(error.args[0])
    response.data = {
        "type": "about:blank",
        "title": _writable(title),
        "status": response.status_code,
        "detail": _writable(detail) if detail != str(title) else "",
        "errors": [_error(each["field"], each["message"]) for each in errors or []],
    }
    response.content_type = "application/problem+json"
    return response
