"""Which items an annotator has not judged, and the offline baselines, which judge them without any model."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable

from django.db import transaction
from django.db.models import Exists, OuterRef

from annotations.items.models import Item, Response
from annotations.judging.models import Judgment
from annotations.judging.submit import Conflict, submit
from annotations.projects import schemas
from annotations.projects.models import Annotator, Project, TaskSchema

from . import baseline, verdicts
from .models import LMAnnotator

READ = 500
WRITE = 50


class CannotAnnotate(Exception):
    """This annotator cannot judge this project's items; the text says why."""


def unjudged(project: Project, annotator: Annotator):
    """Items with two or more responses that this annotator has no current judgment of, by id."""
    mine = Judgment.objects.filter(item=OuterRef("pk"), annotator=annotator, is_current=True)
    return judgeable(project).filter(~Exists(mine)).order_by("pk")


def judgeable(project: Project, least_responses: int = 2):
    """Items that models may judge: data, not withdrawn, with enough responses."""
    return Item.objects.filter(
        project=project,
        purpose=Item.Purpose.DATA,
        withdrawn_at__isnull=True,
        n_responses__gte=least_responses,
    )


def texts_shown(items: Iterable[Item | int]) -> dict[int, list[str]]:
    """The items' response texts in canonical order as they are shown, with covered what names a model."""
    texts: dict[int, list[str]] = {}
    rows = Response.objects.filter(item__in=list(items)).order_by("item_id", "index")
    for item_id, text, redacted in rows.values_list("item_id", "text", "redacted"):
        texts.setdefault(item_id, []).append(redacted or text)
    return texts


def schema_for(project: Project) -> TaskSchema:
    """The schema version a baseline judges under: the project's main comparison alone, on a scale of one.

    People may be asked for ratings and strengths too, which a rule cannot give; its own version, of origin
    `imported`, keeps its judgments valid without touching what the queue asks. Raises CannotAnnotate where the
    project compares nothing.
    """
    aspect = verdicts.main_aspect(project)
    if aspect is None:
        raise CannotAnnotate("This project asks for no comparison, so this baseline has nothing to answer.")
    return schemas.add_schema(
        project=project, definition=baseline.definition(aspect), origin=TaskSchema.Origin.IMPORTED
    )


def check_can_run(detail: LMAnnotator) -> None:
    """Raise CannotAnnotate unless this annotator can judge new items here."""
    if detail.backend == LMAnnotator.Backend.IMPORTED:
        raise CannotAnnotate(
            f"{detail.annotator.name} has imported judgments only: no endpoint is known that could judge more."
        )
    if detail.is_baseline and detail.rule not in baseline.NAMES:
        raise CannotAnnotate(f"{detail.rule!r}: no such baseline rule.")
    if detail.annotator.status != Annotator.Status.ACTIVE:
        raise CannotAnnotate(f"{detail.annotator.name} is {detail.annotator.get_status_display().lower()}.")


def annotate(
    *,
    detail: LMAnnotator,
    limit: int | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> dict:
    """Judge up to `limit` unjudged items in order of id; returns {"judged", "skipped", "left"}.

    Runs again without harm: what is judged is passed over, and each judgment's id follows from annotator and
    item. Items go in transactions of 50; `report(done, total)` is called between them and may raise to stop.
    Raises CannotAnnotate.
    """
    check_can_run(detail)
    annotator, project = detail.annotator, detail.annotator.project
    schema = schema_for(project)
    aspect = schemas.load(schema.pk)[1].questions[0].name
    waiting = unjudged(project, annotator)
    total = waiting.count()
    if limit is not None:
        total = min(total, limit)
    judged = skipped = last = 0
    while judged + skipped < total:
        wanted = min(READ, total - judged - skipped)
        ids = list(waiting.filter(pk__gt=last).values_list("pk", flat=True)[:wanted])
        if not ids:
            break
        last = ids[-1]
        texts = texts_shown(ids)
        for start in range(0, len(ids), WRITE):
            with transaction.atomic():
                for item_id in ids[start : start + WRITE]:
                    try:
                        submit(
                            annotator=annotator,
                            item_id=item_id,
                            schema_id=schema.pk,
                            uuid=uuid.uuid5(annotator.pseudonym, f"item:{item_id}"),
                            answer=baseline.judge(detail.rule, texts[item_id], aspect=aspect),
                            origin=Judgment.Origin.MODEL,
                        )
                        judged += 1
                    except Conflict:  # withdrawn, or judged by another run, since it was listed
                        skipped += 1
            report(judged + skipped, total)
    return {"judged": judged, "skipped": skipped, "left": waiting.count()}
