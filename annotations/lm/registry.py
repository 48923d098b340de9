"""Which LM annotators a project has, and what stands behind each."""

from __future__ import annotations

from django.db import transaction

from annotations.projects.models import Annotator, Project
from app.accounts import audit

from . import baseline
from .models import LMAnnotator


def ensure_details(project: Project) -> int:
    """Give every LM annotator of the project its detail row; returns how many were missing.

    Importing stands below this room and writes only the Annotator, with `meta` naming model and strategy.
    """
    bare = list(Annotator.objects.filter(project=project, kind=Annotator.Kind.LM, lm__isnull=True))
    LMAnnotator.objects.bulk_create(
        [
            LMAnnotator(
                annotator=annotator,
                backend=LMAnnotator.Backend.IMPORTED,
                model=str(annotator.meta.get("model") or annotator.name)[:200],
                strategy=str(annotator.meta.get("strategy") or "")[:120],
            )
            for annotator in bare
        ],
        ignore_conflicts=True,
    )
    return len(bare)


def lm_annotators(project: Project) -> list[LMAnnotator]:
    """The project's LM annotators, baselines last, else by name; details are made where they lack."""
    ensure_details(project)
    rows = (
        LMAnnotator.objects.filter(annotator__project=project)
        .exclude(backend=LMAnnotator.Backend.CRITERIA)
        .select_related("annotator")
    )
    return sorted(rows, key=lambda row: (row.is_baseline, row.annotator.name.lower()))


@transaction.atomic
def add_baseline(*, project: Project, rule: str = baseline.LONGER_WINS, actor=None) -> LMAnnotator:
    """Return the project's baseline annotator with this rule, made if it is new. Raises KeyError if unknown."""
    annotator, _ = Annotator.objects.get_or_create(
        project=project,
        kind=Annotator.Kind.LM,
        name=baseline.NAMES[rule],
        defaults={"meta": {"model": rule, "backend": LMAnnotator.Backend.BASELINE}},
    )
    detail, created = LMAnnotator.objects.get_or_create(
        annotator=annotator,
        defaults={
            "backend": LMAnnotator.Backend.BASELINE,
            "model": "no model",
            "rule": rule,
        },
    )
    if created:
        audit.record(
            actor=actor, action="baseline.added", scope=project.slug, target=annotator.name, rule=rule
        )
    return detail


def find(project: Project, name: str) -> LMAnnotator | None:
    """The LM annotator of this name; the name of a baseline rule adds that baseline. None if there is none."""
    for rule, shown in baseline.NAMES.items():
        if name in {rule, shown}:
            return add_baseline(project=project, rule=rule)
    ensure_details(project)
    return (
        LMAnnotator.objects.filter(annotator__project=project, annotator__name=name)
        .exclude(backend=LMAnnotator.Backend.CRITERIA)
        .select_related("annotator")
        .first()
    )
