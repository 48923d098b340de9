"""Why there is no item for a person although nothing is stopped: one true reason, in words for the person."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q
from django.utils.translation import gettext_lazy

from annotations.items.models import Item
from annotations.projects.models import Annotator

from .models import Assignment
from .pools import parts_for

_NOTHING = gettext_lazy("Nothing left for you right now")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why nothing is left: `code` for tests and scripts, a title and a sentence for the person."""

    code: str
    title: str
    text: str


NO_ITEMS = Reason(
    "no_items",
    gettext_lazy("No items here yet"),
    gettext_lazy("The people who run this project have not added any. They will appear here."),
)
HAD_ALL = Reason(
    "had_all",
    _NOTHING,
    gettext_lazy("You have had every item that is open to you. Other people judge them too; more may come."),
)
KEPT_FOR_OTHERS = Reason(
    "kept_for_others",
    _NOTHING,
    gettext_lazy(
        "The items that are open are held back for now, or meant for people with other languages or skills."
    ),
)
WITH_OTHERS = Reason(
    "with_others",
    _NOTHING,
    gettext_lazy("The last items are with other people. What they do not finish comes back here."),
)
ALL_JUDGED = Reason(
    "all_judged",
    _NOTHING,
    gettext_lazy("No item waits for a judgment. More may come."),
)


def reason(annotator: Annotator) -> Reason:
    """The reason in force for somebody whom the queue had nothing for: a few queries, each stopped at one row."""
    items = Item.objects.filter(
        project_id=annotator.project_id, purpose=Item.Purpose.DATA, withdrawn_at__isnull=True
    )
    if not items.exists():
        return NO_ITEMS
    if items.filter(open_slots__gt=0).exists() or items.filter(expert_slots__gt=0).exists():
        return HAD_ALL if _is_open_to(annotator) else KEPT_FOR_OTHERS
    held = Q(state=Assignment.State.LEASED) | Q(state=Assignment.State.RESERVED)
    if Assignment.objects.filter(held, annotator__project_id=annotator.project_id, item__in=items).exists():
        return WITH_OTHERS
    return ALL_JUDGED


def _is_open_to(annotator: Annotator) -> bool:
    """Whether a queue this person draws from has a place for anybody."""
    items = Item.objects.filter(project_id=annotator.project_id)
    return any(
        items.filter(
            batch_id=part.batch, **{"expert_slots__gt" if part.expert else "open_slots__gt": 0}
        ).exists()
        for part in parts_for(annotator)
    )
