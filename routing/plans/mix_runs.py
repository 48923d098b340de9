"""The reward-model runs that a plan by mixes learns from, stored: the next plan on the same data trains nothing anew.

A *run* is a small ridge reward model trained on one mix of people's and the model's labels; what is kept of it is how many
items with each tag people judged, and its accuracy on pairs held out (`predict.mixes`). The data version is a digest of all
that the runs depend on, so that a new label, another verdict or another tag makes other runs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np

from routing.features import pairs, tags

from .models import MixRuns, RoutingPlan
from .policies import Pool, Runs, labelled, train_runs

FORMAT = 1  # grows when runs are trained in another way
SEED = 0  # of mixes and folds: runs belong to the data, not to a plan
KEPT = 20  # data versions of a project


def with_runs(plan: RoutingPlan, pool: Pool) -> tuple[Pool, MixRuns | None]:
    """The pool as the mixes' policies see it: with HyPER's tags at hand, and with the stored runs, trained where none are.

    Without tags or with too few labels there are no runs, and the pool has none.
    """
    pool = _with_tags(pool)
    known = labelled(pool)
    if known is None:
        return pool, None
    row = _stored(plan, pool, known)
    runs = Runs(
        np.array(row.counts, dtype=np.float32), np.array(row.budget), np.array(row.performance), row.items
    )
    return replace(pool, runs=runs), row


def _stored(plan: RoutingPlan, pool: Pool, known: np.ndarray) -> MixRuns:
    version = data_version(pool, known)
    row = MixRuns.objects.filter(project=plan.project_id, version=version).first()
    if row is not None:
        return row
    runs = train_runs(pool, known, by_tag(pool, known), SEED)
    row, _ = MixRuns.objects.get_or_create(
        project_id=plan.project_id,
        version=version,
        defaults={
            "plan_number": plan.number,
            "items": runs.n,
            "held": len(known) - runs.n,
            "tags": list(pool.tag_names),
            "counts": runs.counts.astype(int).tolist(),
            "budget": runs.budget.tolist(),
            "performance": np.round(runs.performance, 6).tolist(),
        },
    )
    newest = MixRuns.objects.filter(project=plan.project_id).order_by("-pk")
    old = newest.values_list("pk", flat=True)[KEPT:]
    MixRuns.objects.filter(pk__in=list(old)).delete()
    return row


def data_version(pool: Pool, known: np.ndarray) -> str:
    """A digest of what runs on these labelled items depend on."""
    digest = hashlib.sha256(json.dumps([FORMAT, SEED, list(pool.tag_names)]).encode())
    for values in (pool.truth, pool.signals.verdict, pool.group, pool.tags):
        digest.update(np.ascontiguousarray(values[known]).tobytes())
    digest.update(np.round(np.asarray(pool.phi[known], dtype=np.float64), 3).tobytes())
    return digest.hexdigest()


# --- Tags and features --------------------------------------------------------------------------------------
def _with_tags(pool: Pool) -> Pool:
    """HyPER's textual tags at hand (four lengths, cut at thirds of the whole pool) beside a model's tags and metadata."""
    blocks = [] if pool.tags is None else [pool.tags]
    names = () if pool.tags is None else pool.tag_names
    if pool.text is not None and pool.text_names == pairs.NAMES and len(pool):
        column = {name: pool.text[:, place] for place, name in enumerate(pairs.NAMES)}
        lengths = {
            "prompt_len": column["prompt_log_words"],
            "len_shorter": column["shorter_log_words"],
            "len_longer": column["longer_log_words"],
            "token_len_diff": np.expm1(column["longer_log_words"]) - np.expm1(column["shorter_log_words"]),
        }
        found = tags.textual(lengths, len(pool))
        used = np.flatnonzero((found.min(axis=0) == 0) & (found.max(axis=0) == 1))
        blocks.append(found[:, used].astype(np.float32))
        names += tuple(tags.TEXTUAL_NAMES[place] for place in used)
    if not names:
        return pool
    return replace(pool, tags=np.column_stack(blocks), tag_names=names)


def by_tag(pool: Pool, known: np.ndarray) -> np.ndarray:
    """Differences of style, and the same again within each tag, for the items `known`: float[m, k (1 + t)].

    So a reward model may like length on one subject and not on another. The parts within tags are scaled to weigh together
    as much as the plain ones.
    """
    style, carried = pool.phi[known], np.asarray(pool.tags[known], dtype=np.float32)
    inside = (style[:, :, None] * carried[:, None, :]).reshape(len(known), -1)
    share = max(1.0, float(carried.sum(axis=1).mean()))
    return np.column_stack([style, inside / np.sqrt(share)])
