"""The project a simulation writes into: a copy of the items, and the truth its people judge around."""

from __future__ import annotations

import random
from collections import defaultdict

from django.db import transaction

from annotations.items import batches
from annotations.items.content import order_key
from annotations.items.models import Batch, Item, Response
from annotations.judging.models import Assignment, Comparison, Judgment, Score
from annotations.projects import rules, setup
from annotations.projects.models import Annotator, Project

AT_ONCE = 500
SIMULATED = "simulated"
TRUTH = "simulated_truth"


class RealWork(ValueError):
    """The project holds work of real people."""


def has_real_work(project: Project) -> bool:
    """Whether a real person has judged or been given anything here."""
    real = Annotator.objects.filter(project=project, kind=Annotator.Kind.HUMAN).exclude(
        meta__has_key=SIMULATED
    )
    return (
        Judgment.objects.filter(annotator__in=real).exists()
        or Assignment.objects.filter(annotator__in=real).exists()
    )


def copy_project(
    *, source: Project, slug: str, items: int | None, overlap: int | None, seed: int, progress
) -> Project:
    """A new project with the source's task, limits, batches and items (the first `items`), and nobody's judgments."""
    if source.schema is None:
        raise ValueError(f"{source.slug} asks nothing yet: choose its questions first.")
    project = setup.create_project(
        name=f"{source.name} (simulated)",
        slug=slug,
        owner=None,
        definition=source.schema.definition,
        description=f"Simulated annotators on the items of {source.slug}. No person judged here.",
        overlap=overlap or source.overlap,
        seed=seed,
    )
    rules.change(project=project, limits=rules.of(source).limits)
    same = {None: None}
    for batch in Batch.objects.filter(project=source).order_by("pk"):
        values = {name: getattr(batch, name) for name in batches.RULES}
        if overlap:
            values |= {"overlap": None, "expert_slots": min(batch.expert_slots, overlap)}
            values["max_votes"] = max(overlap, batch.max_votes) if batch.max_votes else None
        same[batch.pk] = batches.create_batch(project=project, actor=None, **values)
    wanted = Item.objects.filter(
        project=source, purpose=Item.Purpose.DATA, withdrawn_at__isnull=True
    ).order_by("pk")
    total = min(items, wanted.count()) if items else wanted.count()
    after = done = 0
    while done < total:
        rows = list(wanted.filter(pk__gt=after).prefetch_related("responses")[: min(AT_ONCE, total - done)])
        if not rows:
            break
        after, done = rows[-1].pk, done + len(rows)
        _copy_items(project, rows, same, overlap)
        progress(done, total, "Copying items")
    project.refresh_from_db()
    return project


@transaction.atomic
def _copy_items(project: Project, rows: list[Item], same: dict, overlap: int | None) -> None:
    truths = truths_of([row.pk for row in rows])
    made = []
    for row in rows:
        batch = same[row.batch_id]
        experts = batch.expert_slots if batch else 0
        wanted = overlap or max(1, row.wanted)
        if row.external_id is not None:
            identity = f"{row.source}\n{row.external_id}"
        else:
            identity = row.content_hash
        made.append(
            Item(
                project=project,
                batch=batch,
                source=row.source,
                external_id=row.external_id,
                content_hash=row.content_hash,
                prompt=row.prompt,
                context=row.context,
                group=row.group,
                meta=row.meta | ({TRUTH: truths[row.pk]} if row.pk in truths else {}),
                n_responses=row.n_responses,
                order_key=order_key(project.seed, identity),
                wanted=wanted,
                experts_wanted=experts,
                open_slots=wanted - min(experts, wanted),
                expert_slots=min(experts, wanted),
            )
        )
    Item.objects.bulk_create(made)
    Response.objects.bulk_create(
        Response(item=item, index=one.index, text=one.text, model=one.model, meta=one.meta)
        for item, row in zip(made, rows, strict=True)
        for one in row.responses.all()
    )


def truths_of(item_ids: list[int]) -> dict[int, list[float]]:
    """{item: latent quality of each response} where people's real labels say something of it.

    A pair's gap is the mean signed preference on a scale of -2 to 2; a rating its place on its scale, -1.5 to 1.5.
    """
    current = {
        "judgment__item__in": item_ids,
        "judgment__is_current": True,
        "judgment__annotator__kind": "human",
    }
    gaps: dict[int, list[float]] = defaultdict(list)
    for item, preference, scale in Comparison.objects.filter(**current, first=0, second=1).values_list(
        "judgment__item", "preference", "scale_max"
    ):
        gaps[item].append(2 * preference / scale if preference else 0.0)
    marks: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for item, response, value, low, high in Score.objects.filter(
        **current, scale_min__isnull=False, scale_max__isnull=False
    ).values_list("judgment__item", "response", "value", "scale_min", "scale_max"):
        if high > low:
            marks[item][response].append(3 * (value - low) / (high - low) - 1.5)
    found = {}
    sizes = dict(Item.objects.filter(pk__in=item_ids).values_list("pk", "n_responses"))
    for item, n in sizes.items():
        if item in gaps and n == 2:
            gap = sum(gaps[item]) / len(gaps[item])
            found[item] = [round(-gap / 2, 3), round(gap / 2, 3)]
        elif len(marks.get(item, ())) == n:
            found[item] = [round(sum(marks[item][i]) / len(marks[item][i]), 3) for i in range(n)]
    return found


def truth_of(item: Item, seed: int) -> list[float]:
    """The latent quality of each response: from real labels where the item has them, else drawn by the seed."""
    known = item.meta.get(TRUTH)
    if isinstance(known, list) and len(known) == item.n_responses:
        return known
    rng = random.Random(f"truth:{seed}:{item.order_key}")  # noqa: S311  a simulation, no secret
    return [rng.gauss(0, 1) for _ in range(item.n_responses)]


def people_of(project: Project, n: int) -> list[Annotator]:
    """`n` simulated annotators of the project, made where they are missing; every third has every tag in use."""
    tags: set[str] = set()
    for batch in Batch.objects.filter(project=project):
        tags |= {*batch.required_tags, *batch.expert_tags}
    for number in range(1, n + 1):
        Annotator.objects.get_or_create(
            project=project,
            kind=Annotator.Kind.HUMAN,
            name=f"Simulated {number}",
            defaults={"meta": {SIMULATED: True}, "tags": sorted(tags) if number % 3 == 0 else []},
        )
    mine = Annotator.objects.filter(project=project, meta__has_key=SIMULATED).order_by("pk")
    return list(mine.select_related("project")[:n])
