"""Addresses that are told what happens in a project, and what was sent to them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


def new_nonce() -> str:
    return secrets.token_hex(16)


class Webhook(models.Model):
    """One address. Its secret is made from SECRET_KEY and `nonce`, so that no copy of the database gives it away."""

    scope = models.CharField(max_length=120, db_index=True, help_text="Slug of the project.")
    url = models.CharField(max_length=500)
    events = models.JSONField(
        default=list, help_text='Types, or beginnings with a star: ["job.*"]; empty: all.'
    )
    is_active = models.BooleanField(default=True)
    note = models.CharField(max_length=200, blank=True, help_text="Why it was switched off.")
    nonce = models.CharField(max_length=32, default=new_nonce)
    failing_since = models.DateTimeField(null=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.url

    @property
    def key(self) -> bytes:
        """32 bytes that sign what is sent."""
        return hmac.new(
            settings.SECRET_KEY.encode(), f"webhook {self.nonce}".encode(), hashlib.sha256
        ).digest()

    @property
    def secret(self) -> str:
        """The key as receivers' libraries take it: `whsec_…`."""
        return f"whsec_{base64.b64encode(self.key).decode()}"

    def wants(self, kind: str) -> bool:
        return not self.events or any(
            kind == each or (each.endswith("*") and kind.startswith(each[:-1])) for each in self.events
        )


class Delivery(models.Model):
    """One message to one address: written with what it tells of, sent by a worker until it is received."""

    class State(models.TextChoices):
        PENDING = "pending", "Waiting"
        SENT = "sent", "Received"
        FAILED = "failed", "Given up"

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, help_text="The same at every try.")
    kind = models.CharField(max_length=80)
    body = models.TextField(help_text="The JSON that is signed and sent.")
    state = models.CharField(max_length=7, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(default=timezone.now)
    status = models.PositiveSmallIntegerField(null=True, help_text="HTTP status of the last try.")
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["webhook", "-id"], name="delivery_recent"),
            models.Index(fields=["next_at"], condition=Q(state="pending"), name="delivery_due"),
        ]
