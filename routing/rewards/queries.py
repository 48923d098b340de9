"""What the pages of reward models say: sentences, warnings, and the live state of a run; plots are in `figures.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from annotations.projects.models import Project
from app.jobs.models import Job
from app.web import plots

from . import jobs, lineage, loop, prepare, registry
from .figures import loss_plots
from .models import LoopRound, RewardModel, TrainingRun

FEW_PAIRS = 50
FEW_GROUPS = 10
LIVE = (Job.State.QUEUED, Job.State.RUNNING)


def models_of(project: Project) -> list[RewardModel]:
    """The project's models: promoted first, archived last, newest first within."""
    order = {RewardModel.Status.PROMOTED: 0, RewardModel.Status.CANDIDATE: 1, RewardModel.Status.ARCHIVED: 2}
    found = RewardModel.objects.filter(project=project).select_related("snapshot", "run")
    return sorted(found.order_by("-number"), key=lambda model: order[model.status])


def percent(est: dict[str, Any] | None, digits: int = 1) -> str:
    """`71.3 % [66.0, 76.2]`, or empty where there is no estimate."""
    if not est or est.get("value") is None:
        return ""
    value, low, high = (f"{100 * est[key]:.{digits}f}" for key in ("value", "lo", "hi"))
    return f"{value} % [{low}, {high}]".replace("-", "−")


def headline(model: RewardModel | None) -> str:
    """How well the model does, in one sentence, beside the length of the responses."""
    if model is None:
        return ""
    metrics = model.metrics
    accuracy, length = metrics.get("accuracy") or {}, metrics.get("length_baseline") or {}
    if accuracy.get("value") is None:
        reason = accuracy.get("reason") or "no pair was held out"
        return f"{model.public_id} has no estimate on the hold-out: {reason}."
    who = "language models' preferred" if metrics.get("yardstick") == "lm" else "preferred"
    return (
        f"{model.public_id} picks the {who} response on {percent(accuracy)} of {accuracy['n']:,} held-out pairs; "
        f"the longer response would on {100 * length['value']:.1f} %."
    )


def cautions(model: RewardModel) -> list[str]:
    """What keeps the model's figures from meaning more than they do, one sentence each."""
    metrics = model.metrics
    accuracy, gain = metrics.get("accuracy") or {}, metrics.get("gain_over_length") or {}
    if accuracy.get("value") is None:
        return [
            "Nothing is known about its quality: the hold-out has too few decided pairs. Judge more prompts and "
            "train again."
        ]
    lines = []
    if gain["hi"] < 0:
        lines.append("Worse than choosing the longer response: the whole interval is below 0.")
    elif gain["lo"] <= 0:
        lines.append("No better than choosing the longer response: the interval includes 0.")
    if accuracy["lo"] <= 0.5:
        lines.append("Not shown to be better than a coin: the interval of its accuracy includes 50 %.")
    if metrics.get("yardstick") == "lm":
        lines.append("Language models labelled the hold-out: this is agreement with them, not with people.")
    if accuracy["n"] < FEW_PAIRS:
        lines.append(f"Measured on {accuracy['n']} pairs only.")
    if metrics.get("n_groups", 0) < FEW_GROUPS:
        n = metrics.get("n_groups", 0)
        lines.append(f"The hold-out comes from {n} prompt group{'s' if n != 1 else ''} only.")
    if metrics["ece10"]["value"] > registry.ECE_LIMIT:
        off = f"by {100 * metrics['ece10']['value']:.0f} points"
        lines.append(f"Its probabilities are off {off} on average: trust its order, not its confidence.")
    contradictions = model.config.get("preflight", {}).get("contradiction_share", 0)
    if contradictions > 0.05:
        lines.append(f"{100 * contradictions:.0f} % of what it learnt from is contradicted by another label.")
    return lines


def preflight_notes(model: RewardModel) -> list[str]:
    """What the pre-flight of its training found, one sentence each."""
    report = model.config.get("preflight")
    return prepare.notes(report) if report else []


def loop_view(project: Project) -> dict[str, Any]:
    """The rounds of a project, newest first, the open one, and how far the next is."""
    rounds = list(
        LoopRound.objects.filter(project=project)
        .select_related("run__snapshot", "run__reward_model__replaced", "run__reward_model__refit__plan")
        .order_by("-number")[:30]
    )
    new, _, _ = loop.new_judgments(project)
    return {
        "rounds": rounds,
        "open": next((row for row in rounds if row.state in loop.OPEN), None),
        "waiting": RewardModel.objects.filter(project=project, refit__state="waiting").first(),
        "new": new,
        "lineage": lineage.draw(rounds) if rounds else None,
    }


@dataclass(frozen=True)
class RunView:
    """A training run as its page shows it.

    Attributes:
        run, job: the rows; job is None if it was deleted.
        steps: [{words, state}], state one of done, active, failed, waiting.
        plots: the loss curves so far.
        report: the pre-flight, and `notes` its sentences; None and empty before it was made.
    """

    run: TrainingRun
    job: Job | None
    steps: list[dict[str, str]]
    plots: list[plots.Plot]
    report: dict[str, Any] | None
    notes: list[str]
    facts: list[tuple[str, str]]

    @property
    def is_live(self) -> bool:
        return self.job is not None and self.job.state in LIVE


def run_view(run: TrainingRun) -> RunView:
    """Read a run's job and the events of its latest attempt."""
    job = Job.objects.filter(pk=run.job_id).first()
    events = [event for event in job.events if event.get("fence") == job.fence] if job else []
    reached = [event["name"] for event in events if event["kind"] == "step"]
    report = next((event["report"] for event in reversed(events) if event["kind"] == "preflight"), None)
    return RunView(
        run,
        job,
        _steps(job, reached),
        loss_plots([event for event in events if event["kind"] == "fit" and event["loss"] is not None]),
        report,
        prepare.notes(report) if report else [],
        _facts([event for event in events if event["kind"] == "fit" and event.get("tokens_per_second")]),
    )


def _facts(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What a transformer's latest step says of itself."""
    if not events:
        return []
    last = events[-1]
    rows = [("Step", f"{last['step']:,}"), ("Loss", f"{last['loss']:.4f}")]
    if last.get("accuracy") is not None:
        rows.append(("Pairs right in the step", f"{100 * last['accuracy']:.0f} %"))
    rows.append(("Learning rate", f"{last.get('lr', 0):.2g}"))
    rows.append(("Speed", f"{last['tokens_per_second']:,.0f} tokens/s"))
    if last.get("memory_mib"):
        rows.append(("Memory", f"{last['memory_mib']:,} MiB"))
    rows.append(("Left", f"about {max(1, round(last.get('eta_seconds', 0) / 60))} min"))
    return rows


def live_runs(project: Project) -> list[RunView]:
    """Runs whose job waits or works, newest first."""
    jobs_live = Job.objects.filter(scope=project.slug, kind=jobs.KIND, state__in=LIVE)
    runs = TrainingRun.objects.filter(project=project, job_id__in=jobs_live.values("pk")).order_by("-pk")
    return [run_view(run) for run in runs[:20]]


def ended_runs(project: Project, limit: int = 10) -> list[RunView]:
    """The latest runs that ended without a model."""
    runs = TrainingRun.objects.filter(project=project, reward_model=None).order_by("-pk")[: limit * 3]
    return [view for run in runs if not (view := run_view(run)).is_live][:limit]


def _steps(job: Job | None, reached: list[str]) -> list[dict[str, str]]:
    """Name every step with its state: what the latest attempt reached, and how it ended."""
    over = job is not None and job.state == Job.State.SUCCEEDED
    stopped = job is not None and job.state in (Job.State.FAILED, Job.State.CANCELLED)
    last = reached[-1] if reached else None
    rows = []
    for name, words, _ in jobs.STEPS:
        if over or (name in reached and name != last):
            state = "done"
        elif name == last:
            state = "failed" if stopped else "active"
        else:
            state = "waiting"
        rows.append({"name": name, "words": words, "state": state})
    return rows
