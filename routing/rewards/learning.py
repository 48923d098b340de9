"""Learning curves as Jobs: measured on the snapshot of a registered model, kept with its figures."""

from __future__ import annotations

from django.db import transaction
from django.urls import reverse

from annotations.datasets import snapshots
from app.jobs import runner
from app.jobs.models import Job
from app.jobs.runner import JobContext, JobFailed

from . import curves, jobs, prepare, train
from .locks import lock_registry
from .models import RewardModel

KIND = "rewards.curve"
LIVE = (Job.State.QUEUED, Job.State.RUNNING)


def start(*, model: RewardModel, actor) -> Job:
    """Measure the model's learning curve; the job that already does is returned as it is."""
    with transaction.atomic():
        lock_registry(model.project_id)
        running = live(model)
        if running is not None:
            return running
        return runner.start(
            kind=KIND,
            title=f"Learning curve of {model.public_id}",
            args={"model_id": model.pk},
            scope=model.project.slug,
            actor=actor,
            result_url=reverse("rewards:detail", args=[model.project.slug, model.public_id]) + "#curve",
        )


def live(model: RewardModel) -> Job | None:
    """The job that measures this model's curve now."""
    found = Job.objects.filter(kind=KIND, scope=model.project.slug, state__in=LIVE)
    return next((job for job in found if job.args.get("model_id") == model.pk), None)


def perform(job: JobContext, model_id: int) -> dict:
    """The job's work: the linear backend on growing parts of what the model learnt from."""
    model = RewardModel.objects.select_related("snapshot", "project", "run").filter(pk=model_id).first()
    if model is None or model.snapshot is None:
        raise JobFailed("This reward model or its snapshot is gone.")
    spec = jobs.spec_of(model.run) if hasattr(model, "run") else prepare.Spec()
    loss = spec.loss if spec.loss not in ("mse", "joint") else "scaled_bt"
    spec = prepare.Spec(
        loss=loss, seed=spec.seed, judgments=spec.judgments, aspect=spec.aspect, lm_weight=spec.lm_weight
    )
    try:
        material = prepare.prepare(snapshots.open_rows(model.snapshot), spec, tick=lambda n: job.report())
    except (ValueError, snapshots.SnapshotDamaged) as error:
        raise JobFailed(str(error)) from None
    rows = curves.measure(
        material, spec, tell=lambda done, total, words: job.report(done=done, total=total, message=words)
    )
    if not rows:
        raise JobFailed(
            f"Too little for a curve: it needs {2 * curves.SMALLEST} decided pairs to learn from and ten to be "
            "measured on."
        )
    found = train.finite(curves.describe(rows, seed=spec.seed))
    with transaction.atomic():
        lock_registry(model.project_id)
        model = RewardModel.objects.get(pk=model.pk)
        model.metrics = {**model.metrics, "learning_curve": found}
        model.save(update_fields=["metrics"])
    return {"kinds": sorted(found), "points": len(rows)}
