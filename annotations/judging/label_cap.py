"""The most human labels a project takes: held when an item is given out, used when it is answered, else free again.

`held` is every place taken on the project's items (live leases, and what was given by hand), `given` the labels people
gave here; imported ones, gates and repeats do not count. `held + given <= cap` is a constraint of the database, so no
concurrency overruns it. An answer that comes after its lease ended is kept, as always: it counts as given while the
cap allows, else as `beyond`.

Locks: the annotators', then the items', then the cap's row, which is always last.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils.translation import gettext as _

from annotations.items.models import Item
from annotations.projects.models import Annotator, Project
from app.accounts import audit
from app.accounts.models import User
from app.web.numbers import grouped
from app.web.prepared import Prepared, PreparedUpdate

from . import locks
from .counters import ANSWERS
from .models import Judgment, LabelCap
from .stops import Stop


class TooLow(ValueError):
    """The cap is below the labels that are given and held already; nothing was changed."""

    def __init__(self, cap: int, used: int):
        super().__init__(f"{used:,} labels are given or held already: give at least that, or leave it empty.")
        self.cap, self.used = cap, used


_CAP = Prepared(
    lambda project: LabelCap.objects.filter(project=project).values_list("cap", "held", "given")[:1]
)
_HOLD = PreparedUpdate(
    lambda project: (
        LabelCap.objects.filter(project=project, cap__gt=F("held") + F("given")),
        {"held": F("held") + 1},
    )
)
_END = PreparedUpdate(
    lambda project, freed, given: (
        LabelCap.objects.filter(project=project, held__gte=freed),
        {"held": F("held") - freed, "given": F("given") + given},
    )
)
_LATE = PreparedUpdate(
    lambda project: (
        LabelCap.objects.filter(project=project, cap__gt=F("held") + F("given")),
        {"given": F("given") + 1},
    )
)


def of(project: Project) -> LabelCap | None:
    """The project's cap, None where there is none."""
    return LabelCap.objects.filter(project=project).first()


def allows_another(project: Project) -> bool:
    """Whether a further label could be held now; a look without a lock."""
    if not project.counts_labels:
        return True
    row = _CAP.first(project=project.pk)
    return row is None or row[0] > row[1] + row[2]


def hold(project: Project) -> bool:
    """Hold one label for a place that is taken in this transaction; False if the cap does not allow it."""
    if not project.counts_labels or _CAP.first(project=project.pk) is None:
        return True
    return bool(_HOLD.run(project=project.pk))


def end(project: Project, *, freed: int, given: int) -> None:
    """Free places held (`freed` 0 or 1) and count a label that was `given` (0 or 1). Caller holds the item's lock."""
    if not project.counts_labels or not (freed or given) or _CAP.first(project=project.pk) is None:
        return
    if freed and _END.run(project=project.pk, freed=freed, given=given):
        return
    if given and not _LATE.run(project=project.pk):
        LabelCap.objects.filter(project=project).update(beyond=F("beyond") + 1)


def set_cap(*, project: Project, cap: int | None, actor: User | None) -> LabelCap | None:
    """Set, change or (None) lift the cap. Raises TooLow; then nothing was changed.

    Projects without a cap pay no query for it: claims and answers look at `Project.counts_labels`. So that is
    raised first, in a transaction of its own; then a first cap counts what was given and is held under the locks of
    everybody who works here, so that nothing is on its way while it counts. Takes the annotators' locks.
    """
    if cap is not None and cap < 1:
        raise ValueError("A cap of labels is at least 1.")
    if cap is not None and not project.counts_labels:
        _counts(project, True)
    try:
        found = _set_cap(project, cap, actor)
    except TooLow:
        _counts(project, of(project) is not None)
        raise
    if found is None:
        _counts(project, False)
    return found


def _counts(project: Project, whether: bool) -> None:
    project.counts_labels = whether
    Project.objects.filter(pk=project.pk).update(counts_labels=whether)


@transaction.atomic
def _set_cap(project: Project, cap: int | None, actor: User | None) -> LabelCap | None:
    people = Annotator.objects.filter(project=project, kind=Annotator.Kind.HUMAN)
    locks.lock_annotators(list(people.values_list("pk", flat=True)))
    found = LabelCap.objects.select_for_update().filter(project=project).first()
    before = found.cap if found else None
    if cap == before:
        return found
    if cap is None:
        found.delete()
        found = None
    else:
        found = found or LabelCap(project=project, held=held_places(project), given=_given(project))
        if cap < found.used:
            raise TooLow(cap, found.used)
        found.cap = cap
        found.save()
    audit.record(
        actor=actor,
        action="budget.labels_changed",
        scope=project.slug,
        target=project.name,
        before=before,
        after=cap,
    )
    return found


def held_places(project: Project) -> int:
    """Places taken on the project's items now."""
    return Item.objects.filter(project=project).aggregate(n=Sum("n_leased"))["n"] or 0


def _given(project: Project) -> int:
    """Labels people gave here, each once: not what corrects an answer, is imported, or was put aside."""
    given = Judgment.objects.filter(
        project=project, annotator__kind=Annotator.Kind.HUMAN, outcome__in=ANSWERS, aside=""
    ).exclude(origin=Judgment.Origin.IMPORT)
    return given.exclude(Q(supersedes__outcome__in=ANSWERS)).count()


def stop(annotator: Annotator) -> Stop | None:
    """Why the queue was empty, where the cap is the reason."""
    if allows_another(annotator.project):
        return None
    found = of(annotator.project)
    return Stop(
        reason="labels",
        title=_("All judgments of this project are given out"),
        text=_(
            "The project takes {n} judgments in all, and they are given or in other people's hands. What you have "
            "judged is stored. If somebody gives an item back, it comes here."
        ).format(n=grouped(found.cap if found else 0)),
    )
