"""The parts of a project's queue: its batches with their rules, and which of them a person is given items from."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from annotations.items.models import Batch
from annotations.projects.models import Annotator, Project


@dataclass(frozen=True, slots=True)
class Pool:
    """Items of one batch, or those without a batch (`batch` None)."""

    batch: int | None = None
    weight: int = 1
    required: frozenset[str] = frozenset()
    experts: frozenset[str] = frozenset()
    """Tags of the batch's experts; empty where the batch keeps no places for experts."""


PLAIN = Pool()


@dataclass(frozen=True, slots=True)
class Part:
    """One queue a person draws from; `expert`: the places that are kept for experts."""

    batch: int | None = None
    weight: int = 1
    expert: bool = False


def pools_of(project: Project) -> tuple[Pool, ...]:
    """The project's pools; none where it has no batches. Costs no query until the queue's epoch grows.

    Whoever changes a batch raises `queue_epoch` in the same transaction. Not to be called inside that transaction.
    """
    return _pools(project.pk, project.queue_epoch)


@lru_cache(maxsize=1024)
def _pools(project_id: int, epoch: int) -> tuple[Pool, ...]:
    batches = Batch.objects.filter(project_id=project_id).order_by("pk")
    pools = [
        Pool(
            batch.pk,
            batch.weight,
            frozenset(batch.required_tags),
            frozenset(batch.expert_tags) if batch.expert_slots else frozenset(),
        )
        for batch in batches
    ]
    return (PLAIN, *pools) if pools else ()


def parts_for(annotator: Annotator) -> list[Part]:
    """The queues this person may draw from. An expert of a batch gives its expert judgments and no others."""
    pools = pools_of(annotator.project)
    if not pools:
        return [Part()]
    tags = frozenset(annotator.tags)
    return [
        Part(pool.batch, pool.weight, bool(pool.experts & tags))
        for pool in pools
        if pool.weight and pool.required <= tags
    ]


def drawn_order(parts: list[Part], *, seed: int, person: int, draw: int) -> list[Part]:
    """The parts in the order to try them: the first is drawn with probability weight / sum of weights, and so on.

    Weighted sampling without replacement by the largest u^(1/weight) (Efraimidis and Spirakis 2006); the same
    seed, person and draw give the same order.
    """
    if len(parts) < 2:
        return parts
    rng = random.Random(f"{seed}:{person}:{draw}")  # noqa: S311  a draw, no secret
    keys = {part: rng.random() ** (1 / part.weight) for part in parts}
    return sorted(parts, key=keys.__getitem__, reverse=True)
