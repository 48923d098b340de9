"""A panel's list of submissions (Prolific's export, or the same columns) against the places of a project."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

from annotations.projects.models import Project
from app.accounts.models import User

from . import places
from .models import Place

LARGEST = 5 * 1024 * 1024
LONGEST_LIST = 200
SESSION_COLUMNS = ("submission id", "session id", "session_id", "session")
PERSON_COLUMNS = ("participant id", "prolific_pid", "participant_id", "participant")
STATUS_COLUMNS = ("status",)
STATES = {
    "returned": Place.State.RETURNED,
    "timed-out": Place.State.TIMED_OUT,
    "timed out": Place.State.TIMED_OUT,
    "timed_out": Place.State.TIMED_OUT,
}


class BadFile(ValueError):
    """The file cannot be read; the text says why. Nothing was changed."""


@dataclass(slots=True)
class Report:
    """What came of a list: places ended now, those that were already, and what does not fit."""

    rows: int = 0
    ended: int = 0
    known: int = 0
    judgments: int = 0
    """Judgments put aside."""
    problems: list[str] = field(default_factory=list)
    """The first 200, each with its line."""
    strangers: list[str] = field(default_factory=list)
    """Sessions that are at work or complete here but not in the list: ids that the panel did not give."""


def _column(header: list[str], names: tuple[str, ...]) -> int | None:
    plain = [cell.strip().lower() for cell in header]
    return next((plain.index(name) for name in names if name in plain), None)


def read(content: bytes) -> list[tuple[int, str, str, str]]:
    """(line, session, person, status) of each row; person is empty where the file has no such column.

    Raises BadFile.
    """
    if len(content) > LARGEST:
        raise BadFile("The file is larger than 5 MB.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadFile("The file is no UTF-8 text.") from None
    if "\0" in text:
        raise BadFile("The file holds NUL characters.")
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = next(reader, [])
        session, status = _column(header, SESSION_COLUMNS), _column(header, STATUS_COLUMNS)
        person = _column(header, PERSON_COLUMNS)
        if session is None or status is None:
            raise BadFile("Expected columns “Submission id” and “Status”, as in Prolific's export.")
        rows = []
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            cells = [cell.strip() for cell in row] + [""] * (len(header) - len(row))
            rows.append(
                (reader.line_num, cells[session], "" if person is None else cells[person], cells[status])
            )
    except csv.Error as error:
        raise BadFile(f"Line {reader.line_num}: {error}.") from None
    return rows


def apply(*, project: Project, content: bytes, give_back: bool, actor: User) -> Report:
    """End the places that the panel calls returned or timed out. Raises BadFile; then nothing was changed."""
    rows = read(content)
    report = Report(rows=len(rows))
    known = {
        place.session: place
        for place in Place.objects.filter(project=project).select_related("participant", "project")
    }
    listed = set()

    def problem(line: int, words: str) -> None:
        if len(report.problems) < LONGEST_LIST:
            report.problems.append(f"Line {line}: {words}")

    for line, session, person, status in rows:
        place = known.get(session)
        listed.add(session)
        state = STATES.get(status.lower())
        if place is None:
            if state is None and status:
                problem(line, f"submission {session[:64] or '(empty)'} ({status[:30]}) never came in here.")
            continue
        if person and person != place.participant.person:
            problem(
                line, f"submission {session} is {place.participant.person} here, {person[:64]} in the file."
            )
            continue
        if state is None:
            continue
        if place.state == state and (place.given_back is not None or not give_back):
            report.known += 1
            continue
        ended = places.end(place=place, state=state, actor=actor, give_back=give_back)
        report.ended += 1
        report.judgments += ended.given_back or 0
    live = (Place.State.ACTIVE, Place.State.COMPLETE)
    report.strangers = sorted(s for s, p in known.items() if s not in listed and p.state in live)[
        :LONGEST_LIST
    ]
    return report
