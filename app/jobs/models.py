"""Jobs: the truth about any long work. A broker message only says "look at this row"."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone


class Job(models.Model):
    """One piece of long work: what, for whom, how far, what came out."""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=64, help_text="Name of the registered handler.")
    title = models.CharField(max_length=200)
    scope = models.CharField(
        max_length=120,
        blank=True,
        help_text="Slug of the project it works for, if any.",
    )
    queue = models.CharField(max_length=32, default="default")
    args = models.JSONField(default=dict)
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True, help_text="Null while unknown.")
    message = models.CharField(max_length=300, blank=True)
    log = models.TextField(blank=True, help_text="Tail of the log.")
    events = models.JSONField(default=list, help_text="Recent structured progress, e.g. losses.")
    result = models.JSONField(null=True)
    error = models.TextField(blank=True)
    result_url = models.CharField(max_length=300, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    fence = models.PositiveIntegerField(
        default=0, help_text="Grows at each claim; an older holder may not write."
    )
    cancel_requested = models.BooleanField(default=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    worker = models.CharField(max_length=120, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["scope", "-created_at"], name="job_scope_recent"),
            models.Index(
                fields=["state", "lease_until"],
                condition=models.Q(state__in=["queued", "running"]),
                name="job_live",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.state})"

    @property
    def is_finished(self) -> bool:
        return self.state in {
            self.State.SUCCEEDED,
            self.State.FAILED,
            self.State.CANCELLED,
        }

    @property
    def why_ended(self) -> str:
        """What a job that did not succeed says beside its state; nothing where that would repeat the state."""
        said = self.error or self.message
        return "" if said == self.get_state_display() else said

    @property
    def fraction(self) -> float | None:
        """Share done in [0, 1], or None while the total is unknown."""
        if self.state == self.State.SUCCEEDED:
            return 1.0
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def eta_seconds(self) -> int | None:
        """Seconds left at the pace so far, or None while it cannot be told."""
        if not (self.started_at and self.fraction and self.state == self.State.RUNNING):
            return None
        spent = (timezone.now() - self.started_at).total_seconds()
        return round(spent * (1 - self.fraction) / self.fraction)

    @property
    def progress_words(self) -> str:
        """How far, in words: `312 / 453, about 40 s left`."""
        if self.fraction is None or self.state != self.State.RUNNING:
            return ""
        words = f"{self.done:,} / {self.total:,}"
        left = self.eta_seconds
        if left is None:
            return words
        return (
            f"{words}, about {left} s left" if left < 120 else f"{words}, about {round(left / 60)} min left"
        )


class WorkerBeat(models.Model):
    """Last sign of life of a worker process."""

    name = models.CharField(max_length=120, primary_key=True)
    queues = models.CharField(max_length=120, blank=True)
    pid = models.IntegerField(default=0)
    seen_at = models.DateTimeField()
