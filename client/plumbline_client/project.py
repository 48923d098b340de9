"""One project: items and judgments in, DataFrames and snapshots out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from .connection import Plumbline
from .datasets import Snapshot

ROWS_AT_ONCE = 500
SENT_AT_ONCE = 8_000_000  # characters of JSON


class ImportFailed(ValueError):
    """Rows did not go in; `report` has their errors, [{line, field, message}]. The other rows are in."""

    def __init__(self, report: dict) -> None:
        self.report = report
        first = report["errors"][0]
        super().__init__(
            f"{report['invalid']} rows did not go in; the first: row {first.get('line', first.get('row'))}, "
            f"{first['field'] or 'the whole row'}: {first['message']}"
        )


class Project:
    """A project of a site; `info` is what the site says of it."""

    def __init__(self, site: Plumbline, info: dict) -> None:
        self.site, self.info = site, info
        self.slug: str = info["slug"]
        self._path = f"projects/{self.slug}"

    def __repr__(self) -> str:
        return f"Project({self.slug!r})"

    # --- In -------------------------------------------------------------------------------------------------
    def import_file(
        self,
        path: str | Path,
        *,
        format: str | None = None,
        mapping: Mapping[str, str] | None = None,
        dry_run: bool = False,
        strict: bool = True,
        **options: Any,
    ) -> dict:
        """Import a file in any format the site reads, wait, and return {new, updated, duplicate, invalid, judgments, errors}.

        `mapping` is {column: role} for tables and for rows with keys of their own; `saved_mapping` names one that the
        project keeps. `dry_run` writes nothing. `options`: saved_mapping, wanted, ask_again, batch. With
        `strict` bad rows raise ImportFailed at the end; the good ones are in all the same.
        """
        fields = {"format": format, "mapping": json.dumps(mapping) if mapping else None, **options}
        data = {
            key: str(value).lower() if isinstance(value, bool) else value for key, value in fields.items()
        }
        data = {key: value for key, value in data.items() if value is not None}
        if dry_run:
            data["dry_run"] = "true"
        with open(path, "rb") as file:
            sent = {"file": (Path(path).name, file, "application/octet-stream")}
            job = self.site.request("POST", f"{self._path}/imports", data=data, files=sent).json()
        report = self.site.wait(job)["result"]
        if strict and report["invalid"]:
            raise ImportFailed(report)
        return report

    def add_items(self, rows: Iterable[Mapping[str, Any]], *, strict: bool = True, **options: Any) -> dict:
        """Add items (rows of the native JSONL or its short forms), 500 at a time; returns the sum of the reports.

        >>> project.add_items([{"id": "q1", "prompt": "Say hello.", "response_a": "Hi.", "response_b": "Go."}])
        """
        total: dict[str, Any] = {
            "new": 0,
            "updated": 0,
            "duplicate": 0,
            "invalid": 0,
            "judgments": 0,
            "errors": [],
        }
        before = 0
        for part in _parts(rows):
            report = self.site.post(f"{self._path}/items", {"items": part, **options})
            for name in ("new", "updated", "duplicate", "invalid", "judgments"):
                total[name] += report[name]
            total["errors"] += [{**error, "row": before + error["row"]} for error in report["errors"]]
            before += len(part)
        if strict and total["invalid"]:
            raise ImportFailed(total)
        return total

    def update(self, **settings: Any) -> Project:
        """Change settings (name, description, status, overlap, lease_minutes, edit_minutes)."""
        self.info = self.site.patch(self._path, settings)
        return self

    # --- Out ------------------------------------------------------------------------------------------------
    def items(self, *, limit: int | None = None, **filters: Any) -> pd.DataFrame:
        """Items with their counts, one a row; `filters`: route, state, source, q."""
        return pd.DataFrame(islice(self.site.rows(f"{self._path}/items", **filters), limit))

    def judgments(self, *, limit: int | None = None, **filters: Any) -> pd.DataFrame:
        """Judgments, one a row; `comparisons` and `scores` are lists. `filters`: kind, outcome, item, annotator, current.

        Those in force unless `current` says otherwise ("false": superseded ones; None: all).
        """
        frame = pd.DataFrame(self._judgments(limit, filters))
        for name in ("created_at", "received_at"):
            if name in frame:
                frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
        return frame

    def comparisons(self, *, limit: int | None = None, **filters: Any) -> pd.DataFrame:
        """Comparisons, one a row: item, annotator, aspect, first, second, and `preference` (negative: first better) or `tie`."""
        return pd.DataFrame(
            {**_who(judgment), **part}
            for judgment in self._judgments(limit, filters)
            for part in judgment["comparisons"]
        )

    def scores(self, *, limit: int | None = None, **filters: Any) -> pd.DataFrame:
        """Ratings, ranks and thumbs, one a row: item, annotator, response, attribute, value."""
        return pd.DataFrame(
            {**_who(judgment), **part}
            for judgment in self._judgments(limit, filters)
            for part in judgment["scores"]
        )

    def _judgments(self, limit: int | None, filters: dict) -> Iterator[dict]:
        filters = {"current": "true", **filters}
        for row in islice(self.site.rows(f"{self._path}/judgments", **filters), limit):
            annotator = row.pop("annotator", None) or {}
            yield {**row, "annotator": annotator.get("name"), "kind": annotator.get("kind")}

    # --- Freezing -------------------------------------------------------------------------------------------
    def snapshot(self, *, note: str = "", query: dict | None = None) -> Snapshot:
        """Freeze items and judgments as they are now, and wait for it. `query`: kinds, outcomes, only_judged, …"""
        body: dict[str, Any] = {"note": note}
        if query:
            body["query"] = query
        job = self.site.wait(self.site.post(f"{self._path}/snapshots", body))
        return self.open_snapshot(job["result"]["snapshot"])

    def open_snapshot(self, id: str) -> Snapshot:
        """A snapshot that is there, by its id (`snap_…`)."""
        return Snapshot(self.site, self.slug, self.site.get(f"{self._path}/snapshots/{id}"))

    def snapshots(self) -> pd.DataFrame:
        """The project's snapshots, newest first."""
        return pd.DataFrame(self.site.rows(f"{self._path}/snapshots"))


def _who(judgment: dict) -> dict:
    names = ("id", "item", "annotator", "kind", "created_at")
    return {("judgment" if name == "id" else name): judgment.get(name) for name in names}


def _parts(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[dict]]:
    part: list[dict] = []
    size = 0
    for row in rows:
        part.append(dict(row))
        size += len(json.dumps(part[-1], ensure_ascii=False))
        if len(part) == ROWS_AT_ONCE or size > SENT_AT_ONCE:
            yield part
            part, size = [], 0
    if part:
        yield part
