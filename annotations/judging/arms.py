"""Experiment arms: who is drawn into which, and what the page shows under it.

A project without arms pays one look at its rules. A person stays in their arm; the draw is random by the project's
seed and keeps the arms as full as their weights say.
"""

from __future__ import annotations

import hashlib

from django.db import transaction
from django.db.models import Count

from annotations.projects import rules
from annotations.projects.models import Annotator, CriteriaRelease, Project, TaskSchema

from . import locks


def has_arms(project: Project) -> bool:
    """Whether the project runs an experiment; costs no query."""
    return bool(project.rules.get("arms"))


def arm_of(annotator: Annotator) -> rules.Arm | None:
    """The person's arm; None without an experiment, and before they were drawn."""
    if not has_arms(annotator.project):
        return None
    return next((arm for arm in rules.of(annotator.project).arms if arm.name == annotator.arm), None)


def draw(annotator: Annotator) -> Annotator:
    """Draw the person into an arm unless they are in one; sets and returns the annotator passed.

    Among the arms that are emptiest for their weight, one by a hash of the project's seed and the person. Takes the
    annotator's lock, then the project's, in a transaction of its own: no item is locked meanwhile.
    """
    if not has_arms(annotator.project) or arm_of(annotator) is not None:
        return annotator
    with transaction.atomic():
        person = locks.lock_annotator(annotator.pk)
        project = locks.lock_project(annotator.project_id)
        arms = rules.of(project).arms
        if arms and person.arm not in {arm.name for arm in arms}:
            rows = Annotator.objects.filter(project=project).exclude(arm="").order_by().values_list("arm")
            filled = dict(rows.annotate(n=Count("pk")))
            person.arm = choose(arms, filled, f"{project.seed}:{person.pk}").name
            person.save(update_fields=["arm"])
    annotator.arm = person.arm
    return annotator


def choose(arms: tuple[rules.Arm, ...], filled: dict[str, int], key: str) -> rules.Arm:
    """The arm for the next person: of those emptiest for their weight, one by the hash of `key`. Pure."""
    share = {arm.name: filled.get(arm.name, 0) / arm.weight for arm in arms}
    emptiest = [arm for arm in arms if share[arm.name] == min(share.values())]
    place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % len(emptiest)
    return emptiest[place]


def schema_id_for(annotator: Annotator) -> int | None:
    """The version of the questions this person is asked: of their arm, else the project's."""
    arm = arm_of(annotator)
    if arm is None or arm.schema_number is None:
        return annotator.project.schema_id
    versions = TaskSchema.objects.filter(project=annotator.project_id, number=arm.schema_number)
    return versions.values_list("pk", flat=True).first() or annotator.project.schema_id


def criteria_for(annotator: Annotator) -> CriteriaRelease | None:
    """The released criteria shown to this person: the newest, where their arm has them."""
    arm = arm_of(annotator)
    if arm is None or not arm.criteria:
        return None
    return CriteriaRelease.objects.filter(project=annotator.project_id).order_by("-number").first()
