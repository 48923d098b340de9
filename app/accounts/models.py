"""People who sign in, and the log of who did what."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person who signs in; `is_staff` marks a site admin."""

    display_name = models.CharField(max_length=120, blank=True)
    is_guest = models.BooleanField(
        default=False, help_text="Came from a panel, without a password, for one study only."
    )
    preferences = models.JSONField(
        default=dict, blank=True, help_text="Theme, text size and keys of this person."
    )

    @property
    def shown_name(self) -> str:
        return self.display_name or self.get_full_name() or self.username


class AuditEvent(models.Model):
    """One act worth remembering: who, what, on what. Written by `audit.record` only, never changed."""

    at = models.DateTimeField(auto_now_add=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    action = models.CharField(max_length=64)
    scope = models.CharField(
        max_length=120,
        blank=True,
        help_text="Slug of the project it belongs to, if any.",
    )
    target = models.CharField(max_length=200, blank=True)
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["-id", "scope"], name="audit_recent"),
            models.Index(fields=["scope", "-id"], name="audit_scope"),
        ]


class TokenLabel(models.Model):
    """What an API token is for, in its owner's words."""

    token = models.OneToOneField(
        "knox.AuthToken", on_delete=models.CASCADE, primary_key=True, related_name="label"
    )
    name = models.CharField(max_length=60)
    read_only = models.BooleanField(default=False)
    project = models.SlugField(
        max_length=80, blank=True, help_text="Slug of the one project it is for; empty: all of its owner's."
    )
