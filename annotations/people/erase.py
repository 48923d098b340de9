"""Erasing a person: the account goes, and their work stays under an irreversible pseudonym or goes too.

What it means is said in `WHAT_STAYS`, on the page and by the command. Every step may be run again after a crash.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from annotations.judging import locks, log, queue
from annotations.judging.give_back import give_back
from annotations.judging.models import Assignment, Judgment
from annotations.projects import rules
from annotations.projects.models import Annotator, Invitation, Membership, Project
from app.accounts import audit
from app.accounts.models import AuditEvent, User

from . import pay
from .models import Consent, Participant, PayLine, Tally

AT_ONCE = 500
_rooms_above: list[Callable[[Project], None]] = []
WHAT_STAYS = gettext_lazy(
    "Frozen datasets that were made before keep their rows, under a pseudonym that leads to nobody any more. "
    "Amounts of money stay in the books without a name. What you wrote in reasons stays with judgments that stay."
)


def forget_with(forget: Callable[[Project], None]) -> None:
    """Register what a room above forgets of a project's people once one of them was erased; it may be called again."""
    if forget not in _rooms_above:
        _rooms_above.append(forget)


class CannotErase(ValueError):
    """The person cannot be erased now; the text says why. Nothing was changed."""


@dataclass(slots=True)
class Erased:
    """What was erased, in numbers only."""

    projects: int = 0
    pseudonymised: int = 0
    """Judgments that stay, under a pseudonym."""
    deleted: int = 0
    """Judgments that were deleted."""
    kept_for_review: int = 0
    """Judgments that a reviewer made final: kept under a pseudonym whatever the policy."""

    def as_dict(self) -> dict:
        return asdict(self)


def check(user: User) -> None:
    """Raise CannotErase for the only owner of a project and for the only site admin."""
    mine = Membership.objects.filter(user=user, role=Membership.Role.OWNER)
    alone = [
        row.project.name
        for row in mine.select_related("project").order_by("project__name")
        if not Membership.objects.filter(project=row.project_id, role=Membership.Role.OWNER)
        .exclude(user=user)
        .exists()
    ]
    if alone:
        raise CannotErase(
            gettext("Make somebody else an owner first: {projects}.").format(projects=", ".join(alone[:10]))
        )
    if user.is_staff and not User.objects.filter(is_staff=True, is_active=True).exclude(pk=user.pk).exists():
        raise CannotErase(gettext("This is the only site admin."))


def request(*, user: User) -> None:
    """End everything the person could still do: sign-in, tokens, sessions. The erasure itself follows as a job."""
    check(user)
    with transaction.atomic():
        user.is_active = False
        user.set_unusable_password()
        user.save(update_fields=["is_active", "password"])
        user.auth_token_set.all().delete()
    _end_sessions(user.pk)


def _end_sessions(user_id: int) -> None:
    for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator(AT_ONCE):
        if session.get_decoded().get("_auth_user_id") == str(user_id):
            session.delete()


def erase(*, user: User, actor: User | None = None) -> Erased:
    """Erase the person from every project and delete the account. Raises CannotErase.

    Their work in each project is settled and paid first. Takes the locks of each annotator and their items.
    """
    check(user)
    done = Erased()
    names = {user.username, user.email, user.display_name} - {""}
    for annotator in Annotator.objects.filter(user=user).select_related("project").order_by("pk"):
        names.add(annotator.name)
        done.projects += 1
        _erase_annotator(annotator, done)
    with transaction.atomic():
        _forget_in_log(user, names)
        Invitation.objects.filter(email__iexact=user.email).exclude(email="").update(email="")
        user_id = user.pk
        user.delete()
        audit.record(
            actor=actor if actor is not None and actor.pk != user_id else None,
            action="person.erased",
            target="somebody",
            **done.as_dict(),
        )
    _end_sessions(user_id)
    return done


def _forget_in_log(user: User, names: set[str]) -> None:
    """Take the person's names out of the audit log; that they stand there is the one reason to change it."""
    AuditEvent.objects.filter(target__in=names).update(target="somebody who was erased")
    for event in AuditEvent.objects.filter(actor=user).iterator(AT_ONCE):
        kept = {key: value for key, value in event.detail.items() if str(value) not in names}
        if kept != event.detail:
            AuditEvent.objects.filter(pk=event.pk).update(detail=kept)


def forget_due(now: datetime | None = None) -> int:
    """Erase everybody from projects that were archived as long ago as their rules keep people; returns how many.

    Accounts stay: this is about the one project. Owners and researchers are forgotten as judges, and stay members.
    """
    now, n = now or timezone.now(), 0
    archived = Project.everything.filter(status=Project.Status.ARCHIVED, archived_at__lt=now)
    for project in archived.filter(rules__privacy__keep_people_days__gte=1).order_by("pk"):
        if project.archived_at + timedelta(days=rules.of(project).privacy.keep_people_days) > now:
            continue
        people = Annotator.objects.filter(project=project, kind=Annotator.Kind.HUMAN)
        done = Erased(projects=1)
        for annotator in people.exclude(user=None).select_related("project").order_by("pk"):
            _erase_annotator(annotator, done)
            n += 1
        if done.pseudonymised or done.deleted:
            audit.record(actor=None, action="people.forgotten", scope=project.slug, **done.as_dict())
    return n


def _erase_annotator(annotator: Annotator, done: Erased) -> None:
    pay.settle(annotator_id=annotator.pk)
    with transaction.atomic():
        person = locks.lock_annotator(annotator.pk)
        Annotator.objects.filter(pk=person.pk).update(status=Annotator.Status.REMOVED)
        held = Assignment.objects.filter(annotator=person, state=Assignment.State.LEASED)
        for lease in held.order_by("item_id").values_list("pk", flat=True):
            queue.release(assignment_id=lease, annotator=person)
    if rules.of(annotator.project).privacy.erase == "delete":
        _delete_work(annotator, done)
    done.pseudonymised += Judgment.objects.filter(annotator=annotator).count()
    with transaction.atomic():
        person = locks.lock_annotator(annotator.pk)
        alias = secrets.token_hex(6)
        Assignment.objects.filter(annotator=person).update(draft=None, drafted_at=None)
        Consent.objects.filter(annotator=person).delete()
        PayLine.objects.filter(annotator=person).update(note="")
        _forget_participant(person, alias)
        person.name, person.pseudonym, person.user = f"erased {alias}", uuid.uuid4(), None
        person.note, person.tags, person.meta = "", [], {}
        person.save(update_fields=["name", "pseudonym", "user", "note", "tags", "meta"])
    for forget in _rooms_above:
        forget(annotator.project)


def _forget_participant(person: Annotator, alias: str) -> None:
    participant = Participant.objects.filter(annotator=person).first()
    if participant is None:
        return
    for number, place in enumerate(participant.places.order_by("pk")):
        place.session, place.study = f"erased-{alias}-{number}", ""
        place.save(update_fields=["session", "study"])
    participant.person, participant.binding = f"erased-{alias}", secrets.token_hex(32)
    participant.save(update_fields=["person", "binding"])


def _delete_work(annotator: Annotator, done: Erased) -> None:
    """Delete the person's judgments and assignments, the newest first, and bring the counters in line.

    A judgment that supersedes another has the higher id, so no batch leaves one that points to nothing.
    """
    give_back(annotator=annotator)
    reviewed = Judgment.objects.filter(annotator=annotator, review__isnull=False).values("pk")
    kept = set(reviewed.values_list("pk", flat=True))
    for pk in list(kept):  # and what such a judgment replaced
        before = Judgment.objects.filter(superseded_by=pk).values_list("pk", flat=True).first()
        while before is not None and before not in kept:
            kept.add(before)
            before = Judgment.objects.filter(superseded_by=before).values_list("pk", flat=True).first()
    done.kept_for_review += len(kept)
    while True:
        with transaction.atomic():
            locks.lock_annotator(annotator.pk)
            mine = Judgment.objects.filter(annotator=annotator).exclude(pk__in=kept)
            batch = list(mine.order_by("-pk").values_list("pk", flat=True)[:AT_ONCE])
            if not batch:
                break
            rows = Judgment.objects.filter(pk__in=batch)
            log.note_erased(batch)
            rows.update(supersedes=None)
            Judgment.objects.filter(supersedes__in=batch).update(supersedes=None)
            rows.delete()
            done.deleted += len(batch)
    Tally.objects.filter(annotator=annotator).delete()
    Assignment.objects.filter(annotator=annotator).exclude(
        item__in=Judgment.objects.filter(annotator=annotator).values("item")
    ).delete()
