"""Freezing a project's items and judgments into an immutable snapshot, and reading one back."""

from __future__ import annotations

import hashlib
import json
import secrets
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Max
from django.urls import reverse
from isal import isal_zlib
from msgspec.json import Decoder
from pydantic_core import to_json

from annotations.judging import log
from annotations.projects.models import Project, TaskSchema
from app.accounts import audit
from app.jobs import runner

from . import rows, splits
from .beside import ahead
from .files import gunzip, gzip_writer, written_folder
from .models import Snapshot
from .reading import consistent_view
from .rows import Query

ROWS = "rows.jsonl.gz"
MANIFEST = "manifest.json"
REPORT_EVERY = 500  # rows

Report = Callable[[int, int], None]
_decode = Decoder().decode


class SnapshotDamaged(Exception):
    """A snapshot's file is missing, cut, or not what was frozen; the text says which."""


class NotReady(Exception):
    """The snapshot is still being written, or its writing failed."""


def create_snapshot(*, project: Project, actor, query: dict | None = None, note: str = "") -> Snapshot:
    """Start freezing the project: a Snapshot row and the Job that writes its rows (`snapshot.job_id`).

    Raises BadQuery for a filter that is not known.
    """
    with transaction.atomic():
        snapshot = _numbered(project, actor, Query.parse(query or {}), note)
        job = runner.start(
            kind="datasets.snapshot",
            title=f"Freeze snapshot {snapshot.number}",
            args={"snapshot_id": snapshot.pk},
            scope=project.slug,
            actor=actor,
            result_url=reverse("datasets:detail", args=[project.slug, snapshot.number]),
        )
        snapshot.job_id = job.pk
        snapshot.save(update_fields=["job_id"])
        audit.record(
            actor=actor,
            action="snapshot.started",
            scope=project.slug,
            target=snapshot.public_id,
            query=snapshot.query,
        )
    return snapshot


def freeze_now(
    *, project: Project, actor=None, query: dict | None = None, note: str = "", report: Report | None = None
) -> Snapshot:
    """Freeze the project in this process and return the ready snapshot; for commands and tests."""
    return build(add_snapshot(project=project, actor=actor, query=query, note=note), report=report)


def add_snapshot(*, project: Project, actor=None, query: dict | None = None, note: str = "") -> Snapshot:
    """Write a Snapshot row without a Job; `build` writes its rows, again if its process was killed."""
    with transaction.atomic():
        snapshot = _numbered(project, actor, Query.parse(query or {}), note)
        audit.record(actor=actor, action="snapshot.started", scope=project.slug, target=snapshot.public_id)
    return snapshot


def _numbered(project: Project, actor, query: Query, note: str) -> Snapshot:
    for _ in range(5):
        last = Snapshot.objects.filter(project=project).aggregate(n=Max("number"))["n"] or 0
        try:
            with transaction.atomic():
                return Snapshot.objects.create(
                    public_id=f"snap_{secrets.token_hex(6)}",
                    project=project,
                    number=last + 1,
                    query=query.as_json(),
                    note=note[:300],
                    created_by=actor if actor is not None and actor.is_authenticated else None,
                )
        except IntegrityError:
            continue  # somebody else took the number: look again
    raise RuntimeError("could not number the snapshot after five tries")


def build(snapshot: Snapshot, *, report: Report | None = None) -> Snapshot:
    """Write the snapshot's files and mark it ready; after any error it is marked failed and no file is left.

    Idempotent: a ready snapshot stays as it is, and one whose writer was killed is written from the start. The
    rows come from one consistent view of the database; no lock is held meanwhile. `report(done, total)`.
    """
    if snapshot.state == Snapshot.State.READY and rows_path(snapshot).exists():
        return snapshot
    Snapshot.objects.filter(pk=snapshot.pk).update(state=Snapshot.State.BUILDING)
    try:
        manifest = _write(snapshot, report or (lambda done, total: None))
    except runner.JobLost:
        raise  # another worker writes it now
    except BaseException:
        Snapshot.objects.filter(pk=snapshot.pk).update(state=Snapshot.State.FAILED)
        raise
    Snapshot.objects.filter(pk=snapshot.pk).update(
        state=Snapshot.State.READY,
        query={**snapshot.query, "cutoff": manifest["cutoff"]},
        versions=manifest["versions"],
        counts=manifest["counts"],
        path=f"snapshots/{snapshot.public_id}/{ROWS}",
        sha256=manifest["sha256"],
        n_items=manifest["items"],
        n_judgments=manifest["judgments"],
    )
    snapshot.refresh_from_db()
    return snapshot


def _write(snapshot: Snapshot, report: Report) -> dict:
    project, query = snapshot.project, _query_of(snapshot)
    total = rows.items_of(project, query).count()
    tally = _Tally()
    digest = hashlib.sha256()
    head = log_head(project)
    with written_folder(folder_of(snapshot), replace=True) as folder:
        with (
            consistent_view() as reader,
            (folder / ROWS).open("wb") as raw,
            gzip_writer(raw) as file,
        ):
            cutoff = rows.last_judgment(project, reader)
            for row in rows.item_rows(project, query, cutoff=cutoff, reader=reader):
                line = to_json(row.native) + b"\n"
                digest.update(line)
                file.write(line)
                tally.add(row)
                if tally.items % REPORT_EVERY == 0:
                    report(tally.items, total)
        manifest = {
            "snapshot": snapshot.public_id,
            "project": project.slug,
            "number": snapshot.number,
            "created_at": rows.moment(snapshot.created_at),
            "note": snapshot.note,
            "query": query.as_json(),
            "cutoff": cutoff,
            "sha256": digest.hexdigest(),
            "items": tally.items,
            "judgments": tally.judgments,
            "counts": tally.counts(),
            "versions": {**tally.versions(project), "log": head},
            "split": {"salt": splits.SALT, "shares": dict(zip(splits.SPLITS, splits.SHARES, strict=True))},
            "code": code_version(),
        }
        (folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n")
        report(tally.items, tally.items)
    return manifest


def log_head(project: Project) -> dict:
    """{seals, last, hash} of the judgment log, sealed up to now: `verify_log --expect` finds `hash` again as long as
    no judgment up to the id `last` was changed. Inside a transaction nothing is sealed; the head is what it was.
    """
    if not connection.in_atomic_block and (bound := log.settled()) is not None:
        log.seal(project_id=project.pk, bound=bound)
    head = log.head(project)
    return {key: head[key] for key in ("seals", "last", "hash")}


def _query_of(snapshot: Snapshot) -> Query:
    return Query.parse({key: value for key, value in snapshot.query.items() if key != "cutoff"})


class _Tally:
    """What the manifest counts while the rows go by."""

    def __init__(self) -> None:
        self.items = self.judgments = 0
        self.by: dict[str, Counter] = {
            name: Counter()
            for name in ("kind", "outcome", "split", "route", "schema", "guideline", "plan", "release")
        }
        self.annotators: dict[str, set[str]] = {}

    def add(self, row: rows.Row) -> None:
        native, reserved = row.native, row.native[rows.RESERVED]
        self.items += 1
        self.judgments += len(native["judgments"])
        self.by["split"][reserved["split"]] += 1
        self.by["route"][reserved["route"]] += 1
        if row.route_ref:
            self.by["plan"][plan_of(row.route_ref)] += 1
        self.by["release"].update(row.releases)
        for judgment in native["judgments"]:
            self.by["kind"][judgment["kind"]] += 1
            self.by["outcome"][judgment["outcome"]] += 1
            self.by["schema"][judgment["schema_version"]] += 1
            if judgment["guideline_version"]:
                self.by["guideline"][judgment["guideline_version"]] += 1
            self.annotators.setdefault(judgment["kind"], set()).add(judgment["annotator"])

    def counts(self) -> dict:
        return {
            "judgments_by_kind": _sorted(self.by["kind"]),
            "judgments_by_outcome": _sorted(self.by["outcome"]),
            "annotators_by_kind": {kind: len(names) for kind, names in sorted(self.annotators.items())},
            "items_by_split": {name: self.by["split"][name] for name in splits.SPLITS},
            "items_by_route": _sorted(self.by["route"]),
        }

    def versions(self, project: Project) -> dict:
        """Judgments per schema and guideline version, items per plan and criteria release; schemas with their hash."""
        hashes = {
            schema.label: schema.sha256
            for schema in TaskSchema.objects.filter(project=project).defer("definition")
        }
        return {
            "schemas": {
                label: {"judgments": n, "sha256": hashes.get(label, "")}
                for label, n in _sorted(self.by["schema"]).items()
            },
            "guidelines": _sorted(self.by["guideline"]),
            "plans": _sorted(self.by["plan"]),
            "criteria_releases": _sorted(self.by["release"]),
        }


def _sorted(counter: Counter) -> dict[str, int]:
    return dict(sorted(counter.items()))


def plan_of(route_ref: str) -> str:
    """What set a route, without the name of a person: `plan:7` as it is, `admin:alice` as `admin`."""
    return route_ref if route_ref.startswith("plan:") else route_ref.split(":")[0]


@lru_cache(maxsize=1)
def code_version() -> str:
    """The version in pyproject.toml."""
    with (settings.BASE_DIR / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]["version"]


def folder_of(snapshot: Snapshot) -> Path:
    """Where the snapshot's files are."""
    return Path(settings.MEDIA_ROOT) / "snapshots" / snapshot.public_id


def rows_path(snapshot: Snapshot) -> Path:
    """The snapshot's rows."""
    return folder_of(snapshot) / ROWS


def open_lines(snapshot: Snapshot) -> Iterator[bytes]:
    """The snapshot's rows as JSON lines with their line ends, checked against its sha256 at the end.

    Raises NotReady at once; SnapshotDamaged where the file is missing or cut, or after the last line if the
    content is not what was frozen.
    """
    if snapshot.state != Snapshot.State.READY:
        raise NotReady(f"{snapshot.public_id} is {snapshot.get_state_display().lower()}, not ready.")
    return _lines(snapshot)


def _lines(snapshot: Snapshot) -> Iterator[bytes]:
    digest = hashlib.sha256()
    held = b""
    try:
        for piece in ahead(_digested(gunzip(rows_path(snapshot)), digest)):
            lines = (held + piece).splitlines(keepends=True)
            held = b"" if lines[-1].endswith(b"\n") else lines.pop()
            yield from lines
        if held:
            raise EOFError("the last line does not end")
    except (OSError, EOFError, isal_zlib.error) as error:
        raise SnapshotDamaged(f"The rows of {snapshot.public_id} cannot be read: {error}") from error
    if digest.hexdigest() != snapshot.sha256:
        raise SnapshotDamaged(
            f"The rows of {snapshot.public_id} are not the ones that were frozen (sha256 differs)."
        )


def _digested(pieces: Iterator[bytes], digest) -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        yield piece


def open_rows(snapshot: Snapshot) -> Iterator[dict]:
    """The snapshot's items as native dicts, one at a time, checked like `open_lines`."""
    return map(parse_line, open_lines(snapshot))


def parse_line(line: bytes) -> dict:
    """One row, without loss (whole numbers of any size) and three times as fast as the standard library."""
    return _decode(line)


def find(public_id: str) -> Snapshot | None:
    """The snapshot with this public id."""
    return Snapshot.objects.select_related("project").filter(public_id=public_id).first()
