"""Making a project, and letting people in."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.db.models import F, Max
from django.utils import timezone
from django.utils.text import slugify

from app.accounts import audit
from app.accounts.models import User
from app.ledger.models import Account

from . import schemas
from .models import Guideline, Invitation, Membership, Project

INVITATION_DAYS = 14


class InvitationError(ValueError):
    """The invitation cannot be used; the text says why."""


def free_slug(name: str) -> str:
    """A slug made from the name that no project has yet."""
    base = slugify(name)[:60] or "project"
    slug, number = base, 1
    while Project.everything.filter(slug=slug).exists():
        number += 1
        slug = f"{base}-{number}"
    return slug


@transaction.atomic
def create_project(
    *,
    name: str,
    owner: User | None,
    definition: dict,
    slug: str = "",
    description: str = "",
    guidelines: str = "",
    overlap: int = 1,
    currency: str = "EUR",
    cap: Decimal = Decimal(0),
    human_cost: Decimal = Decimal(0),
    seed: int | None = None,
) -> Project:
    """Make a project with its ledger account, first schema version, guidelines and owner.

    Raises pydantic.ValidationError for a definition that is not valid, IntegrityError for a slug that is taken.
    """
    account = Account.objects.create(name=name, currency=currency, cap_micros=int(cap * 1_000_000))
    project = Project.objects.create(
        slug=slug or free_slug(name),
        name=name,
        description=description,
        overlap=overlap,
        account_id=account.pk,
        human_cost=human_cost,
        seed=secrets.randbits(31) if seed is None else seed,
        created_by=owner,
    )
    schemas.use_schema(
        project=project, schema=schemas.add_schema(project=project, definition=definition, actor=owner)
    )
    if guidelines.strip():
        add_guideline(project=project, text=guidelines, actor=owner)
    if owner is not None:
        Membership.objects.create(project=project, user=owner, role=Membership.Role.OWNER)
    audit.record(actor=owner, action="project.created", scope=project.slug, target=project.name)
    return project


def add_guideline(*, project: Project, text: str, actor: User | None = None) -> Guideline:
    """Add a version of the guidelines; the same text as the latest version adds nothing."""
    for _ in range(5):
        latest = Guideline.objects.filter(project=project).order_by("-number").first()
        if latest is not None and latest.text == text:
            return latest
        try:
            with transaction.atomic():
                number = (Guideline.objects.filter(project=project).aggregate(n=Max("number"))["n"] or 0) + 1
                return Guideline.objects.create(project=project, number=number, text=text, created_by=actor)
        except IntegrityError:
            continue
    raise RuntimeError("could not number the guidelines after five tries")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def invite(
    *, project: Project, role: str, actor: User | None, email: str = "", uses: int = 1
) -> tuple[Invitation, str]:
    """Make an invitation; returns it with the token for its link, which is shown once and not stored."""
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        project=project,
        role=role,
        email=email,
        token_hash=_hash(token),
        created_by=actor,
        uses_left=uses,
        expires_at=timezone.now() + timedelta(days=INVITATION_DAYS),
    )
    audit.record(actor=actor, action="invitation.made", scope=project.slug, target=email or "link", role=role)
    return invitation, token


def find_invitation(token: str) -> Invitation:
    """The usable invitation behind a token. Raises InvitationError if it is unknown, used up, revoked or old."""
    invitation = Invitation.objects.select_related("project").filter(token_hash=_hash(token)).first()
    if invitation is None or invitation.revoked_at is not None or invitation.project.deleted_at is not None:
        raise InvitationError("This invitation is not valid. Ask for a new link.")
    if invitation.expires_at < timezone.now():
        raise InvitationError("This invitation has expired. Ask for a new link.")
    if invitation.uses_left < 1:
        raise InvitationError("This invitation was used already. Ask for a new link.")
    return invitation


@transaction.atomic
def accept_invitation(*, token: str, user: User) -> Membership:
    """Make the person a member with the invitation's role; a member keeps the role they have.

    Raises InvitationError if it cannot be used. The conditional UPDATE keeps `uses_left` from being overrun.
    """
    invitation = find_invitation(token)
    if user.is_guest:
        raise InvitationError("Sign out first: this visit is for one study only.")
    known = Membership.objects.filter(project=invitation.project, user=user).first()
    if known is not None:
        return known
    if not Invitation.objects.filter(pk=invitation.pk, uses_left__gt=0).update(uses_left=F("uses_left") - 1):
        raise InvitationError("This invitation was used already. Ask for a new link.")
    membership = Membership.objects.create(project=invitation.project, user=user, role=invitation.role)
    audit.record(
        actor=user,
        action="member.joined",
        scope=invitation.project.slug,
        target=user.username,
        role=invitation.role,
    )
    return membership
