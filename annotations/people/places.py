"""Places in a study: coming in from a panel, ending, giving back. One person of a panel is one annotator.

Threat model: the panel's ids stand in an address and are no secret. So the first visit binds the person's id to a
random text in a signed cookie of that browser, and only its holder comes back as that person. See docs/decisions.md.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext

from annotations.judging import give_back as judged
from annotations.judging import locks, queue
from annotations.judging.counters import ANSWERS
from annotations.judging.models import Assignment, Judgment
from annotations.judging.pages import left_for
from annotations.projects import rules
from annotations.projects.models import Annotator, Membership, Project
from app.accounts import audit
from app.accounts.models import User
from app.web.prepared import Prepared

from .models import Participant, Place

ENDED_BY_RESEARCHER = {Place.State.RETURNED, Place.State.TIMED_OUT}
NO_ITEMS = (Judgment.Aside.TRAINING, Judgment.Aside.QUALIFICATION, Judgment.Aside.REVIEW)


class Refused(Exception):
    """The person is not let in; the text says why, in words for the person. `code` is for the panel, if any."""

    def __init__(self, message: str, code: str = ""):
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Entered:
    """Who came in, their place, and the text for the browser's cookie."""

    user: User
    place: Place
    secret: str


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest() if secret else ""


def enter(*, project: Project, person: str, study: str, session: str, secret: str = "") -> Entered:
    """Let a person of a panel in: find or make them, and their place for this session.

    `secret` is what this browser's cookie holds, empty for a first visit. The same session again gives the same
    place. Raises Refused: another browser came first with this person or session, the study is not one of
    the project's, or all places are taken. Takes the project's row lock, so that places are counted one by one.
    """
    entry = rules.of(project).entry
    if entry.mode not in {"prolific", "panel"} or project.status != Project.Status.ACTIVE:
        raise Refused(gettext("This study takes nobody in at the moment."), entry.late_code)
    if entry.study_ids and study not in entry.study_ids:
        raise Refused(
            gettext("This address belongs to no study of this project. Go back and open the study again.")
        )
    replaced = None
    try:
        with transaction.atomic():
            Project.objects.select_for_update().get(pk=project.pk)
            participant = Participant.objects.filter(project=project, person=person).first()
            place = (
                Place.objects.filter(project=project, session=session).select_related("participant").first()
            )
            if place is not None and place.participant.person != person:
                raise Refused(
                    gettext("This session belongs to somebody else. Go back and open the study again.")
                )
            if participant is None:
                _check_room(project, entry)
                secret = secrets.token_urlsafe(32)
                participant = _make_participant(project, person, secret)
            elif not participant.binding:
                secret = secrets.token_urlsafe(32)
                participant.binding = _hash(secret)
                participant.save(update_fields=["binding"])
            elif not hmac.compare_digest(participant.binding, _hash(secret)):
                raise Refused(
                    gettext(
                        "This place was opened in another browser. Go on there, or write to the researcher through "
                        "the panel: they can let you in here."
                    )
                )
            if place is None:
                replaced = Place.objects.filter(participant=participant, state=Place.State.ACTIVE).first()
                if replaced is None:
                    place = _open(project, participant, study, session, entry)
    except IntegrityError:
        raise Refused(gettext("Somebody came in with these ids just now. Open the study again.")) from None
    if replaced is not None:
        end(place=replaced, state=Place.State.RETURNED)
        return enter(project=project, person=person, study=study, session=session, secret=secret)
    annotator = Annotator.objects.select_related("project", "user").get(pk=participant.annotator_id)
    if place.state == Place.State.ACTIVE and not left_for(annotator):
        place = finish_without_work(place, annotator)
    return Entered(annotator.user, place, secret)


def _check_room(project: Project, entry: rules.Entry) -> None:
    if entry.places is None:
        return
    taken = Place.objects.filter(
        project=project, state__in=[Place.State.ACTIVE, Place.State.COMPLETE]
    ).count()
    if taken >= entry.places:
        raise Refused(
            gettext("All places of this study are taken. Thank you for coming; use this code to go back."),
            entry.late_code or entry.screenout_code,
        )


def _make_participant(project: Project, person: str, secret: str) -> Participant:
    """A person without a password who is a member of this project alone."""
    user = User(username=f"guest-{secrets.token_hex(8)}", is_guest=True)
    user.set_unusable_password()
    user.save()
    Membership.objects.create(project=project, user=user, role=Membership.Role.ANNOTATOR)
    annotator = Annotator.objects.create(
        project=project, user=user, kind=Annotator.Kind.HUMAN, name=f"panel {person}"
    )
    return Participant.objects.create(
        project=project, person=person, annotator=annotator, binding=_hash(secret)
    )


def _open(project: Project, participant: Participant, study: str, session: str, entry: rules.Entry) -> Place:
    if participant.places.exists():
        _check_room(project, entry)
    annotator = Annotator.objects.get(pk=participant.annotator_id)
    if annotator.status == Annotator.Status.REMOVED:  # came back after giving a place back
        Annotator.objects.filter(pk=annotator.pk).update(status=Annotator.Status.ACTIVE)
    highest = Judgment.objects.filter(annotator=annotator).aggregate(n=Max("pk"))["n"] or 0
    return Place.objects.create(
        project=project,
        participant=participant,
        study=study,
        session=session,
        wanted=entry.items_per_place,
        judged_before=highest,
    )


# --- While somebody works -----------------------------------------------------------------------------------
_LATEST = Prepared(
    lambda annotator: Place.objects.filter(participant__annotator=annotator).order_by("-pk")[:1]
)


def latest(annotator: Annotator) -> Place | None:
    """The person's newest place; None for members who did not come from a panel."""
    return _LATEST.first(annotator=annotator.pk)


def judged_in(place: Place, annotator_id: int) -> int:
    """Items answered since the place began: each once, whatever was corrected; training and tests are none."""
    given = Judgment.objects.filter(
        annotator=annotator_id, pk__gt=place.judged_before, outcome__in=ANSWERS
    ).exclude(aside__in=NO_ITEMS)
    return given.values("item_id", "occasion").distinct().count()


def finish_if_over(place: Place, annotator: Annotator) -> Place:
    """End an active place whose items are judged, or whose person is out."""
    out = annotator.status == Annotator.Status.PAUSED or annotator.stage == Annotator.Stage.FAILED
    if out:
        return end(place=place, state=Place.State.SCREENED_OUT)
    if place.wanted is not None and judged_in(place, annotator.pk) >= place.wanted:
        return end(place=place, state=Place.State.COMPLETE)
    return place


def finish_without_work(place: Place, annotator: Annotator) -> Place:
    """End an active place because the queue has nothing; it is complete where no number was asked for."""
    if place.state != Place.State.ACTIVE:
        return place
    enough = place.wanted is None and judged_in(place, annotator.pk) > 0
    return end(place=place, state=Place.State.COMPLETE if enough else Place.State.NO_WORK)


def code_for(project: Project, state: str) -> str:
    """The code a person is shown when a place ends so."""
    entry = rules.of(project).entry
    codes = {
        Place.State.COMPLETE: entry.completion_code,
        Place.State.SCREENED_OUT: entry.screenout_code,
        Place.State.NO_WORK: entry.late_code or entry.screenout_code,
    }
    return codes.get(state, "")


def return_address(place: Place) -> str:
    """Where the person goes with their code; empty where there is no code or no address."""
    address = rules.of(place.project).entry.completion_url
    return address.replace("{code}", place.code) if place.code and address else ""


def end(*, place: Place, state: str, actor: User | None = None, give_back: bool = False) -> Place:
    """End a place: its leases go back, and with `give_back` its judgments are put aside and their items reopen.

    An active place ends once, however many ask at once. A returned or timed-out place takes the person out, also
    where it had ended otherwise before (the panel knows better). Takes the annotator's lock, then the items'.
    """
    takes_out = state in ENDED_BY_RESEARCHER
    with transaction.atomic():
        annotator = locks.lock_annotator(place.participant.annotator_id)
        may_end = Place.objects.filter(pk=place.pk)
        may_end = may_end.exclude(state=state) if takes_out else may_end.filter(state=Place.State.ACTIVE)
        ended = may_end.update(
            state=state,
            ended_at=timezone.now(),
            ended_by=actor,
            judged=judged_in(place, annotator.pk),
            code=code_for(annotator.project, state),
        )
        owes = takes_out and give_back and Place.objects.filter(pk=place.pk, given_back=None).exists()
        if ended or owes:
            held = Assignment.objects.filter(annotator=annotator, state=Assignment.State.LEASED)
            for lease in held.order_by("item_id").values_list("pk", flat=True):
                queue.release(assignment_id=lease, annotator=annotator)
            later = Place.objects.filter(participant=place.participant_id, pk__gt=place.pk)
            if takes_out and not later.exists():
                Annotator.objects.filter(pk=annotator.pk).update(status=Annotator.Status.REMOVED)
            if give_back:
                last = later.order_by("pk").values_list("judged_before", flat=True).first()
                n = judged.give_back(annotator=annotator, after=place.judged_before, until=last)
                Place.objects.filter(pk=place.pk).update(given_back=n)
            if actor is not None:
                audit.record(
                    actor=actor,
                    action="place.ended",
                    scope=annotator.project.slug,
                    target=place.session,
                    state=state,
                    give_back=give_back,
                )
    return Place.objects.select_related("participant", "project").get(pk=place.pk)


def unbind(*, participant: Participant, actor: User) -> Participant:
    """Let the next browser that comes with this person's ids be theirs."""
    with transaction.atomic():
        participant.binding = ""
        participant.save(update_fields=["binding"])
        audit.record(
            actor=actor,
            action="participant.unbound",
            scope=participant.project.slug,
            target=participant.person,
        )
    return participant
