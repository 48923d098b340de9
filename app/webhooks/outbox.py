"""What is told, and to whom: messages are written in the transaction of what they tell of, and sent after it."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.utils import timezone

from .models import Delivery, Webhook

_encode = DjangoJSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def publish(*, scope: str, kind: str, **data: object) -> int:
    """Tell every active address of the project that wants it; returns how many. A project without any costs a query."""
    if not scope:
        return 0
    hooks = [hook for hook in Webhook.objects.filter(scope=scope, is_active=True) if hook.wants(kind)]
    return len([add(hook, kind, data) for hook in hooks])


def add(hook: Webhook, kind: str, data: dict) -> Delivery:
    """Write one message, and send it once the transaction is committed."""
    body = _encode({"type": kind, "timestamp": timezone.now(), "data": {"project": hook.scope, **data}})
    made = Delivery.objects.create(webhook=hook, kind=kind, body=body)
    transaction.on_commit(lambda: _send(made.pk))
    return made


def _send(pk: int) -> None:
    """Hand the message to a worker; if the broker is away the sweep sends it."""
    from .tasks import send

    try:
        send.delay(pk)
    except Exception:
        return


def resend(delivery: Delivery) -> None:
    """Send a message again that was given up, or was received and lost there."""
    Delivery.objects.filter(pk=delivery.pk).update(
        state=Delivery.State.PENDING, attempts=0, next_at=timezone.now()
    )
    transaction.on_commit(lambda: _send(delivery.pk))
