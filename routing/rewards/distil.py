"""Distil released criteria into a reward model: a model labels pairs by them, and a training learns from the labels.

Both halves are what stands already: an LM annotator that is asked with the release's words, judged through the one write
path, and a training from a snapshot. People's labels come first where there are any; the model's stay separable by their
annotator. After CritiQ (Guo et al. 2025, arXiv 2502.19279), whose scorer learns from agents' votes.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from django.db import transaction
from django.urls import reverse

from annotations.criteria.models import ReleasedSet
from annotations.lm import configure, prompts, runs
from annotations.lm.annotate import CannotAnnotate
from annotations.lm.engine import RunFailed
from annotations.lm.models import EndpointModel, LMAnnotator
from annotations.projects.models import CriteriaRelease, Project
from app.accounts import audit
from app.jobs import runner
from app.jobs.models import Job
from app.jobs.runner import JobContext, JobFailed
from app.ledger import ledger
from app.ledger.models import Account

from . import jobs
from .models import TrainingRun

KIND = "rewards.distil"
PROMPT = "Released criteria"
WORDS = (
    "Go through the criteria one by one and note which response each favours, or that it says nothing about this prompt. "
    "Then give the verdict that most of them support, and a tie where they balance. Use no quality beyond them."
)


class CannotDistil(Exception):
    """There is nothing to distil, or no model may do it; the text says why."""


def newest(project: Project) -> CriteriaRelease | None:
    """The release in use, if it came from the lab."""
    found = prompts.latest_criteria(project)
    return found if found is not None and ReleasedSet.objects.filter(release=found).exists() else None


def labeller(*, project: Project, model: EndpointModel, actor=None) -> LMAnnotator:
    """The LM annotator that asks this model by the release in use; the same again is the same. Raises CannotDistil."""
    if newest(project) is None:
        raise CannotDistil("No set of criteria is released. Release one in the criteria lab first.")
    prompt = prompts.add_prompt(
        project=project, name=PROMPT, instructions=WORDS, with_guidelines=False, actor=actor
    )
    try:
        made = configure.add_annotator(
            project=project, model=model, prompt=prompt, parameters=configure.Parameters(), actor=actor
        )
    except configure.CannotConfigure as error:
        raise CannotDistil(str(error)) from None
    return runs.find(made.pk)


def labellers(project: Project) -> list[LMAnnotator]:
    """The annotators that label by the release in use, newest first."""
    rows = LMAnnotator.objects.filter(
        annotator__project=project,
        prompt__name=PROMPT,
        prompt__instructions=WORDS,
        criteria_release=newest(project),
    )
    return list(rows.select_related("annotator", "endpoint_model__endpoint").order_by("-pk"))


def live_job(project: Project) -> Job | None:
    states = [Job.State.QUEUED, Job.State.RUNNING]
    return Job.objects.filter(scope=project.slug, kind=KIND, state__in=states).first()


def start(
    *, detail: LMAnnotator, loss: str = "scaled_bt", limit: int | None = None, cap: Decimal | None = None, actor=None
) -> Job:  # fmt: skip
    """Start labelling and then training as a Job, one a project. `cap` bounds what the labels may cost, beside the
    project's own cap. Raises CannotDistil; then nothing was written."""
    project = detail.annotator.project
    try:
        runs.check(detail)
        limit = runs.bounded(detail, limit)
    except CannotAnnotate as error:
        raise CannotDistil(str(error)) from None
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        if live_job(project) is not None:
            raise CannotDistil("Criteria are being distilled already.")
        args: dict = {"detail_id": detail.pk, "loss": loss}
        if limit is not None:  # as the last item's id: a job that starts over does not label more
            last = runs.unjudged(runs.plan_of(detail)).values_list("pk", flat=True)[limit - 1 : limit]
            args |= {"upto": last[0]} if last else {}
        if cap is not None:
            own = Account.objects.filter(pk=project.account_id).first()
            account = Account.objects.create(
                name=f"{project.slug}: distil with {detail.annotator.name}"[:200],
                currency=own.currency if own else "EUR", cap_micros=ledger.to_micros(cap),
            )  # fmt: skip
            args["account_id"] = str(account.pk)
        job = runner.start(
            kind=KIND, title=f"Distil criteria: labels by {detail.annotator.name}, then a training", args=args,
            scope=project.slug, actor=actor, result_url=reverse("rewards:list", args=[project.slug]),
        )  # fmt: skip
        audit.record(
            actor=actor, action="criteria.distilled", scope=project.slug, target=detail.annotator.name, limit=limit,
            cap=str(cap) if cap is not None else None, release=detail.criteria_release.number,
        )  # fmt: skip
    return job


def perform(
    job: JobContext, *, detail_id: int, loss: str, upto: int | None = None, account_id: str | None = None
) -> dict:  # fmt: skip
    """The job's work: label what is left, then begin one training. Labels that were paid stay whatever happens."""
    detail = runs.find(detail_id)
    if detail is None:
        raise JobFailed("This annotator is gone.")
    try:
        labels = runs.run(
            detail=detail,
            owner=f"{job.job.pk}:{job.job.fence}",
            upto=upto,
            account_id=account_id,
            report=_told(job),
        )
    except (CannotAnnotate, RunFailed) as error:
        raise JobFailed(str(error)) from None
    note = f"Criteria release {detail.criteria_release.number} distilled, job {job.job.pk}"
    run = TrainingRun.objects.filter(project=detail.annotator.project, spec__note=note).first()
    if run is None:
        run = jobs.start_training(
            project=detail.annotator.project, actor=job.job.created_by, loss=loss, options={"note": note}
        )
    return {**labels, "run": run.pk, "training_job": str(run.job_id)}


def _told(job: JobContext) -> Callable[[int, int, str], None]:
    def report(done: int, total: int, words: str) -> None:
        job.report(done=done, total=total, message=words or f"{done} of {total} items labelled")

    return report
