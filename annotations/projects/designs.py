"""Designs as files: a definition as JSON with the address of its JSON schema, written and read without loss."""

from __future__ import annotations

import json

from pydantic import ValidationError

from . import clashes
from .schemas import Definition, Design, errors_by_path

VERSION = 1
SCHEMA_PATH = f"/schemas/task-design-{VERSION}.json"
LONGEST = 200_000  # characters of a design's JSON


class DesignError(ValueError):
    """A design that cannot be read; `errors` are (path in it, what is wrong), the path empty for the whole."""

    def __init__(self, errors: list[tuple[clashes.Path, str]]):
        super().__init__("; ".join(_line(path, words) for path, words in errors))
        self.errors = errors

    @property
    def lines(self) -> list[str]:
        """The errors as `where: what`."""
        return [_line(path, words) for path, words in self.errors]


def _line(path: clashes.Path, words: str) -> str:
    return f"{'.'.join(map(str, path))}: {words}" if path else words


def json_schema(address: str = SCHEMA_PATH) -> dict:
    """The JSON schema of a design (draft 2020-12), as pydantic checks it; `address` is where it is published.

    What no schema can say (names asked before, one word per strength) `parse` says.
    """
    schema = Design.model_json_schema(by_alias=True)
    schema["properties"] = {
        "$schema": {"type": "string", "description": "The address of this schema."},
        **schema["properties"],
    }
    description = "The questions asked about an item: what people see, and how their answers are checked."
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": address,
        **schema,
        "description": description,
    }


def to_json(definition: Definition, address: str = SCHEMA_PATH) -> str:
    """The design as a file's text."""
    content = {"$schema": address, **definition.model_dump(mode="json", exclude_defaults=False)}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def parse(text: str) -> Design:
    """The design in a file's text. Raises DesignError with a path for everything that is wrong."""
    if len(text) > LONGEST:
        raise DesignError([((), f"{len(text):,} characters; a design has at most {LONGEST:,}.")])
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise DesignError([((), f"Line {error.lineno}, column {error.colno}: {error.msg}.")]) from None
    except (RecursionError, ValueError):
        raise DesignError(
            [((), "The JSON is nested too deeply, or holds a number that is too long.")]
        ) from None
    return check(content)


def check(content: object) -> Design:
    """The checked design. Raises DesignError with a path for everything that is wrong."""
    if not isinstance(content, dict):
        raise DesignError([((), "Expected a JSON object with a list of questions.")])
    try:
        return Design.model_validate({key: value for key, value in content.items() if key != "$schema"})
    except ValidationError as error:
        raise DesignError(errors_by_path(error)) from None
