"""Looking through a file before it is imported: what would come of its first rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from annotations.items import pii
from annotations.items.readers import Problem, Record, preview, read
from annotations.projects.models import Project

from . import importing
from .imported_items import Row
from .uploads import Draft

ROWS = 2000
ERRORS_SHOWN = 100
PREVIEW_ROWS = 5


@dataclass(slots=True)
class Summary:
    """What the first rows hold. `known` is None where there is no project yet to compare with."""

    rows: int = 0
    more: bool = False
    """The file has more rows than were looked at."""
    new: int = 0
    known: int | None = None
    invalid: int = 0
    judgments: int = 0
    people: int = 0
    models: int = 0
    fewest: int = 0
    most: int = 0
    """Fewest and most responses of an item."""
    pii: dict[str, int] = field(default_factory=dict)
    """Rows that hold what looks like personal data, by kind."""
    errors: list[dict] = field(default_factory=list)
    """{line, field, message}, the first hundred."""
    unusable: str = ""
    """Why the file cannot be read with this mapping at all; everything else is empty then."""


def personal_words(summary: Summary) -> list[tuple[int, str]]:
    """(rows, what looks like personal data in them)."""
    return [(summary.pii[kind], words) for kind, words in pii.KINDS.items() if kind in summary.pii]


def preview_of(draft: Draft) -> dict:
    """The first rows as a table, see `readers.preview`; raises UnknownFormat."""
    return preview(draft.path, PREVIEW_ROWS, draft.format)


def look_through(draft: Draft, project: Project | None, limit: int = ROWS) -> Summary:
    """Read the first `limit` rows and say what an import would do with them; writes nothing.

    With a project every row goes through the import itself, rolled back; without one, through its checks.
    Raises UnknownFormat.
    """
    summary = Summary()
    judges: dict[str, set[str]] = {"human": set(), "lm": set(), "reward_model": set()}
    counted = _count(read(draft.path, draft.format, draft.mapping or None), summary, judges, limit)
    if project is not None:
        report = importing.import_records(
            project=project,
            records=counted,
            origin_label=draft.file,
            options=importing.ImportOptions(dry_run=True),
        )
        summary.new, summary.known = report.new, report.updated + report.duplicate
        summary.invalid = report.invalid
        summary.errors = report.errors[:ERRORS_SHOWN]
    else:
        _check(counted, summary)
    summary.people = len(judges["human"])
    summary.models = len(judges["lm"]) + len(judges["reward_model"])
    return summary


def _count(records, summary: Summary, judges: dict, limit: int) -> Iterator[Record | Problem]:
    records = iter(records)
    for found in islice(records, limit):
        summary.rows += 1
        if isinstance(found, Record):
            for kind in {kind for _, kind in importing.personal_data(found)}:
                summary.pii[kind] = summary.pii.get(kind, 0) + 1
            n = len(found.responses)
            summary.fewest, summary.most = min(summary.fewest or n, n), max(summary.most, n)
            summary.judgments += len(found.judgments)
            for judgment in found.judgments:
                judges[judgment.kind].add(judgment.annotator)
        yield found
    summary.more = next(records, None) is not None


def _check(records: Iterator[Record | Problem], summary: Summary) -> None:
    """Count rows that would go in; an id or content that comes twice is one item."""
    seen: set[tuple] = set()
    bad: set[int] = set()
    for found in records:
        if isinstance(found, Problem):
            problem = (found.line, found.field, found.message)
        else:
            row = Row.prepare("", found)
            problem = (found.line, *row.problem) if row.problem else None
            if problem is None:
                seen.add((found.source, found.external_id) if found.external_id else (row.hash,))
        if problem is not None:
            bad.add(problem[0])
            if len(summary.errors) < ERRORS_SHOWN:
                summary.errors.append(dict(zip(("line", "field", "message"), problem, strict=True)))
    summary.new, summary.invalid = len(seen), len(bad)
