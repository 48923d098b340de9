"""Scores that people and programs ask for: batches, the best of n, stored scores of items, and what a score means.

A raw score is in log-odds and only its differences mean something. `good` makes it absolute: σ(r - r_ref), where
r_ref is the .85 quantile of the model's scores on the responses it was measured on, so ½ is "as good as a very
good response there" (log-sigmoid centring, Wang et al. 2024, arXiv:2402.00742, section 3; a global reference
instead of one for each prompt). Models of several respects combine by AND: Σ_k log σ(r_k - r_ref,k) is the logarithm of
being good in all of them at once, so that nothing makes up for a respect in which a response is bad.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.special import expit, log_expit

from annotations.items.models import Item, Response

from . import backends, score
from .data import prompt_text
from .models import CachedScore, RewardModel

REFERENCE = 0.85


class NoReference(ValueError):
    """A model has no reference, so nothing absolute can be said by it."""


def reference(model: RewardModel) -> float | None:
    """r_ref, or None for a model that was registered without one."""
    return (model.metrics.get("reference") or {}).get(f"{REFERENCE:g}")


def good(model: RewardModel, value: float) -> float | None:
    """σ(r - r_ref), or None for a model that was registered without a reference."""
    found = reference(model)
    return None if found is None else float(expit(value - found))


def in_all(models: Sequence[RewardModel], values: Sequence[float]) -> float:
    """Π_k σ(r_k - r_ref,k): how good one response is in every respect at once, `values` one reward a model.

    Raises NoReference.
    """
    total = 0.0
    for model, value in zip(models, values, strict=True):
        found = reference(model)
        if found is None:
            raise NoReference(
                f"{model.public_id} was registered without a reference, so it cannot be combined."
            )
        total += float(log_expit(value - found))
    return float(np.exp(total))


def rank(
    model: RewardModel,
    rows: Sequence[tuple[str, Sequence[str], str]],
    also: Sequence[RewardModel] = (),
) -> list[dict[str, Any]]:
    """Score rows of (prompt, responses, source): [{"scores", "good", "in_all", "best", "probability"}], in order.

    `best` is the index of the highest score (the first of equals), or with `also`, models of other respects, of the
    highest `in_all`, which is None without them; `probability` is P(second better) of a pair by `model`, else None.
    Raises NoReference, `artefacts.ArtefactError`.
    """
    rows, models = list(rows), (model, *also)
    scored = [list(score.score_rows(score.load(each), rows)) for each in models]
    found = []
    for place, rewards in enumerate(scored[0]):
        together = None
        if also:
            each = zip(*(table[place] for table in scored), strict=True)
            together = [in_all(models, values) for values in each]
        pair = score.probability(*rewards) if len(rewards) == 2 else None
        found.append(
            {
                "scores": rewards,
                "good": [good(model, value) for value in rewards],
                "in_all": together,
                "best": int(np.argmax(rewards if together is None else together)),
                "probability": pair,
            }
        )
    return found


def playground(
    model: RewardModel,
    *,
    prompt: str,
    first: str,
    second: str,
    source: str = "",
    all_of: Sequence[RewardModel] = (),
) -> dict[str, Any]:
    """Two responses with their scores, goodness (in all respects, if asked for) and P(second better), as the page's box shows them."""
    ((row),) = rank(model, [(prompt, [first, second], source)], all_of)
    return {
        "first": row["scores"][0], "second": row["scores"][1], "probability": row["probability"],
        "percent": round(100 * row["probability"]), "good": row["good"] if row["good"][0] is not None else None,
        "in_all": row["in_all"],
    }  # fmt: skip


def scores_of_items(
    model: RewardModel, scorer: backends.Model, items: Iterable[Item], first: int | None = None
) -> dict[int, list[float]]:
    """Return {item id: scores of its responses in order}, computed once per response and model.

    `first` limits it to an item's first responses. Both a registered model and a response never change, so a
    stored score is never stale; two processes that compute the same one store it once.
    """
    items = list(items)
    responses: dict[int, list[Response]] = {item.pk: [] for item in items}
    found = Response.objects.filter(item__in=items).order_by("item_id", "index")
    for response in found if first is None else found.filter(index__lt=first):
        responses[response.item_id].append(response)
    flat = [response for item in items for response in responses[item.pk]]
    known = dict(
        CachedScore.objects.filter(reward_model=model, response__in=flat).values_list("response_id", "score")
    )
    missing = [item for item in items if any(r.pk not in known for r in responses[item.pk])]
    rows = [
        (
            prompt_text({"prompt": item.prompt, "context": item.context or None}),
            [response.text for response in responses[item.pk]],
            item.source,
        )
        for item in missing
    ]
    fresh = []
    for item, rewards in zip(missing, score.score_rows(scorer, rows), strict=True):
        for response, value in zip(responses[item.pk], rewards, strict=True):
            known[response.pk] = value
            fresh.append(CachedScore(reward_model=model, response=response, score=value))
    CachedScore.objects.bulk_create(fresh, ignore_conflicts=True, batch_size=500)
    return {item.pk: [known[response.pk] for response in responses[item.pk]] for item in items}
