"""What happens to items whose responses name their model: flag, redact, or exclude. All of it can be undone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from annotations.items.identity import find_leaks, redact
from annotations.items.models import Item, Response
from annotations.items.routes import slots_expressions
from annotations.projects import rules
from annotations.projects.models import Project
from app.accounts import audit
from app.accounts.models import User
from app.jobs import runner
from app.jobs.models import Job

from . import locks, queue
from .models import Assignment

AT_ONCE = 500
IDENTITY = "identity"
MODES = ("off", "flag", "redact", "exclude")


def names_model(texts: Sequence[str]) -> bool:
    """Whether one of an item's responses says which model or company wrote it."""
    return any(find_leaks(text) for text in texts)


def apply_rule(*, mode: str, named: Mapping[int, Sequence[str]]) -> list[int]:
    """Apply the rule to items {id: texts of the responses in order} that name a model; returns their ids.

    Call in the transaction that writes them. Nobody may hold a lease on them yet.
    """
    if not named:
        return []
    ids = sorted(named)
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        items = Item.objects.filter(pk__in=some)
        if mode == "exclude":
            items.filter(withdrawn_at__isnull=True).update(
                names_model=True, withdrawn_at=timezone.now(), withdrawn_for=IDENTITY
            )
            items.update(names_model=True)
            _recount(some)
        else:
            items.update(names_model=True)
        if mode == "redact":
            _cover({pk: named[pk] for pk in some})
    return ids


def _recount(ids: list[int]) -> None:
    Item.objects.filter(pk__in=ids).update(**slots_expressions())


def _cover(texts: Mapping[int, Sequence[str]]) -> None:
    for pk, found in texts.items():
        for index, text in enumerate(found):
            covered = redact(text)
            if covered != text:
                Response.objects.filter(item=pk, index=index).update(redacted=covered)


def start_rule(*, project: Project, mode: str, actor: User) -> Job:
    """Set the project's rule and start the Job that applies it to every item there is."""
    if mode not in MODES:
        raise ValueError(f"mode {mode!r}: expected one of {', '.join(MODES)}")
    with transaction.atomic():
        page = rules.of(project).page
        rules.change(project=project, page=page.model_copy(update={"identity": mode}))
        audit.record(
            actor=actor, action="identity.rule_changed", scope=project.slug, before=page.identity, after=mode
        )
        return runner.start(
            kind="judging.identity",
            title="Look for responses that name their model",
            args={"project_id": project.pk},
            scope=project.slug,
            actor=actor,
            result_url=f"{reverse('items:list', args=[project.slug])}?mark=names_model",
        )


def apply_to_project(*, project: Project, progress: Callable[[int, int], None] | None = None) -> dict:
    """Apply the rule in force to every item, undoing what another rule did before; idempotent.

    Returns {"items", "named", "redacted", "excluded"}.
    """
    mode = rules.of(project).page.identity
    total = Item.objects.filter(project=project).count()
    counts = {"items": 0, "named": 0, "redacted": 0, "excluded": 0}
    after = 0
    while True:
        ids = list(
            Item.objects.filter(project=project, pk__gt=after)
            .order_by("pk")
            .values_list("pk", flat=True)[:AT_ONCE]
        )
        if not ids:
            return counts
        after = ids[-1]
        named = _apply_to_batch(ids, mode)
        counts["items"] += len(ids)
        counts["named"] += len(named)
        if mode in {"redact", "exclude"}:
            counts["redacted" if mode == "redact" else "excluded"] += len(named)
        if progress is not None:
            progress(counts["items"], max(total, counts["items"]))


def _apply_to_batch(ids: list[int], mode: str) -> list[int]:
    with transaction.atomic():
        locks.lock_items(ids)
        texts: dict[int, list[str]] = defaultdict(list)
        for pk, text in (
            Response.objects.filter(item__in=ids).order_by("item", "index").values_list("item", "text")
        ):
            texts[pk].append(text)
        items = Item.objects.filter(pk__in=ids)
        Response.objects.filter(item__in=ids).exclude(redacted="").update(redacted="")
        back = list(items.filter(withdrawn_for=IDENTITY).values_list("pk", flat=True))
        items.filter(pk__in=back).update(withdrawn_at=None, withdrawn_for="")
        items.filter(names_model=True).update(names_model=False)
        named = {pk: found for pk, found in texts.items() if names_model(found)} if mode != "off" else {}
        marked = apply_rule(mode=mode, named=named)
        if back:
            _recount(back)
    if mode == "exclude" and marked:
        leases = Assignment.objects.filter(item__in=marked, state=Assignment.State.LEASED)
        for lease in leases.select_related("annotator"):
            queue.release(assignment_id=lease.pk, annotator=lease.annotator)
    return marked
