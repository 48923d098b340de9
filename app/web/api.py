"""What every API resource shares: the base view, strict fields, keyset pages, sparse fields.

Resources are read with `Resource` serializers (every field read-only) and written with `Body` serializers, which
take JSON types as they are, refuse unknown keys and let no text through that a database cannot hold.
"""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.http.multipartparser import MultiPartParserError
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema_field, inline_serializer
from rest_framework import exceptions, parsers, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import AnonRateThrottle
from rest_framework.utils.json import strict_constant
from rest_framework.views import APIView

from . import conditional, idempotency
from .paging import BadCursorError, keyset_page
from .problems import Problem

PAGE_SIZE = 50
LARGEST_PAGE = 200
LARGEST_INT = 2**31 - 1
MAX_DEPTH = 20
_DIGITS = re.compile(r"[0-9]{1,18}")


class JSONParser(parsers.JSONParser):
    """Strict JSON: nesting too deep for the interpreter and keys that stand twice are bad requests."""

    def parse(self, stream, media_type=None, parser_context=None):
        encoding = (parser_context or {}).get("encoding", settings.DEFAULT_CHARSET)
        try:
            return json.loads(
                stream.read().decode(encoding), parse_constant=strict_constant, object_pairs_hook=_once
            )
        except RecursionError:
            raise exceptions.ParseError("The JSON is nested too deeply.") from None
        except (ValueError, LookupError) as error:
            raise exceptions.ParseError(f"JSON parse error - {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {twice[:100]!r} stands twice in one object")
    return made


class ApiView(APIView):
    """Base of every resource: JSON bodies up to a limit, and every refusal as problem+json."""

    parser_classes = [JSONParser]
    metadata_class = None
    has_own_idempotency = False
    """Whether the view's own `id` makes a retry harmless, so that the header needs no memory of its own."""
    _claim = None

    def dispatch(self, request, *args, **kwargs):
        """With `If-Match`, the look at what is stored and the change to it are one transaction."""
        if "If-Match" not in request.headers or request.method in ("GET", "HEAD", "OPTIONS"):
            return super().dispatch(request, *args, **kwargs)
        try:
            with conditional.one_view(adds=request.method == "POST"):
                response = super().dispatch(request, *args, **kwargs)
                if response.status_code >= 400:
                    transaction.set_rollback(True)
        except conditional.ChangedMeanwhileError as error:
            response = self.handle_exception(Problem(412, "It has changed since you read it", str(error)))
            self.response = response = self.finalize_response(self.request, response, *args, **kwargs)
        return response

    def largest_body(self) -> int:
        """Bytes a request may carry."""
        return settings.DATA_UPLOAD_MAX_MEMORY_SIZE

    def initial(self, request: Request, *args, **kwargs) -> None:
        """Refuse what is too large before anything reads it; strangers are throttled too."""
        try:
            length = int(request.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            length = 0
        if length > self.largest_body():
            raise too_large(self.largest_body())
        try:
            super().initial(request, *args, **kwargs)
        except (exceptions.NotAuthenticated, exceptions.AuthenticationFailed):
            self._throttle_stranger(request)
            raise
        except UnicodeDecodeError:  # knox decodes the header without a check
            request.user = AnonymousUser()
            self._throttle_stranger(request)
            raise exceptions.AuthenticationFailed("Invalid token.") from None
        conditional.check_if_match(self, request, *args, **kwargs)
        if request.method == "POST" and not self.has_own_idempotency:
            self._claim = idempotency.begin(request)

    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        if self._claim is not None:
            claim, self._claim = self._claim, None
            response.add_post_render_callback(lambda rendered: idempotency.finish(claim, rendered))
        return response

    def _throttle_stranger(self, request: Request) -> None:
        for throttle in self.get_throttles():
            if isinstance(throttle, AnonRateThrottle) and not throttle.allow_request(request, self):
                self.throttled(request, throttle.wait())

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, idempotency.Replay):
            return exc.response
        if isinstance(exc, RequestDataTooBig):
            exc = too_large(self.largest_body())
        elif isinstance(exc, (SuspiciousOperation, BadRequest, MultiPartParserError)):
            exc = Problem(400, "The request cannot be read", str(exc)[:300])
        return super().handle_exception(exc)


class NoSuchResource(ApiView):
    """Answers every path below the API that is none."""

    schema = None

    def initial(self, request: Request, *args, **kwargs) -> None:
        super().initial(request, *args, **kwargs)
        raise Http404("No such resource.")


def too_large(limit: int) -> Problem:
    """The refusal of a body beyond `limit` bytes."""
    return Problem(413, "The request is too large", f"At most {limit:,} bytes are read.")


def bad(field: str, message: str) -> Problem:
    """A 400 about one field."""
    return invalid([{"field": field, "message": message}])


def invalid(errors: list[dict]) -> Problem:
    """A 400 with errors [{field, message}]."""
    return Problem(400, "The request is not valid", errors=errors)


# --- Strict fields ------------------------------------------------------------------------------------------
class TextField(serializers.CharField):
    """A text, kept as it is; numbers are no texts here."""

    def __init__(self, **kwargs):
        kwargs.setdefault("trim_whitespace", False)
        super().__init__(**kwargs)

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class WholeNumberField(serializers.IntegerField):
    """A whole number as JSON writes it: not "4", not true, not 4.5; within 32 bits unless told."""

    default_error_messages = {"invalid": "Expected a whole number."}

    def __init__(self, **kwargs):
        kwargs.setdefault("min_value", -LARGEST_INT)
        kwargs.setdefault("max_value", LARGEST_INT)
        super().__init__(**kwargs)

    def to_internal_value(self, data: object) -> int:
        if isinstance(data, bool) or not isinstance(data, (int, float)):
            self.fail("invalid")
        if isinstance(data, float) and (not math.isfinite(data) or data != int(data)):
            self.fail("invalid")
        return int(data)


class NumberField(serializers.FloatField):
    """A number as JSON writes it: not "4", not true."""

    default_error_messages = {"invalid": "Expected a number."}

    def to_internal_value(self, data: object) -> float:
        if isinstance(data, bool) or not isinstance(data, (int, float)) or not abs(data) <= LARGEST_INT:
            self.fail("invalid")
        return float(data)


class StrictBooleanField(serializers.BooleanField):
    """true or false, and nothing that looks like it."""

    def to_internal_value(self, data: object) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=str(type(data).__name__))
        return data


class UuidField(serializers.UUIDField):
    """A UUID in its usual form."""

    def to_internal_value(self, data: object) -> uuid.UUID:
        if not isinstance(data, str):
            self.fail("invalid", value=type(data).__name__)
        return super().to_internal_value(data)


class IdField(serializers.CharField):
    """The id of something numbered, as a text of digits; gives the number."""

    default_error_messages = {"invalid": "Expected an id: digits, as a text."}

    def to_internal_value(self, data: object) -> int:
        if not isinstance(data, str) or not _DIGITS.fullmatch(data):
            self.fail("invalid")
        return int(data)


@extend_schema_field({"type": "object", "additionalProperties": {}})
class ObjectField(serializers.DictField):
    """A JSON object whose texts can all be stored."""

    def to_internal_value(self, data: object) -> dict:
        found = unstorable(data)
        if found:
            raise serializers.ValidationError(found)
        return super().to_internal_value(data)


def unstorable(value: object, depth: int = 0) -> str | None:
    """Why a JSON value cannot be stored by every database, or None."""
    if depth > MAX_DEPTH:
        return f"is nested deeper than {MAX_DEPTH} levels"
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return "holds half a surrogate pair; remove it"
        return "holds a NUL character; remove it" if "\x00" in value else None
    if isinstance(value, float) and not math.isfinite(value):
        return "holds a number that is not finite"
    if isinstance(value, Mapping):
        parts = [*value.keys(), *value.values()]
    elif isinstance(value, list):
        parts = value
    else:
        return None
    return next((found for part in parts if (found := unstorable(part, depth + 1))), None)


# --- Serializers --------------------------------------------------------------------------------------------
class Body(serializers.Serializer):
    """What a request may say; a key that is not known is an error, so that no typing mistake loses an answer."""

    def to_internal_value(self, data: object) -> dict:
        if isinstance(data, Mapping):
            unknown = sorted(str(key) for key in set(data) - set(self.fields))
            if unknown:
                known = ", ".join(self.fields)
                raise serializers.ValidationError(
                    {key[:100]: [f"No such field here; there are {known}."] for key in unknown[:20]}
                )
        return super().to_internal_value(data)


class Query(serializers.Serializer):
    """What an address may say behind its question mark."""


class Resource(serializers.Serializer):
    """What is answered; `only` names the fields that are asked for."""

    def __init__(self, *args, only: list[str] | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        if only:
            unknown = [name for name in only if name not in self.fields]
            if unknown:
                known = ", ".join(self.fields)
                raise bad("fields", f"{unknown[0][:60]!r}: no such field; there are {known}.")
            for name in [name for name in self.fields if name not in only]:
                self.fields.pop(name)

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        for field in fields.values():
            field.read_only = True
        return fields


class FieldsQuery(Query):
    """Which fields a resource is answered with. (`fields` cannot be a class attribute of a serializer.)"""

    def get_fields(self) -> dict[str, serializers.Field]:
        wanted = serializers.CharField(
            required=False, max_length=2000, help_text="Names of the fields wanted, with commas between."
        )
        return {**super().get_fields(), "fields": wanted}


class PageQuery(FieldsQuery):
    """Where a page begins, how long it is, and which fields it has."""

    cursor = serializers.CharField(
        required=False, max_length=2000, help_text="`next` of the page before; without it, the first page."
    )
    size = serializers.IntegerField(
        required=False, min_value=1, max_value=LARGEST_PAGE, default=PAGE_SIZE, help_text="Rows on the page."
    )


def page_of(resource: type[Resource]) -> serializers.Serializer:
    """The schema of a page of these resources."""
    name = getattr(getattr(resource, "Meta", None), "ref_name", resource.__name__)
    return inline_serializer(
        name=f"{name}Page",
        fields={
            "results": resource(many=True),
            "next": serializers.CharField(
                allow_null=True, help_text="Give it as `cursor` to go on; null on the last page."
            ),
        },
    )


# --- Parsing and answering ----------------------------------------------------------------------------------
def parse(serializer: type[serializers.Serializer], data: Any, **context: object) -> dict:
    """The checked values. Raises ValidationError: a 400 with errors by field."""
    bound = serializer(data=data, context=context)
    bound.is_valid(raise_exception=True)
    return bound.validated_data


def parse_query(serializer: type[serializers.Serializer], request: Request) -> dict:
    """The checked values of the address."""
    return parse(serializer, request.query_params.dict())


def wanted_fields(query: Mapping) -> list[str] | None:
    """The names in `?fields=`, None for all."""
    names = [name.strip() for name in query.get("fields", "").split(",")]
    return [name for name in names if name] or None


def one(request: Request, resource: type[Resource], row: object, **context: object) -> Response:
    """Answer with one resource, with the fields asked for."""
    only = wanted_fields(parse_query(FieldsQuery, request))
    return Response(resource(row, only=only, context=context).data)


def many(
    resource: type[Resource],
    queryset: QuerySet,
    query: Mapping,
    *,
    order_by: tuple[str, ...],
    **context: object,
) -> Response:
    """Answer with a page of resources after the cursor; `query` are the values of a PageQuery."""
    only = wanted_fields(query)
    resource(only=only)  # names nobody knows are refused before anything is read
    try:
        page = keyset_page(queryset, cursor=query.get("cursor"), size=query["size"], order_by=order_by)
    except BadCursorError as error:
        raise bad("cursor", str(error)) from None
    return answer_page(resource, page.rows, page.next_cursor, only, **context)


def answer_page(
    resource: type[Resource], rows: list, cursor: str | None, only: list[str] | None = None, **context: object
) -> Response:
    """{"results": rows, "next": cursor}."""
    data = resource(rows, many=True, only=only, context=context).data
    return Response({"results": data, "next": cursor})


def in_path(name: str, description: str, type_: object = OpenApiTypes.STR) -> OpenApiParameter:
    """The schema's word for a part of the path."""
    return OpenApiParameter(name, type_, OpenApiParameter.PATH, description=description)


SLUG = in_path("slug", "The project's name in its address.")
