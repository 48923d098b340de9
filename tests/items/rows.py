"""Rows of the native form for tests of its reader."""

import json

from annotations.items import readers
from annotations.items.readers import Problem, Record

PAIR = {"id": "1", "prompt": "Why?", "response_a": "Because.", "response_b": "So.", "human": [], "lm": []}


def read_text(tmp_path, text: str | bytes, name="rows.jsonl", format="native") -> tuple[list, list]:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = list(readers.read(path, format))
    return [r for r in found if isinstance(r, Record)], [p for p in found if isinstance(p, Problem)]


def read_rows(tmp_path, *rows) -> tuple[list, list]:
    return read_text(tmp_path, "\n".join(json.dumps(row) for row in rows))
