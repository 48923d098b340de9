"""Changing a project's gates and experiment arms, and letting people past the gates."""

from __future__ import annotations

from django.db import transaction

from annotations.projects import rules
from annotations.projects.models import Annotator, Project
from app.accounts import audit
from app.accounts.models import User

from . import locks


@transaction.atomic
def change_gates(*, project: Project, gates: rules.Gates, actor: User) -> rules.Rules:
    """Set the project's gates; who has begun to work is not sent back to training or the test."""
    before = rules.of(project).gates
    changed = rules.change(project=project, gates=gates)
    audit.record(
        actor=actor,
        action="gates.changed",
        scope=project.slug,
        before=before.model_dump(mode="json", exclude_defaults=True),
        after=gates.model_dump(mode="json", exclude_defaults=True),
    )
    return changed


def what_is_missing(gates: rules.Gates, counts: dict[str, int]) -> list[str]:
    """Rules that cannot do what they say for want of items (`counts` by purpose) or of answers, in sentences."""
    found = []
    if gates.training and not counts["training"]:
        found.append("There are no training items: people start with the work.")
    if counts["qualification"] < gates.qualification_items:
        found.append(
            f"The test asks for {gates.qualification_items} items and there are {counts['qualification']}: "
            "people are let in by those there are."
        )
    if (gates.gold_first or gates.gold_share) and not counts["gold"]:
        found.append("There are no gold items: none are given.")
    if gates.pause_below_gold and not (gates.gold_first or gates.gold_share):
        found.append("Gold is never given, so nobody is paused by it.")
    if gates.pause_below_consistency and not gates.repeat_share:
        found.append("Nothing is asked twice, so nobody is paused by repeats.")
    return found


@transaction.atomic
def change_arms(*, project: Project, arms: tuple[rules.Arm, ...], actor: User) -> rules.Rules:
    """Set the project's experiment arms; who is in an arm that stays, stays. Raises pydantic.ValidationError."""
    before = rules.of(project).arms
    changed = rules.change(project=project, arms=arms)
    audit.record(
        actor=actor,
        action="arms.changed",
        scope=project.slug,
        before=[arm.model_dump(mode="json") for arm in before],
        after=[arm.model_dump(mode="json") for arm in arms],
    )
    return changed


@transaction.atomic
def let_in(*, annotator: Annotator, actor: User) -> Annotator:
    """Let a person work whatever their test said. Takes the annotator's lock."""
    annotator = locks.lock_annotator(annotator.pk)
    if annotator.stage == Annotator.Stage.READY:
        return annotator
    before, annotator.stage = annotator.stage, Annotator.Stage.READY
    if annotator.status == Annotator.Status.ACTIVE:
        annotator.note = ""
    annotator.save(update_fields=["stage", "note"])
    audit.record(
        actor=actor,
        action="annotator.let_in",
        scope=annotator.project.slug,
        target=annotator.name,
        before=before,
    )
    return annotator
