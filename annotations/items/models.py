"""What is judged: items and their responses, and who each item is sent to."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from annotations.projects.models import Project


class Item(models.Model):
    """A prompt with 1..8 responses.

    Routing columns are written by `items.routes.set_routes` only. Counters are kept by `judging` in the
    transaction of the write, and checked by `verify_counts`:
    `open_slots = max(0, wanted - n_human - n_leased)` while a person may judge the item, else 0.
    """

    class Route(models.TextChoices):
        HUMAN = "human", "People"
        LM = "lm", "Language model"
        BOTH = "both", "Both"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="items", db_index=False)
    source = models.CharField(max_length=200, blank=True)
    external_id = models.CharField(max_length=500, null=True, blank=True)
    content_hash = models.CharField(max_length=64, help_text="sha256 over prompt, context and responses.")
    duplicate_of = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="duplicates")
    prompt = models.JSONField(help_text="Text, or a list of {role, content}.")
    context = models.TextField(blank=True)
    group = models.CharField(
        max_length=300,
        blank=True,
        help_text="Unit that is never split between train and test.",
    )
    meta = models.JSONField(default=dict, blank=True)
    n_responses = models.PositiveSmallIntegerField()
    withdrawn_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    route = models.CharField(max_length=5, choices=Route.choices, default=Route.HUMAN)
    route_ref = models.CharField(max_length=80, blank=True, help_text="What set the route, e.g. plan:7.")
    human_propensity = models.FloatField(default=1.0)
    is_audit = models.BooleanField(default=False)
    priority = models.IntegerField(default=0, help_text="Higher comes first in the queue.")
    wanted = models.PositiveSmallIntegerField(default=1, help_text="Human judgments wanted.")

    order_key = models.BigIntegerField(help_text="Seeded random place in the queue.")
    n_human = models.PositiveIntegerField(
        default=0, help_text="People with a current answer or cannot_judge."
    )
    n_leased = models.PositiveSmallIntegerField(default=0, help_text="Live leases.")
    n_lm = models.PositiveIntegerField(default=0, help_text="Models with a current judgment.")
    n_skipped = models.PositiveIntegerField(default=0)
    n_flagged = models.PositiveIntegerField(default=0)
    n_forward = models.PositiveIntegerField(
        default=0, help_text="Times shown in stored order, live or submitted."
    )
    n_reversed = models.PositiveIntegerField(default=0)
    open_slots = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "source", "external_id"],
                condition=Q(external_id__isnull=False),
                name="item_identity_once",
            ),
            models.UniqueConstraint(
                fields=["project", "content_hash"],
                condition=Q(external_id__isnull=True),
                name="item_content_once",
            ),
            models.CheckConstraint(
                condition=Q(n_responses__gte=1) & Q(n_responses__lte=8),
                name="item_has_1_to_8_responses",
            ),
            models.CheckConstraint(
                condition=Q(human_propensity__gte=0) & Q(human_propensity__lte=1),
                name="item_propensity_in_0_1",
            ),
        ]
        indexes = [
            models.Index(
                fields=["project", "-priority", "order_key"],
                condition=Q(open_slots__gt=0),
                name="item_queue",
            ),
            models.Index(fields=["project", "id"], name="item_browse"),
            models.Index(fields=["project", "content_hash"], name="item_content"),
        ]

    def __str__(self) -> str:
        return self.external_id or f"item {self.pk}"


class Response(models.Model):
    """One response of an item, at its place in the stored (canonical) order."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="responses", db_index=False)
    index = models.PositiveSmallIntegerField()
    text = models.TextField()
    model = models.CharField(max_length=200, blank=True, help_text="What wrote it; never sent to annotators.")
    meta = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["item_id", "index"]
        constraints = [
            models.UniqueConstraint(fields=["item", "index"], name="response_place_once"),
            models.CheckConstraint(condition=Q(index__lte=7), name="response_index_in_0_7"),
        ]
