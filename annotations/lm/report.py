"""What the pages say about a project's LM annotators, read from the judgments and kept until one is added."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from django.core.cache import cache
from django.db.models import Count, Sum
from django.db.models.functions import Length

from annotations.analysis.majority import majority
from annotations.items.models import Response
from annotations.judging.models import Judgment, LMCall
from annotations.projects.models import Project
from app.ledger.models import MICROS

from . import registry, scanner, verdicts
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
    lengths: st.LengthTally

    @property
    def cost_words(self) -> str:
        """The cost without zeros at its end."""
        return f"{self.cost.normalize():f}"

    @property
    def cost_per_item(self) -> str:
        """What one judged item cost, empty where nothing is priced."""
        if not self.priced_calls or not self.tally.judged:
            return ""
        return f"{(self.cost / self.tally.judged).quantize(Decimal('0.000001')).normalize():f}"

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
        found = (*_tallies(project, ids), _first_shown(project, ids), _calls(project, ids))
        cache.set(key, found, KEEP_SECONDS)
    tallies, lengths, sides, calls = found
    return [
        Report(
            detail,
            tallies.get(detail.annotator_id, st.Tally()),
            sides.get(detail.annotator_id),
            *calls.get(detail.annotator_id, (0, 0, 0)),
            lengths=lengths.get(detail.annotator_id, st.LengthTally()),
        )
        for detail in details
    ]


def _tallies(project: Project, ids: list[int]) -> tuple[dict[int, st.Tally], dict[int, st.LengthTally]]:
    tallies = {pk: st.Tally() for pk in ids}
    lengths = {pk: st.LengthTally() for pk in ids}
    aspect = verdicts.main_aspect(project)
    if aspect is None or not ids:
        return tallies, lengths
    for batch in verdicts.iter_verdicts(project, aspect=aspect, annotators=ids):
        people = majority(batch.place[batch.human], batch.verdict[batch.human], len(batch.item_ids))
        longer = _longer(batch)
        for pk, tally in tallies.items():
            mine = (batch.annotator == pk) & ~batch.human
            place = batch.place[mine]
            tally.add(batch.verdict[mine], people[place], batch.probability[mine], batch.consistent[mine])
            lengths[pk].add(batch.verdict[mine], people[place], longer[place])
    return tallies, lengths


def _longer(batch: verdicts.Verdicts) -> np.ndarray:
    """Which of the first two responses is longer, -1, 0 or 1 per item; 0 where no model judged."""
    longer = np.zeros(len(batch.item_ids), dtype=np.int8)
    judged = np.unique(batch.item_ids[batch.place[~batch.human]])
    for start in range(0, len(judged), 500):
        rows = (
            Response.objects.filter(item_id__in=judged[start : start + 500].tolist(), index__lt=2)
            .annotate(characters=Length("text"))
            .values_list("item_id", "index", "characters")
        )
        sizes: dict[int, dict[int, int]] = {}
        for item, index, characters in rows:
            sizes.setdefault(item, {})[index] = characters
        for item, both in sizes.items():
            if len(both) == 2:
                longer[np.searchsorted(batch.item_ids, item)] = np.sign(both[1] - both[0])
    return longer


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


def scanned(annotator) -> list[tuple[str, int]]:
    """What the scan found in the responses this annotator judged: (words, items), the most frequent first."""
    counts: Counter[str] = Counter()
    rows = Judgment.objects.filter(annotator=annotator, is_current=True, meta__has_key="injection")
    for found in rows.values_list("meta__injection", flat=True).iterator(chunk_size=2000):
        counts.update(name for name in found or [] if name in scanner.WORDS)
    return [(scanner.WORDS[name], n) for name, n in counts.most_common()]
