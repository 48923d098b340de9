"""What the pages say about a project's LM annotators, read from the judgments and kept until one is added."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from django.core.cache import cache
from django.db.models import Count, Sum

from annotations.judging.models import Judgment, LMCall
from annotations.projects.models import Project
from app.ledger.models import MICROS

from . import registry, verdicts
from . import statistics as st
from .models import LMAnnotator

KEEP_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Report:
    """One LM annotator beside people. Estimates are None where `statistics` calls them undefined."""

    detail: LMAnnotator
    tally: st.Tally
    first_shown: dict | None
    calls: int
    priced_calls: int
    cost_micros: int

    @property
    def annotator(self):
        return self.detail.annotator

    @property
    def subtitle(self) -> str:
        """Model and strategy, where the name does not say them already."""
        parts = [
            part for part in (self.detail.model, self.detail.strategy) if part not in self.annotator.name
        ]
        return "" if self.detail.is_baseline else " · ".join(parts)

    @property
    def cost(self) -> Decimal:
        """Sum of the recorded costs, in the project's currency."""
        return Decimal(self.cost_micros) / MICROS


def reports(project: Project) -> list[Report]:
    """A report per LM annotator, baselines last.

    Scans the project's verdicts once for all of them. The scan is cached under the project's latest judgment, so
    it is never older than the data.
    """
    details = registry.lm_annotators(project)
    latest = Judgment.objects.filter(project=project).order_by("-id").values_list("id", flat=True).first()
    ids = sorted(detail.annotator_id for detail in details)
    who = hashlib.sha256(repr(ids).encode()).hexdigest()[:16]
    key = f"lm-reports:{project.pk}:{project.schema_id}:{latest}:{who}"
    found = cache.get(key)
    if found is None:
        found = (_tallies(project, ids), _first_shown(project, ids), _calls(project, ids))
        cache.set(key, found, KEEP_SECONDS)
    tallies, sides, calls = found
    return [
        Report(
            detail,
            tallies.get(detail.annotator_id, st.Tally()),
            sides.get(detail.annotator_id),
            *calls.get(detail.annotator_id, (0, 0, 0)),
        )
        for detail in details
    ]


def _tallies(project: Project, ids: list[int]) -> dict[int, st.Tally]:
    tallies = {pk: st.Tally() for pk in ids}
    aspect = verdicts.main_aspect(project)
    if aspect is None or not ids:
        return tallies
    for batch in verdicts.iter_verdicts(project, aspect=aspect, annotators=ids):
        people = st.majority(batch.place[batch.human], batch.verdict[batch.human], len(batch.item_ids))
        for pk, tally in tallies.items():
            mine = (batch.annotator == pk) & ~batch.human
            tally.add(
                batch.verdict[mine],
                people[batch.place[mine]],
                batch.probability[mine],
                batch.consistent[mine],
            )
    return tallies


def _first_shown(project: Project, ids: list[int]) -> dict[int, dict | None]:
    """Pull to the side shown first, from the calls of judgments whose two orders contradict each other."""
    rows = (
        LMCall.objects.filter(
            judgment__project=project,
            judgment__annotator_id__in=ids,
            judgment__order_consistent=False,
            judgment__is_current=True,
        )
        .order_by("judgment_id")
        .values_list("judgment__annotator_id", "judgment_id", "order", "label")
    )
    calls: dict[int, dict[int, dict[str, str]]] = {}
    for annotator, judgment, order, label in rows.iterator(chunk_size=5000):
        calls.setdefault(annotator, {}).setdefault(judgment, {})[order] = label
    return {annotator: st.first_shown(pairs) for annotator, pairs in calls.items()}


def _calls(project: Project, ids: list[int]) -> dict[int, tuple[int, int, int]]:
    """Per annotator: recorded calls, how many of them state a cost, and the sum in micros."""
    rows = (
        LMCall.objects.filter(judgment__project=project, judgment__annotator_id__in=ids)
        .values_list("judgment__annotator_id")
        .annotate(n=Count("pk"), priced=Count("cost_micros"), cost=Sum("cost_micros"))
    )
    return {annotator: (n, priced, cost or 0) for annotator, n, priced, cost in rows}


def confusion_rows(tally: st.Tally) -> list[dict]:
    """The table people's majority x model's verdict as rows of cells with the share of their row."""
    rows = []
    for people, word in enumerate(st.WORDS):
        counts = tally.confusion[people]
        total = int(counts.sum())
        rows.append(
            {
                "label": word,
                "cells": [
                    {"n": int(n), "share": n / total if total else None, "agrees": column == people}
                    for column, n in enumerate(counts)
                ],
                "total": total,
            }
        )
    return rows


def by_agreement(rows: list[Report]) -> list[Report]:
    """The reports, highest agreement with people first, those without one last."""
    return sorted(rows, key=lambda row: -row.tally.agreement["value"] if row.tally.agreement else 1)


def best(rows: list[Report]) -> Report | None:
    """The model (not a baseline) that agrees most with people, by the lower end of the interval."""
    able = [r for r in rows if not r.detail.is_baseline and r.tally.agreement]
    return max(able, key=lambda r: r.tally.agreement["lo"], default=None)


def column_totals(tally: st.Tally) -> list[int]:
    """Items per verdict of the model, over the items people judged too."""
    return [int(n) for n in np.sum(tally.confusion, axis=0)]
