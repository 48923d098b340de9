"""What routing is worth, measured: the first line of the page, reckoned again as audits are judged.

Reads the plan's decisions and what people said of them since; `doubly_robust` does the statistics. The result is
stored in the plan with the judgment it goes up to, so that a page costs nothing where nothing came in.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from annotations.analysis import held_out
from annotations.analysis.majority import NONE, majority
from annotations.items.models import Item
from annotations.judging.models import Judgment
from annotations.lm import verdicts
from annotations.projects.models import Annotator
from app.jobs import runner
from app.jobs.models import Job
from app.web.shares import percent

from . import cascade, doubly_robust
from .models import Decision, RoutingPlan
from .reading import group_of

KIND = "plans.honesty"
LEAST = 20  # labels of each kind of item, chosen and not, before anything is claimed: fewer may agree by luck
AT_ONCE = 20_000  # items up to which a page reckons it itself
READ = 5000


@dataclass(frozen=True)
class Line:
    """The honesty line: `tone` is done (shown to be better), attention (not shown, or shown to be worse) or info (no
    estimate yet)."""

    text: str
    tone: str


def newest(plan: RoutingPlan) -> int:
    """The id of the latest judgment of a person in the project."""
    people = Judgment.objects.filter(project=plan.project_id, annotator__kind=Annotator.Kind.HUMAN)
    return people.order_by("-pk").values_list("pk", flat=True).first() or 0


def stored(plan: RoutingPlan) -> dict:
    """The last report: {"through", "report": {...} or None, "judged", "audits"}; empty before the first."""
    return plan.summary.get("honesty") or {}


def fresh(plan: RoutingPlan) -> dict:
    """The report, brought up to date: at once in small projects, by a job in large ones, which show the last one."""
    if plan.applied_at is None or not plan.summary.get("final"):
        return stored(plan)
    last = newest(plan)
    if stored(plan).get("through") == last:
        return stored(plan)
    if plan.summary.get("items", 0) <= AT_ONCE:
        return measure(plan, through=last)
    live = Job.objects.filter(
        kind=KIND, scope=plan.project.slug, state__in=[Job.State.QUEUED, Job.State.RUNNING]
    )
    if not live.exists():
        runner.start(
            kind=KIND,
            title=f"Plan {plan.number}: measure what routing is worth",
            args={"plan_id": plan.pk},
            scope=plan.project.slug,
        )
    return stored(plan)


def measure(plan: RoutingPlan, *, through: int | None = None) -> dict:
    """Reckon the report from what people have said, and store it in the plan."""
    through = newest(plan) if through is None else through
    found = _read(plan)
    result: dict = {"through": through, "report": None, "judged": 0, "audits": 0}
    if found is not None and len(found.item):
        result |= _report(plan, found)
    plan.summary = {**plan.summary, "honesty": result}
    RoutingPlan.objects.filter(pk=plan.pk).update(summary=plan.summary)
    return result


@dataclass(frozen=True)
class _Rows:
    """The plan's decisions over items that are not withdrawn, with what people said of each."""

    item: np.ndarray
    score: np.ndarray
    predicted: np.ndarray
    doubt: np.ndarray
    propensity: np.ndarray
    audit: np.ndarray
    people: np.ndarray
    group: np.ndarray
    error: np.ndarray
    second: np.ndarray
    """The strong model's error where it was asked and people judged, NaN elsewhere."""


def _read(plan: RoutingPlan) -> _Rows | None:
    aspect = verdicts.main_aspect(plan.project)
    final = (plan.summary.get("final") or {}).get("id")
    if aspect is None or final is None:
        return None
    rows = (
        Decision.objects.filter(plan=plan, item__withdrawn_at__isnull=True)
        .order_by("item_id")
        .values_list(
            "item_id", "score", "predicted", "doubt", "propensity", "is_audit", "route", "item__group", "queue",
        )
    )  # fmt: skip
    columns = list(zip(*rows.iterator(chunk_size=READ), strict=True)) or [()] * 9
    item = np.array(columns[0], dtype=np.int64)
    error, second = np.full(len(item), np.nan), np.full(len(item), np.nan)
    strong = plan.parameters.get("second")
    judged = Item.objects.filter(project=plan.project_id, decisions__plan=plan, n_human__gt=0)
    for batch in verdicts.iter_verdicts(
        plan.project, aspect=aspect, annotators=[final, strong or final], items=judged
    ):
        n = len(batch.item_ids)
        people = majority(batch.place[batch.human], batch.verdict[batch.human], n)
        told = people != NONE
        place = np.searchsorted(item, batch.item_ids[told])
        model = np.full(n, NONE, dtype=np.int8)
        mine = batch.annotator == final
        model[batch.place[mine]] = batch.verdict[mine]
        error[place] = (people != model)[told]
        if strong:
            theirs, has = np.full(n, NONE, dtype=np.int8), np.zeros(n, dtype=bool)
            mine = batch.annotator == strong
            theirs[batch.place[mine]], has[batch.place[mine]] = batch.verdict[mine], True
            second[place[has[told]]] = (people != theirs)[told & has]
    asked = np.array([queue == cascade.queue_of(strong or 0) for queue in columns[8]], dtype=bool)
    return _Rows(
        item=item,
        score=np.array(columns[1], dtype=float),
        predicted=np.array([0.0 if p is None else p for p in columns[2]], dtype=float),
        doubt=np.array([0.0 if d is None else d for d in columns[3]], dtype=float),
        propensity=np.array(columns[4], dtype=float),
        audit=np.array(columns[5], dtype=bool),
        people=np.array([route != Item.Route.LM for route in columns[6]], dtype=bool),
        group=np.array(
            [group_of(g, pk) for g, pk in zip(columns[7], columns[0], strict=True)], dtype=np.int64
        ),
        error=error,
        second=np.where(asked, second, np.nan),
    )


def _report(plan: RoutingPlan, rows: _Rows) -> dict:
    seen = ~np.isnan(rows.error)
    stratum = (rows.propensity >= 1).astype(np.int64)
    usable, propensity = doubly_robust.seen_propensity(stratum, rows.audit, seen)
    counts = {
        "judged": int((seen & rows.people).sum()),
        "audits": int((seen & rows.audit).sum()),
        "labels": int(usable.sum()),
        "second": _second(rows),
    }
    for kind in np.unique(stratum):
        mine = stratum == kind
        if usable[mine].sum() < min(LEAST, int(mine.sum())):
            return {**counts, "report": None}
    people = plan.summary.get("person_error") or {}
    audited = doubly_robust.Audited(
        error=np.where(usable, rows.error, np.nan),
        propensity=propensity,
        predicted=rows.predicted,
        group=rows.group,
        person_error=people.get("value", 0.0),
        person_bounds=None if people.get("lo") is None else (people["lo"], people["hi"]),
    )
    found = doubly_robust.report(audited, rows.people, score=rows.score, confidence=rows.doubt)
    return {**counts, "report": asdict(found)}


def _second(rows: _Rows) -> dict | None:
    """Labels that the strong model puts right where it is asked, as a share, from the audits there."""
    use = rows.audit & ~np.isnan(rows.second) & ~np.isnan(rows.error)
    if not use.any():
        return None
    found = doubly_robust.clustered_mean((rows.error - rows.second)[use], rows.group[use])
    if (
        found is not None and found["lo"] == found["hi"] == 0
    ):  # they were right and wrong together, on so many
        lo, hi = held_out.bounds_of_no_difference(len(np.unique(rows.group[use])))
        found |= {"lo": lo, "hi": hi}
    return found


def line(plan: RoutingPlan, found: dict | None = None) -> Line:
    """The first line of the page: whether routing beats random at this budget, with its interval."""
    found = stored(plan) if found is None else found
    report = found.get("report")
    if not plan.summary.get("final"):
        return Line("No model has judged here, so there is nothing to measure routing against.", "info")
    second = plan.summary.get("second") or {}
    if second.get("items"):  # people are given what it is not: their part alone cannot be held against random
        return Line(
            f"People's part and that of {second['name']} are each measured by audits, of which {found.get('audits', 0):,} "
            "are judged; together they are not compared with random.",
            "info",
        )
    gain = report and report["gain_over_random"]
    if (
        not gain and plan.state == RoutingPlan.State.REPLACED
    ):  # it is measured no more, though its audits may be judged
        return Line("Whether routing beats random was not known yet when this plan was replaced.", "info")
    if not gain:
        audits = plan.summary.get("audits_in_all", plan.summary.get("audits", 0))
        return Line(
            f"Whether routing beats random is not known yet: {found.get('audits', 0):,} of {audits:,} audits are "
            f"judged, and at least {LEAST} labels of items sent for their score and of the others are needed.",
            "info",
        )
    if report["share"] in (0, 1):
        who = "people" if report["share"] else "the models"
        return Line(f"Every item goes to {who}, so there is nothing to compare with random.", "info")
    share = f"{percent(report['share'])} human labels"
    numbers = f"{100 * gain['value']:+.1f} points [{100 * gain['lo']:+.1f}, {100 * gain['hi']:+.1f}]".replace(
        "-", "−"
    )
    if gain["lo"] > 0:
        return Line(
            f"Routing beats random by {100 * gain['value']:.1f} points [{100 * gain['lo']:.1f}, "
            f"{100 * gain['hi']:.1f}] of label error at {share} (n {gain['n']:,}).",
            "done",
        )
    if gain["hi"] < 0:
        return Line(
            f"Routing is worse than random by {numbers} of label error at {share} (n {gain['n']:,}).",
            "attention",
        )
    return Line(
        f"Routing is not shown to beat random at {share}: {numbers} of label error (n {gain['n']:,}).",
        "attention",
    )
