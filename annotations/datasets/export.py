"""Writing a snapshot in a format: a file per table and split, a card, croissant.json, a manifest; and the files people may fetch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from django.conf import settings
from django.db import transaction
from django.urls import reverse

from annotations.projects.models import Annotator
from app.accounts import audit
from app.jobs import runner

from . import croissant, formats, snapshots, splits, truth, writers
from .card import card
from .files import sha256_of, written_folder
from .formats import FORMATS, Conversion, Table
from .formats.base import name_of, note_pii
from .models import Export, Snapshot
from .rows import RESERVED, moment

MANIFEST, CARD, CROISSANT = "manifest.json", "README.md", "croissant.json"
POSTERIORS = "posteriors.jsonl.gz"
REPORT_EVERY = 1000  # items
LINE_ENDS = tuple((f'"split":"{name}"}}}}\n'.encode(), name) for name in splits.SPLITS)

Report = Callable[[int, int], None]


def start_export(
    *, snapshot: Snapshot, actor, format: str, container: str | None = None, options: dict | None = None
) -> tuple[Export, bool]:
    """Start writing an export; returns it, and False if the same export stands already or is being written.

    Raises BadOption for settings nobody knows, NotReady for a snapshot that is not ready.
    """
    container, checked = formats.check_options(format, container, options or {})
    if snapshot.state != Snapshot.State.READY:
        raise snapshots.NotReady(
            f"{snapshot.public_id} is {snapshot.get_state_display().lower()}, not ready."
        )
    project = snapshot.project
    with transaction.atomic():
        same = Export.objects.filter(snapshot=snapshot, format=format, container=container).exclude(
            state__in=[Export.State.FAILED, Export.State.REMOVED]
        )
        # Names may change, so an export with names is always written anew.
        known = next(
            (row for row in same if row.options == checked and checked.get("annotators") != "name"), None
        )
        if known is not None:
            return known, False
        export = Export.objects.create(
            snapshot=snapshot,
            format=format,
            container=container,
            options=checked,
            created_by=actor if actor is not None and actor.is_authenticated else None,
        )
        job = runner.start(
            kind="datasets.export",
            title=f"Export snapshot {snapshot.number} as {FORMATS[format].label}",
            args={"export_id": export.pk},
            scope=project.slug,
            actor=actor,
            result_url=reverse("datasets:detail", args=[project.slug, snapshot.number]),
        )
        export.job_id = job.pk
        export.save(update_fields=["job_id"])
        audit.record(
            actor=actor,
            action="export.started",
            scope=project.slug,
            target=snapshot.public_id,
            format=format,
            container=container,
            options=checked,
        )
    return export, True


def build(export: Export, *, report: Report | None = None) -> Export:
    """Write the export's files and mark it ready; after any error it is marked failed and no file is left.

    Idempotent, like `snapshots.build`. Raises SnapshotDamaged where the snapshot is not what was frozen.
    """
    folder = folder_of(export)
    if export.state == Export.State.READY and (folder / MANIFEST).exists():
        return export
    Export.objects.filter(pk=export.pk).update(state=Export.State.BUILDING)
    try:
        manifest = write_export(
            snapshot=export.snapshot,
            format=export.format,
            container=export.container,
            options=export.options,
            folder=folder,
            replace=True,
            report=report,
        )
    except runner.JobLost:
        raise  # another worker writes it now
    except BaseException:
        Export.objects.filter(pk=export.pk).update(state=Export.State.FAILED)
        raise
    done = (
        Export.objects.filter(pk=export.pk)
        .exclude(state=Export.State.REMOVED)
        .update(
            state=Export.State.READY,
            path=str(folder.relative_to(settings.MEDIA_ROOT)),
            manifest=manifest,
            rows=manifest["rows"],
        )
    )
    if not done:  # somebody whom it names was erased meanwhile
        shutil.rmtree(folder, ignore_errors=True)
        raise snapshots.NotReady("Somebody was erased while it was written. Start the export again.")
    export.refresh_from_db()
    return export


def write_export(
    *,
    snapshot: Snapshot,
    format: str,
    folder: Path,
    container: str | None = None,
    options: dict | None = None,
    replace: bool = False,
    report: Report | None = None,
) -> dict:
    """Write the snapshot into a new folder and return the manifest; the same bytes every time.

    The folder appears whole or not at all. Memory does not grow with rows, but with votes by `dawid_skene`. Raises BadOption, NotReady,
    SnapshotDamaged (after which nothing was written), OSError.
    """
    container, checked = formats.check_options(format, container, options or {})
    lines = snapshots.open_lines(snapshot)
    conversion = Conversion(checked, _names(snapshot) if checked.get("annotators") == "name" else {})
    truths = None
    if checked.get("method") == truth.METHOD:
        truths, report = _fit(snapshot, checked, report)
    with written_folder(folder, replace=replace) as part:
        files = _write_rows(lines, part, format, container, conversion, snapshot, report, truths)
        for entry in files:
            entry["sha256"] = sha256_of(part / entry["path"])
            entry["bytes"] = (part / entry["path"]).stat().st_size
        manifest = {
            "plumbline_export": 1,
            "snapshot": snapshot.public_id,
            "snapshot_sha256": snapshot.sha256,
            "format": format,
            "container": container,
            "options": checked,
            "rows": sum(entry["rows"] for entry in files if entry["split"]),
            "files": files,
            "dropped": dict(sorted(conversion.dropped.items())),
            "left_out": dict(sorted(conversion.left_out.items())),
            **({"pii": dict(sorted(conversion.pii.items()))} if "pii" in checked else {}),
            **({"aggregation": truths.summary(conversion.names)} if truths is not None else {}),
            "frozen": {
                "title": snapshot.project.name,
                "project": snapshot.project.slug,
                "number": snapshot.number,
                "created_at": moment(snapshot.created_at),
                "query": snapshot.query,
                "items": snapshot.n_items,
                "judgments": snapshot.n_judgments,
                "counts": snapshot.counts,
                "versions": snapshot.versions,
                "split": {
                    "salt": splits.SALT,
                    "shares": dict(zip(splits.SPLITS, splits.SHARES, strict=True)),
                },
            },
            "code": {"plumbline": snapshots.code_version()}
            | ({"pyarrow": pa.__version__} if container == "parquet" else {}),
        }
        for name, text in (
            (CARD, card(manifest)),
            (CROISSANT, json.dumps(croissant.describe(manifest), ensure_ascii=False, indent=2) + "\n"),
        ):
            (part / name).write_text(text)
            files.append({"path": name, "config": None, "split": None, "rows": 0, "sha256": sha256_of(part / name),
                          "bytes": len(text.encode())})  # fmt: skip
        (part / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n")
    return manifest


def _write_rows(
    lines: Iterator[bytes],
    part: Path,
    format: str,
    container: str,
    conversion: Conversion,
    snapshot: Snapshot,
    report: Report | None,
    truths: truth.Truths | None,
) -> list[dict]:
    """Write one file per table and split that has rows; entries for the manifest in the order of both.

    A table without files per split stands under the split `train`, as its public counterpart does.
    """
    known = FORMATS[format]
    read = known.read or snapshots.parse_line
    holds = known.holds(conversion.options) if known.holds else None
    tables = [(table, "{split}" in table.path) for table in known.tables]
    open_files: dict[tuple[str, str], writers.Writer] = {}

    def writer_of(table: Table, split: str) -> writers.Writer:
        key = (table.name, split)
        if key not in open_files:
            path = part / file_name(table, split, container)
            open_files[key] = writers.open_writer(path, table, container, conversion.options)
        return open_files[key]

    posteriors = writers.JsonLinesWriter(part / POSTERIORS) if truths is not None else None
    looks = "pii" in conversion.options
    as_it_is = format == "native" and not (conversion.names or looks)
    try:
        for count, line in enumerate(lines, start=1):
            if as_it_is:
                writer_of(known.tables[0], split_of_line(line)).write_line(line)
            else:
                item = read(line)
                if looks:
                    note_pii(item, conversion)
                if truths is not None:
                    truths.mark(item)
                    for row in truth.posterior_rows(item, name=name_of(item), **_asked(conversion.options)):
                        posteriors.write(row)
                if holds is not None:
                    formats.note_left_out(item, holds, conversion)
                for table, per_split in tables:
                    split = item[RESERVED]["split"] if per_split else splits.SPLITS[0]
                    for row in table.rows(item, conversion):
                        writer_of(table, split).write(row)
            if report and count % REPORT_EVERY == 0:
                report(count, snapshot.n_items)
    finally:
        for writer in (*open_files.values(), *([posteriors] if posteriors else ())):
            writer.close()
    if report:
        report(snapshot.n_items, snapshot.n_items)
    extra = {"path": POSTERIORS, "config": None, "split": None}
    return [
        {
            "path": file_name(table, split, container),
            "config": table.name,
            "split": split,
            "rows": open_files[table.name, split].rows,
        }
        for table, _ in tables
        for split in splits.SPLITS
        if (table.name, split) in open_files
    ] + ([{**extra, "rows": posteriors.rows}] if posteriors else [])


def _fit(snapshot: Snapshot, options: dict, report: Report | None) -> tuple[truth.Truths, Report | None]:
    """Dawid and Skene's model of the snapshot's votes; reading them is the first half of what is reported."""

    def items() -> Iterator[dict]:
        for count, item in enumerate(snapshots.open_rows(snapshot), start=1):
            yield item
            if report and count % REPORT_EVERY == 0:
                report(count, 2 * snapshot.n_items)

    truths = truth.fit(items(), **_asked(options))
    if report is None:
        return truths, None
    return truths, lambda done, total: report(total + done, 2 * total)


def _asked(options: dict) -> dict[str, str]:
    return {"aspect": options["aspect"], "judged_by": options["judged_by"]}


def split_of_line(line: bytes) -> str:
    """The split of a snapshot's line, which ends with it: no need to parse what is copied as it is."""
    for end, name in LINE_ENDS:
        if line.endswith(end):
            return name
    return snapshots.parse_line(line)[RESERVED]["split"]


def file_name(table: Table, split: str, container: str) -> str:
    """The file of a table's split, as its consumers expect it to be named."""
    return table.path.format(split=split, container=container)


def _names(snapshot: Snapshot) -> dict[str, str]:
    """Pseudonym → name of the project's people. Names live in this table alone, so erasing one reaches every export."""
    people = Annotator.objects.filter(project=snapshot.project_id, kind=Annotator.Kind.HUMAN)
    return {str(pseudonym): name for pseudonym, name in people.values_list("pseudonym", "name")}


def folder_of(export: Export) -> Path:
    """Where the export's files are, or will be."""
    return Path(settings.MEDIA_ROOT) / "exports" / export.snapshot.public_id / str(export.pk)


def file_of(export: Export, name: str) -> tuple[Path, str] | None:
    """(path, sha256) of a file of the export, or None: only names that its manifest lists are looked up at all."""
    if export.state != Export.State.READY:
        return None
    if name == MANIFEST:
        path = folder_of(export) / MANIFEST
        return (path, sha256_of(path)) if path.is_file() else None
    entry = next((entry for entry in export.manifest["files"] if entry["path"] == name), None)
    path = folder_of(export) / name
    return (path, entry["sha256"]) if entry is not None and path.is_file() else None
