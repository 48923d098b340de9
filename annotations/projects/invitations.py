"""Inviting several people at once: links to hand over, and e-mails that carry one each."""

from __future__ import annotations

from dataclasses import dataclass, field
from smtplib import SMTPException

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext

from app.accounts import languages
from app.accounts.models import User

from . import setup
from .models import Membership, Project

LARGEST_BATCH = 50
NOWHERE = {f"django.core.mail.backends.{name}.EmailBackend" for name in ("console", "dummy")}
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Link:
    """An invitation's link; it exists only here and with its holder."""

    url: str
    role: str
    email: str = ""
    uses: int = 1
    sent: bool = False


@dataclass(slots=True)
class Invited:
    """What came of an invitation: links to show once, and how many e-mails left."""

    links: list[Link] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return sum(link.sent for link in self.links)

    @property
    def no_mail(self) -> bool:
        return not sends_mail()

    @property
    def to_show(self) -> list[Link]:
        """Links that nobody has received yet."""
        return [link for link in self.links if not link.sent]


def sends_mail() -> bool:
    """Whether e-mails leave this site: without a mail server they only stand on the console."""
    return settings.EMAIL_BACKEND not in NOWHERE


def join_url(token: str) -> str:
    """The absolute address behind a token."""
    return f"{settings.SITE_URL}{reverse('projects:join', args=[token])}"


def invite_people(
    *, project: Project, role: str, actor: User, emails: list[str] = (), link_uses: int = 0
) -> Invited:
    """Make an invitation for each e-mail address and send it, and one link for `link_uses` people if not 0.

    An e-mail that cannot be sent is no failure: its link is in `to_show`, to be handed over by hand.
    """
    invited = Invited()
    for email in emails[:LARGEST_BATCH]:
        _, token = setup.invite(project=project, role=role, actor=actor, email=email)
        url = join_url(token)
        sent = _send(email=email, url=url, project=project, role=role, actor=actor)
        invited.links.append(Link(url=url, role=role, email=email, sent=sent))
    if link_uses:
        _, token = setup.invite(project=project, role=role, actor=actor, uses=link_uses)
        invited.links.append(Link(url=join_url(token), role=role, uses=link_uses))
    return invited


def _language_of(email: str) -> str:
    """The language that who has this address chose here; else that of the site."""
    known = User.objects.filter(email__iexact=email).values_list("preferences", flat=True).first()
    chosen = known.get(languages.PREFERENCE) if isinstance(known, dict) else None
    return chosen if languages.is_known(chosen) else settings.LANGUAGE_CODE


def _send(*, email: str, url: str, project: Project, role: str, actor: User) -> bool:
    if not sends_mail():
        return False
    name = " ".join(project.name.split())
    with translation.override(_language_of(email)):
        if role == Membership.Role.ANNOTATOR:
            first = gettext("{who} invites you to judge responses in “{project}”.")
        else:
            first = gettext("{who} invites you to “{project}”. Your role will be {role}.")
        first = first.format(who=actor.shown_name, project=name, role=Membership.Role(role).label)
        last = gettext("The link works once, for {n} days.").format(n=setup.INVITATION_DAYS)
        subject = gettext("Invitation to {project}").format(project=name)[:200]
    try:
        return bool(EmailMessage(subject=subject, body=f"{first}\n\n{url}\n\n{last}\n", to=[email]).send())
    except (SMTPException, OSError, ValueError) as error:
        log.warning("invitation.not_sent", project=project.slug, error=str(error))
        return False
