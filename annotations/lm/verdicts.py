"""Overall verdicts of people and models as arrays, in bounded batches of whole items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import FilteredRelation, Q, QuerySet

from annotations.analysis.majority import TIE
from annotations.items.models import Item
from annotations.judging.models import Judgment
from annotations.projects import schemas
from annotations.projects.models import Annotator, Project

from . import statistics as st

BATCH = 4000


@dataclass(frozen=True)
class Verdicts:
    """Current judgments of one batch of items. `place` indexes `item_ids`; the other arrays are one per judgment.

    verdict: see `statistics`; probability: P(second better) or NaN; consistent: 1, 0, or -1 where not known;
    human: whether a person gave it.
    """

    item_ids: np.ndarray
    place: np.ndarray
    annotator: np.ndarray
    human: np.ndarray
    verdict: np.ndarray
    probability: np.ndarray
    consistent: np.ndarray


def main_aspect(project: Project) -> str | None:
    """The comparison that verdicts are read from: `overall`, else the schema's first; None if it asks none."""
    if project.schema_id is None:
        return "overall"
    _, definition = schemas.load(project.schema_id)
    names = [question.name for question in definition.of_kind("comparison")]
    if "overall" in names:
        return "overall"
    return names[0] if names else None


def iter_verdicts(
    project: Project,
    *,
    aspect: str,
    annotators: Sequence[int],
    humans: bool = True,
    items: QuerySet[Item] | None = None,
    batch: int = BATCH,
) -> Iterator[Verdicts]:
    """Verdicts of these annotators, and of all people if `humans`, over every item that is not withdrawn.

    `items` narrows it to some of the project's items. Yields one `Verdicts` per `batch` items in order of id, items without judgments included, so memory does not
    grow with the project. Only the comparison of the first two responses in `aspect` is read.
    """
    narrowed = items is not None
    items = Item.objects.filter(project=project, purpose=Item.Purpose.DATA) if items is None else items
    items = items.filter(withdrawn_at__isnull=True).order_by("pk")
    who = Q(annotator_id__in=list(annotators))
    if humans:
        who |= Q(annotator__kind=Annotator.Kind.HUMAN)
    last = 0
    while True:
        ids = np.fromiter(items.filter(pk__gt=last).values_list("pk", flat=True)[:batch], dtype=np.int64)
        if not len(ids):
            return
        last = int(ids[-1])
        yield _read(project, aspect, who, ids, narrowed)


def _read(project: Project, aspect: str, who: Q, ids: np.ndarray, narrowed: bool) -> Verdicts:
    if narrowed:
        who &= Q(item_id__in=ids.tolist())
    rows = (
        Judgment.objects.filter(
            who,
            project=project,
            item_id__gte=int(ids[0]),
            item_id__lte=int(ids[-1]),
            is_current=True,
            outcome__in=[Judgment.Outcome.ANSWERED, Judgment.Outcome.CANNOT_JUDGE],
        )
        .annotate(
            pair=FilteredRelation(
                "comparisons",
                condition=Q(comparisons__aspect=aspect, comparisons__first=0, comparisons__second=1),
            )
        )
        .values_list(
            "item_id",
            "annotator_id",
            "annotator__kind",
            "outcome",
            "pair__preference",
            "pair__tie",
            "probability",
            "order_consistent",
        )
    )
    kept = []
    for item, annotator, kind, outcome, preference, tie, probability, consistent in rows:
        if preference is not None:
            verdict = st.FIRST if preference < 0 else st.SECOND
        elif tie is not None:
            verdict = TIE
        elif outcome == Judgment.Outcome.CANNOT_JUDGE:
            verdict = st.NONE
        else:
            continue  # answered, but not this comparison
        if probability is None:
            probability = np.nan if verdict == st.NONE else (verdict + 1) / 2
        kept.append(
            (
                item,
                annotator,
                kind == Annotator.Kind.HUMAN,
                verdict,
                probability,
                -1 if consistent is None else int(consistent),
            )
        )
    columns = list(zip(*kept, strict=True)) or [()] * 6
    item = np.array(columns[0], dtype=np.int64)
    place = np.searchsorted(ids, item)
    live = place < len(ids)
    live[live] = ids[place[live]] == item[live]  # drop judgments of withdrawn items between two ids
    types = (np.int64, bool, np.int8, np.float64, np.int8)
    arrays = [np.array(c, dtype=t)[live] for c, t in zip(columns[1:], types, strict=True)]
    return Verdicts(ids, place[live], *arrays)
