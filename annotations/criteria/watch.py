"""Watching for drift in what is stored: a judge on its fixed panel, people on their repeats, criteria over wordings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import numpy as np
from django.db.models.functions import Length
from django.utils import timezone

from annotations.items.models import Item, Response
from annotations.projects.models import Project

from . import drift, graders, judging, lab, material, pairs
from .models import WHOLE_PAIR, Criterion, CriterionVersion, DriftEvent, Grade, Grader, Lab, Verdict

PANEL = 50
COMPARED, LEAST_COMPARED = 1000, 20
WEEK = timedelta(days=7)


def panel_of(project: Project) -> list[material.Pair]:
    """The fixed panel: the first pairs of the lab's draw, the same for ever."""
    the_lab = lab.lab_of(project)
    data = material.read(project, limit=the_lab.pairs_a_round, seed=the_lab.seed, reasons=False)
    return data.pairs[:PANEL]


def rerun_panel(
    project: Project, *, owner: str, report: Callable[[str], None] = lambda words: None, actor=None
) -> DriftEvent:
    """Ask the judge about the panel once more, by every criterion in force, and compare with what it said first.

    Raises CannotJudge, NoMoney, NoMaterial. The first verdicts stay the ones in use.
    """
    the_lab = lab.lab_of(project)
    if the_lab.judge is None:
        raise judging.CannotJudge("Offline rules do not drift. Choose a model as judge first.")
    live = list(
        Criterion.objects.filter(project=project, status__in=["active", "trusted"], kind="pairwise")
        .select_related("current__criterion")
        .order_by("pk")
    )
    if not live:
        raise judging.CannotJudge("No criterion is in force yet.")
    panel = panel_of(project)
    items = [p.item_id for p in panel]
    before, after = [], []
    for criterion in live:
        grader = graders.grader_for(criterion.current, Grader.Kind.LM_PAIR, model=the_lab.judge)
        judging.run(grader, the_lab, judging.pair_material(panel), owner=owner, report=report)
        first, _ = judging.matrix([grader], items)
        again = _ask_again(grader, the_lab, panel, owner, report)
        before.append(first[:, 0])
        after.append(np.array([again.get(pk, pairs.ERROR) for pk in items]))
    found = drift.panel(np.concatenate(before), np.concatenate(after))
    return DriftEvent.objects.create(
        project=project,
        kind="judge",
        subject=_subject(the_lab.judge),
        statistic={
            "flips": found.flips,
            "tau": found.tau,
            "confidence": found.confidence,
            "criteria": len(live),
        },
        alarm=found.alarm,
    )


def _ask_again(grader, the_lab, panel, owner, report) -> dict[int, int]:
    """Fresh verdicts of the same questions: the stored replies leave the cache, the stored verdicts stay."""
    judging.retire_replies(grader, the_lab, judging.pair_material(panel))
    found: dict[int, int] = {}
    judging.ask(grader, the_lab, judging.pair_material(panel), owner=owner, report=report,
                keep=lambda row: found.__setitem__(row.item_id, row.value))  # fmt: skip
    return found


def people(project: Project) -> list[dict]:
    """Each grader's agreement with themselves on blind repeats, and early against late agreement with the judge."""
    grades = Grade.objects.filter(project=project).select_related("annotator").order_by("pk")
    by_person: dict = {}
    for g in grades:
        by_person.setdefault(g.annotator, []).append(g)
    found = []
    for person, mine in by_person.items():
        first = {
            (g.version_id, g.item_id, g.response): g.value for g in mine if not g.is_repeat and g.is_current
        }
        repeats = [g for g in mine if g.is_repeat and (g.version_id, g.item_id, g.response) in first]
        again = [g.value for g in repeats]
        agrees = _with_judge(mine)
        earlier = [first[g.version_id, g.item_id, g.response] for g in repeats]
        found.append(
            {
                "person": person,
                "grades": len(mine),
                "self": drift.self_agreement(earlier, again),
                "trend": drift.early_late(agrees),
                "fell": drift.fell(agrees, seed=person.pk),
            }
        )
    return sorted(found, key=lambda row: -row["grades"])


def _with_judge(grades: list[Grade]) -> np.ndarray:
    """Whether each grade by a criterion says what a grader of that version said, in order of time."""
    wanted = [g for g in grades if g.version_id and not g.is_repeat]
    said = {
        (v.grader.version_id, v.item_id, v.response): v.value
        for v in Verdict.objects.filter(
            grader__version__in={g.version_id for g in wanted}, item__in={g.item_id for g in wanted}
        ).select_related("grader")
    }
    agrees = []
    for g in wanted:
        value = said.get((g.version_id, g.item_id, g.response))
        if value is not None and value != pairs.ERROR:
            agrees.append(code_of(g) == value)
    return np.array(agrees, dtype=bool)


def code_of(grade: Grade) -> int:
    """A grade in the codes of verdicts."""
    if grade.response == WHOLE_PAIR:
        return {"first": pairs.FIRST, "second": pairs.SECOND, "tie": pairs.TIE}.get(grade.value, pairs.NA)
    return {"pass": 1, "fail": 0}.get(grade.value, pairs.NA)


def inputs(project: Project) -> list[dict]:
    """Whether what comes in changed: the newest items against the oldest, [{what, index, words, alarm}].

    Population stability index of lengths and of the models that wrote; an explanation where other numbers move.
    """
    items = Item.objects.filter(project=project, purpose=Item.Purpose.DATA, withdrawn_at__isnull=True)
    n = min(COMPARED, items.count() // 2)
    if n < LEAST_COMPARED:
        return []
    ends = [list(items.order_by(key).values_list("pk", flat=True)[:n]) for key in ("pk", "-pk")]
    rows = [
        list(
            Response.objects.filter(item__in=part).annotate(size=Length("text")).values_list("size", "model")
        )
        for part in ends
    ]
    lengths = [np.array([size for size, _ in part], dtype=float) for part in rows]
    names = {name: k for k, name in enumerate(sorted({m for part in rows for _, m in part}))}
    writers = [np.array([names[m] for _, m in part], dtype=float) for part in rows]
    found = [("length of responses", drift.stability_index(*lengths))]
    if len(names) > 1:
        found.append(("models that wrote them", drift.stability_of_kinds(*writers)))
    return [
        {"what": what, "index": index, "n": n, "alarm": index > drift.ANOTHER,
         "words": "another kind" if index > drift.ANOTHER else "shifted" if index > drift.SHIFTED else "alike"}
        for what, index in found
    ]  # fmt: skip


def due_panels(now=None) -> list[Lab]:
    """Labs that ask their judge's panel again every week and have not for seven days."""
    since = (now or timezone.now()) - WEEK
    recent = DriftEvent.objects.filter(kind="judge", at__gt=since).values("project_id")
    labs = Lab.objects.filter(weekly_panel=True, judge__isnull=False).exclude(project__in=recent)
    return list(labs.select_related("project"))


def wordings(criterion: Criterion) -> list[dict]:
    """For each version after the first: flips of verdicts on the same items against the version before."""
    versions = list(CriterionVersion.objects.filter(criterion=criterion).order_by("number"))
    found = []
    for old, new in pairwise(versions):
        a, b = (_said(v) for v in (old, new))
        shared = sorted(set(a) & set(b))
        panel = (
            drift.panel(np.array([a[k] for k in shared]), np.array([b[k] for k in shared]))
            if shared
            else None
        )
        found.append({"old": old, "new": new, "flips": panel.flips if panel else None})
    return found


def standing_alarms(project: Project) -> list[str]:
    """What has moved and was not settled, in words: nothing is released over it unless a person says why.

    The judge in use, by its newest panel; a person whose grades fell away; a wording that was to mean the same and changed
    verdicts. Another judge, a panel that is quiet again or a new meaning settles theirs.
    """
    judge = lab.lab_of(project).judge
    found = []
    if judge is not None:
        event = DriftEvent.objects.filter(project=project, kind="judge", subject=_subject(judge)).last()
        if event is not None and event.alarm:
            flips = event.statistic.get("flips")
            changed = (
                f"up to {100 * flips['hi']:.0f} % of its verdicts changed" if flips else "it gave no verdict"
            )
            found.append(
                f"The judge {event.subject}: {changed} on its panel; {100 * drift.FLIP_ALARM:.0f} % is allowed."
            )
    found += [
        f"{row['person'].name}: their grades fell away from the judge's from grade {row['fell']['at']} on."
        for row in people(project)
        if row["fell"] and row["fell"]["at"]
    ]
    live = Criterion.objects.filter(
        project=project, status__in=["active", "trusted"], current__change=CriterionVersion.Change.COSMETIC
    )
    for criterion in live.select_related("current").order_by("pk"):
        flips = next((r["flips"] for r in wordings(criterion) if r["new"].pk == criterion.current_id), None)
        if flips and flips["lo"] > drift.FLIP_ALARM:
            found.append(
                f"{criterion.name}: version {criterion.current.number} was to mean the same and changed "
                f"{100 * flips['value']:.0f} % of {flips['n']} verdicts."
            )
    return found


def _subject(judge) -> str:
    return f"{judge.name} at {judge.endpoint.name}"[:300]


def _said(version: CriterionVersion) -> dict[int, int]:
    rows = Verdict.objects.filter(grader__version=version, response=WHOLE_PAIR).exclude(value=pairs.ERROR)
    return dict(rows.values_list("item_id", "value"))


def timeline(project: Project, most: int = 60) -> list[dict]:
    """What happened, newest first: wordings put in force, releases, alarms."""
    rows = [
        {
            "at": v.created_at,
            "what": "wording",
            "words": f"{v} ({v.get_change_display().lower()})",
            "alarm": False,
        }
        for v in CriterionVersion.objects.filter(criterion__project=project)
        .exclude(criterion__status__in=["draft", "banned"])
        .select_related("criterion")
        .order_by("-pk")[:most]
    ]
    rows += [
        {
            "at": e.at,
            "what": f"panel of the {e.kind}",
            "words": e.subject,
            "alarm": e.alarm,
            "statistic": e.statistic,
        }
        for e in DriftEvent.objects.filter(project=project).order_by("-pk")[:most]
    ]
    rows += [
        {
            "at": r.created_at,
            "what": "release",
            "words": f"{r.number}: {', '.join(str(c.get('name', '')) for c in r.criteria)}",
            "alarm": False,
        }
        for r in project.criteria_releases.order_by("-number")[:most]
    ]
    return sorted(rows, key=lambda row: row["at"], reverse=True)[:most]
