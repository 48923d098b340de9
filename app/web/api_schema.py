"""The OpenAPI description: every operation with the refusals it may answer."""

from __future__ import annotations

import inspect

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from rest_framework import serializers

PROBLEM = "application/problem+json"
REFUSALS = {
    "400": "Something in the request is not valid; `errors` says what.",
    "401": "Nobody is signed in, or the token is not valid.",
    "403": "Your role does not allow this, or the CSRF token is missing.",
    "404": "There is no such thing, or not for you.",
    "406": "Answers are JSON; `Accept` asks for something else.",
    "409": "It contradicts what is stored; nothing was written.",
    "412": "`If-Match` names another version than the stored one; nothing was written.",
    "413": "The body is too large.",
    "415": "The body is of a type that is not read here.",
    "422": "The `Idempotency-Key` was used for another request.",
    "429": "Too many requests; `Retry-After` says how many seconds to wait.",
}
NEEDS = {"412": "If-Match", "422": "Idempotency-Key"}
ONLY_WRITES = {"409", "413", "415"}
TEXT = {"type": "string", "minLength": 1, "maxLength": 200}
HEADERS = {
    "Idempotency-Key": "Any text of yours. The same request again with it acts once, and is answered as the first "
    "time, with `Idempotent-Replayed: true`.",
    "If-None-Match": "The `ETag` you have: the answer is 304 where nothing changed.",
    "If-Match": "The `ETag` of the resource you read: the answer is 412 where it has changed since.",
}


class ProblemError(serializers.Serializer):
    """What is wrong with one field."""

    field = serializers.CharField()
    message = serializers.CharField()


class ProblemDetails(serializers.Serializer):
    """Any refusal, after RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = ProblemError(many=True)


class ApiSchema(AutoSchema):
    """Adds the refusals, as problem+json, to what each view declares.

    No field of a resource is called required, since `?fields=` may leave any of them out.
    """

    def _map_basic_serializer(self, serializer, direction):
        schema = super()._map_basic_serializer(serializer, direction)
        properties = schema.get("properties", {})
        required = [name for name in schema.pop("required", []) if not properties[name].get("readOnly")]
        return {**schema, "required": required} if required else schema

    def _own_header(self) -> str | None:
        """The header every view understands for this method."""
        if self.method == "POST":
            return None if self.view.has_own_idempotency else "Idempotency-Key"
        if self.method == "GET":
            return "If-None-Match"
        return "If-Match" if hasattr(self.view, "get") else None

    def _get_parameters(self):
        parameters = super()._get_parameters()
        if (name := self._own_header()) is not None:
            parameters.append({"in": "header", "name": name, "schema": TEXT, "description": HEADERS[name]})
        return parameters

    def _get_response_bodies(self, direction="response"):
        bodies = super()._get_response_bodies(direction)
        for code, words in REFUSALS.items():
            if code in bodies or (self.method == "GET" and code in ONLY_WRITES):
                continue
            if code in NEEDS and self._own_header() != NEEDS[code]:
                continue
            bodies[code] = self._refusal(code, words, direction)
        if self.method == "GET":
            bodies.setdefault("304", {"description": "You have it: nothing changed since that ETag."})
        return dict(sorted(bodies.items()))

    def _refusal(self, code: str, words: str, direction: str) -> dict:
        """A reference to the one description of this refusal."""
        body = self._get_response_for_code(ProblemDetails, code, [PROBLEM], direction)
        component = ResolvedComponent(
            name=f"Problem{code}",
            type=ResolvedComponent.RESPONSE,
            schema={**body, "description": words},
            object=f"Problem{code}",
        )
        self.registry.register_on_missing(component)
        return component.ref

    def get_description(self) -> str:
        """What the method's own docstring says beyond its summary."""
        return inspect.cleandoc(getattr(self.view, self.method.lower()).__doc__ or "")


def only_v1(endpoints: list[tuple], **kwargs) -> list[tuple]:
    """The described paths: those of the versioned API."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/v1/")]
