"""What an import is told and what comes of it, and the job that imports a file."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from annotations.items.readers.files import DAMAGED, open_bytes
from annotations.projects.models import Project
from app.jobs import runner
from app.jobs.models import Job
from app.jobs.retention import AT_ONCE, FINISHED

KIND = "judging.import"
MAX_WANTED = 1000
MAX_BATCH = 120


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What an import may be told.

    `wanted`: people wanted for each new item, else the project's overlap. `ask_again`: that many beyond the human
    judgments the file brings. `batch`: the batch new items go into, made if it is new; without it a row's own
    `batch` (a column, or a key of its meta) says. `report_path`: a JSONL file that gets every error, up to a million. `pii`: look for
    personal data and report the rows; they go in as they are.
    """

    wanted: int | None = None
    ask_again: bool = False
    batch: str = ""
    dry_run: bool = False
    report_path: str | None = None
    pii: bool = False

    def __post_init__(self) -> None:
        if self.wanted is not None and not 0 <= self.wanted <= MAX_WANTED:
            raise ValueError(f"wanted: {self.wanted}, expected 0 to {MAX_WANTED}")
        if len(self.batch) > MAX_BATCH:
            raise ValueError(f"batch: expected at most {MAX_BATCH} characters")


@dataclass(slots=True)
class ImportReport:
    """What came of an import. `new`, `updated` and `duplicate` count rows that went in or were there."""

    new: int = 0
    updated: int = 0
    duplicate: int = 0
    invalid: int = 0
    """Rows with at least one error; such a row still goes in if only some of its judgments are wrong."""
    judgments: int = 0
    """Judgments stored; those stored before are not counted."""
    errors: list[dict] = field(default_factory=list)
    """The first errors, {file, line, field, message}; `report_path` has a million."""
    errors_total: int = 0
    notes: list[str] = field(default_factory=list)
    pii: dict[str, int] = field(default_factory=dict)
    """Rows that hold what looks like personal data, by kind (`items.pii.KINDS`); the report file names them."""
    report_path: str | None = None

    def as_dict(self) -> dict:
        return asdict(self)


def start_import_job(
    *,
    project: Project,
    path: Path | str,
    format: str | None = None,
    mapping: dict | None = None,
    options: dict | None = None,
    actor=None,
    result_url: str = "",
) -> Job:
    """Start the job that imports a stored file; its result is the report, with `report_path` for all errors.

    `options` are fields of ImportOptions but `report_path`. Raises ValueError or TypeError for options that are
    not valid.
    """
    ImportOptions(**(options or {}))
    return runner.start(
        kind=KIND,
        title=f"Import {Path(path).name}",
        args={
            "project_id": project.pk,
            "path": str(path),
            "format": format,
            "mapping": mapping,
            "options": options or {},
        },
        scope=project.slug,
        actor=actor,
        result_url=result_url,
    )


def stored_paths(path: str, job_id) -> tuple[Path, Path]:
    """The file to import (a relative path is under MEDIA_ROOT) and where its errors are written."""
    media = Path(settings.MEDIA_ROOT)
    folder = media / "imports"
    folder.mkdir(parents=True, exist_ok=True)
    return media / path, folder / f"{job_id}.jsonl"


def remove_files(project: Project) -> None:
    """Remove the files that were imported into the project and the lists of their bad rows."""
    uploads = (Path(settings.MEDIA_ROOT) / "uploads").resolve()
    for job in Job.objects.filter(scope=project.slug, kind=KIND).only("pk", "args"):
        file, errors = stored_paths(job.args.get("path", ""), job.pk)
        errors.unlink(missing_ok=True)
        if uploads in file.resolve().parents:  # a command may have read a file that is not ours to remove
            shutil.rmtree(file.parent, ignore_errors=True)


def forget_bad_rows(now: datetime | None = None) -> int:
    """Remove the lists of bad rows of imports that finished JOB_LOG_KEEP_DAYS ago, and what their results quote of
    them; returns how many lists. How many rows were bad stays. A list whose job is gone goes too."""
    if not settings.JOB_LOG_KEEP_DAYS:
        return 0
    oldest = (now or timezone.now()) - timedelta(days=settings.JOB_LOG_KEEP_DAYS)
    lists = sorted((Path(settings.MEDIA_ROOT) / "imports").glob("*.jsonl"))
    done = 0
    for start in range(0, len(lists), AT_ONCE):
        some = lists[start : start + AT_ONCE]
        jobs = Job.objects.only("state", "finished_at", "result").in_bulk([path.stem for path in some])
        known = {str(pk): job for pk, job in jobs.items()}
        for path in some:
            job = known.get(path.stem)
            if job and (job.state not in FINISHED or job.finished_at is None or job.finished_at >= oldest):
                continue
            path.unlink(missing_ok=True)
            if job and job.result:
                Job.objects.filter(pk=job.pk).update(result=job.result | {"errors": [], "report_path": None})
            done += 1
    return done


def count_rows(path: Path) -> int | None:
    """How many rows a file of one row a line has; None where lines are not rows."""
    first, lines = b"", 0
    with open_bytes(path) as file:
        try:
            while chunk := file.read1(1 << 20):
                first = first or chunk.lstrip()[:1]
                lines += chunk.count(b"\n")
        except DAMAGED:
            return None
    return lines if first == b"{" else None
