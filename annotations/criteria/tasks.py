"""Jobs of the criteria lab."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from annotations.lm.models import LMAnnotator
from annotations.projects.models import Project
from app.jobs import runner
from app.jobs.models import Job
from app.jobs.runner import JobContext, JobFailed, handler

from . import improving, interviews, judging, material, offers, rounds, watch
from .graders import add_code
from .lab import BadCriterion, lab_of
from .manager import Manager
from .models import Criterion, Grader, JudgeWording

KIND = "criteria.round"
PANEL = "criteria.panel"
CODE = "criteria.code"
IMPROVE = "criteria.improve"
TEST = "criteria.test_wording"
GRADE = "criteria.grade"
IMPLEMENT = "criteria.implement"
SANDBOX = "sandbox"
TRY_AGAIN = timedelta(days=1)


@handler(KIND)
def run_round(job: JobContext, *, project_id: int, limit: int | None = None) -> dict:
    """One round; what it judged and paid before a stop stays."""
    project = Project.objects.filter(pk=project_id).first()
    if project is None:
        raise JobFailed("This project is gone.")

    def report(words: str) -> None:
        job.report(message=words)

    try:
        this = rounds.run_round(
            project, owner=f"{job.job.pk}:{job.job.fence}", limit=limit, job_id=job.job.pk, report=report
        )
    except material.NoMaterial as error:
        raise JobFailed(str(error))
    if this.stopped:
        raise JobFailed(this.stopped)
    return {"round": this.number, **{k: v for k, v in this.report.items() if k != "criteria"}}


@handler(PANEL)
def ask_panel(job: JobContext, *, project_id: int) -> dict:
    """Ask the judge about its fixed panel once more."""
    project = Project.objects.filter(pk=project_id).first()
    if project is None:
        raise JobFailed("This project is gone.")
    try:
        event = watch.rerun_panel(
            project, owner=f"{job.job.pk}:{job.job.fence}", report=lambda words: job.report(message=words)
        )
    except (judging.CannotJudge, judging.NoMoney, material.NoMaterial) as error:
        raise JobFailed(str(error))
    return {"alarm": event.alarm, **event.statistic}


@handler(CODE)
def run_assertion(job: JobContext, *, grader_id: int) -> dict:
    """Run an approved assertion on every response that was graded, in the sandbox's own queue."""
    return _graded(job, grader_id)


@handler(GRADE)
def run_grader(job: JobContext, *, grader_id: int) -> dict:
    """Let a model grade every response that people graded."""
    return _graded(job, grader_id)


def _graded(job: JobContext, grader_id: int) -> dict:
    grader = (
        Grader.objects.select_related("version__criterion__project", "model__endpoint")
        .filter(pk=grader_id)
        .first()
    )
    if grader is None:
        raise JobFailed("This grader is gone.")
    project = grader.version.criterion.project
    try:
        return judging.run(
            grader, lab_of(project), judging.response_material(offers.graded_places(project)),
            owner=f"{job.job.pk}:{job.job.fence}", report=lambda words: job.report(message=words),
        )  # fmt: skip
    except (judging.CannotJudge, judging.NoMoney) as error:
        raise JobFailed(str(error))


@handler(IMPLEMENT)
def draft_assertions(job: JobContext, *, criterion_id: int) -> dict:
    """Let the manager write assertions; a person reads each before it may run."""
    criterion = (
        Criterion.objects.select_related("project", "current__criterion").filter(pk=criterion_id).first()
    )
    if criterion is None:
        raise JobFailed("This criterion is gone.")
    manager = Manager(lab_of(criterion.project), None)
    try:
        codes = manager.implement(criterion.current, offers.examples(criterion))
    except (judging.CannotJudge, judging.NoMoney) as error:
        raise JobFailed(str(error))
    added = refused = 0
    for code in codes:
        try:
            add_code(criterion=criterion, code=code)
            added += 1
        except BadCriterion:
            refused += 1
    return {"added": added, "refused": refused, "cost_micros": manager.consulting.cost_micros}


@handler(interviews.KIND)
def interview(job: JobContext, *, interview_id: int) -> dict:
    """One step of an interview: the model asks on, or drafts the card."""
    try:
        return interviews.think(interview_id)
    except interviews.BadInterview as error:
        raise JobFailed(str(error))


@handler(IMPROVE)
def improve_prompt(job: JobContext, *, detail_id: int) -> dict:
    """Propose better words for an LM annotator and test the best of them."""
    detail = LMAnnotator.objects.select_related("annotator__project", "prompt").filter(pk=detail_id).first()
    if detail is None:
        raise JobFailed("This annotator is gone.")
    return _improving(job, lambda **how: improving.propose(detail, **how))


@handler(TEST)
def test_wording(job: JobContext, *, wording_id: int) -> dict:
    """Test one wording against the words in use."""
    wording = JudgeWording.objects.select_related("project", "detail").filter(pk=wording_id).first()
    if wording is None:
        raise JobFailed("This wording is gone.")
    return _improving(job, lambda **how: improving.run_test(wording, **how))


def _improving(job: JobContext, run) -> dict:
    try:
        return run(owner=f"{job.job.pk}:{job.job.fence}", report=lambda words: job.report(message=words))
    except (judging.CannotJudge, judging.NoMoney, material.NoMaterial) as error:
        raise JobFailed(str(error))


@shared_task(name="criteria.weekly_panels")
def weekly_panels() -> int:
    """Start the panels that are due; returns how many. A panel whose job failed is tried again after a day."""
    started = 0
    for lab in watch.due_panels():
        project = lab.project
        with transaction.atomic():
            Project.objects.select_for_update().get(pk=project.pk)
            tried = Job.objects.filter(
                scope=project.slug, kind=PANEL, created_at__gt=timezone.now() - TRY_AGAIN
            )
            if tried.exists():
                continue
            runner.start(
                kind=PANEL, title="Criteria: the judge's panel, as every week", args={"project_id": project.pk},
                scope=project.slug, result_url=reverse("criteria:drift", args=[project.slug]),
            )  # fmt: skip
            started += 1
    return started
