"""What a person may see and take away of themselves: figures by project, and a file with everything of theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Count, Exists, OuterRef, Q, Sum
from knox.models import AuthToken

from annotations.judging import pages
from annotations.judging.counters import ANSWERS
from annotations.judging.models import Assignment, Check, Judgment
from annotations.judging.serializers import OwnJudgment
from annotations.projects import rules
from annotations.projects.models import Acknowledgement, Annotator, Membership, Project
from app.accounts.models import AuditEvent, User

from . import wages
from .earnings import HOUR_MS
from .models import Consent, PayLine, Place

FEWEST_REPEATS = 5  # fewer say nothing about a person
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class OwnFigures:
    """A person's work in one project."""

    annotator: Annotator
    answered: int
    skipped: int
    flagged: int
    active_ms: int
    timed: int
    """Answers whose active time is known."""
    repeats: int
    consistent: int
    pay: wages.Pay | None

    @property
    def hours(self) -> float:
        return self.active_ms / HOUR_MS

    @property
    def per_hour(self) -> float | None:
        """Answers an active hour, over those with a known time; None below a minute."""
        return self.timed / self.hours if self.active_ms >= 60_000 else None


def figures_of(user: User) -> list[OwnFigures]:
    """One row for each project the person has done something in, by name."""
    found = []
    people = Annotator.objects.filter(user=user).select_related("project").order_by("project__name", "pk")
    for annotator in people:
        counts = (
            Judgment.objects.filter(annotator=annotator)
            .exclude(origin=Judgment.Origin.IMPORT)
            .aggregate(
                answered=Count("pk", filter=Q(outcome__in=ANSWERS, supersedes=None)),
                skipped=Count("pk", filter=Q(outcome=Judgment.Outcome.SKIPPED)),
                flagged=Count("pk", filter=Q(outcome=Judgment.Outcome.FLAGGED)),
                time=Sum("active_ms", default=0),
                timed=Count("pk", filter=Q(outcome__in=ANSWERS, active_ms__gt=0)),
            )
        )
        paid = annotator.project.rules.get("pay") or annotator.pay_lines.exists()
        if not (paid or counts["answered"] or counts["skipped"] or counts["flagged"]):
            continue
        repeats = Check.objects.filter(annotator=annotator, kind=Judgment.Aside.REPEAT).aggregate(
            n=Count("pk"), passed=Count("pk", filter=Q(passed=True))
        )
        found.append(
            OwnFigures(
                annotator=annotator,
                active_ms=counts.pop("time"),
                repeats=repeats["n"] if repeats["n"] >= FEWEST_REPEATS else 0,
                consistent=repeats["passed"],
                pay=wages.pay_of(annotator) if paid else None,
                **counts,
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class Policy:
    """What a project does with a person's judgments when the person is erased: `pseudonym` or `delete`."""

    project: Project
    policy: str


def policies_of(user: User) -> list[Policy]:
    """The policy of each project the person judged in, by name."""
    people = Annotator.objects.filter(user=user).select_related("project").order_by("project__name", "pk")
    return [Policy(row.project, rules.of(row.project).privacy.erase) for row in people]


def export(user: User) -> Iterator[str]:
    """Everything of the person as one JSON document, in pieces: account, memberships, consents, pay, work.

    Judgments stand in the order their responses were shown, without what would tell gold items from others.
    """
    yield '{"format": "plumbline-own-data-1",\n"account": ' + _json(_account(user))
    for name, rows in (
        ("memberships", _memberships(user)),
        ("consents", _consents(user)),
        ("guidelines_read", _acknowledgements(user)),
        ("places", _places(user)),
        ("pay", _pay(user)),
        ("drafts", _drafts(user)),
        ("acts", _acts(user)),
        ("judgments", _judgments(user)),
    ):
        yield f',\n"{name}": ['
        between = "\n"
        for row in rows:
            yield between + _json(row)
            between = ",\n"
        yield "]"
    yield "}\n"


def _json(value) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)


def _account(user: User) -> dict:
    names = (
        "username",
        "email",
        "display_name",
        "first_name",
        "last_name",
        "preferences",
        "date_joined",
        "last_login",
    )
    tokens = AuthToken.objects.filter(user=user).select_related("label").order_by("created")
    return {
        **{name: getattr(user, name) for name in names},
        "emails": list(user.emailaddress_set.order_by("pk").values("email", "verified", "primary")),
        "connected": list(user.socialaccount_set.order_by("pk").values("provider", "uid", "extra_data")),
        "tokens": [
            {"name": getattr(getattr(token, "label", None), "name", ""), "created": token.created}
            for token in tokens
        ],
    }


def _memberships(user: User) -> Iterator[dict]:
    rows = Membership.objects.filter(user=user).select_related("project").order_by("pk")
    people = {row.project_id: row for row in Annotator.objects.filter(user=user)}
    for row in rows:
        person = people.get(row.project_id)
        yield {
            "project": row.project.slug,
            "role": row.role,
            "since": row.created_at,
            "name": person and person.name,
            "pseudonym": person and person.pseudonym,
            "tags": person.tags if person else [],
            "status": person and person.status,
            "note": person.note if person else "",
        }


def _consents(user: User) -> Iterator[dict]:
    rows = Consent.objects.filter(annotator__user=user).select_related("text__project").order_by("pk")
    for row in rows.iterator(AT_ONCE):
        yield {"project": row.text.project.slug, "text": row.text.text, "at": row.at}


def _acknowledgements(user: User) -> Iterator[dict]:
    rows = Acknowledgement.objects.filter(annotator__user=user).select_related("guideline__project")
    for row in rows.order_by("pk").iterator(AT_ONCE):
        yield {"project": row.guideline.project.slug, "version": row.guideline.number, "at": row.at}


def _places(user: User) -> Iterator[dict]:
    rows = Place.objects.filter(participant__annotator__user=user).select_related("participant", "project")
    for row in rows.order_by("pk").iterator(AT_ONCE):
        yield {
            "project": row.project.slug, "person": row.participant.person, "study": row.study,
            "session": row.session, "state": row.state, "judged": row.judged, "code": row.code,
            "started_at": row.started_at, "ended_at": row.ended_at,
        }  # fmt: skip


def _pay(user: User) -> Iterator[dict]:
    rows = PayLine.objects.filter(annotator__user=user).select_related("annotator__project").order_by("pk")
    for row in rows.iterator(AT_ONCE):
        yield {
            "project": row.annotator.project.slug, "kind": row.kind, "earned": row.earned, "paid": row.paid,
            "items": row.items, "active_ms": row.active_ms, "note": row.note, "at": row.created_at,
        }  # fmt: skip


def _drafts(user: User) -> Iterator[dict]:
    rows = Assignment.objects.filter(annotator__user=user, draft__isnull=False).select_related(
        "item__project"
    )
    for row in rows.order_by("pk").iterator(AT_ONCE):
        yield {
            "project": row.item.project.slug, "item": str(row.item_id), "draft": row.draft, "at": row.drafted_at,
        }  # fmt: skip


def _acts(user: User) -> Iterator[dict]:
    rows = AuditEvent.objects.filter(actor=user).order_by("pk")
    yield from rows.values("at", "action", "scope", "target", "detail").iterator(AT_ONCE)


def _judgments(user: User) -> Iterator[dict]:
    for annotator in Annotator.objects.filter(user=user).select_related("project").order_by("pk"):
        rows = (
            Judgment.objects.filter(annotator=annotator)
            .select_related("annotator", "schema", "guideline", "supersedes", "item")
            .prefetch_related("comparisons", "scores")
            .annotate(is_latest=~Exists(Judgment.objects.filter(supersedes=OuterRef("pk"))))
            .order_by("pk")
        )
        for row in rows.iterator(AT_ONCE):
            yield {
                "project": annotator.project.slug,
                "prompt": pages.first_words(row.item.prompt),
                **OwnJudgment(row).data,
            }
