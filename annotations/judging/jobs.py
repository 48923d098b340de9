"""What an import is told and what comes of it, and the job that imports a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from django.conf import settings

from annotations.items.readers.files import DAMAGED, open_bytes
from annotations.projects.models import Project
from app.jobs import runner
from app.jobs.models import Job

MAX_WANTED = 1000


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What an import may be told.

    `wanted`: people wanted for each new item, else the project's overlap. `ask_again`: that many beyond the human
    judgments the file brings. `report_path`: a JSONL file that gets every error.
    """

    wanted: int | None = None
    ask_again: bool = False
    dry_run: bool = False
    report_path: str | None = None

    def __post_init__(self) -> None:
        if self.wanted is not None and not 0 <= self.wanted <= MAX_WANTED:
            raise ValueError(f"wanted: {self.wanted}, expected 0 to {MAX_WANTED}")


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
    """The first errors, {file, line, field, message}; `report_path` has all."""
    errors_total: int = 0
    notes: list[str] = field(default_factory=list)
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
        kind="judging.import",
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
