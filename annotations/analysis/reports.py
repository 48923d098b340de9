"""What the pages, the API, the commands and the paper pack say of a project: computed once per data version.

A report is a plain dict (JSON). Small projects compute at once; beyond `LARGE` judgments a job does, and until it is
done the last report is shown with its age. What is kept holds marks instead of annotators' names, which are put in when it is
read: an erased or renamed person's name leaves every report at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from django.core.cache import cache
from django.utils import timezone

from annotations.items.models import Item
from annotations.judging import quality
from annotations.projects.models import Project
from app.jobs import runner
from app.jobs.models import Job

from . import agreement, annotators, ballots, bias, rankings, stored
from .votes import LM, Votes

LARGE = 100_000
KEEP_SECONDS = 7 * 24 * 3600
NAMES = ("agreement", "rankings", "bias", "annotators")
KIND = "analysis.compute"
FORMAT = 7
MARK = "\ue000"  # a private character before an annotator's id
MOST_QUESTIONS = 12  # with pairs of annotators, timelines and annotators' figures


@dataclass(frozen=True)
class Found:
    """A report, or none yet. job: what is computing it; stale: judgments came since."""

    report: dict | None
    job: Job | None = None
    stale: bool = False
    at: datetime | None = None


def find(project: Project, name: str, *, actor=None) -> Found:
    """The report in its current version: from the cache, computed now, or by a job that is started if need be."""
    version = stored.version_of(project)
    kept = cache.get(_key(project, name))
    if kept is not None and kept["version"] == version:
        return Found(_with_names(project, kept["report"]), at=kept["at"])
    if stored.n_judged(project) <= LARGE:
        kept = keep(project, name)
        return Found(_with_names(project, kept["report"]), at=kept["at"])
    job = _running(project, name) or runner.start(
        kind=KIND,
        title=f"Compute {name} of {project.name}",
        args={"project_id": project.pk, "name": name},
        scope=project.slug,
        actor=actor,
    )
    if kept is None:
        return Found(None, job)
    return Found(_with_names(project, kept["report"]), job, True, kept["at"])


def _key(project: Project, name: str) -> str:
    return f"analysis:{FORMAT}:{project.pk}:{int(project.created_at.timestamp())}:{name}"


def _with_names(project: Project, report: dict) -> dict:
    """The report with the annotators' present names in the place of their marks."""
    names = {f"{MARK}{pk}": name for pk, name in stored.names_of(project).items()}

    def named(value):
        if isinstance(value, str):
            return names.get(value, stored.UNKNOWN) if value.startswith(MARK) else value
        if isinstance(value, dict):
            return {key: named(each) for key, each in value.items()}
        if isinstance(value, list):
            return [named(each) for each in value]
        return value

    return named(report)


def _running(project: Project, name: str) -> Job | None:
    waiting = Job.objects.filter(
        kind=KIND, scope=project.slug, state__in=[Job.State.QUEUED, Job.State.RUNNING]
    )
    return next((job for job in waiting.order_by("-created_at")[:20] if job.args.get("name") == name), None)


def keep(project: Project, name: str, tick: Callable[[int], None] = lambda n: None) -> dict:
    """Compute the report and keep it for everybody: {"version", "at", "report"}."""
    votes = stored.votes_of(project, tick)
    if name in ("rankings", "bias"):
        votes = stored.with_styles(project, votes, tick)
    report = compute(project, replace(votes, annotators=tuple(f"{MARK}{pk}" for pk in votes.ids)), name)
    kept = {"version": votes.version, "at": timezone.now(), "report": report}
    cache.set(_key(project, name), kept, KEEP_SECONDS)
    return kept


def compute(project: Project, votes: Votes, name: str) -> dict:
    """One of NAMES from the votes; see the functions."""
    made = {"agreement": _agreement, "rankings": _rankings, "bias": _bias, "annotators": _annotators}[name]
    head = {"n_comparisons": len(votes.comparisons), "n_scores": len(votes.scores), "version": votes.version}
    return {**head, **made(project, votes)}


def _agreement(project: Project, votes: Votes) -> dict:
    """{results, details: [{source, aspect, pairs, over_time, by_batch}], unjudged}."""
    details = []
    for source, part in votes.by_source():
        for aspect, kind, labels in agreement.questions(part):
            if len(details) >= MOST_QUESTIONS:
                break
            details.append(
                {
                    "source": source,
                    "aspect": aspect,
                    "question": kind,
                    "pairs": agreement.pairs_of_annotators(part, labels),
                    "over_time": agreement.over_time(part, labels),
                    "by_batch": agreement.by_batch(part, labels) if len(votes.batches) > 1 else [],
                }
            )
    return {"results": agreement.results(votes), "details": details, "unjudged": votes.unjudged}


def _rankings(project: Project, votes: Votes) -> dict:
    """{results, win_rates: [{source, aspect, judge, players}]}."""
    rates = []
    for source, part in votes.by_source():
        for code, aspect in enumerate(part.aspects):
            for model in (i for i in range(len(part.annotators)) if part.kinds[i] == LM):
                players = annotators.win_rates(part, code, model)
                if players:
                    rates.append(
                        {
                            "source": source,
                            "aspect": aspect,
                            "judge": part.annotators[model],
                            "players": players,
                        }
                    )
    return {"results": rankings.results(votes, seed=abs(project.seed)), "win_rates": rates}


def _bias(project: Project, votes: Votes) -> dict:
    """{results}."""
    places = {pk: code for code, pk in enumerate(votes.ids)}
    calls = {places[pk]: found for pk, found in stored.contradictions(project).items() if pk in places}
    return {"results": bias.results(votes, calls)}


def _annotators(project: Project, votes: Votes) -> dict:
    """{results: [{aspect, question, annotators: [...], hardest: [...]}]}; people's gold and repeats stand with each."""
    checked = {
        row.annotator.pk: {"gold": row.gold, "repeats": row.repeats}
        for row in quality.people_quality(project)
        if row.gold or row.repeats
    }
    results = []
    for name, kind, labels in agreement.questions(votes):
        if len(results) >= MOST_QUESTIONS:
            break
        aspect = votes.aspects.index(name) if kind == "comparison" else None
        rows = annotators.rows(votes, labels, aspect)
        for row in rows:
            row |= checked.get(row["id"], {"gold": None, "repeats": None})
        results.append(
            {
                "aspect": name,
                "question": kind,
                "annotators": rows,
                "hardest": _named(annotators.hardest(votes, labels)),
            }
        )
    return {"results": results}


def select(project: Project, *, actor=None, **choice) -> tuple[dict | None, Job | None]:
    """(`ballots.select` with the items' own names beside their ids, None), or (None, the job that reads a large project's votes).

    Kept per data version and choice. Raises `subset.Impossible`.
    """
    key = f"{_key(project, 'selection')}:{sorted(choice.items())}"
    key = hashlib.sha256(f"{key}:{stored.version_of(project)}".encode()).hexdigest()
    found = cache.get(key)
    if found is None:
        if stored.n_judged(project) > LARGE and not stored.has(project):
            return None, find(project, "agreement", actor=actor).job
        found = ballots.select(stored.votes_of(project), **choice)
        cache.set(key, found, KEEP_SECONDS)
    ids = [int(row["item"]) for row in found["chosen"]]
    names = {}
    for start in range(0, len(ids), 500):
        names |= Item.objects.only("pk", "external_id").in_bulk(ids[start : start + 500])
    chosen = [row | {"id": row["item"], "item": str(names[int(row["item"])])} for row in found["chosen"]]
    return found | {"chosen": chosen}, None


def _named(rows: list[dict]) -> list[dict]:
    """The rows with the items' own names beside their ids."""
    items = Item.objects.only("pk", "external_id").in_bulk([int(row["item"]) for row in rows])
    return [
        row | {"id": row["item"], "item": str(items[int(row["item"])])}
        for row in rows
        if int(row["item"]) in items
    ]
