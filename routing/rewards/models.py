"""Reward models: the registry, and the runs that made them."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from annotations.datasets.models import Snapshot
from annotations.projects.models import Annotator, Project


class RewardModel(models.Model):
    """A registered scorer with its lineage: snapshot, configuration, metrics, files."""

    class Status(models.TextChoices):
        CANDIDATE = "candidate", "Candidate"
        PROMOTED = "promoted", "Promoted"
        ARCHIVED = "archived", "Archived"

    public_id = models.CharField(max_length=40, unique=True, help_text="rm_…")
    project = models.ForeignKey(Project, null=True, on_delete=models.PROTECT, related_name="reward_models")
    number = models.PositiveIntegerField()
    backend = models.CharField(max_length=16, default="linear")
    loss = models.CharField(max_length=32)
    config = models.JSONField(default=dict)
    snapshot = models.ForeignKey(Snapshot, null=True, on_delete=models.PROTECT, related_name="reward_models")
    data_sha256 = models.CharField(max_length=64)
    path = models.CharField(max_length=300, help_text="Folder of the files, below MEDIA_ROOT.")
    files_sha256 = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict, help_text="On the frozen hold-out, with intervals.")
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.CANDIDATE)
    parent = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="children")
    replaced = models.ForeignKey(
        "self",
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The model that was promoted before this one; a rollback returns to it.",
    )
    promoted_at = models.DateTimeField(null=True)
    annotator = models.OneToOneField(
        Annotator, null=True, on_delete=models.SET_NULL, related_name="reward_model"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="reward_model_number_once"),
            models.UniqueConstraint(
                fields=["project"], condition=models.Q(status="promoted"), name="reward_model_one_promoted"
            ),
        ]

    def __str__(self) -> str:
        return self.public_id


class TrainingRun(models.Model):
    """One training: what was asked, how it went, which model came out."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="training_runs")
    snapshot = models.ForeignKey(Snapshot, null=True, on_delete=models.PROTECT, related_name="training_runs")
    backend = models.CharField(max_length=16, default="linear")
    loss = models.CharField(max_length=32)
    spec = models.JSONField(default=dict)
    seed = models.BigIntegerField(default=0)
    job_id = models.UUIDField(null=True)
    reward_model = models.OneToOneField(RewardModel, null=True, on_delete=models.SET_NULL, related_name="run")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)


class DeviceLease(models.Model):
    """Who trains on a device now: a lease that is kept alive, and a fence that grows with each holder."""

    name = models.CharField(max_length=120, primary_key=True, help_text="host:cuda:0 or host:cpu")
    fence = models.PositiveBigIntegerField(default=0, help_text="Only the holder of the newest may write.")
    job_id = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class CachedScore(models.Model):
    """A response's reward under a registered model; both never change."""

    reward_model = models.ForeignKey(RewardModel, on_delete=models.CASCADE, related_name="cached_scores")
    response = models.ForeignKey("items.Response", on_delete=models.CASCADE, related_name="+")
    score = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reward_model", "response"], name="reward_score_once"),
        ]


class Loop(models.Model):
    """When a project trains anew by itself, and what a person has to agree to."""

    class AfterPromotion(models.TextChoices):
        PROPOSE = "propose", "Refit what predicts the models' errors, and propose a plan"
        ASK = "ask", "Ask before doing that"
        NOTHING = "nothing", "Nothing"

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="reward_loop")
    is_on = models.BooleanField(default=False)
    every_judgments = models.PositiveIntegerField(
        default=500, help_text="New judgments that start a round; 0 never."
    )
    every_days = models.PositiveIntegerField(default=7, help_text="Days that start a round; 0 never.")
    ask_before_training = models.BooleanField(default=False)
    ask_before_promoting = models.BooleanField(default=True)
    after_promotion = models.CharField(
        max_length=8, choices=AfterPromotion.choices, default=AfterPromotion.PROPOSE
    )
    loss = models.CharField(max_length=32, default="scaled_bt")
    judgments = models.CharField(max_length=16, default="human_first")
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    changed_at = models.DateTimeField(auto_now=True)


class LoopRound(models.Model):
    """One turn of the loop: why it began, what it trained, what was decided and by whom."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waits for approval to train"
        TRAINING = "training", "Training"
        PROPOSED = "proposed", "Promotion proposed"
        PROMOTED = "promoted", "Promoted"
        KEPT = "kept", "Current model kept"
        DECLINED = "declined", "Declined"
        FAILED = "failed", "Failed"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="reward_rounds")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=12, choices=State.choices)
    reason = models.CharField(max_length=200)
    judgments = models.PositiveBigIntegerField(help_text="How many had come in when it began.")
    through = models.PositiveBigIntegerField(default=0, help_text="Key of the last judgment seen then.")
    run = models.OneToOneField(TrainingRun, null=True, on_delete=models.SET_NULL, related_name="loop_round")
    gates = models.JSONField(default=list, help_text="[{name, passed, words}] when promotion was considered.")
    words = models.CharField(max_length=500, blank=True, help_text="How it ended.")
    decisions = models.JSONField(default=list, help_text="[{what, by, at}] of people.")
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="reward_round_number_once"),
            models.UniqueConstraint(
                fields=["project"],
                condition=models.Q(state__in=["waiting", "training", "proposed"]),
                name="reward_round_one_open",
            ),
        ]
