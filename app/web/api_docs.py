"""The API's documentation page, drawn from the generated schema on the server: no script is needed."""

from __future__ import annotations

import json
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from drf_spectacular.generators import SchemaGenerator

METHODS = ("get", "post", "put", "patch", "delete")
MAX_DEPTH = 4


@lru_cache(maxsize=1)
def _schema() -> dict:
    return SchemaGenerator().get_schema(request=None, public=True)


@require_GET
def docs(request: HttpRequest) -> HttpResponse:
    """Every operation by tag, with its parameters, body, answers and an example."""
    return render(
        request, "web/api_docs.html", {"groups": operations(), "base": f"{settings.SITE_URL}/api/v1"}
    )


def operations() -> list[dict]:
    """[{tag, operations}] in the order of the paths."""
    schema = _schema()
    groups: dict[str, list[dict]] = {}
    for path, methods in schema["paths"].items():
        for method in METHODS:
            if method in methods:
                operation = methods[method]
                groups.setdefault(operation["tags"][0], []).append(
                    _operation(schema, path, method, operation)
                )
    return [{"tag": tag, "operations": rows} for tag, rows in groups.items()]


def _operation(schema: dict, path: str, method: str, operation: dict) -> dict:
    content = operation.get("requestBody", {}).get("content", {})
    media = next(iter(content), "")
    body = _example(schema, content[media]["schema"]) if media else None
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation.get("summary", ""),
        "description": operation.get("description", ""),
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
        "description": parameter.get("description", ""),
    }


def _response(schema: dict, code: str, answer: dict) -> dict:
    if "$ref" in answer:
        answer = schema["components"]["responses"][answer["$ref"].rsplit("/", 1)[-1]]
    content = answer.get("content", {})
    refs = [each["schema"].get("$ref", "") for each in content.values()]
    return {
        "code": code,
        "description": answer.get("description", ""),
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


def _fields(schema: dict, part: dict) -> list[dict]:
    part = _resolved(schema, part)
    required = part.get("required", [])
    return [
        {
            "name": name,
            "type": _type(schema, field),
            "required": name in required,
            "description": field.get("description", ""),
        }
        for name, field in part.get("properties", {}).items()
    ]


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
        lines.append(f"  -d '{json.dumps(body, ensure_ascii=False)}'")
    return " \\\n".join(lines)
