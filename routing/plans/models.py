"""Routing plans: a budgeted allocation of items to people and models, and each item's decision."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotations.items.models import Item
from annotations.projects.models import Project


class RoutingPlan(models.Model):
    """One proposal of who judges what for a budget; `draft` until somebody applies it."""

    class State(models.TextChoices):
        BUILDING = "building", "Building"
        DRAFT = "draft", "Draft"
        APPLIED = "applied", "Applied"
        REPLACED = "replaced", "Replaced"
        FAILED = "failed", "Failed"
        DROPPED = "dropped", "Discarded"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="plans")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.BUILDING)
    policy = models.CharField(max_length=40)
    budget_share = models.FloatField(null=True, help_text="Share of items, in (0, 1].")
    budget_money = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    currency = models.CharField(max_length=3, blank=True)
    audit_share = models.FloatField(default=0.05)
    overlap = models.PositiveSmallIntegerField(default=1, help_text="People per item sent to people.")
    seed = models.BigIntegerField(default=0)
    threshold = models.FloatField(null=True, help_text="Score at and above which an item went to a person.")
    summary = models.JSONField(default=dict)
    job_id = models.UUIDField(null=True)
    reservation_id = models.UUIDField(
        null=True, help_text="Money held in the ledger while the plan is in force."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    applied_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="plan_number_once"),
            models.UniqueConstraint(
                fields=["project"], condition=Q(state="applied"), name="plan_one_applied"
            ),
            models.CheckConstraint(
                condition=Q(budget_share__isnull=False, budget_money__isnull=True)
                | Q(budget_share__isnull=True, budget_money__isnull=False),
                name="plan_one_budget",
            ),
        ]

    def __str__(self) -> str:
        return f"plan {self.number}"


class Decision(models.Model):
    """Where a plan sends one item, and why."""

    plan = models.ForeignKey(RoutingPlan, on_delete=models.CASCADE, related_name="decisions", db_index=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="decisions")
    route = models.CharField(max_length=5, choices=Item.Route.choices)
    is_audit = models.BooleanField(default=False)
    score = models.FloatField(help_text="The policy's score; higher goes to people first.")
    propensity = models.FloatField(help_text="Probability that a person was to judge the item, in [0, 1].")
    priority = models.IntegerField(default=0, help_text="Place in the queue; higher is judged earlier.")
    reasons = models.JSONField(default=list, help_text="Short codes with values, strongest first.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["plan", "item"], name="decision_once")]
        indexes = [models.Index(fields=["plan", "-score"], name="decision_by_score")]
