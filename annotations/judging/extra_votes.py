"""Further people for an item whose votes disagree, up to a cap: of its batch, or of the project."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import F

from annotations.items import routes
from annotations.items.models import Batch, Item
from annotations.projects import rules, schemas
from annotations.projects.models import Annotator, Project

from .agreement import PersonVote, agree
from .counters import ANSWERS
from .models import Judgment

AT_ONCE = 500


def ask_further(*, item: Item, project: Project) -> bool:
    """Want one person more for an item that is complete and disagreed upon, below its cap; returns whether.

    Caller holds the item's lock and has stored and counted the last judgment. Items without a batch in projects
    without rules cost nothing here.
    """
    if item.batch_id is None and not project.rules:
        return False
    return bool(ask_further_of([item.pk], project=project, batches=item.batch_id is not None))


def ask_further_of(item_ids: Iterable[int], *, project: Project, batches: bool = True) -> int:
    """Like `ask_further`, for many items; returns how many want one person more than have judged them.

    Caller holds the items' locks. `batches`: whether any of them may be in one.
    """
    limits = rules.of(project).limits
    ids, asked, caps = sorted(item_ids), 0, {}
    if batches:
        capped = Batch.objects.filter(project=project, max_votes__isnull=False)
        caps = dict(capped.values_list("pk", "max_votes"))
    if limits.max_votes is None and not caps:
        return 0
    for start in range(0, len(ids), AT_ONCE):
        rows = Item.objects.filter(
            pk__in=ids[start : start + AT_ONCE], purpose=Item.Purpose.DATA, n_human__gte=F("wanted")
        ).exclude(route=Item.Route.LM)
        below = [
            (pk, n_human)
            for pk, batch, n_human in rows.values_list("pk", "batch_id", "n_human")
            if n_human < (caps.get(batch) or limits.max_votes or 0)
        ]
        votes = votes_of([pk for pk, _ in below])
        wanted = {pk: n + 1 for pk, n in below if not agree(votes.get(pk, []), limits.agreement)}
        asked += routes.want_more(project=project, wanted=wanted) if wanted else 0
    return asked


def votes_of(item_ids: Iterable[int]) -> dict[int, list[PersonVote]]:
    """The current answers of people to these items, by item; three queries."""
    judgments = (
        Judgment.objects.filter(
            item__in=item_ids, is_current=True, outcome__in=ANSWERS, annotator__kind=Annotator.Kind.HUMAN
        )
        .prefetch_related("comparisons", "scores")
        .order_by("pk")
    )
    found: dict[int, list[PersonVote]] = {}
    for judgment in judgments:
        found.setdefault(judgment.item_id, []).append(_vote(judgment))
    return found


def _vote(judgment: Judgment) -> PersonVote:
    """The verdict on the first comparison, ranking or thumbs of the task; where it has none, the ratings."""
    if judgment.outcome == Judgment.Outcome.CANNOT_JUDGE:
        return PersonVote(verdict="cannot judge")
    comparisons = sorted(judgment.comparisons.all(), key=lambda row: row.pk)
    if comparisons:
        aspect = comparisons[0].aspect
        found = sorted((c.first, c.second, _side(c)) for c in comparisons if c.aspect == aspect)
        return PersonVote(verdict=tuple(found))
    kinds = {question.name: question.kind for question in schemas.load(judgment.schema_id)[1].questions}
    scores = sorted(judgment.scores.all(), key=lambda row: (row.attribute, row.response))
    verdicts = [s for s in scores if kinds.get(s.attribute) in {"ranking", "thumb"}]
    if verdicts:
        return PersonVote(verdict=tuple((s.attribute, s.response, s.value) for s in verdicts))
    if scores:
        marks = [((s.attribute, s.response), s.value, s.scale_min, s.scale_max) for s in scores]
        return PersonVote(marks=tuple(marks))
    return PersonVote(verdict=repr(sorted(judgment.answers.items())))


def _side(comparison) -> int:
    return 0 if comparison.preference is None else (1 if comparison.preference > 0 else -1)
