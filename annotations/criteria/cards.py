"""The report card: the choice of assertions by whole grades, and each criterion beside people, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.db.models import F

from annotations.items.models import Item
from annotations.projects.models import Project

from . import judging, material, offers, pairs, selection
from .models import Criterion, Grade, Grader, Round

CELLS = {"first": pairs.FIRST, "second": pairs.SECOND}
SAID = {"first": pairs.FIRST, "tie": pairs.TIE, "second": pairs.SECOND, "na": pairs.NA, "error": pairs.ERROR}


@dataclass(frozen=True)
class Card:
    """What whole grades say of the assertions. `choice` None where there is nothing to choose from."""

    good: int
    bad: int
    missing: str
    choice: selection.Report | None
    graders: list[Grader]
    each: list[tuple[Grader, selection.Alignment]]


def card(project: Project, *, smallest: bool = False) -> Card:
    """Choose a set of assertions for everybody's whole grades; shown cross-fitted, refused below five of a kind.

    Greedy by alignment, or with `smallest` the fewest that SPADE's program finds. Where people also graded by criteria, an
    assertion is credited only for what they failed a response on.
    """
    grades = list(offers.whole_grades(project).order_by("pk"))
    votes: dict[tuple[int, int], list[bool]] = {}
    for g in grades:
        votes.setdefault((g.item_id, g.response), []).append(g.value == "pass")
    places = _unseen([p for p, v in votes.items() if 2 * sum(v) != len(v)], offers.graders_of(project))
    y = np.array([2 * sum(votes[p]) > len(votes[p]) for p in places], dtype=bool)
    good, bad = int(y.sum()), int((~y).sum())
    M, graders = offers.candidates(project, places)
    missing = selection.needed(bad, good)
    if missing or not graders:
        return Card(good, bad, missing, None, graders, [])
    groups = _groups(places)
    criterion = np.array([g.version.criterion_id for g in graders])
    M = selection.credit(M, y, criterion, _blamed(project, places))
    failed = selection.fails(M, y)
    each = [(g, selection.align(failed[:, j], y, groups=groups)) for j, g in enumerate(graders)]
    pick = selection.choose_smallest if smallest else selection.choose
    found = selection.report(M, y, criterion, groups, seed=project.seed, pick=pick)
    return Card(good, bad, "", found, graders, each)


def _blamed(project: Project, places: list[tuple[int, int]]) -> list[frozenset[int] | None]:
    """For each response the criteria that anybody failed it on; None where nobody graded it by criteria."""
    rows = Grade.fresh().filter(
        project=project, version__isnull=False, response__gte=0, value__in=["pass", "fail"]
    )
    said: dict[tuple[int, int], set[int]] = {}
    for item, response, value, criterion in rows.values_list(
        "item_id", "response", "value", "version__criterion_id"
    ):
        said.setdefault((item, response), set()).update([criterion] if value == "fail" else [])
    return [frozenset(said[p]) if p in said else None for p in places]


def by_own_grades(project: Project) -> list[tuple[Grader, selection.Alignment]]:
    """Each assertion or model grader beside what people said by its own criterion, of single responses."""
    graders = list(
        Grader.objects.filter(
            version__criterion__project=project, version__criterion__status__in=["active", "trusted"],
            version=F("version__criterion__current"), kind__in=["code", "lm_yesno", "lm_rubric"],
        ).select_related("version__criterion", "model__endpoint").order_by("version__criterion_id", "pk")
    )  # fmt: skip
    found = []
    for g in graders:
        rows = Grade.fresh().filter(
            version__criterion=g.version.criterion, response__gte=0, value__in=["pass", "fail"]
        )
        votes: dict[tuple[int, int], list[bool]] = {}
        for item, response, value in rows.values_list("item_id", "response", "value"):
            votes.setdefault((item, response), []).append(value == "pass")
        places = _unseen([p for p, v in votes.items() if 2 * sum(v) != len(v)], [g])
        y = np.array([2 * sum(votes[p]) > len(votes[p]) for p in places], dtype=bool)
        M, of = offers.candidates(project, places)
        groups = _groups(places)
        mine = [k for k, other in enumerate(of) if other.pk == g.pk]
        failed = selection.fails(M, y)[:, mine[0]] if mine and places else np.zeros(0, dtype=bool)
        found.append((g, selection.align(failed, y, groups=groups)))
    return found


def _unseen(places: list[tuple[int, int]], graders: list[Grader]) -> list[tuple[int, int]]:
    """The places whose group no grader was shown an example of."""
    known = judging.example_groups(graders)
    return [p for p, g in zip(places, _groups(places), strict=True) if g not in known] if known else places


def _groups(places: list[tuple[int, int]]) -> np.ndarray:
    items = Item.objects.in_bulk({p[0] for p in places})
    return np.array([material.group_key(items[p[0]]) for p in places])


def people_table(project: Project, grader: Grader) -> list[dict]:
    """People's verdict against the grader's on the pairs of the lab's draw: [{said, cells: [{word, n}], total}]."""
    data, column = _column(project, grader)
    return [
        {
            "people": people,
            "cells": [
                {
                    "word": word,
                    "n": int(((data.truth == truth) & (column == code)).sum()),
                    "agrees": code == truth,
                }
                for word, code in SAID.items()
            ],
            "total": int((data.truth == truth).sum()),
        }
        for people, truth in CELLS.items()
    ]


def cell_items(project: Project, grader: Grader, people: str, said: str, most: int = 100) -> list[Item]:
    """The items of one cell. KeyError for a cell there is none of."""
    data, column = _column(project, grader)
    hit = np.flatnonzero((data.truth == CELLS[people]) & (column == SAID[said]))[:most]
    ids = [data.pairs[i].item_id for i in hit]
    items = Item.objects.in_bulk(ids)
    return [items[pk] for pk in ids]


def _column(project: Project, grader: Grader):
    from .lab import lab_of

    the_lab = lab_of(project)
    data = material.read(project, limit=the_lab.pairs_a_round, seed=the_lab.seed, reasons=False)
    V, _ = judging.matrix([grader], [p.item_id for p in data.pairs])
    return data, V[:, 0]


def board(project: Project) -> list[dict]:
    """Every criterion with what the newest round said of it."""
    rounds = Round.objects.filter(project=project, finished_at__isnull=False).order_by("-number")[:20]
    facts: dict[tuple[int, int], dict] = {}
    for r in rounds:
        for f in r.report.get("criteria", []):
            facts.setdefault((f["criterion"], f["version"]), f)
    order = {"trusted": 0, "active": 1, "draft": 2, "retired": 3, "banned": 4}
    rows = [
        {"criterion": c, "version": c.current, "facts": facts.get((c.pk, c.current.number))}
        for c in Criterion.objects.filter(project=project).select_related("current")
    ]
    return sorted(
        rows,
        key=lambda r: (
            order[r["criterion"].status],
            -((r["facts"] or {}).get("worth") or {"lo": 0})["lo"],
            r["criterion"].name.lower(),
        ),
    )
