"""The one writer of the audit log."""

from __future__ import annotations

from app.webhooks import outbox

from .models import AuditEvent, User


def record(
    *,
    actor: User | None,
    action: str,
    scope: str = "",
    target: str = "",
    **detail: object,
) -> AuditEvent:
    """Write one audit event; call it in the transaction of the act itself.

    `action` is `noun.verb` (`plan.applied`), `scope` a project slug, `detail` JSON-serialisable facts.
    """
    person = actor if actor is not None and actor.is_authenticated else None
    event = AuditEvent.objects.create(
        actor=person, action=action, scope=scope, target=target[:200], detail=detail
    )
    outbox.publish(
        scope=scope, kind=action, by=person.username if person else None, target=event.target, detail=detail
    )
    return event
