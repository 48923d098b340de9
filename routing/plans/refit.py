"""After a promotion: the reward model's margins, the predictor of errors fitted anew with them, and a plan proposed.

The last turn of the closed loop (`routing.rewards.loop`), and what a promotion by hand is asked about. A refit is a Job,
asked for first where the project says so, and always where the loop is off; the plan is drafted by a Job of its own and changes nothing until somebody applies it.
"""

from __future__ import annotations

import numpy as np
from django.db import transaction

from annotations.datasets import snapshots
from annotations.items.models import Item
from annotations.lm.models import LMAnnotator
from annotations.projects.models import Project
from app.accounts import audit
from app.jobs import runner
from app.jobs.models import Job
from app.jobs.runner import JobContext, JobFailed
from routing.rewards import artefacts, jobs
from routing.rewards.models import Loop, LoopRound, RewardModel

from . import doubly_robust, margins, online, policies, reading, words
from .draft import PlanError, default_annotators
from .models import Refit, RoutingPlan

KIND = "plans.refit"
State = Refit.State


class NotNow(Exception):
    """The refit does not wait for a decision; the text says where it is."""


def start_due() -> int:
    """Begin or offer the refit of every promotion that still stands; returns how many.

    What a round promoted is refitted as the project's loop says. What people promoted by hand is, too, while the loop is on; else
    it is offered, and only where a plan is in force, as there is nothing to propose without.
    """
    _close_lost()
    models = RewardModel.objects.filter(status=RewardModel.Status.PROMOTED, refit__isnull=True)
    models = models.exclude(project__reward_loop__after_promotion=Loop.AfterPromotion.NOTHING)
    return sum(_begin(row) for row in models.select_related("project", "run__loop_round").order_by("pk"))


def _begin(model: RewardModel) -> bool:
    project = model.project_id
    loop = Loop.objects.filter(project=project).first()
    starts = loop is not None and loop.after_promotion == Loop.AfterPromotion.PROPOSE
    if not _by_round(model):
        starts = starts and loop.is_on
        if not RoutingPlan.objects.filter(project=project, state=RoutingPlan.State.APPLIED).exists():
            return False
    with transaction.atomic():
        refit, made = Refit.objects.get_or_create(reward_model=model, defaults={"state": State.WAITING})
        if made and starts:
            _start(refit, None)
    return made


def _by_round(model: RewardModel) -> bool:
    """Whether a round of the loop promoted it."""
    return LoopRound.objects.filter(run__reward_model=model, state=LoopRound.State.PROMOTED).exists()


def _start(refit: Refit, actor) -> None:
    """Start the Job of a refit that waits; does nothing where another did. Call inside a transaction."""
    if not Refit.objects.filter(pk=refit.pk, state=State.WAITING).update(
        state=State.RUNNING, decided_by=actor
    ):
        raise NotNow(_where(refit))
    project, model = refit.reward_model.project, refit.reward_model
    job = runner.start(
        kind=KIND,
        title=f"Refit the predictor of errors with {model.public_id}",
        args={"refit_id": refit.pk},
        scope=project.slug,
        queue=jobs.queue_of(model.backend, model.config.get("spec", {}).get("options", {})),
        actor=actor,
    )
    Refit.objects.filter(pk=refit.pk).update(job_id=job.pk)
    audit.record(actor=actor, action="refit.began", scope=project.slug, target=model.public_id)


def _where(refit: Refit) -> str:
    refit.refresh_from_db()
    return f"The refit with {refit.reward_model.public_id} is at “{refit.get_state_display()}”: nothing waits for a decision."


def approve(*, refit: Refit, actor) -> None:
    """Let a refit begin that waits for approval. Raises NotNow."""
    with transaction.atomic():
        _start(refit, actor)


def decline(*, refit: Refit, actor) -> None:
    """Let routing stay as it is. Raises NotNow."""
    with transaction.atomic():
        if not Refit.objects.filter(pk=refit.pk, state=State.WAITING).update(
            state=State.DECLINED, decided_by=actor, words="Routing stays as it is."
        ):
            raise NotNow(_where(refit))
        audit.record(
            actor=actor,
            action="refit.declined",
            scope=refit.reward_model.project.slug,
            target=refit.reward_model.public_id,
        )


def _close_lost() -> None:
    """Close refits whose Job ended without them, cancelled or lost, and offers of models that are promoted no more."""
    Refit.objects.filter(state=State.WAITING).exclude(
        reward_model__status=RewardModel.Status.PROMOTED
    ).update(state=State.DECLINED, words="Another model was promoted before anybody decided.")
    for refit in Refit.objects.filter(state=State.RUNNING):
        job = Job.objects.filter(pk=refit.job_id).first()
        if job is None or job.state in (Job.State.FAILED, Job.State.CANCELLED):
            words = (
                (job.error or f"The job was {job.get_state_display().lower()}.")
                if job
                else "Its job is gone."
            )
            Refit.objects.filter(pk=refit.pk, state=State.RUNNING).update(
                state=State.FAILED, words=words[:500]
            )


def perform(job: JobContext, refit_id: int) -> dict:
    """The job's work; running it again gives the same margins and proposes no second plan."""
    related = ("reward_model__project", "reward_model__snapshot", "reward_model__run")
    refit = Refit.objects.select_related(*related)
    refit = refit.filter(pk=refit_id).first()
    if refit is None:
        raise JobFailed("This refit is gone.")

    def tell(done: int, total: int, words: str) -> None:
        job.report(done=done or None, total=total or None, message=words)

    project, model = refit.reward_model.project, refit.reward_model
    try:
        margins.write(model, tell)
        report = skill(project, model, tell)
    except (ValueError, snapshots.SnapshotDamaged, artefacts.ArtefactError) as error:
        raise JobFailed(str(error)) from None
    job.check()
    plan, words = _propose(refit, report)
    return {"plan": plan.number if plan else None, "words": words, **report}


def _propose(refit: Refit, report: dict) -> tuple[RoutingPlan | None, str]:
    """Draft the successor of the plan in force, once; the draft's own Job decides every item."""
    project = refit.reward_model.project
    with transaction.atomic():
        refit = Refit.objects.select_for_update(of=("self",)).select_related("plan").get(pk=refit.pk)
        if refit.state == State.DONE:
            return refit.plan, refit.words
        refit.state, refit.report = State.DONE, report
        refit.save(update_fields=["state", "report"])  # from here on, plans read the margins
        refit.plan, words = _successor(project)
        refit.words = f"{in_words(report)} {words}"[:500]
        refit.save(update_fields=["words", "plan"])
        audit.record(
            actor=None, action="refit.done", scope=project.slug, target=refit.reward_model.public_id,
            plan=refit.plan.number if refit.plan else None,
        )  # fmt: skip
    return refit.plan, refit.words


def _successor(project: Project) -> tuple[RoutingPlan | None, str]:
    """(the draft in place of the plan in force, what came of it in words)."""
    force = RoutingPlan.objects.filter(project=project, state=RoutingPlan.State.APPLIED)
    force = force.select_related("project").first()
    if force is None:
        return None, "No plan is in force, so there is no budget to propose one for."
    try:
        made = online.draft_successor(force, online=bool(force.parameters.get("online")))
    except PlanError as error:
        return None, f"No plan could be proposed: {error}"
    return made, f"Plan {made.number} is proposed in place of plan {force.number}."


def skill(project: Project, model: RewardModel, tell: reading.Report) -> dict:
    """How well errors are predicted with the model's margins and without, on labels neither fit saw.

    {"n", "auc", "auc_without", "gain"}: estimates with intervals by prompt group; `gain` is the log-loss saved per label,
    paired. Empty where too few labels are known.
    """
    force = RoutingPlan.objects.filter(project=project, state=RoutingPlan.State.APPLIED).first()
    ids = [row["id"] for row in force.summary.get("annotators", [])] if force else []
    rows = LMAnnotator.objects.filter(annotator_id__in=ids).select_related("annotator")
    models = list(rows) or default_annotators(project)
    total = Item.objects.filter(project=project, withdrawn_at__isnull=True, purpose=Item.Purpose.DATA).count()
    final = reading.final_model(project, models)
    known = reading.read(project, models=models, final=final, total=total, tell=tell, reward_model=model.pk)
    found = policies.predict(known.pool, 0)
    before = policies.predict(reading.without_margins(known.pool), 0)
    if found.skill is None or before.skill is None:
        return {}
    error = known.pool.labels()
    seen = ~np.isnan(error)
    saved = _log_loss(error[seen], before.mean[seen]) - _log_loss(error[seen], found.mean[seen])
    return {
        "n": found.skill.n,
        "auc": found.skill.auc,
        "auc_without": before.skill.auc,
        "gain": doubly_robust.clustered_mean(saved, known.pool.group[seen]),
    }


def _log_loss(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    return -(y * np.log(p) + (1 - y) * np.log1p(-p))


def in_words(report: dict) -> str:
    """The report in one sentence."""
    if not report:
        return "Too few items are judged by both people and a model to learn where it errs."
    gain = report["gain"]
    said = (
        f"With the margins, errors are predicted with an AUC of {words.interval(report['auc'], 3)} instead of "
        f"{words.interval(report['auc_without'], 3)} on {report['n']:,} labels it had not seen"
    )
    if gain is None:
        return f"{said}."
    saved, lo, hi = (f"{gain[key]:+.4f}".replace("-", "−") for key in ("value", "lo", "hi"))
    return f"{said}; log-loss saved {saved} [{lo}, {hi}]."
