"""The closed loop: enough new judgments or days → snapshot and training (a Job) → gates → promotion proposed.

A round is open from its beginning to its decision, and a project has at most one open (a constraint says so
too). `tick` begins and advances rounds; it may be called by anybody at any time, as often as they like. People
approve or decline where the loop says that they are asked; what the gates refuse is never promoted by itself.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Max
from django.utils import timezone

from annotations.judging.models import Judgment
from annotations.projects.models import Project
from app.accounts import audit
from app.jobs.models import Job

from . import jobs, registry
from .locks import lock_registry
from .models import Loop, LoopRound, RewardModel

State = LoopRound.State
OPEN = (State.WAITING, State.TRAINING, State.PROPOSED)
ENDED_JOB = (Job.State.FAILED, Job.State.CANCELLED)


class NotNow(Exception):
    """The round is not at the step that was asked for; the text says where it is."""


def change(*, project: Project, form, actor) -> Loop:
    """Save what a valid `forms.LoopForm` says, with a record of who did."""
    with transaction.atomic():
        loop = form.save(commit=False)
        loop.project, loop.changed_by = project, actor
        loop.save()
        audit.record(
            actor=actor, action="reward_loop.changed", scope=project.slug, target="loop", **form.cleaned_data
        )
    return loop


def new_judgments(project: Project) -> tuple[int, int, int]:
    """Return (judgments of people and language models since the last round, all until now, the last one's key).

    Reads only the rows since, by the index on project and key: a project may have ten million.
    """
    last = LoopRound.objects.filter(project=project).order_by("-number").first()
    found = Judgment.objects.filter(
        project=project,
        pk__gt=last.through if last else 0,
        is_current=True,
        annotator__kind__in=("human", "lm"),
    ).aggregate(new=Count("pk"), last=Max("pk"))
    new = found["new"]
    return new, (last.judgments if last else 0) + new, found["last"] or (last.through if last else 0)


def why_due(loop: Loop) -> str:
    """Why a round is due, in words; empty when none is."""
    last = LoopRound.objects.filter(project=loop.project_id).order_by("-number").first()
    new, _, _ = new_judgments(loop.project)
    if loop.every_judgments and new >= loop.every_judgments:
        return f"{new:,} new judgments (a round begins at {loop.every_judgments:,})"
    since = last.created_at if last else loop.changed_at
    if loop.every_days and new > 0 and timezone.now() - since >= timedelta(days=loop.every_days):
        return f"{loop.every_days} days since the last round, {new:,} new judgments"
    return ""


def tick() -> int:
    """Begin rounds that are due and advance open ones; returns how many rounds moved."""
    moved = 0
    for loop in Loop.objects.filter(is_on=True).select_related("project").order_by("pk"):
        moved += _begin_if_due(loop)
    for round_ in LoopRound.objects.filter(state=State.TRAINING).order_by("pk"):
        moved += advance(round_)
    return moved


def _begin_if_due(loop: Loop) -> bool:
    if LoopRound.objects.filter(project=loop.project_id, state__in=OPEN).exists():
        return False
    reason = why_due(loop)
    return bool(reason) and begin(project=loop.project, reason=reason, actor=None) is not None


def begin(*, project: Project, reason: str, actor) -> LoopRound | None:
    """Open a round, and start its training unless people are asked first; None while another is open.

    Takes the project's registry lock.
    """
    loop, _ = Loop.objects.get_or_create(project=project)
    _, count, through = new_judgments(project)
    with transaction.atomic():
        lock_registry(project.pk)
        if LoopRound.objects.filter(project=project, state__in=OPEN).exists():
            return None
        last = LoopRound.objects.filter(project=project).aggregate(last=Max("number"))["last"] or 0
        round_ = LoopRound.objects.create(
            project=project,
            number=last + 1,
            reason=reason[:200],
            judgments=count,
            through=through,
            state=State.WAITING,
        )
        audit.record(
            actor=actor,
            action="reward_loop.began",
            scope=project.slug,
            target=f"round {round_.number}",
            reason=reason,
        )
        if not loop.ask_before_training or actor is not None:
            _train(round_, loop, actor)
    return round_


def _train(round_: LoopRound, loop: Loop, actor) -> None:
    """Start the round's training. Needs the registry lock."""
    run = jobs.start_training(
        project=round_.project, actor=actor, loss=loop.loss, options={
            "judgments": loop.judgments, "note": f"Round {round_.number}: {round_.reason}",
        },
    )  # fmt: skip
    round_.run, round_.state = run, State.TRAINING
    round_.save(update_fields=["run", "state"])


def approve(*, round_: LoopRound, actor) -> LoopRound:
    """Agree to what the round proposes: its training, or the promotion of its model.

    Raises NotNow, and `registry.Refused` where the promotion is refused by then. Takes the registry lock.
    """
    with transaction.atomic():
        lock_registry(round_.project_id)
        round_ = LoopRound.objects.select_related("project", "run__reward_model").get(pk=round_.pk)
        if round_.state == State.WAITING:
            _decide(round_, actor, "training approved")
            _train(round_, Loop.objects.get(project=round_.project), actor)
            return round_
        if round_.state != State.PROPOSED:
            raise NotNow(
                f"Round {round_.number} is at “{round_.get_state_display()}”: there is nothing to approve."
            )
    registry.promote(model=round_.run.reward_model, actor=actor)
    with transaction.atomic():
        lock_registry(round_.project_id)
        round_ = LoopRound.objects.select_related("project", "run__reward_model").get(pk=round_.pk)
        if round_.state == State.PROPOSED:
            _decide(round_, actor, "promotion approved")
            _end(round_, State.PROMOTED, f"{round_.run.reward_model.public_id} is promoted.")
    return round_


def decline(*, round_: LoopRound, actor) -> LoopRound:
    """Refuse what the round proposes; its model stays a candidate. Raises NotNow. Takes the registry lock."""
    with transaction.atomic():
        lock_registry(round_.project_id)
        round_ = LoopRound.objects.select_related("project").get(pk=round_.pk)
        if round_.state not in (State.WAITING, State.PROPOSED):
            raise NotNow(
                f"Round {round_.number} is at “{round_.get_state_display()}”: there is nothing to decline."
            )
        what = "training" if round_.state == State.WAITING else "promotion"
        _decide(round_, actor, f"{what} declined")
        _end(round_, State.DECLINED, f"The {what} was declined.")
    return round_


def advance(round_: LoopRound) -> bool:
    """Move a training round on once its job ended; true when it moved."""
    job = Job.objects.filter(pk=round_.run.job_id).first() if round_.run else None
    if job is not None and not job.is_finished:
        return False
    if job is None or job.state in ENDED_JOB:
        words = (
            (job.error or f"The training was {job.get_state_display().lower()}.")
            if job
            else "Its job is gone."
        )
        return _moved(round_, State.FAILED, words[:500], [])
    model = RewardModel.objects.select_related("project").get(run=round_.run_id)
    gates = registry.gates(model, registry.promoted(model.project))
    found = [{"name": gate.name, "passed": gate.passed, "words": gate.words} for gate in gates]
    failed = [gate["words"] for gate in found if not gate["passed"]]
    if failed:
        return _moved(
            round_, State.KEPT, f"{model.public_id} stays a candidate: {' '.join(failed)}"[:500], found
        )
    moved = _moved(round_, State.PROPOSED, "", found)
    loop = Loop.objects.filter(project=round_.project_id).first()
    if moved and loop is not None and not loop.ask_before_promoting:
        try:
            approve(round_=round_, actor=None)
        except registry.Refused as refused:
            return _moved(round_, State.KEPT, str(refused)[:500], found, was=State.PROPOSED)
    return moved


def _moved(round_: LoopRound, state: str, words: str, gates: list, *, was: str = State.TRAINING) -> bool:
    """Change the state if nobody else did meanwhile."""
    changes: dict[str, Any] = {"state": state, "words": words, "gates": gates}
    if state not in OPEN:
        changes["ended_at"] = timezone.now()
    return bool(LoopRound.objects.filter(pk=round_.pk, state=was).update(**changes))


def _decide(round_: LoopRound, actor, what: str) -> None:
    by = actor.username if actor is not None else "the loop"
    round_.decisions = [*round_.decisions, {"what": what, "by": by, "at": timezone.now().isoformat()}]
    round_.save(update_fields=["decisions"])
    audit.record(
        actor=actor, action=f"reward_loop.{what.replace(' ', '_')}", scope=round_.project.slug,
        target=f"round {round_.number}",
    )  # fmt: skip


def _end(round_: LoopRound, state: str, words: str) -> None:
    round_.state, round_.words, round_.ended_at = state, words, timezone.now()
    round_.save(update_fields=["state", "words", "ended_at"])
