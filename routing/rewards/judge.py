"""A promoted reward model as an annotator: it judges pairs like everybody else, through the one write path."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.db import transaction

from annotations.judging.answers import Answer, ComparisonAnswer
from annotations.judging.models import Judgment
from annotations.judging.submit import Conflict, submit
from annotations.lm.annotate import CannotAnnotate, schema_for, unjudged
from annotations.projects import schemas
from app.accounts import audit
from app.jobs import runner
from app.jobs.models import Job

from . import artefacts, score, scoring
from .locks import lock_registry
from .models import RewardModel

KIND = "rewards.judge"
READ = 200


def start(*, model: RewardModel, actor=None, result_url: str = "") -> Job:
    """Let the model judge what it has not judged, as a Job. Raises CannotAnnotate."""
    with transaction.atomic():
        lock_registry(model.project_id)
        _check(RewardModel.objects.select_related("annotator", "project").get(pk=model.pk))
        running = Job.objects.filter(
            kind=KIND, scope=model.project.slug, state__in=[Job.State.QUEUED, Job.State.RUNNING]
        )
        if running.exists():
            raise CannotAnnotate("A reward model is judging already.")
        job = runner.start(
            kind=KIND,
            title=f"{model.public_id}: judge the items left",
            args={"model_id": model.pk},
            scope=model.project.slug,
            actor=actor,
            result_url=result_url,
        )
        audit.record(
            actor=actor,
            action="reward_model.judging_started",
            scope=model.project.slug,
            target=model.public_id,
        )
    return job


def _check(model: RewardModel) -> None:
    if model.status != RewardModel.Status.PROMOTED or model.annotator is None:
        raise CannotAnnotate(f"{model.public_id} is not promoted: only a promoted model judges.")
    schema_for(model.project)


def judge(*, model: RewardModel, report: Callable[[int, int], None] = lambda done, total: None) -> dict:
    """Judge every item this model has not judged; returns {"judged", "skipped", "left"}.

    The verdict is the side with the higher reward, a tie where they are equal; P(second) is sigma of the difference.
    Runs again without harm. Raises CannotAnnotate, artefacts.ArtefactError.
    """
    _check(model)
    annotator, project = model.annotator, model.project
    schema = schema_for(project)
    aspect = schemas.load(schema.pk)[1].questions[0].name
    scorer = score.load(model)
    waiting = unjudged(project, annotator)
    total, judged, skipped, last = waiting.count(), 0, 0, 0
    while items := list(waiting.filter(pk__gt=last)[:READ]):
        last = items[-1].pk
        scored = scoring.scores_of_items(model, scorer, items, first=2)
        for item in items:
            rewards = scored[item.pk]
            try:
                submit(
                    annotator=annotator,
                    item_id=item.pk,
                    schema_id=schema.pk,
                    uuid=uuid.uuid5(annotator.pseudonym, f"item:{item.pk}"),
                    answer=answer_of(model, aspect, *rewards),
                    origin=Judgment.Origin.MODEL,
                )
                judged += 1
            except Conflict:  # withdrawn, or judged by another run, since it was listed
                skipped += 1
        report(judged + skipped, total)
    return {"judged": judged, "skipped": skipped, "left": waiting.count()}


def answer_of(model: RewardModel, aspect: str, first: float, second: float) -> Answer:
    """The answer these two rewards are."""
    if first == second:
        verdict = ComparisonAnswer(0, 1, aspect, tie="equal")
    else:
        verdict = ComparisonAnswer(0, 1, aspect, preference=1 if second > first else -1, scale_max=1)
    return Answer(
        comparisons=(verdict,),
        probability=score.probability(first, second),
        order_consistent=True,  # a reward knows no order
        meta={"reward_model": model.public_id, "rewards": [round(first, 6), round(second, 6)]},
    )


def perform(model_id: int, report: Callable[[int, int], None]) -> dict:
    """The job's work. Raises runner.JobFailed in words."""
    model = RewardModel.objects.select_related("annotator", "project").filter(pk=model_id).first()
    if model is None:
        raise runner.JobFailed("This reward model is gone.")
    try:
        return judge(model=model, report=report)
    except (CannotAnnotate, artefacts.ArtefactError) as error:
        raise runner.JobFailed(str(error)) from None
