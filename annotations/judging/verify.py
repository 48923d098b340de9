"""Counters against what they count: recomputed from judgments and assignments, and set right if asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count

from annotations.items.models import Item
from annotations.projects.models import Annotator, Project

from . import counters, label_cap, locks
from .models import Assignment, Judgment, LabelCap

AT_ONCE = 500
ITEM_COUNTERS = (
    "n_human",
    "n_leased",
    "n_lm",
    "n_skipped",
    "n_flagged",
    "n_forward",
    "n_reversed",
    "n_expert",
    "open_slots",
    "expert_slots",
)
ANNOTATOR_COUNTERS = ("n_judged", "n_forward", "n_reversed", "n_assigned")


@dataclass(frozen=True, slots=True)
class Difference:
    """A counter that is not what it counts."""

    project: str
    kind: str
    """`item`, `annotator` or `label cap`."""
    id: int
    counter: str
    stored: int
    counted: int


def verify_counts(
    *, project: Project, fix: bool = False, progress: Callable[[int], None] | None = None
) -> Iterator[Difference]:
    """Yield every counter of the project's items and annotators that is wrong; with `fix` it is set right.

    Reads 500 rows at a time. What looks wrong is counted again under the locks that writers take, so work in
    progress is not reported. `progress` gets the number of rows checked.
    """
    done = 0
    for model, count, lock in (
        (Item, _count_items, locks.lock_items),
        (Annotator, _count_annotators, locks.lock_annotators),
    ):
        names = ITEM_COUNTERS if model is Item else ANNOTATOR_COUNTERS
        after = 0
        while True:
            rows = model.objects.filter(project=project, pk__gt=after).order_by("pk")
            ids = list(rows.values_list("pk", flat=True)[:AT_ONCE])
            if not ids:
                break
            after = ids[-1]
            suspects = sorted({pk for pk, *_ in _wrong(model, names, ids, count)})
            if suspects:
                with transaction.atomic():
                    lock(suspects)
                    wrong = list(_wrong(model, names, suspects, count))
                    if fix:
                        _fix(model, wrong)
                kind = model._meta.model_name
                for pk, name, stored, counted in wrong:
                    yield Difference(project.slug, kind, pk, name, stored, counted)
            done += len(ids)
            if progress is not None:
                progress(done)
    yield from _label_cap(project, fix)


def _label_cap(project: Project, fix: bool) -> Iterator[Difference]:
    """Whether the cap of labels holds as many places as are taken."""
    with transaction.atomic():
        people = Annotator.objects.filter(project=project, kind=Annotator.Kind.HUMAN)
        if not LabelCap.objects.filter(project=project).exists():
            return
        locks.lock_annotators(list(people.values_list("pk", flat=True)))
        found = LabelCap.objects.select_for_update().get(project=project)
        counted = label_cap.held_places(project)
        if counted == found.held:
            return
        stored = found.held
        if fix:
            found.held = counted
            found.cap = max(found.cap, found.used)
            found.save()
    yield Difference(project.slug, "label cap", project.pk, "held", stored, counted)


def _wrong(model, names: tuple[str, ...], ids: list[int], count: Callable) -> Iterator[tuple]:
    """(id, counter, stored, counted) where the two differ."""
    counted = count(ids)
    for pk, *stored in model.objects.filter(pk__in=ids).order_by("pk").values_list("pk", *names):
        for name, was, should in zip(names, stored, counted[pk], strict=True):
            if was != should:
                yield pk, name, was, should


def _fix(model, wrong: list[tuple]) -> None:
    changes: dict[int, dict] = {}
    for pk, name, _, counted in wrong:
        changes.setdefault(pk, {})[name] = counted
    for pk, fields in sorted(changes.items()):
        model.objects.filter(pk=pk).update(**fields)


def _count_items(ids: list[int]) -> dict[int, tuple[int, ...]]:
    sums = dict.fromkeys(ids, counters.Change())
    current = Judgment.objects.filter(item_id__in=ids, is_current=True)
    for pk, kind, outcome, n in current.values_list("item_id", "annotator__kind", "outcome").annotate(
        n=Count("pk")
    ):
        sums[pk] = sums[pk] + _times(counters.counts_of(kind, outcome), n)
    for pk, change in _shown(item_id__in=ids, by="item_id"):
        sums[pk] = sums[pk] + change
    rows = Item.objects.filter(pk__in=ids).values_list(
        "pk", "wanted", "experts_wanted", "route", "withdrawn_at", "purpose"
    )
    found = {}
    for pk, wanted, experts_wanted, route, withdrawn, purpose in rows:
        c = sums[pk]
        kept, free = min(experts_wanted, wanted), wanted - c.humans - c.leases
        is_open = route != Item.Route.LM and withdrawn is None and purpose == Item.Purpose.DATA
        found[pk] = (
            c.humans,
            c.leases,
            c.models,
            c.skipped,
            c.flagged,
            c.forward,
            c.reversed,
            c.experts,
            max(0, free - max(0, kept - c.experts)) if is_open else 0,
            max(0, min(free, kept - c.experts)) if is_open else 0,
        )
    return found


def _count_annotators(ids: list[int]) -> dict[int, tuple[int, ...]]:
    judged = dict(
        Judgment.objects.filter(annotator_id__in=ids, is_current=True, outcome__in=counters.ANSWERS)
        .values_list("annotator_id")
        .annotate(n=Count("pk"))
    )
    assigned = dict(
        Assignment.objects.filter(annotator_id__in=ids, state=Assignment.State.RESERVED)
        .values_list("annotator_id")
        .annotate(n=Count("pk"))
    )
    sums = dict.fromkeys(ids, counters.Change())
    for pk, change in _shown(annotator_id__in=ids, by="annotator_id"):
        sums[pk] = sums[pk] + change
    return {pk: (judged.get(pk, 0), sums[pk].forward, sums[pk].reversed, assigned.get(pk, 0)) for pk in ids}


def _shown(*, by: str, **where) -> Iterator[tuple[int, counters.Change]]:
    """Live leases and kept places, and the sides and experts' places that count: those of live leases and of
    assignments that were answered."""
    where_shown = {"occasion": 0, "purpose": Assignment.Purpose.DATA, **where}
    live = Assignment.objects.filter(
        state__in=[Assignment.State.LEASED, Assignment.State.RESERVED], **where_shown
    )
    for pk, state, order, expert, n in live.values_list(by, "state", "presented_order", "expert").annotate(
        n=Count("pk")
    ):
        side = counters.presented(order) if state == Assignment.State.LEASED else counters.Change()
        yield pk, _times(side + counters.Change(leases=1, experts=int(expert)), n)
    current = Judgment.objects.filter(
        is_current=True, outcome__in=counters.ANSWERS, annotator__kind="human", **where
    )
    answered = set(current.values_list("item_id", "annotator_id"))
    submitted = Assignment.objects.filter(state=Assignment.State.SUBMITTED, **where_shown)
    for item_id, annotator_id, order, expert in submitted.values_list(
        "item_id", "annotator_id", "presented_order", "expert"
    ):
        if (item_id, annotator_id) in answered:
            place = counters.Change(experts=int(expert))
            yield item_id if by == "item_id" else annotator_id, counters.presented(order) + place


def _times(change: counters.Change, n: int) -> counters.Change:
    return counters.Change(*(n * part for part in change.astuple()))
