"""Grading by people: what they said is stored, and only then is the judge's verdict shown beside it.

A difference has three possible causes, and the person says which: the judge, the wording, a slip of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from annotations.items.models import Item
from annotations.projects.models import Annotator, Project

from . import lab, pairs
from .models import WHOLE_PAIR, CriterionVersion, Grade, Proposal, Regrade, Verdict

FIRST_READ = 5
SIDES = {"A": 0, "B": 1}


class BadGrade(ValueError):
    """The grade cannot be stored; `field` says where."""

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field


@transaction.atomic
def grade_whole(
    *,
    project: Project,
    person: Annotator,
    item: Item,
    response: int,
    good: bool,
    reason: str,
    why: str = "",
    propensity: float | None = None,
) -> Grade:
    """Call a response good or bad; a bad one needs a reason. A grade given before is superseded, or this is a repeat."""
    reason = reason.strip()
    if not good and not reason:
        raise BadGrade("reason", "Say what is wrong with it: criteria grow out of reasons.")
    if not 0 <= response < item.n_responses:
        raise BadGrade("response", "There is no such response.")
    return _store(
        project=project, person=person, version=None, item=item, response=response, value="pass" if good else "fail",
        reason=reason[:5000], why=why, propensity=propensity,
    )  # fmt: skip


@transaction.atomic
def grade_single(
    *,
    project: Project,
    person: Annotator,
    item: Item,
    response: int,
    said: Mapping[int, str],
    reason: str = "",
    why: str = "",
    propensity: float | None = None,
) -> list[Grade]:
    """Store what a person said of one response by version: {version id: pass | fail | na}. Raises BadGrade; then nothing
    is stored."""
    versions = CriterionVersion.objects.filter(criterion__project=project).in_bulk(list(said))
    if not said or set(versions) != set(said):
        raise BadGrade("value", "Answer at least one criterion.")
    if not 0 <= response < item.n_responses or not set(said.values()) <= {"pass", "fail", "na"}:
        raise BadGrade("value", "Expected meets it, does not, or does not apply, of a response there is.")
    made = [
        _store(
            project=project, person=person, version=versions[pk], item=item, response=response, value=value,
            reason=reason.strip()[:5000], why=why, propensity=propensity,
        )
        for pk, value in said.items()
    ]  # fmt: skip
    Regrade.objects.filter(version__in=list(said), item=item, response=response, done_at=None).update(
        done_at=timezone.now()
    )
    return made


def canonical(side: str, order: tuple[int, ...]) -> str:
    """What the person said of the sides, in stored order. Raises BadGrade."""
    if side in ("tie", "na"):
        return side
    if side not in SIDES or len(order) < 2:
        raise BadGrade("value", "Expected A, B, equal, or does not apply.")
    return ("first", "second")[order[SIDES[side]]]


@transaction.atomic
def grade_pair(
    *,
    project: Project,
    person: Annotator,
    item: Item,
    said: Mapping[int, str],
    why: str = "",
    propensity: float | None = None,
) -> list[Grade]:
    """Store what a person said by version: {version id: first | second | tie | na}. Raises BadGrade; then nothing is stored."""
    versions = CriterionVersion.objects.filter(criterion__project=project).in_bulk(list(said))
    if not said or set(versions) != set(said):
        raise BadGrade("value", "Answer at least one criterion.")
    made = []
    for pk, value in said.items():
        if value not in {"first", "second", "tie", "na"}:
            raise BadGrade("value", "Expected A, B, equal, or does not apply.")
        made.append(
            _store(
                project=project,
                person=person,
                version=versions[pk],
                item=item,
                response=WHOLE_PAIR,
                value=value,
                why=why,
                propensity=propensity,
            )
        )
    Regrade.objects.filter(version__in=list(said), item=item, response=WHOLE_PAIR, done_at=None).update(
        done_at=timezone.now()
    )
    return made


def _store(
    *, project, person, version, item, response, value, reason="", fault="", why="", propensity=None
) -> Grade:
    """Write a grade. Inside a transaction; takes the annotator's lock, so one person's grades stand in a row."""
    Annotator.objects.select_for_update().get(pk=person.pk)
    before = Grade.objects.filter(
        version=version, item=item, response=response, annotator=person, is_current=True, is_repeat=False
    ).first()
    repeat = why == "repeat" and before is not None
    if before is not None and not repeat:
        Grade.objects.filter(pk=before.pk).update(is_current=False)
    return Grade.objects.create(
        project=project, version=version, item=item, response=response, annotator=person, value=value, reason=reason,
        fault=fault, why_shown=why[:24], propensity=propensity, is_repeat=repeat,
        supersedes=before if before is not None and not repeat else None,
    )  # fmt: skip


@dataclass(frozen=True)
class Revealed:
    """A grade beside the judge's verdict."""

    grade: Grade
    verdict: Verdict
    value: str

    @property
    def agrees(self) -> bool:
        return self.grade.value == self.value


def reveal(project: Project, person: Annotator, item: Item, response: int = WHOLE_PAIR) -> list[Revealed]:
    """The judge's verdicts on what this person has graded of this item or response; nothing of what they have not."""
    grades = (
        Grade.fresh()
        .filter(project=project, annotator=person, item=item, response=response, version__isnull=False)
        .select_related("version__criterion")
        .order_by("version__criterion_id")
    )
    words = {pairs.FIRST: "first", pairs.SECOND: "second", pairs.TIE: "tie", pairs.NA: "na"}
    if response != WHOLE_PAIR:
        words = {1: "pass", 0: "fail", pairs.NA: "na"}
    found = []
    for grade in grades:
        verdict = (
            Verdict.objects.filter(grader__version=grade.version, item=item, response=response)
            .exclude(value=pairs.ERROR)
            .order_by("-grader_id")
            .first()
        )
        if verdict is not None:
            found.append(Revealed(grade, verdict, words[verdict.value]))
    return found


@transaction.atomic
def blame(*, grade: Grade, fault: str, verdict: str) -> Grade:
    """Say why a grade and the judge differ. A slip takes the judge's verdict over (the old grade stays); a misleading
    wording opens a proposal."""
    if fault not in Grade.Fault.values:
        raise BadGrade("fault", "Expected judge, wording or slip.")
    if fault == Grade.Fault.SLIP:
        return _store(
            project=grade.project, person=grade.annotator, version=grade.version, item=grade.item,
            response=grade.response, value=verdict, fault=fault,
        )  # fmt: skip
    Grade.objects.filter(pk=grade.pk).update(fault=fault)
    if fault == Grade.Fault.WORDING:
        criterion = grade.version.criterion
        open_ = Proposal.objects.filter(
            criterion=criterion, kind="refine", version=None, state="open"
        ).first()
        items = sorted({*(open_.evidence.get("misled", []) if open_ else []), grade.item_id})
        lab.propose(kind="refine", criterion=criterion, base=grade.version, evidence={"misled": items})
    grade.refresh_from_db()
    return grade
