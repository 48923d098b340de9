"""`Material` as one compressed JSON file, for the trainer's process."""

from __future__ import annotations

import gzip
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from routing.rewards.data import Pairs, Ratings
from routing.rewards.lists import Lists
from routing.rewards.prepare import Material

_TABLES = {"fit": Pairs, "ratings": Ratings, "lists": Lists}


def write(path: Path, material: Material) -> None:
    """Write everything a fit may see; the hold-out is not among it."""
    document = {name: _columns(getattr(material, name)) for name in _TABLES}
    path.write_bytes(gzip.compress(json.dumps(document, ensure_ascii=True).encode("ascii"), 1, mtime=0))


def read(path: Path) -> Material:
    """Read what `write` wrote; the hold-out is empty."""
    document = json.loads(gzip.decompress(path.read_bytes()))
    tables = {name: _table(kind, document[name]) for name, kind in _TABLES.items()}
    return Material(**tables, holdout=tables["fit"].take(np.zeros(0, dtype=int)), report={})


def _columns(table: Any) -> dict[str, Any]:
    found = {}
    for field in fields(table):
        column = getattr(table, field.name)
        array = isinstance(column, np.ndarray)
        found[field.name] = {"array": str(column.dtype), "values": column.tolist()} if array else column
    return found


def _table(kind: Any, columns: dict[str, Any]) -> Any:
    values = {
        name: np.array(column["values"], dtype=column["array"]) if isinstance(column, dict) else column
        for name, column in columns.items()
    }
    if "votes" in values:
        values["votes"] = values["votes"].reshape(-1, 3)
    return kind(**values)
