"""A reward model's margins on a project's items, each from a fit that saw no label of the item's prompt group.

The predictor of errors learns from the same people as the reward model, so the model's own margins on what it learnt from
would flatter it: there the margins of a linear model come from five fits that each leave a fifth of the prompt groups out,
as in stacking (Wolpert 1992), and a transformer, which is not fitted five times, gives none. Everywhere else, the hold-out
and whatever was judged or came later, the model itself says.
"""

from __future__ import annotations

from collections.abc import Callable

from annotations.datasets import snapshots
from annotations.items.models import Item, Response
from annotations.projects.models import Project
from routing.rewards import jobs, prepare, score, scoring, train
from routing.rewards.models import RewardModel

from .models import Margin, Refit, RoutingPlan

BATCH = 500
Tell = Callable[[int, int, str], None]
Held = tuple[str, str, float]


def known_of(project: Project) -> int | None:
    """The key of the promoted model if its margins are known; plans made now read them."""
    found = Refit.objects.filter(
        reward_model__project=project,
        reward_model__status=RewardModel.Status.PROMOTED,
        state=Refit.State.DONE,
    ).values_list("reward_model", flat=True)
    return next((pk for pk in found if Margin.objects.filter(reward_model=pk).exists()), None)


def name_of(plan: RoutingPlan) -> str | None:
    """The public id of the reward model whose margins a plan reads."""
    found = RewardModel.objects.filter(pk=plan.parameters.get("reward_model"))
    return found.values_list("public_id", flat=True).first()


def write(model: RewardModel, tell: Tell) -> int:
    """Store the margin of every item that has an honest one; returns how many. Running it again gives the same.

    Raises ValueError, snapshots.SnapshotDamaged, artefacts.ArtefactError.
    """
    scorer = score.load(model)
    learnt, held = _learnt(model, tell)
    items = Item.objects.filter(
        project=model.project_id, purpose=Item.Purpose.DATA, withdrawn_at__isnull=True
    ).order_by("pk")
    total, done, written, last = items.count(), 0, 0, 0
    while batch := list(items.filter(pk__gt=last)[:BATCH]):
        last = batch[-1].pk
        direct = scoring.scores_of_items(model, scorer, [i for i in batch if i.pk not in learnt], first=2)
        values = {pk: scores[1] - scores[0] for pk, scores in direct.items() if len(scores) == 2}
        values |= _as_stored({item.pk: held[item.pk] for item in batch if item.pk in held})
        Margin.objects.bulk_create(
            [Margin(reward_model=model, item_id=pk, value=value) for pk, value in sorted(values.items())],
            update_conflicts=True,
            unique_fields=["reward_model", "item"],
            update_fields=["value"],
            batch_size=BATCH,
        )
        done, written = done + len(batch), written + len(values)
        tell(done, total, f"Margins of {done:,} of {total:,} items")
    return written


def _learnt(model: RewardModel, tell: Tell) -> tuple[set[int], dict[int, list[Held]]]:
    """(items the model learnt from, their pairs with margins from fits that left their prompt group out)."""
    spec = jobs.spec_of(model.run)
    tell(0, 0, f"Reading {model.snapshot.public_id}")
    rows = snapshots.open_rows(model.snapshot)
    material = prepare.prepare(({**row, "id": str(row[prepare.RESERVED]["item"])} for row in rows), spec)
    learnt = {int(key) for part in (material.fit, material.ratings, material.lists) for key in part.item_ids}
    held: dict[int, list[Held]] = {}
    if spec.backend != "linear":
        return learnt, held
    words = "Fitting without each fifth of the prompts"
    fit = material.fit
    margins = train.crossfit(material, spec, should_cancel=lambda: bool(tell(0, 0, words)))
    for key, first, second, margin in zip(
        fit.item_ids, fit.first_texts, fit.second_texts, margins, strict=True
    ):
        held.setdefault(int(key), []).append((first, second, float(margin)))
    return learnt, held


def _as_stored(held: dict[int, list[Held]]) -> dict[int, float]:
    """The margin of each item's first two responses as they are stored; trainings deal the sides anew."""
    texts: dict[int, list[str]] = {}
    found = Response.objects.filter(item__in=list(held), index__lt=2).order_by("item_id", "index")
    for pk, text in found.values_list("item_id", "text"):
        texts.setdefault(pk, []).append(text)
    values = {}
    for pk, pairs in held.items():
        for first, second, margin in pairs:
            if sorted((first, second)) == sorted(texts.get(pk, [])):
                values[pk] = margin if first == texts[pk][0] else -margin
    return values
