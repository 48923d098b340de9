"""Adding, changing and removing addresses; each act stands in the audit log."""

from __future__ import annotations

from django.db import transaction

from app.accounts import audit
from app.accounts.models import User

from . import outbox, transport
from .models import Delivery, Webhook, new_nonce

MOST = 10
EVENTS = 20


class TooMany(ValueError):
    """The project has as many addresses as one may have."""


def check_events(events: list[str]) -> list[str]:
    """The types as they are stored. Raises ValueError that names the bad one."""
    if len(events) > EVENTS:
        raise ValueError(f"Expected at most {EVENTS} types.")
    for each in events:
        stem = each[:-1] if each.endswith("*") else each
        if not stem.replace(".", "").replace("_", "").isalnum() or not stem.isascii() or len(each) > 80:
            raise ValueError(f"{each[:60]!r}: expected a type such as job.succeeded, or job.*")
    return list(dict.fromkeys(events))


@transaction.atomic
def add(*, scope: str, url: str, events: list[str], actor: User) -> Webhook:
    """Add an address. Raises transport.Refused, ValueError for events, TooMany beyond ten."""
    transport.check_url(url)
    if Webhook.objects.filter(scope=scope).count() >= MOST:
        raise TooMany(f"A project has at most {MOST} addresses; remove one first.")
    hook = Webhook.objects.create(scope=scope, url=url, events=check_events(events), created_by=actor)
    audit.record(actor=actor, action="webhook.added", scope=scope, target=url)
    return hook


@transaction.atomic
def change(
    *,
    hook: Webhook,
    actor: User,
    events: list[str] | None = None,
    active: bool | None = None,
    rotate: bool = False,
) -> Webhook:
    """Change what it is told, switch it on or off, or give it a new secret."""
    if events is not None:
        hook.events = check_events(events)
    if active is not None:
        hook.is_active, hook.note, hook.failing_since = active, "", None
    if rotate:
        hook.nonce = new_nonce()
    hook.save()
    audit.record(
        actor=actor,
        action="webhook.changed",
        scope=hook.scope,
        target=hook.url,
        active=hook.is_active,
        rotated=rotate,
    )
    return hook


@transaction.atomic
def remove(*, hook: Webhook, actor: User) -> None:
    audit.record(actor=actor, action="webhook.removed", scope=hook.scope, target=hook.url)
    hook.delete()


def test(*, hook: Webhook, actor: User) -> Delivery:
    """Send a message that says nothing, so that the receiver can be tried."""
    with transaction.atomic():
        return outbox.add(hook, "test", {"by": actor.username})
