"""Joining a project without an invitation, where its rules allow that; and parsing a panel's ids."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.http import QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _

from annotations.projects import rules
from annotations.projects.models import Membership, Project
from app.accounts import audit
from app.accounts.models import User

ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class BadIds(ValueError):
    """The panel's ids are missing or not valid; the text names the parameter."""


@dataclass(frozen=True, slots=True)
class Ids:
    """Who a panel says is coming: all three checked."""

    person: str
    study: str
    session: str


def read_ids(values: QueryDict, entry: rules.Entry) -> Ids:
    """The three ids from an address or a form. Raises BadIds."""
    found = []
    for name, needed in (
        (entry.person_parameter, True),
        (entry.study_parameter, bool(entry.study_ids)),
        (entry.session_parameter, True),
    ):
        given = values.getlist(name)
        if len(given) > 1:
            raise BadIds(_("{name}: given {n} times, expected once").format(name=name, n=len(given)))
        value = given[0] if given else ""
        if not value and not needed:
            found.append("")
        elif not ID.fullmatch(value):
            said = _("is missing") if not value else _("expected up to 64 letters, digits, dots, dashes")
            raise BadIds(f"{name}: {said}")
        else:
            found.append(value)
    return Ids(*found)


def may_join(project: Project) -> bool:
    """Whether anybody who signs in may join by the project's open address."""
    return project.status == Project.Status.ACTIVE and rules.of(project).entry.mode in {"open_link", "open"}


def addresses(project: Project) -> list[tuple[str, str]]:
    """(what it is for, address) of the ways in that are open now."""
    entry = rules.of(project).entry
    if entry.mode in {"open_link", "open"}:
        return [("Anybody joins here", settings.SITE_URL + reverse("people:join_open", args=[project.slug]))]
    if entry.mode in {"prolific", "panel"}:
        address = settings.SITE_URL + reverse(f"people:join_{entry.mode}", args=[project.slug])
        names = ("PROLIFIC_PID", "STUDY_ID", "SESSION_ID")
        own = (entry.person_parameter, entry.study_parameter, entry.session_parameter)
        query = "&".join(f"{mine}={{{{%{name}%}}}}" for mine, name in zip(own, names, strict=True))
        return [("The study's address, for the panel", f"{address}?{query}")]
    return []


@transaction.atomic
def change_entry(*, project: Project, entry: rules.Entry, privacy: rules.Privacy, actor: User) -> rules.Rules:
    """Set how people come in, and what becomes of the work of who is erased."""
    changed = rules.change(project=project, entry=entry, privacy=privacy)
    audit.record(
        actor=actor,
        action="project.entry_changed",
        scope=project.slug,
        target=project.name,
        mode=entry.mode,
        places=entry.places,
        **privacy.model_dump(),
    )
    return changed


@transaction.atomic
def join_openly(*, project: Project, user: User) -> Membership | None:
    """Make the person an annotator of a project that is open; members keep their role. None where it is not open."""
    known = Membership.objects.filter(project=project, user=user).first()
    if known is not None:
        return known
    if user.is_guest or not may_join(project):
        return None
    membership, made = Membership.objects.get_or_create(
        project=project, user=user, defaults={"role": Membership.Role.ANNOTATOR}
    )
    if made:
        audit.record(
            actor=user, action="member.joined", scope=project.slug, target=user.username, role=membership.role
        )
    return membership


def open_projects(user: User) -> list[Project]:
    """Projects with open sign-up that the person is no member of, by name; at most 50."""
    if user.is_guest:
        return []
    found = Project.objects.filter(status=Project.Status.ACTIVE, rules__entry__mode="open")
    return list(found.exclude(memberships__user=user).order_by("name", "pk")[:50])
