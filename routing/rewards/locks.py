"""Every locking query of this room. Call inside a transaction; rows are locked project first, then run."""

from __future__ import annotations

from annotations.projects.models import Project

from .models import TrainingRun


def lock_registry(project_id: int) -> Project:
    """Lock a project's registry: one registration or change of the promoted model at a time."""
    return Project.objects.select_for_update(no_key=True).get(pk=project_id)


def lock_run(run_id: int) -> TrainingRun:
    """Lock one training run, whose model is registered once."""
    return TrainingRun.objects.select_for_update(no_key=True).get(pk=run_id)
