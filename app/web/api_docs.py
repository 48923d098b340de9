"""The API's documentation page, drawn from the generated schema on the server: no script is needed."""

from __future__ import annotations

import json
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from django.views.decorators.http import require_GET
from drf_spectacular.generators import SchemaGenerator

from .api_schema import REFUSALS

METHODS = ("get", "post", "put", "patch", "delete")
FIRST = (
    "projects",
    "items",
    "guidelines",
    "judging",
    "judgments",
    "datasets",
    "plans",
    "reward models",
    "jobs",
)
MAX_DEPTH = 4


@lru_cache(maxsize=1)
def _schema() -> dict:
    return SchemaGenerator().get_schema(request=None, public=True)


@require_GET
def docs(request: HttpRequest) -> HttpResponse:
    """Every operation by tag, with its parameters, body, answers and an example; open to everybody."""
    refusals = [{"code": code, "description": _words(words)} for code, words in REFUSALS.items()]
    context = {"groups": operations(), "refusals": refusals, "base": f"{settings.SITE_URL}/api/v1"}
    return render(request, "web/api_docs.html", context)


def operations() -> list[dict]:
    """[{tag, id, operations}], what a newcomer needs first."""
    schema = _schema()
    groups: dict[str, list[dict]] = {tag: [] for tag in FIRST}
    for path, methods in schema["paths"].items():
        for method in METHODS:
            if method in methods:
                operation = methods[method]
                groups.setdefault(operation["tags"][0], []).append(
                    _operation(schema, path, method, operation)
                )
    return [{"tag": tag, "id": slugify(tag), "operations": rows} for tag, rows in groups.items() if rows]


def _operation(schema: dict, path: str, method: str, operation: dict) -> dict:
    content = operation.get("requestBody", {}).get("content", {})
    media = next(iter(content), "")
    body = None
    if media:
        given = next(iter(content[media].get("examples", {}).values()), None)
        body = given["value"] if given else _example(schema, content[media]["schema"])
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation.get("summary", ""),
        "description": _words(operation.get("description", "")),
        "parameters": [_parameter(schema, each) for each in operation.get("parameters", [])],
        "body": _fields(schema, content[media]["schema"]) if media else [],
        "media": media,
        "responses": [_response(schema, code, answer) for code, answer in operation["responses"].items()],
        "curl": _curl(path, method, media, body),
    }


def _parameter(schema: dict, parameter: dict) -> dict:
    return {
        "name": parameter["name"],
        "where": parameter["in"],
        "type": _type(schema, parameter["schema"]),
        "required": parameter.get("required", False),
        "description": _words(parameter.get("description", "")),
    }


def _response(schema: dict, code: str, answer: dict) -> dict:
    if "$ref" in answer:
        answer = schema["components"]["responses"][answer["$ref"].rsplit("/", 1)[-1]]
    content = answer.get("content", {})
    refs = [each["schema"].get("$ref", "") for each in content.values()]
    return {
        "code": code,
        "description": _words(answer.get("description", "")),
        "is_problem": code >= "4" and bool(refs),
        "type": refs[0].rsplit("/", 1)[-1] if refs else "",
    }


def _resolved(schema: dict, part: dict) -> dict:
    for key in ("allOf", "oneOf", "anyOf"):
        if key in part:
            part = {**part, **part[key][0]}
    if "$ref" in part:
        part = schema["components"]["schemas"][part["$ref"].rsplit("/", 1)[-1]]
    return part


def _type(schema: dict, part: dict) -> str:
    """The type in words: `string (uuid)`, or the values there are."""
    part = _resolved(schema, part)
    if "enum" in part:
        return " | ".join(str(value) for value in part["enum"] if value is not None)
    kind = part.get("type", "any")
    kind = " or ".join(kind) if isinstance(kind, list) else kind
    if kind.startswith("array"):
        return f"list of {_type(schema, part.get('items', {}))}"
    return f"{kind} ({part['format']})" if part.get("format") else kind


def _fields(schema: dict, part: dict, before: str = "") -> list[dict]:
    """The fields of a body, those of the objects in it after their own name."""
    part = _resolved(schema, part)
    required = part.get("required", [])
    rows = []
    for name, field in part.get("properties", {}).items():
        rows.append(
            {
                "name": f"{before}{name}",
                "type": _type(schema, field),
                "required": name in required,
                "description": _words(field.get("description", "")),
            }
        )
        inner = _resolved(schema, field)
        if inner.get("type") == "array":
            inner, name = _resolved(schema, inner.get("items", {})), f"{name}[]"
        if inner.get("properties"):
            rows += _fields(schema, inner, f"{before}{name}.")
    return rows


def _words(text: str) -> SafeString:
    """The text with what stands between backticks as code."""
    parts = [
        format_html("<code>{}</code>" if place % 2 else "{}", part)
        for place, part in enumerate(text.split("`"))
    ]
    return mark_safe("".join(parts))  # noqa: S308 - every part was escaped above


def _example(schema: dict, part: dict, depth: int = 0) -> object:
    """A value of the right shape: required fields, and the first of every list."""
    part = _resolved(schema, part)
    if "default" in part:
        return part["default"]
    if "enum" in part:
        return part["enum"][0]
    kind = part.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object" and depth < MAX_DEPTH:
        properties, required = part.get("properties", {}), part.get("required", [])
        return {
            name: _example(schema, properties[name], depth + 1) for name in properties if name in required
        }
    if kind == "array":
        return [_example(schema, part.get("items", {}), depth + 1)]
    if part.get("format") == "uuid":
        return "0b8c1a52-6f0e-4d2b-9a53-3a0c1a5e7f10"
    return {"integer": part.get("minimum", 1), "number": 1, "boolean": True, "object": {}}.get(kind, "…")


def _curl(path: str, method: str, media: str, body: object) -> str:
    lines = [f"curl -H 'Authorization: Token …' {settings.SITE_URL}{path}"]
    if method != "get":
        lines[0] = lines[0].replace("curl ", f"curl -X {method.upper()} ", 1)
    if media == "multipart/form-data":
        lines.append("  -F file=@items.jsonl")
    elif media:
        lines.append("  -H 'Content-Type: application/json'")
        lines.append(f"  -d '{json.dumps(body, ensure_ascii=False, indent=2)}'")
    return " \\\n".join(lines)
