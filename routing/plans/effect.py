"""What a plan in force has achieved: its human part, and how often the models agree with people on its audits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Least

from annotations.analysis.majority import majority
from annotations.items.models import Item
from annotations.lm import statistics as st
from annotations.lm import verdicts

from .apply import SENT_TO_PEOPLE
from .models import Decision, RoutingPlan


@dataclass(frozen=True)
class Progress:
    """Judgments given and wanted on the items sent to people (up to the plan's overlap), and audits judged."""

    judged: int
    wanted: int
    audits_judged: int
    audits: int


def progress(plan: RoutingPlan) -> Progress:
    """How far the plan's human part is; judgments from before the plan count, withdrawn items do not."""
    row = Decision.objects.filter(
        plan=plan, route__in=SENT_TO_PEOPLE, item__withdrawn_at__isnull=True
    ).aggregate(
        n=Count("pk"),
        judged=Sum(Least(F("item__n_human"), plan.overlap)),
        audits=Count("pk", filter=Q(is_audit=True)),
        audits_judged=Count("pk", filter=Q(is_audit=True, item__n_human__gt=0)),
    )
    return Progress(row["judged"] or 0, row["n"] * plan.overlap, row["audits_judged"], row["audits"])


def audit_tallies(plan: RoutingPlan) -> list[tuple[str, st.Tally]]:
    """Per model the plan read, and for their majority if there are several: the tally on the plan's audits.

    Audits are a uniform sample, so their agreement estimates that of all items the plan covers.
    """
    models = {row["id"]: row["name"] for row in plan.summary.get("annotators", [])}
    aspect = verdicts.main_aspect(plan.project)
    if not models or aspect is None:
        return []
    tallies = {pk: st.Tally() for pk in models}
    together = st.Tally()
    audits = Decision.objects.filter(plan=plan, is_audit=True).values("item_id")
    items = Item.objects.filter(project=plan.project_id, pk__in=audits, n_human__gt=0)
    for batch in verdicts.iter_verdicts(plan.project, aspect=aspect, annotators=list(models), items=items):
        n = len(batch.item_ids)
        people = majority(batch.place[batch.human], batch.verdict[batch.human], n)
        for pk, tally in tallies.items():
            mine = (batch.annotator == pk) & ~batch.human
            tally.add(
                batch.verdict[mine],
                people[batch.place[mine]],
                batch.probability[mine],
                batch.consistent[mine],
            )
        vote = majority(batch.place[~batch.human], batch.verdict[~batch.human], n)
        unknown = np.full(n, np.nan)
        together.add(vote, people, unknown, np.full(n, -1, dtype=np.int8))
    rows = [(models[pk], tally) for pk, tally in tallies.items()]
    return [("Their majority", together), *rows] if len(rows) > 1 else rows
