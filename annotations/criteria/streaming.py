"""What running graders have said so far, while they run: counts of all, and single verdicts on what this person graded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from annotations.projects.models import Annotator, Project
from app.jobs.models import Job

from . import lab, pairs, watch
from .models import WHOLE_PAIR, Criterion, Grade, Grader, Verdict

NEWEST = 8
PAIR_WORDS = {pairs.FIRST: "decided", pairs.SECOND: "decided", pairs.TIE: "equal", pairs.NA: "does not apply"}
ONE_WORDS = {1: "met", 0: "not met", pairs.NA: "does not apply"}
NO_VERDICT = "no verdict"


@dataclass(frozen=True)
class Line:
    """One verdict beside the person's own grade."""

    verdict: Verdict
    said: str
    mine: str
    agrees: bool


@dataclass(frozen=True)
class SoFar:
    """A grader's verdicts until now. `lines`: the newest on what the person has graded; `hidden`: how many others."""

    grader: Grader
    counts: list[tuple[str, int]]
    done: int
    lines: list[Line] = field(default_factory=list)
    hidden: int = 0


def live_jobs(project: Project) -> list[Job]:
    """The lab's jobs that are not over."""
    states = [Job.State.QUEUED, Job.State.RUNNING]
    return list(Job.objects.filter(scope=project.slug, kind__startswith="criteria.", state__in=states)[:5])


def of_round(project: Project) -> list[SoFar]:
    """Every grader of the round that is running, in order of criteria: one query for all their verdicts."""
    judge = lab.lab_of(project).judge
    kind = Grader.Kind.LM_PAIR if judge else Grader.Kind.RULE
    graders = [
        g
        for g in Grader.objects.filter(version__criterion__project=project, kind=kind, model=judge)
        .filter(version__criterion__status__in=["active", "trusted", "draft"])
        .select_related("version__criterion")
        .order_by("version__criterion_id", "-pk")
        if g.version_id == g.version.criterion.current_id
    ]
    rows = Verdict.objects.filter(grader__in=graders, response=WHOLE_PAIR).values_list("grader_id", "value")
    said: dict[int, Counter[str]] = {g.pk: Counter() for g in graders}
    for grader, value in rows:
        said[grader][PAIR_WORDS.get(value, NO_VERDICT)] += 1
    return [SoFar(g, said[g.pk].most_common(), said[g.pk].total()) for g in graders]


def of_grader(grader: Grader, person: Annotator) -> SoFar:
    """One grader of single responses. A verdict stays hidden until the person has graded that response by its criterion."""
    verdicts = list(
        Verdict.objects.filter(grader=grader, response__gte=0).select_related("item").order_by("-pk")
    )
    counts = Counter(ONE_WORDS.get(v.value, NO_VERDICT) for v in verdicts)
    mine = {
        (g.item_id, g.response): g
        for g in Grade.fresh().filter(
            version__criterion=grader.version.criterion, annotator=person, response__gte=0
        )
    }
    lines = []
    for v in verdicts:
        grade = mine.get((v.item_id, v.response))
        if grade is not None:
            own = watch.code_of(grade)
            lines.append(Line(v, ONE_WORDS.get(v.value, NO_VERDICT), ONE_WORDS[own], own == v.value))
    return SoFar(grader, counts.most_common(), len(verdicts), lines[:NEWEST], len(verdicts) - len(lines))


def grader_at_work(criterion: Criterion, running: Sequence[Job]) -> Grader | None:
    """The grader of this criterion that one of these jobs runs."""
    ids = [pk for job in running if (pk := job.args.get("grader_id"))]
    graders = Grader.objects.filter(pk__in=ids, version__criterion=criterion)
    return graders.select_related("version__criterion").first() if ids else None
