"""Sending messages: signed after Standard Webhooks (standardwebhooks.com, v1), tried ten times over three days.

At most one worker sends a message at a time: who moves its `next_at` has it. A worker that dies in between leaves it
to the next sweep, so a receiver may get a message twice and knows it by its `webhook-id`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from datetime import timedelta

from django.db.models import F
from django.utils import timezone

from . import transport
from .models import Delivery, Webhook

SECONDS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)  # between tries; the spec's example
HELD = timedelta(seconds=60)
GIVE_UP = timedelta(days=5)
KEPT = timedelta(days=30)
AT_ONCE = 100


def sign(key: bytes, message_id: str, timestamp: int, body: str) -> str:
    """The `webhook-signature` header: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`."""
    said = f"{message_id}.{timestamp}.{body}".encode()
    return "v1," + base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()


def send(pk: int) -> Delivery | None:
    """Try to send one message if it is due; returns it, or None if it is not ours to send now."""
    now = timezone.now()
    mine = Delivery.objects.filter(pk=pk, state=Delivery.State.PENDING, next_at__lte=now)
    if not mine.update(next_at=now + HELD, attempts=F("attempts") + 1):
        return None
    delivery = Delivery.objects.select_related("webhook").get(pk=pk)
    hook = delivery.webhook
    if not hook.is_active:
        return _ended(delivery, Delivery.State.FAILED, None, "The address is switched off.")
    message_id, stamp = f"msg_{delivery.uuid.hex}", int(time.time())
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(stamp),
        "webhook-signature": sign(hook.key, message_id, stamp, delivery.body),
        "User-Agent": "Plumbline-Webhooks/1",
    }
    status: int | None = None
    try:
        status = transport.post(hook.url, delivery.body.encode(), headers)
        error = "" if 200 <= status < 300 else f"It answered {status}."
    except transport.Refused as refusal:
        return _ended(delivery, Delivery.State.FAILED, None, str(refusal))
    except transport.Unreachable as trouble:
        error = str(trouble)
    if not error:
        Webhook.objects.filter(pk=hook.pk).exclude(failing_since=None).update(failing_since=None)
        return _ended(delivery, Delivery.State.SENT, status, "")
    if status == 410:
        Webhook.objects.filter(pk=hook.pk).update(is_active=False, note="It answered 410: it is gone.")
        return _ended(delivery, Delivery.State.FAILED, status, error)
    _note_failure(hook)
    if delivery.attempts > len(SECONDS):
        return _ended(delivery, Delivery.State.FAILED, status, error)
    wait = timedelta(seconds=SECONDS[delivery.attempts - 1])
    Delivery.objects.filter(pk=pk).update(next_at=timezone.now() + wait, status=status, error=error[:300])
    delivery.refresh_from_db()
    return delivery


def _ended(delivery: Delivery, state: str, status: int | None, error: str) -> Delivery:
    delivery.state, delivery.status, delivery.error = state, status, error[:300]
    delivery.sent_at = timezone.now() if state == Delivery.State.SENT else None
    delivery.save(update_fields=["state", "status", "error", "sent_at"])
    return delivery


def _note_failure(hook: Webhook) -> None:
    """Switch an address off that took nothing for five days."""
    now = timezone.now()
    Webhook.objects.filter(pk=hook.pk, failing_since=None).update(failing_since=now)
    Webhook.objects.filter(pk=hook.pk, failing_since__lt=now - GIVE_UP).update(
        is_active=False, note="It took no message for five days."
    )


def sweep() -> int:
    """Send what is due and was not sent, and forget what is a month old; returns how many were tried."""
    Delivery.objects.filter(created_at__lt=timezone.now() - KEPT).delete()
    due = Delivery.objects.filter(state=Delivery.State.PENDING, next_at__lte=timezone.now())
    ids = list(due.order_by("next_at").values_list("pk", flat=True)[:AT_ONCE])
    return sum(send(pk) is not None for pk in ids)
