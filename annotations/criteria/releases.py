"""Releases: the set of wordings that judging pages and models' prompts use, published and taken back.

An older set is released again under a new number, so that what was judged under each stays attributed to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Max

from annotations.projects.models import CriteriaRelease, Project
from app.accounts import audit

from .lab import BadCriterion
from .models import CriterionVersion, ReleasedSet


@transaction.atomic
def release(
    *,
    project: Project,
    members: Sequence[dict],
    report: dict,
    note: str = "",
    back_to=None,
    actor=None,
    alarms: Sequence[str] = (),
    override: str = "",
) -> CriteriaRelease:
    """Publish wordings: [{criterion, version, grader, weight}] by id. Prompts made from now on and the judging page use
    them. `alarms` stood and a person overrode them: the audit log says why. Raises BadCriterion for an empty set. Locks
    the project's row."""
    if not members:
        raise BadCriterion("members", "Choose at least one criterion.")
    Project.objects.select_for_update().get(pk=project.pk)
    versions = CriterionVersion.objects.select_related("criterion").in_bulk([m["version"] for m in members])
    number = (CriteriaRelease.objects.filter(project=project).aggregate(n=Max("number"))["n"] or 0) + 1
    made = CriteriaRelease.objects.create(
        project=project,
        number=number,
        criteria=[
            {
                "name": versions[m["version"]].criterion.name,
                "wording": wording_of(versions[m["version"]]),
                "version": versions[m["version"]].number,
            }
            for m in members
        ],
    )
    ReleasedSet.objects.create(
        release=made,
        members=list(members),
        report={**report, "alarms": list(alarms), "override": override[:1000]} if alarms else report,
        note=note[:300],
        back_to=back_to,
        released_by=actor,
    )
    audit.record(
        actor=actor, action="criteria.released", scope=project.slug, target=f"release {number}",
        criteria=[row["name"] for row in made.criteria], back_to=back_to.number if back_to else None,
        **({"alarms": list(alarms), "override": override[:1000]} if alarms else {}),
    )  # fmt: skip
    return made


def wording_of(version: CriterionVersion) -> str:
    """The wording as prompts and people read it, with when it applies."""
    return (
        f"{version.wording} Applies when: {version.applies_when}" if version.applies_when else version.wording
    )


def roll_back(*, project: Project, to: CriteriaRelease, actor=None) -> CriteriaRelease:
    """Release an older set again, as a new number: what was judged under the newer one stays attributed to it."""
    old = ReleasedSet.objects.filter(release=to, release__project=project).first()
    if old is None:
        raise BadCriterion("release", "This release did not come from the lab.")
    return release(
        project=project, members=old.members, report=old.report, note=f"Back to release {to.number}", back_to=to,
        actor=actor,
    )  # fmt: skip
