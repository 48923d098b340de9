"""Routing plans: a budgeted allocation of items to people and models, and each item's decision."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotations.items.models import Item
from annotations.projects.models import Project
from app.ledger.models import MICROS
from routing.rewards.models import RewardModel


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
    parameters = models.JSONField(
        default=dict, help_text="alpha, expected_items, online, second, root, reward_model; see `draft_plan`."
    )
    summary = models.JSONField(default=dict)
    follows = models.ForeignKey(
        "self",
        null=True,
        on_delete=models.SET_NULL,
        related_name="followers",
        help_text="The plan whose audits and judged items this one takes over.",
    )
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
    predicted = models.FloatField(
        null=True,
        help_text="P(the model's label is wrong), from a fit that saw no label of this prompt group.",
    )
    doubt = models.FloatField(null=True, help_text="The models' own doubt; higher is less sure.")
    accepted = models.BooleanField(
        default=False, help_text="In the zone where the model's label stands alone with a proven error rate."
    )
    queue = models.CharField(
        max_length=80,
        blank=True,
        help_text="people, expert:<tag>, lm:<annotator> for a strong model; empty for the models' own.",
    )
    reasons = models.JSONField(default=list, help_text="Short codes with values, strongest first.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["plan", "item"], name="decision_once")]
        indexes = [models.Index(fields=["plan", "-score"], name="decision_by_score")]


class MixRuns(models.Model):
    """Small reward models trained on mixes of people's and a model's labels of one data version. See `mix_runs`."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    version = models.CharField(max_length=64, help_text="Digest of all that the runs depend on.")
    plan_number = models.PositiveIntegerField(help_text="The plan that they were trained for.")
    items = models.PositiveIntegerField(help_text="Labelled items that mixes were drawn from.")
    held = models.PositiveIntegerField(help_text="Labelled items that performance was measured on.")
    tags = models.JSONField(help_text="Names of the t tags.")
    counts = models.JSONField(help_text="k × t: items with each tag that people judged in each run's mix.")
    budget = models.JSONField(help_text="k: items that people judged.")
    performance = models.JSONField(help_text="k: accuracy on the pairs held out.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "version"], name="mix_runs_once")]


class GpuCharge(models.Model):
    """What one job of a GPU worker cost; `paid` once the project's budget covered it. See `gpu`."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    job_id = models.UUIDField(unique=True)
    title = models.CharField(max_length=200)
    seconds = models.FloatField()
    micros = models.BigIntegerField(help_text="Millionths of the currency.")
    paid = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    @property
    def amount(self) -> Decimal:
        return Decimal(self.micros) / MICROS


class Margin(models.Model):
    """r(second) - r(first) of an item under a reward model that saw no label of its prompt group. See `margins`."""

    reward_model = models.ForeignKey(RewardModel, on_delete=models.CASCADE, related_name="+", db_index=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    value = models.FloatField(help_text="In log-odds.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["reward_model", "item"], name="margin_once")]


class Refit(models.Model):
    """What a promotion means for routing: the predictor of errors fitted anew, and the plan proposed from it."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waits for approval"
        RUNNING = "running", "Being refitted"
        DONE = "done", "Refitted"
        DECLINED = "declined", "Declined"
        FAILED = "failed", "Failed"

    reward_model = models.OneToOneField(RewardModel, on_delete=models.CASCADE, related_name="refit")
    state = models.CharField(max_length=8, choices=State.choices)
    job_id = models.UUIDField(null=True)
    report = models.JSONField(default=dict, help_text="Held-out skill with and without the margins.")
    words = models.CharField(max_length=500, blank=True, help_text="What came of it.")
    plan = models.OneToOneField(RoutingPlan, null=True, on_delete=models.SET_NULL, related_name="refit")
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
