"""Fill a plan: score every item, decide who judges it (`deciding.py`), find where the model may be trusted alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from decimal import Decimal

import numpy as np

from annotations.analysis.majority import NONE
from annotations.items.models import Item
from annotations.judging.models import Judgment
from annotations.lm.models import LMAnnotator
from annotations.projects.models import Annotator
from app.jobs import runner
from app.ledger.ledger import to_micros
from app.ledger.models import MICROS
from app.web.shares import percent

from . import cascade, doubly_robust, margins, mix_runs, outlook, pacing, policies, reading, worth, zones
from .deciding import Decided, decide, going_first, queues_of
from .draft import PlanError
from .models import Decision, RoutingPlan

WRITE = 2000
BINS = 20
PACE_SAMPLE = 1000
LEAST_COMPARED = 60  # labels before a policy is held against the simpler order
Report = Callable[[int, int, str], None]


def silent(done: int, total: int, message: str) -> None:
    """The report of nobody."""


def build_plan(plan: RoutingPlan, report: Report = silent) -> RoutingPlan:
    """Decide every item of a plan in state `building` or `failed`; the plan becomes a draft.

    Starts over from the top if it was interrupted. Memory: a few hundred bytes per item, no texts. `report` is called
    between batches and may raise to stop. Raises PlanError, which marks the plan failed.
    """
    if plan.state not in {plan.State.BUILDING, plan.State.FAILED}:
        return plan
    RoutingPlan.objects.filter(pk=plan.pk).update(state=plan.State.BUILDING)
    try:
        _build(plan, report)
    except (PlanError, runner.JobCancelled) as error:
        message = str(error) if isinstance(error, PlanError) else "It was cancelled."
        plan.state, plan.summary = plan.State.FAILED, {**plan.summary, "error": message}
        plan.save(update_fields=["state", "summary"])
        raise
    return plan


def _build(plan: RoutingPlan, report: Report) -> None:
    Decision.objects.filter(plan=plan).delete()
    project = plan.project
    total = Item.objects.filter(project=project, withdrawn_at__isnull=True, purpose=Item.Purpose.DATA).count()
    report(0, 2 * total, "Reading the models' judgments")
    models = _models(plan)
    final = reading.final_model(project, models)
    known = reading.read(
        project, models=models, final=final, total=total, tell=report,
        reward_model=plan.parameters.get("reward_model"),
    )  # fmt: skip
    n = len(known)
    if not n:
        raise PlanError("The project has no items to route.")
    needed = np.maximum(0, plan.overlap - known.judged)
    each = to_micros(Decimal(project.human_cost))
    cost, budget = _budget(plan, needed, each)
    runs = None
    if plan.policy in policies.BY_MIXES:
        pool, runs = mix_runs.with_runs(plan, known.pool)
        known = replace(known, pool=pool)
    scores, why = _score(plan, known, budget if plan.budget_share is not None else None)
    queues, capacity, eligible = queues_of(project, known)
    offer, without = cascade.offer(plan, known, scores)
    decided = decide(plan, known, scores, cost, budget, capacity, eligible, offer)
    if not decided.people.any():
        raise PlanError("The budget does not pay for a single judgment. Raise it.")
    mistrust = reading.distrust(final)
    zone = _zone(plan, known, scores, mistrust)
    accepted = (
        zone.inside & ~decided.people & ~decided.second if zone is not None else np.zeros(n, dtype=bool)
    )
    _write(plan, known, scores, decided, accepted, [*queues, offer.queue if offer else ""], report)
    summary = _summary(plan, known, scores, decided, needed, each)
    summary |= {
        "final": final and {
            "id": final.annotator_id, "name": final.annotator.name,
            "judged": int((known.pool.signals.verdict != NONE).sum()),
        },
        "fallback": why,
        "at_random": bool(np.ptp(scores.score) == 0),
        "zone": _zone_words(zone, mistrust, int(accepted.sum()), known),
        "second": _second(decided, offer, without),
        "injected": int(known.injected.sum()),
        "prediction": _skill(scores),
        "runs": scores.runs and {**scores.runs, "tags": len(runs.tags), "plan": runs.plan_number},
        "reward_model": margins.name_of(plan) if reading.AGREES in known.pool.toward_names else None,
        "person_error": {"value": known.h.rate, "lo": known.h.lo, "hi": known.h.hi, "n": known.h.n},
        "outlook": outlook.outlook(
            known, scores, score=going_first(known, scores), needed=needed, each=each,
            audit_share=plan.audit_share, pace_ms=summary["pace_ms"], seed=plan.seed, offer=offer,
        ),
        "judged_through": worth.newest(plan),
    }  # fmt: skip
    threshold = scores.score[decided.chosen & decided.open]
    plan.state, plan.summary = plan.State.DRAFT, summary
    plan.threshold = float(threshold.min()) if len(threshold) else None
    RoutingPlan.objects.filter(pk=plan.pk, state=RoutingPlan.State.BUILDING).update(
        state=plan.state, threshold=plan.threshold, summary=summary
    )


def _models(plan: RoutingPlan) -> list[LMAnnotator]:
    second = plan.parameters.get("second")  # what it says of a few items is no signal for all
    ids = [row["id"] for row in plan.summary.get("annotators", []) if row["id"] != second]
    found = LMAnnotator.objects.filter(annotator_id__in=ids).select_related("annotator")
    by_id = {row.annotator_id: row for row in found}
    return [by_id[pk] for pk in ids if pk in by_id]


def _budget(plan: RoutingPlan, needed: np.ndarray, each: int) -> tuple[np.ndarray, int]:
    """(cost int[n], budget): items, or millionths that are left by now (see `pacing`)."""
    n = len(needed)
    if plan.budget_share is not None:
        budget = int(Decimal(str(plan.budget_share)) * n)
        if not budget:
            raise PlanError(f"{plan.budget_share:.3g} of {n} items is less than one item. Raise the budget.")
        return np.ones(n, dtype=np.int64), budget
    return needed * each, max(0, pacing.so_far(plan, n) - pacing.paid(plan, each))


# --- Scores -------------------------------------------------------------------------------------------------
def _score(plan: RoutingPlan, known: reading.Known, items: int | None) -> tuple[policies.Scores, str]:
    """The policy's scores, or a simpler order's with the reason why, in words: what was learnt gives way to the models' own
    doubt, and doubt to chance, each where it was not shown to be better."""
    try:
        scores = policies.score(plan.policy, known.pool, seed=plan.seed, skill=True)
    except ValueError as error:
        raise PlanError(f"This policy cannot be used here: {error}.") from None
    if not policies.POLICIES[plan.policy].learns:
        return scores, scores.fallback
    people = items if items is not None else len(known) // 4
    if scores.fallback:
        by_doubt = scores.prediction is not None and scores.prediction.skill is None
        return (
            _or_random(plan, known, scores, people, scores.fallback)
            if by_doubt
            else (scores, scores.fallback)
        )
    found = compare(known, scores, people)
    if found is None or found.gain_over_confidence["lo"] > 0:
        return scores, ""
    simpler = replace(policies.score("lm_confidence", known.pool, seed=plan.seed), runs=scores.runs)
    why = (
        "On labels it had not seen, what was learnt was not shown to be better than the models' own doubt "
        f"({_interval(found.gain_over_confidence)}): the simpler order decides"
    )
    return _or_random(plan, known, replace(simpler, prediction=scores.prediction), people, why)


def _or_random(
    plan: RoutingPlan, known: reading.Known, doubt: policies.Scores, people: int, why: str
) -> tuple[policies.Scores, str]:
    """The models' own doubt, or chance where doubt says nothing or was not shown to be better than chance."""
    chance = policies.score("random", known.pool, seed=plan.seed)
    chance = replace(chance, prediction=doubt.prediction, runs=doubt.runs)
    if not len(doubt.score) or np.ptp(doubt.score) == 0:
        return chance, (
            f"{why}. But the models are equally sure of every item, so nothing can be said of where they err: people's "
            "items are drawn at random"
        )
    found = compare(known, doubt, people)
    if found is None or found.gain_over_random["lo"] > 0:
        return doubt, why
    return chance, (
        f"{why}. But that order was not shown to be better than chance either ({_interval(found.gain_over_random)}): "
        "people's items are drawn at random"
    )


def _interval(found: dict) -> str:
    value, lo, hi = (f"{found[key]:+.3f}".replace("-", "−") for key in ("value", "lo", "hi"))
    return f"{value} [{lo},\u00a0{hi}], n\u00a0{found['n']:,}"


def compare(known: reading.Known, scores: policies.Scores, people: int) -> doubly_robust.Report | None:
    """Held-out gains of an order when `people` items go to people; None where labels or prompts are too few to tell."""
    if int((~np.isnan(known.pool.error)).sum()) < LEAST_COMPARED:
        return None
    found = doubly_robust.report(
        audited(known, scores),
        doubly_robust.top_share(scores.score, people, 0),
        score=scores.score,
        confidence=policies.doubt(known.pool.signals),
    )
    return found if found.gain_over_confidence and found.gain_over_random else None


def audited(known: reading.Known, scores: policies.Scores) -> doubly_robust.Audited:
    """The labels with their propensities and cross-fitted predictions."""
    found = scores.prediction
    return doubly_robust.Audited(
        error=known.pool.error,
        propensity=known.pool.propensity,
        predicted=found.mean if found is not None else np.zeros(len(known)),
        group=known.pool.group,
        person_error=known.h.rate,
        person_bounds=known.h.bounds,
    )


def _priorities(order: np.ndarray, chosen: np.ndarray, audits: np.ndarray) -> np.ndarray:
    """Queue priorities: by score, the audits spread evenly between, so that they are measured from the start."""
    picked = np.flatnonzero(chosen)
    picked = picked[np.argsort(-order[picked], kind="stable")]
    drawn = np.flatnonzero(audits & ~chosen)
    ids = np.concatenate([picked, drawn])
    at = np.concatenate([(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in (picked, drawn)])
    priority = np.zeros(len(order), dtype=np.int64)
    priority[ids[np.argsort(at, kind="stable")]] = np.arange(len(ids), 0, -1)
    return priority


# --- Trust --------------------------------------------------------------------------------------------------
def _zone(plan: RoutingPlan, known: reading.Known, scores, mistrust: str) -> zones.Zone | None:
    """Where the model's label may stand alone; None where no item may."""
    if mistrust:
        return None
    found, signals = scores.prediction, known.pool.signals
    confidence = 1.0 - found.mean if found is not None and found.skill else -policies.doubt(signals)
    barred = known.injected | (signals.verdict == NONE) | (signals.consistent == 0)
    return zones.accept_zone(
        confidence=confidence,
        error=np.where(known.uniform, known.error, np.nan),
        barred=barred,
        alpha=plan.parameters.get("alpha", 0.1),
        group=known.pool.group,
        seed=plan.seed,
    )


def _zone_words(zone: zones.Zone | None, mistrust: str, accepted: int, known: reading.Known) -> dict:
    """The zone as the page says it: how many items, on what evidence, or why there is none."""
    if zone is None:
        return {"items": 0, "words": mistrust}
    if zone.threshold is None:
        return {
            "items": 0, "n": zone.n, "errors": zone.errors, "bound": zone.bound, "alpha": zone.alpha,
            "words": f"No item is accepted on the model's word alone: with {zone.n} labels of a uniform sample to go by, an error rate "
            f"of at most {percent(zone.alpha)} cannot be shown even where it is surest.",
        }  # fmt: skip
    return {
        "items": accepted, "n": zone.n, "errors": zone.errors, "bound": zone.bound, "alpha": zone.alpha,
        "words": f"{accepted:,} items may keep the model's label without a person: at most {percent(zone.bound, 1)} of such "
        f"labels are wrong (95 % sure; {zone.errors} errors in {zone.n} uniformly drawn labels there).",
    }  # fmt: skip


def _second(decided: Decided, offer: cascade.Offer | None, without: str) -> dict | None:
    """What the plan gives the strong model: items, how many it has still to be asked, and about what for."""
    if offer is None:
        return {"items": 0, "words": without} if without else None
    mine = decided.second
    return {
        "id": offer.annotator_id,
        "name": offer.name,
        "items": int(mine.sum()),
        "to_ask": int((mine & ~offer.judged).sum()),
        "cost": str(Decimal(int(offer.cost[mine].sum())) / MICROS),
        "n": offer.n,
        "error": offer.error,
    }


def _skill(scores: policies.Scores) -> dict | None:
    """Held-out quality of the prediction of errors, the fields of `label_error.Skill`."""
    skill = scores.prediction.skill if scores.prediction is not None else None
    return None if skill is None else asdict(skill)


# --- Writing ------------------------------------------------------------------------------------------------
def _write(plan, known, scores, decided: Decided, accepted, queues, report: Report) -> None:
    """Insert the decisions, in transactions of `WRITE`."""
    n = len(known)
    priority = _priorities(
        going_first(known, scores), decided.people & (decided.chosen | ~decided.open), decided.audit
    )
    doubt = policies.doubt(known.pool.signals)
    predicted = scores.prediction.mean if scores.prediction is not None else None
    for start in range(0, n, WRITE):
        Decision.objects.bulk_create(
            [
                Decision(
                    plan=plan,
                    item_id=int(known.ids[i]),
                    route=_route(decided, known, i),
                    is_audit=bool(decided.audit[i]),
                    score=float(scores.score[i]),
                    propensity=float(decided.propensity[i]),
                    priority=int(priority[i]),
                    predicted=None if predicted is None else float(predicted[i]),
                    doubt=float(doubt[i]),
                    accepted=bool(accepted[i]),
                    queue=queues[-1]
                    if decided.second[i]
                    else queues[decided.queue[i]]
                    if decided.queue[i] >= 0
                    else "",
                    reasons=_reasons(known, scores, i),
                )
                for i in range(start, min(start + WRITE, n))
            ],
            batch_size=500,
        )
        report(n + min(start + WRITE, n), 2 * n, "Writing the decisions")


def _route(decided: Decided, known: reading.Known, i: int) -> str:
    if not decided.open[i]:
        return str(known.route[i])
    if decided.chosen[i]:
        return Item.Route.HUMAN
    return Item.Route.BOTH if decided.audit[i] else Item.Route.LM


def _reasons(known: reading.Known, scores: policies.Scores, i: int) -> list[dict]:
    found = scores.reasons(i)
    if known.injected[i]:
        return [{"code": "injected", "value": 1.0}, *found]
    return found


def _summary(plan, known, scores, decided: Decided, needed: np.ndarray, each: int) -> dict:
    """What the plan would do, in numbers: counts, judgments still to be given, their cost, the time they take."""
    people = decided.people
    judgments = int(needed[people].sum())
    low, high = float(scores.score.min()), float(scores.score.max())
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    pace = sorted(
        Judgment.objects.filter(
            project=plan.project,
            annotator__kind=Annotator.Kind.HUMAN,
            active_ms__isnull=False,
            is_current=True,
        )
        .order_by("-id")
        .values_list("active_ms", flat=True)[:PACE_SAMPLE]
    )
    nobody = ~people & (known.verdicts == 0)
    audits = np.where(decided.open, decided.audit & ~decided.chosen, known.route == Item.Route.BOTH)
    return {
        **{key: value for key, value in plan.summary.items() if key == "annotators"},
        "items": len(known),
        "people": int(people.sum()),
        "chosen": int((people & ~audits).sum()),
        "audits": int((audits & people).sum()),
        "audits_in_all": int((decided.audit & people).sum()),
        "taken_over": int((~decided.open).sum()),
        "lm": int((~people).sum()),
        "unlabelled": int(nobody.sum()),
        "unjudged": int((known.verdicts == 0).sum()),
        "judged_already": int((people & (needed == 0)).sum()),
        "judgments": judgments,
        "cost_each": str(Decimal(each) / MICROS),
        "cost": str(Decimal(judgments * each) / MICROS),
        "pace_ms": float(np.median(pace)) if pace else None,
        "pace_n": len(pace),
        "histogram": {
            "low": float(edges[0]),
            "high": float(edges[-1]),
            "people": np.histogram(scores.score[people], edges)[0].tolist(),
            "lm": np.histogram(scores.score[~people], edges)[0].tolist(),
        },
    }
