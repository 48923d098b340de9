"""What is known of a project's items before a plan is made: one `policies.Pool`, and what allocation needs beside it.

Reads whole items in batches. What is known of their texts stands in the project's feature table, so only texts that are new
are looked at; memory is a few hundred bytes an item.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from annotations.analysis.majority import NONE, majority
from annotations.items.models import Item
from annotations.judging.models import Judgment
from annotations.lm import canaries, report, verdicts
from annotations.lm.models import LMAnnotator
from annotations.projects.models import Annotator, Project
from app.web.shares import percent
from routing.features import pairs, stored, table, tagger
from routing.features.models import Tagging
from routing.features.signals import LMSignals, signals
from routing.predict import human_error

from . import doubly_robust
from .models import Margin, RoutingPlan
from .policies import Pool

Report = Callable[[int, int, str], None]
NO_PLAN, REST, CHOSEN = 0, 1, 2  # strata of items by how their human label came to be
MOST_TAGS = 60
LEAST_SUPPORT = 30
FLIPS = 0.1
MARGIN_LIMIT = 5.0
AGREES, UNSURE = "reward_model_agrees", "reward_model_unsure"  # the columns of a reward model's margins
UNTAGGED = "untagged"  # the tag of items that the tagging in use says nothing of


@dataclass(frozen=True)
class Known:
    """Items of a project, in order of id, with what is known of them.

    Attributes:
        ids: int64[n]; pool: what policies see (labels only where their propensity is known).
        judged: int64[n], people who judged each; batch: int64[n], 0 for none.
        injected: bool[n], a response speaks to the judge.
        error: float[n], 1 where people contradict the final model, NaN where nobody judged.
        uniform: bool[n], labels that are a uniform sample: audits, and what was judged before any plan was in force.
        audit, propensity, route, planned: the routes in force.
        h: people's error; verdicts: models with a verdict on each item.
    """

    ids: np.ndarray
    pool: Pool
    judged: np.ndarray
    batch: np.ndarray
    injected: np.ndarray
    error: np.ndarray
    uniform: np.ndarray
    audit: np.ndarray
    propensity: np.ndarray
    route: np.ndarray
    planned: np.ndarray
    h: human_error.HumanError
    verdicts: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


def final_model(project: Project, models: list[LMAnnotator]) -> LMAnnotator | None:
    """The model whose labels stand where no person judges: the one with the most right labels on all items, so that a
    model that has judged few of them does not leave the rest without a label. Right is what agrees with people, by the
    lower end of the interval; where people judged none of a model's items, only how many it judged counts. Baselines
    only if alone."""
    able = [row for row in models if not row.is_baseline] or list(models)
    if len(able) < 2:
        return able[0] if able else None
    agreement = {row.detail.annotator_id: row.tally.agreement for row in report.reports(project)}

    def right(row: LMAnnotator) -> tuple:
        known = agreement.get(row.annotator_id)
        judged = row.annotator.n_judged
        return judged * known["lo"] if known else 0.0, judged, -row.annotator_id

    return max(able, key=right)


def distrust(detail: LMAnnotator | None) -> str:
    """Why no item may be accepted on this model's word, in words; empty where nothing speaks against it."""
    if detail is None:
        return "No model has judged here."
    rates = canaries.rates(detail)
    flips = canaries.overall(rates)
    control = next((rate.estimate for rate in rates if rate.kind == "control" and rate.estimate), None)
    if flips and flips["lo"] > max(FLIPS, control["value"] if control else 0.0):
        return (
            f"Tampered responses win {percent(flips['value'])} [{100 * flips['lo']:.0f}, {100 * flips['hi']:.0f}] of its canaries "
            f"(n {flips['n']}), so no item is accepted on its word alone."
        )
    return ""


def read(
    project: Project,
    *,
    models: list[LMAnnotator],
    final: LMAnnotator | None,
    total: int,
    tell: Report,
    reward_model: int | None = None,
) -> Known:
    """Everything known of the project's items that are not withdrawn; with the margins of a reward model, if one is named."""
    aspect = verdicts.main_aspect(project)
    order = [final, *(row for row in models if final is None or row.pk != final.pk)] if final else []
    columns = {row.annotator_id: place for place, row in enumerate(order)} if aspect else {}
    through = _before_any_plan(project)
    parts: list[dict[str, np.ndarray]] = []
    differs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    tags: list[list[str]] = []
    done = 0
    features = stored.load(project) if columns else None
    tagging = tagger.in_use(project) if columns else None
    try:
        for batch in verdicts.iter_verdicts(project, aspect=aspect or "overall", annotators=list(columns)):
            part, found, labels = _batch(project, batch, columns, features, tagging, reward_model)
            part["earlier"] = _earlier(project, batch.item_ids, through)
            parts.append(part)
            tags += found
            differs.append(labels)
            done += len(batch.item_ids)
            tell(min(done, total), 2 * total, "Reading the models' judgments")
    finally:
        if features is not None:
            features.save()  # what a plan that is stopped has computed is there for the next
    return _known(parts, differs, tags, len(columns))


def _batch(
    project,
    batch: verdicts.Verdicts,
    columns: dict[int, int],
    features: table.FeatureTable | None,
    tagging: Tagging | None,
    reward_model: int | None,
):
    n, m = len(batch.item_ids), max(1, len(columns))
    verdict = np.full((n, m), NONE, dtype=np.int8)
    probability = np.full((n, m), np.nan)
    consistent = np.full((n, m), -1, dtype=np.int8)
    mine = np.flatnonzero(~batch.human)
    at = (batch.place[mine], np.array([columns[int(a)] for a in batch.annotator[mine]], dtype=np.int64))
    verdict[at], probability[at], consistent[at] = (
        batch.verdict[mine],
        batch.probability[mine],
        batch.consistent[mine],
    )
    told = np.bincount(batch.place[mine][batch.verdict[mine] != NONE], minlength=n)
    people = majority(batch.place[batch.human], batch.verdict[batch.human], n)
    fields = {
        pk: rest
        for pk, *rest in Item.objects.filter(
            project=project, pk__gte=int(batch.item_ids[0]), pk__lte=int(batch.item_ids[-1])
        ).values_list(
            "pk", "group", "n_human", "batch_id", "human_propensity", "is_audit", "route", "route_ref", "meta",
        )
    }  # fmt: skip
    rows = [fields[int(pk)] for pk in batch.item_ids]
    margins = dict(
        Margin.objects.filter(
            reward_model=reward_model, item__gte=int(batch.item_ids[0]), item__lte=int(batch.item_ids[-1])
        ).values_list("item_id", "value")
        if reward_model is not None
        else ()
    )
    part = {
        "ids": batch.item_ids,
        "verdict": verdict,
        "probability": probability,
        "consistent": consistent,
        "people": people,
        "told": told,
        "group": np.array(
            [group_of(row[0], pk) for row, pk in zip(rows, batch.item_ids, strict=True)], dtype=np.int64
        ),
        "judged": np.array([row[1] for row in rows], dtype=np.int64),
        "batch": np.array([row[2] or 0 for row in rows], dtype=np.int64),
        "propensity": np.array([row[3] for row in rows], dtype=float),
        "audit": np.array([row[4] for row in rows], dtype=bool),
        "route": np.array([row[5] for row in rows], dtype="U5"),
        "planned": np.array([row[6].startswith("plan:") for row in rows], dtype=bool),
        "injected": np.zeros(n, dtype=bool),
        "margin": np.array([margins.get(int(pk), np.nan) for pk in batch.item_ids], dtype=float),
        "text": np.zeros((n, len(pairs.NAMES)), dtype=np.float32),
        "signed": np.zeros((n, len(pairs.SIGNED)), dtype=np.float32),
    }
    if features is not None:
        part["text"], part["signed"], part["injected"] = table.split(stored.rows(features, batch.item_ids))
    given = tagger.names_of(tagging, batch.item_ids.tolist())
    found = [
        _tags(row[7]) + (given.get(int(pk), [UNTAGGED]) if tagging is not None else [])
        for row, pk in zip(rows, batch.item_ids, strict=True)
    ]
    return part, found, _others(batch, part["group"])


def _before_any_plan(project: Project) -> int:
    """The id of the last judgment that the first plan in force was made from; 0 where no plan ever was in force."""
    plans = RoutingPlan.objects.filter(project=project, applied_at__isnull=False).order_by("applied_at", "pk")
    first = plans.values_list("summary", flat=True).first()
    return (first or {}).get("judged_through", 0)


def _earlier(project: Project, ids: np.ndarray, through: int) -> np.ndarray:
    """Whether a person had judged each item by the judgment with the id `through`: bool[n]. No plan asked for these."""
    if not through:
        return np.zeros(len(ids), dtype=bool)
    judged = Judgment.objects.filter(
        project=project,
        annotator__kind=Annotator.Kind.HUMAN,
        outcome=Judgment.Outcome.ANSWERED,
        item_id__gte=int(ids[0]),
        item_id__lte=int(ids[-1]),
        pk__lte=through,
    )
    return np.isin(ids, np.fromiter(judged.values_list("item_id", flat=True), dtype=np.int64))


def group_of(name: str, pk: int) -> int:
    """A number for a prompt group; an item without a group is one of its own. Groups that collide are one group."""
    return zlib.crc32(name.encode()) if name else -int(pk)


def _tags(meta: dict) -> list[str]:
    """`name=value` of the item's short text metadata."""
    return [
        f"{key}={value}" for key, value in meta.items() if isinstance(value, str) and 0 < len(value) <= 40
    ]


def _others(batch: verdicts.Verdicts, group: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(differs, annotator, prompt group): each person against the majority of the others on the same item."""
    place, verdict, who = (a[batch.human] for a in (batch.place, batch.verdict, batch.annotator))
    counts = np.bincount(place, minlength=len(group))
    several = counts[place] > 1
    place, verdict, who = place[several], verdict[several], who[several]
    if not len(place):
        return np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    by_item = np.argsort(place, kind="stable")
    place, verdict, who = place[by_item], verdict[by_item], who[by_item]
    _, start, size = np.unique(place, return_index=True, return_counts=True)
    slot = np.arange(len(place)) - np.repeat(start, size)
    row = np.repeat(np.arange(len(start)), size)
    labels = np.full((len(start), int(size.max())), NONE, dtype=np.int8)
    labels[row, slot] = verdict
    return human_error.against_others(labels)[row, slot], who, group[place]


def _known(parts: list[dict], differs: list, tags: list[list[str]], m: int) -> Known:
    def column(name: str, shape=(0,)) -> np.ndarray:
        return np.concatenate([part[name] for part in parts]) if parts else np.zeros(shape)

    empty = (0, max(1, m))
    ids = column("ids").astype(np.int64)
    found = signals(
        column("verdict", empty), column("probability", empty), column("consistent", empty).astype(np.int8), 0
    )
    people = column("people").astype(np.int8)
    seen = people != NONE
    error = np.where(seen & (m > 0), (people != found.verdict).astype(float), np.nan)
    planned, audit = column("planned").astype(bool), column("audit").astype(bool)
    drawn = audit | ~planned | column("earlier").astype(bool)  # seen whatever a plan thought of the item
    propensity = column("propensity")
    stratum = np.where(~planned, NO_PLAN, np.where(propensity >= 1, CHOSEN, REST))
    usable, seen_with = doubly_robust.seen_propensity(stratum, drawn, seen)
    matrix, names = _tag_matrix(tags)
    text, text_names = column("text", (0, len(pairs.NAMES))), pairs.NAMES
    length = text[:, pairs.NAMES.index("longer_log_words")].astype(float)
    toward, toward_names = pairs.toward(column("signed", (0, len(pairs.SIGNED))), found.verdict), pairs.SIGNED
    margin = column("margin")
    if (~np.isnan(margin)).any():
        agrees, unsure = reward_columns(margin, found)
        text, text_names = np.column_stack([text, unsure]), (*text_names, UNSURE)
        toward, toward_names = np.column_stack([toward, agrees]), (*toward_names, AGREES)
    h = human_error.estimate(*map(np.concatenate, zip(*(differs or [(np.zeros(0),) * 3]), strict=True)))
    pool = Pool(
        signals=found,
        group=column("group").astype(np.int64),
        text=text,
        text_names=text_names,
        toward=toward,
        toward_names=toward_names,
        tags=matrix,
        tag_names=names,
        length=length,
        error=np.where(usable, error, np.nan),
        propensity=np.where(seen_with > 0, seen_with, 1.0),
        person_error=h.rate,
        truth=people,
        phi=_scaled(column("signed", (0, len(pairs.SIGNED)))),
    )
    return Known(
        ids=ids,
        pool=pool,
        judged=column("judged").astype(np.int64),
        batch=column("batch").astype(np.int64),
        injected=column("injected").astype(bool),
        error=error,
        uniform=seen & drawn,
        audit=audit,
        propensity=propensity,
        route=column("route").astype("U5"),
        planned=planned,
        h=h,
        verdicts=column("told").astype(np.int64),
    )


def reward_columns(margin: np.ndarray, found: LMSignals) -> tuple[np.ndarray, np.ndarray]:
    """(agrees, unsure) float[n] of a reward model's margins r(second) - r(first), NaN where there is none.

    `agrees` is the margin seen from the response that the final model prefers, 0 without a verdict or margin; `unsure` is
    1 - |2 P(second better) - 1|, the mean of the known ones where there is none.
    """
    side = np.where(np.abs(found.verdict) == 1, found.verdict, 0)
    agrees = np.nan_to_num(np.clip(margin, -MARGIN_LIMIT, MARGIN_LIMIT)) * side
    unsure = 1.0 - np.abs(2.0 * expit(margin) - 1.0)
    return agrees, np.where(np.isnan(unsure), np.nanmean(unsure), unsure)


def without_margins(pool: Pool) -> Pool:
    """The pool as it would be known without a reward model."""
    text = [i for i, name in enumerate(pool.text_names) if name != UNSURE]
    toward = [i for i, name in enumerate(pool.toward_names) if name != AGREES]
    return replace(
        pool,
        text=pool.text[:, text],
        text_names=tuple(pool.text_names[i] for i in text),
        toward=pool.toward[:, toward],
        toward_names=tuple(pool.toward_names[i] for i in toward),
    )


def _scaled(signed: np.ndarray) -> np.ndarray:
    """Differences of style with unit spread: the features of the small reward model that `influence` reckons with."""
    spread = signed.std(axis=0) if len(signed) else np.ones(signed.shape[1])
    return signed / np.where(spread > 1e-6, spread, 1.0)


def _tag_matrix(tags: list[list[str]]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """0/1 columns of the most frequent tags that at least 30 items carry and 30 do not."""
    counts: dict[str, int] = {}
    for each in tags:
        for tag in each:
            counts[tag] = counts.get(tag, 0) + 1
    n = len(tags)
    kept = sorted(
        (tag for tag, k in counts.items() if LEAST_SUPPORT <= k <= n - LEAST_SUPPORT),
        key=lambda t: -counts[t],
    )
    names = tuple(kept[:MOST_TAGS])
    if not names:
        return None, ()
    place = {tag: i for i, tag in enumerate(names)}
    matrix = np.zeros((n, len(names)), dtype=np.float32)
    for i, each in enumerate(tags):
        for tag in each:
            if tag in place:
                matrix[i, place[tag]] = 1.0
    return matrix, names
