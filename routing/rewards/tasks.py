"""Jobs of reward models."""

from __future__ import annotations

from celery import shared_task

from app.jobs.runner import JobContext, handler

from . import distil, jobs, judge, learning, loop


@handler(jobs.KIND)
def train_reward_model(job: JobContext, *, run_id: int) -> dict:
    """Train one run's model from its snapshot and register it."""
    return jobs.perform(job, run_id)


@handler(judge.KIND)
def let_judge(job: JobContext, *, model_id: int) -> dict:
    """Let a promoted reward model judge what it has not judged."""

    def report(done: int, total: int) -> None:
        job.report(done=done, total=total, message=f"{done} of {total} items judged")

    return judge.perform(model_id, report)


@handler(learning.KIND)
def learning_curve(job: JobContext, *, model_id: int) -> dict:
    """Measure accuracy against the number of judgments."""
    return learning.perform(job, model_id)


@handler(distil.KIND)
def distil_criteria(job: JobContext, **how) -> dict:
    """Label pairs by the released criteria, then train from the labels."""
    return distil.perform(job, **how)


@shared_task(name="rewards.loops")
def loops() -> None:
    """Begin rounds of training that are due, and advance those that are open."""
    loop.tick()
