"""Rendering a project's texts ahead, so that pages show them from the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from annotations.projects.models import Project
from app.jobs import runner
from app.jobs.models import Job
from app.web import rendering

from .models import Item, Response

ITEMS_AT_ONCE = 100


def start_rendering(*, project: Project, actor=None) -> Job:
    """Start the job that renders the project's items; what was rendered before costs a look-up."""
    return runner.start(
        kind="items.render",
        title=f"Render the texts of {project.name}",
        args={"project_id": project.pk},
        scope=project.slug,
        actor=actor,
    )


def render_items(*, project: Project, progress: Callable[[int, int], None]) -> int:
    """Fill the cache with every text of the project's items, in id order; returns how many were rendered anew.

    `progress` gets (items done, items in all) after every hundred items.
    """
    total = Item.objects.filter(project=project).count()
    after = done = made = 0
    while True:
        items = list(
            Item.objects.filter(project=project, pk__gt=after)
            .order_by("pk")
            .values_list("pk", "prompt", "context")[:ITEMS_AT_ONCE]
        )
        if not items:
            return made
        after = items[-1][0]
        made += rendering.prerender(_texts(items))
        done += len(items)
        progress(done, max(total, done))


def _texts(items: list[tuple]) -> Iterator[str]:
    for _, prompt, context in items:
        if isinstance(prompt, str):
            yield prompt
        else:
            yield from (rendering.message_text(message) for message in prompt)
        if context:
            yield context
    ids = [pk for pk, *_ in items]
    yield from (
        Response.objects.filter(item_id__in=ids).order_by("item_id", "index").values_list("text", flat=True)
    )
