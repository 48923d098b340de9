"""Moving many items between batches and bringing a large batch in line: at once where few, else as a Job."""

from __future__ import annotations

from collections.abc import Callable

from annotations.items import batches
from annotations.items.models import Batch, Item
from annotations.projects.models import Project
from app.accounts import audit
from app.accounts.models import User
from app.jobs import runner
from app.jobs.models import Job

from . import item_queries

AT_ONCE = 20_000


def change_batch(*, batch: Batch, actor: User | None, **values) -> Job | None:
    """Change a batch's rules; its items follow at once, or in the Job returned where they are many.

    Raises batches.InvalidBatch.
    """
    before = batches.overlap_of(batch, batch.project)
    many = batch.items.values("pk")[AT_ONCE : AT_ONCE + 1].exists()
    batches.change_batch(batch=batch, actor=actor, follow=not many, **values)
    if not many:
        return None
    return runner.start(
        kind="items.follow_batch",
        title=f"Bring the items of {batch.name} in line",
        args={"batch_id": batch.pk, "before": before},
        scope=batch.project.slug,
        actor=actor,
    )


def follow_overlap(*, project: Project, before: int, actor: User | None) -> int | Job:
    """Let items that want `before` people want as many as the project says now; how many, or the Job that does it."""
    audit.record(
        actor=actor,
        action="items.overlap_followed",
        scope=project.slug,
        target=project.name,
        before=before,
        now=project.overlap,
    )
    if batches.following(project, before).count() <= AT_ONCE:
        return batches.bring_project_in_line(project=project, before=before)
    return runner.start(
        kind="items.follow_overlap",
        title=f"Ask {project.overlap} people for each item",
        args={"project_id": project.pk, "before": before},
        scope=project.slug,
        actor=actor,
    )


def move_fitting(*, project: Project, wish: dict, batch: Batch | None, actor: User | None) -> int | Job:
    """Move the items that fit the filters; returns how many moved, or the Job that does it in a large project."""
    many = Item.objects.filter(project=project).values("pk")[AT_ONCE : AT_ONCE + 1].exists()
    audit.record(
        actor=actor,
        action="items.moved",
        scope=project.slug,
        target=batch.name if batch else "no batch",
        filters={key: value for key, value in wish.items() if value},
    )
    if not many:
        return move_now(project=project, wish=wish, batch=batch)
    return runner.start(
        kind="items.move",
        title=f"Move items into {batch.name}" if batch else "Move items out of their batches",
        args={"project_id": project.pk, "wish": wish, "batch_id": batch.pk if batch else None},
        scope=project.slug,
        actor=actor,
    )


def move_now(
    *,
    project: Project,
    wish: dict,
    batch: Batch | None,
    progress: Callable[[int], None] = lambda looked_at: None,
) -> int:
    """Move the items that fit the filters, window by window; doing it again moves what fits then."""
    moved = looked = 0
    for ids, n in item_queries.fitting_ids(project=project, wish=wish):
        moved += batches.move_items(project=project, item_ids=ids, batch=batch)
        looked += n
        progress(looked)
    return moved
