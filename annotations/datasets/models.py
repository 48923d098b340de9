"""Immutable datasets: snapshots, and the files exported from them."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from annotations.projects.models import Project


class Snapshot(models.Model):
    """Rows frozen from a project, as native JSONL on disk, with the hash over its content."""

    class State(models.TextChoices):
        BUILDING = "building", "Building"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"

    public_id = models.CharField(max_length=40, unique=True, help_text="snap_…")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="snapshots")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.BUILDING)
    query = models.JSONField(default=dict, help_text="What was asked for: filters, cut-off judgment id.")
    versions = models.JSONField(
        default=dict, help_text="Schemas, guidelines, plans and releases in the rows."
    )
    counts = models.JSONField(default=dict)
    path = models.CharField(max_length=300, blank=True, help_text="Of the rows, below MEDIA_ROOT.")
    sha256 = models.CharField(max_length=64, blank=True, help_text="Over the uncompressed rows.")
    n_items = models.PositiveIntegerField(default=0)
    n_judgments = models.PositiveIntegerField(default=0)
    note = models.CharField(max_length=300, blank=True)
    job_id = models.UUIDField(null=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "number"], name="snapshot_number_once")]

    def __str__(self) -> str:
        return self.public_id


class Export(models.Model):
    """Files of one format written from one snapshot."""

    class State(models.TextChoices):
        BUILDING = "building", "Building"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"
        REMOVED = "removed", "Removed"

    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="exports")
    format = models.CharField(max_length=40)
    container = models.CharField(max_length=10, default="jsonl")
    options = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.BUILDING)
    path = models.CharField(max_length=300, blank=True, help_text="Folder below MEDIA_ROOT.")
    manifest = models.JSONField(default=dict)
    rows = models.PositiveIntegerField(default=0)
    job_id = models.UUIDField(null=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)


class HubPush(models.Model):
    """An export sent to a dataset repository of a hub; its Job says how it went."""

    export = models.ForeignKey(Export, on_delete=models.PROTECT, related_name="pushes")
    repository = models.CharField(max_length=96, help_text="owner/name")
    public = models.BooleanField(default=False)
    url = models.CharField(max_length=300, blank=True)
    commit = models.CharField(max_length=64, blank=True)
    changed = models.BooleanField(null=True, help_text="False: the same bytes stood there already.")
    job_id = models.UUIDField(null=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
