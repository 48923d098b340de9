"""Unfinished answers, kept with the lease; and with what is left of one that ran out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from annotations.projects.models import Annotator

from . import queue
from .models import Assignment

OVER = (Assignment.State.EXPIRED, Assignment.State.RELEASED, Assignment.State.RESERVED)


@dataclass(frozen=True, slots=True)
class Kept:
    """When the draft was stored, and whether its lease still runs."""

    at: datetime
    live: bool


def keep(*, assignment_id: int, annotator: Annotator, draft: dict) -> Kept | None:
    """Store an unfinished answer and prolong its lease; None where the item is answered by now.

    The draft of a lease that ran out is stored too: the person may still submit, and meets it again if the item
    comes back to them.
    """
    live = queue.extend(assignment_id=assignment_id, annotator=annotator, draft=draft)
    mine = Assignment.objects.filter(pk=assignment_id, annotator=annotator)
    if not live and not mine.filter(state__in=OVER).update(draft=draft, drafted_at=timezone.now()):
        return None
    at = mine.values_list("drafted_at", flat=True).get()
    return Kept(at, live) if at is not None else None


def stamp(moment: datetime | None) -> int | None:
    """Milliseconds since 1970, as the page compares times."""
    return None if moment is None else int(moment.timestamp() * 1000)
