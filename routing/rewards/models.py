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
