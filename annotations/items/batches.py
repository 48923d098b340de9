"""Batches: parts of a project's items with rules of their own, and which items belong to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet

from annotations.projects.models import Project
from app.accounts import audit
from app.accounts.models import User

from .models import Batch, Item
from .routes import slots_expressions

AT_ONCE = 1000
MOST_BATCHES = 500
RULES = (
    "name", "overlap", "weight", "required_tags", "expert_tags", "expert_slots", "max_votes", "warning",
)  # fmt: skip


class InvalidBatch(ValueError):
    """The rules cannot stand like this; `field` says where. Nothing was changed."""

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field


def overlap_of(batch: Batch | None, project: Project) -> int:
    """How many people an item of the batch is to be judged by, unless a plan or somebody by hand says otherwise."""
    return project.overlap if batch is None or batch.overlap is None else batch.overlap


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Tags as they are compared: trimmed, lower case, each once, in order. Raises ValueError for one over 40 characters."""
    found = sorted({tag.strip().lower() for tag in tags if tag.strip()})
    for tag in found:
        if len(tag) > 40:
            raise ValueError(f"{tag[:40]}…: a tag has at most 40 characters")
    return found


def check_rules(project: Project, batch: Batch | None, values: dict) -> None:
    """Raise InvalidBatch where the rules contradict each other or the name is taken."""
    wanted = values.get("overlap") or project.overlap
    if values.get("expert_slots", 0) > wanted:
        raise InvalidBatch(
            "expert_slots", f"Each item is judged by {wanted}; expected at most so many experts."
        )
    if values.get("expert_slots") and not values.get("expert_tags"):
        raise InvalidBatch("expert_tags", "Name the tags by which experts are known.")
    if values.get("max_votes") is not None and values["max_votes"] < wanted:
        raise InvalidBatch("max_votes", f"Each item is judged by {wanted} at least; expected that or more.")
    others = Batch.objects.filter(project=project).exclude(pk=batch and batch.pk)
    if others.filter(name=values["name"]).exists():
        raise InvalidBatch("name", "Another batch of this project has this name.")
    if batch is None and others.count() >= MOST_BATCHES:
        raise InvalidBatch("name", f"A project has at most {MOST_BATCHES} batches.")


@transaction.atomic
def create_batch(*, project: Project, actor: User | None, **values) -> Batch:
    """Make a batch with these rules (`RULES`). Raises InvalidBatch."""
    check_rules(project, None, values)
    try:
        with transaction.atomic():
            batch = Batch.objects.create(project=project, **values)
    except IntegrityError:
        raise InvalidBatch("name", "Another batch of this project has this name.") from None
    _renew_queue(project)
    audit.record(actor=actor, action="batch.created", scope=project.slug, target=batch.name)
    return batch


def change_batch(*, batch: Batch, actor: User | None, follow: bool = True, **values) -> Batch:
    """Change rules of a batch and, if `follow`, bring its items in line. Raises InvalidBatch.

    Items whose number of people was set by hand, by a plan or by extra votes keep it.
    """
    project = batch.project
    before = overlap_of(batch, project)
    rules = {name: getattr(batch, name) for name in RULES} | values
    check_rules(project, batch, rules)
    with transaction.atomic():
        changed = {name: value for name, value in values.items() if getattr(batch, name) != value}
        for name, value in changed.items():
            setattr(batch, name, value)
        batch.save(update_fields=list(changed) or None)
        _renew_queue(project)
        audit.record(
            actor=actor,
            action="batch.changed",
            scope=project.slug,
            target=batch.name,
            changed=sorted(changed),
        )
    if follow and changed.keys() & {"overlap", "expert_slots"}:
        bring_in_line(batch=batch, before=before)
    return batch


def bring_in_line(*, batch: Batch, before: int, progress: Callable[[int], None] | None = None) -> int:
    """Give the batch's items its number of people and of experts, where they still want `before`; returns how many.

    A thousand items a transaction, in primary-key order, under their locks; doing it again changes nothing.
    """
    items = Item.objects.filter(batch=batch)
    after = done = 0
    while ids := list(items.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:AT_ONCE]):
        with transaction.atomic():
            chunk = Item.objects.filter(pk__in=ids)
            list(chunk.order_by("pk").select_for_update().values_list("pk"))
            _settle(chunk, batch, batch.project, before)
        after, done = ids[-1], done + len(ids)
        if progress is not None:
            progress(done)
    return done


def following(project: Project, before: int) -> QuerySet[Item]:
    """Items of data that want `before` people and follow the project's number: in no batch, or one without its own."""
    return Item.objects.filter(
        Q(batch__isnull=True) | Q(batch__overlap__isnull=True),
        project=project,
        purpose=Item.Purpose.DATA,
        wanted=before,
    )


def bring_project_in_line(
    *, project: Project, before: int, progress: Callable[[int], None] | None = None
) -> int:
    """Let the items that follow the project's number of people and want `before` want what it says now; how many.

    A thousand items a transaction, in primary-key order, under their locks; doing it again changes nothing.
    """
    done = 0
    items = following(project, before).order_by("pk")
    while project.overlap != before and (ids := list(items.values_list("pk", flat=True)[:AT_ONCE])):
        with transaction.atomic():
            list(items.filter(pk__in=ids).select_for_update(of=("self",)).values_list("pk"))
            chunk = Item.objects.filter(pk__in=ids)
            chunk.filter(wanted=before).update(wanted=project.overlap)
            chunk.update(**slots_expressions())
        done += len(ids)
        if progress is not None:
            progress(done)
    if done:
        _renew_queue(project)
    return done


def _settle(chunk, batch: Batch | None, project: Project, before: int) -> None:
    """Set what follows from the batch's rules on these items. Caller holds their locks."""
    chunk.filter(wanted=before).update(wanted=overlap_of(batch, project))
    chunk.update(experts_wanted=batch.expert_slots if batch else 0)
    chunk.update(**slots_expressions())


def move_items(*, project: Project, item_ids: Iterable[int], batch: Batch | None) -> int:
    """Put these items of the project into the batch, or out of every batch (None); returns how many moved.

    An item that wanted as many people as its batch before wants as many as the new one says.
    """
    moved = 0
    ids = sorted(item_ids)
    old = {one.pk: one for one in Batch.objects.filter(project=project)}
    for start in range(0, len(ids), AT_ONCE):
        with transaction.atomic():
            chunk = Item.objects.filter(project=project, pk__in=ids[start : start + AT_ONCE])
            places = dict(chunk.order_by("pk").select_for_update().values_list("pk", "batch_id"))
            going = {pk: was for pk, was in places.items() if was != (batch and batch.pk)}
            for was in set(going.values()):
                some = Item.objects.filter(pk__in=[pk for pk, one in going.items() if one == was])
                some.update(batch=batch)
                _settle(some, batch, project, overlap_of(old.get(was), project))
            moved += len(going)
    if moved:
        _renew_queue(project)
    return moved


@transaction.atomic
def delete_batch(*, batch: Batch, actor: User | None) -> None:
    """Delete an empty batch. Raises InvalidBatch while it has items."""
    if Item.objects.filter(batch=batch).exists():
        raise InvalidBatch("name", "The batch has items; move them out first.")
    project = batch.project
    audit.record(actor=actor, action="batch.deleted", scope=project.slug, target=batch.name)
    batch.delete()
    _renew_queue(project)


def _renew_queue(project: Project) -> None:
    """Everybody's place in the queue starts over, and what is remembered of the batches is read again."""
    Project.objects.filter(pk=project.pk).update(queue_epoch=F("queue_epoch") + 1)


def batches_by_name(*, project: Project, names: Iterable[str], actor: User | None = None) -> dict[str, Batch]:
    """The batches with these names, made with the default rules where they are new. Inside a transaction.

    Raises InvalidBatch when there would be too many.
    """
    wanted = set(names)
    found = {batch.name: batch for batch in Batch.objects.filter(project=project, name__in=wanted)}
    for name in sorted(wanted - found.keys()):
        found[name] = create_batch(project=project, actor=actor, name=name)
    return found
