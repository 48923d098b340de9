"""Jobs of reward models."""

from __future__ import annotations

from app.jobs.runner import JobContext, handler

from . import jobs


@handler(jobs.KIND)
def train_reward_model(job: JobContext, *, run_id: int) -> dict:
    """Train one run's model from its snapshot and register it."""
    return jobs.perform(job, run_id)
