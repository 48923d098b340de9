"""The text people agree to before they judge, and who agreed to which wording."""

from __future__ import annotations

import hashlib

from django.db import transaction

from annotations.projects import rules
from annotations.projects.models import Annotator, Project
from app.web.prepared import Prepared

from .models import Consent, ConsentText


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_GIVEN = Prepared(
    lambda annotator, sha256: Consent.objects.filter(annotator=annotator, text__sha256=sha256)[:1], sha256=str
)


def text_of(project: Project) -> str:
    """What people agree to now; empty where nothing is asked."""
    return rules.of(project).entry.consent.strip()


def is_missing(annotator: Annotator) -> bool:
    """Whether the person still has to agree to the wording in force."""
    text = text_of(annotator.project)
    return bool(text) and _GIVEN.first(annotator=annotator.pk, sha256=digest(text)) is None


@transaction.atomic
def give(*, annotator: Annotator, sha256: str) -> Consent | None:
    """Store that the person agrees to the wording in force. None where the wording they saw is another by now."""
    text = text_of(annotator.project)
    if not text or digest(text) != sha256:
        return None
    stored, _ = ConsentText.objects.get_or_create(
        project=annotator.project, sha256=sha256, defaults={"text": text}
    )
    return Consent.objects.get_or_create(text=stored, annotator=annotator)[0]
