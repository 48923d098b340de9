"""Changing who takes part: roles, removal, pauses, invitations. A project always keeps one owner.

Every locking query of this room stands here.
"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from app.accounts import audit
from app.accounts.models import User

from .models import Annotator, Invitation, Membership, Project


class LastOwner(ValueError):
    """The act would leave the project without an owner; nothing was changed."""

    def __init__(self):
        super().__init__("This is the project's only owner. Make somebody else an owner first.")


def _lock_memberships(project: Project) -> dict[int, Membership]:
    """Lock the project's memberships in primary-key order; returns them by id. Inside a transaction only."""
    rows = (
        Membership.objects.select_for_update(of=("self",))
        .select_related("user")
        .filter(project=project)
        .order_by("pk")
    )
    return {row.pk: row for row in rows}


def _check_owner_left(rows: dict[int, Membership], membership: Membership) -> None:
    others = [row for row in rows.values() if row.role == Membership.Role.OWNER and row.pk != membership.pk]
    if membership.role == Membership.Role.OWNER and not others:
        raise LastOwner


@transaction.atomic
def change_role(*, project: Project, membership_id: int, role: str, actor: User) -> Membership:
    """Give a member another role. Takes the locks of the project's memberships.

    Raises LastOwner if no owner would be left, Membership.DoesNotExist, ValueError for an unknown role.
    """
    if role not in Membership.Role.values:
        raise ValueError(f"role {role!r}: expected one of {', '.join(Membership.Role.values)}")
    rows = _lock_memberships(project)
    membership = rows.get(membership_id)
    if membership is None:
        raise Membership.DoesNotExist
    if membership.role == role:
        return membership
    if role != Membership.Role.OWNER:
        _check_owner_left(rows, membership)
    before, membership.role = membership.role, role
    membership.save(update_fields=["role"])
    audit.record(
        actor=actor,
        action="member.role_changed",
        scope=project.slug,
        target=membership.user.username,
        before=before,
        after=role,
    )
    return membership


@transaction.atomic
def remove_member(*, project: Project, membership_id: int, actor: User) -> str:
    """Take a person out of the project; their judgments stay. Takes the locks of the project's memberships.

    Returns the username. Raises LastOwner, Membership.DoesNotExist.
    """
    rows = _lock_memberships(project)
    membership = rows.get(membership_id)
    if membership is None:
        raise Membership.DoesNotExist
    _check_owner_left(rows, membership)
    username = membership.user.username
    membership.delete()
    audit.record(
        actor=actor, action="member.removed", scope=project.slug, target=username, role=membership.role
    )
    return username


class Quarantined(ValueError):
    """The person's judgments are in quarantine, and new ones would be too; nothing was changed."""

    def __init__(self):
        super().__init__("This person's judgments are in quarantine. Lift that before they go on.")


@transaction.atomic
def set_paused(*, annotator: Annotator, paused: bool, actor: User, note: str = "") -> Annotator:
    """Stop or go on giving a person items. What they hold or have judged stays.

    `note` says why, to the person. Who is resumed is paused again only for what they do from now on. Raises
    Quarantined for resuming somebody whose judgments are in quarantine. Takes the annotator's lock.
    """
    status = Annotator.Status.PAUSED if paused else Annotator.Status.ACTIVE
    project = annotator.project
    annotator = Annotator.objects.select_for_update().get(pk=annotator.pk)
    if annotator.status == status:
        return annotator
    if not paused and annotator.quarantined_at is not None:
        raise Quarantined
    annotator.status, annotator.note = status, note[:500] if paused else ""
    annotator.checked_since = None if paused else timezone.now()
    annotator.save(update_fields=["status", "note", "checked_since"])
    audit.record(
        actor=actor,
        action="annotator.paused" if paused else "annotator.resumed",
        scope=project.slug,
        target=annotator.name,
    )
    return annotator


@transaction.atomic
def revoke_invitation(*, invitation: Invitation, actor: User) -> Invitation:
    """Make an invitation's link useless; revoking twice changes nothing."""
    if invitation.revoked_at is not None:
        return invitation
    invitation.revoked_at = timezone.now()
    invitation.save(update_fields=["revoked_at"])
    audit.record(
        actor=actor,
        action="invitation.revoked",
        scope=invitation.project.slug,
        target=invitation.email or "link",
        role=invitation.role,
    )
    return invitation
