"""Collection efforts: who takes part, what is asked, and in which words."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q


class Project(models.Model):
    """One collection effort. `account_id` is the ledger account its money comes from."""

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"
        ARCHIVED = "archived", "Archived"

    slug = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ACTIVE)
    overlap = models.PositiveSmallIntegerField(
        default=1, help_text="People who judge each item, unless a plan says."
    )
    lease_minutes = models.PositiveSmallIntegerField(default=30)
    edit_minutes = models.PositiveSmallIntegerField(
        default=60, help_text="How long people may edit their own work."
    )
    seed = models.BigIntegerField(default=0)
    schema = models.ForeignKey(
        "TaskSchema",
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="What the queue asks now.",
    )
    account_id = models.UUIDField(null=True)
    human_cost = models.DecimalField(
        max_digits=10,
        decimal_places=4,
        default=0,
        help_text="Expected pay of one human judgment.",
    )
    queue_epoch = models.PositiveIntegerField(
        default=0, help_text="Grows when routes change; resets queue cursors."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person's role in a project."""

    class Role(models.TextChoices):
        OWNER = "owner", "Owner"
        RESEARCHER = "researcher", "Researcher"
        REVIEWER = "reviewer", "Reviewer"
        ANNOTATOR = "annotator", "Annotator"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "user"], name="membership_once")]


class Invitation(models.Model):
    """A link that lets its holder join a project; only the token's hash is kept."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(blank=True)
    role = models.CharField(
        max_length=12,
        choices=Membership.Role.choices,
        default=Membership.Role.ANNOTATOR,
    )
    token_hash = models.CharField(max_length=64, unique=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    uses_left = models.PositiveIntegerField(default=1)
    revoked_at = models.DateTimeField(null=True)


class Annotator(models.Model):
    """Who judges: a person, a language model or a reward model. One table, so that statistics treat all alike."""

    class Kind(models.TextChoices):
        HUMAN = "human", "Human"
        LM = "lm", "Language model"
        REWARD_MODEL = "reward_model", "Reward model"

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"
        REMOVED = "removed", "Removed"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="annotators")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    name = models.CharField(max_length=200, help_text="Shown to researchers; exports use `pseudonym`.")
    pseudonym = models.UUIDField(default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="annotators",
    )
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ACTIVE)
    meta = models.JSONField(default=dict, blank=True)
    n_judged = models.PositiveIntegerField(default=0, help_text="Current judgments with an answer.")
    n_forward = models.PositiveIntegerField(
        default=0, help_text="Pairs shown in stored order, live or submitted."
    )
    n_reversed = models.PositiveIntegerField(default=0, help_text="Pairs shown in reversed order.")
    cursor_epoch = models.PositiveIntegerField(default=0)
    cursor_priority = models.IntegerField(default=0)
    cursor_key = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "kind", "name"], name="annotator_name_once"),
            models.UniqueConstraint(
                fields=["project", "user"],
                condition=Q(user__isnull=False),
                name="annotator_user_once",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class TaskSchema(models.Model):
    """One immutable version of the questions asked about an item; see `schemas.Definition` for the format."""

    class Origin(models.TextChoices):
        DESIGNED = "designed"
        IMPORTED = "imported"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="schemas")
    number = models.PositiveIntegerField()
    origin = models.CharField(max_length=8, choices=Origin.choices, default=Origin.DESIGNED)
    definition = models.JSONField()
    sha256 = models.CharField(max_length=64)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="schema_number_once"),
            models.UniqueConstraint(fields=["project", "origin", "sha256"], name="schema_content_once"),
        ]

    @property
    def label(self) -> str:
        """The version as exports name it: `v3`, or `imported-2`."""
        return f"v{self.number}" if self.origin == self.Origin.DESIGNED else f"imported-{self.number}"


class Guideline(models.Model):
    """One immutable version of the project's guidelines, in Markdown."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="guidelines")
    number = models.PositiveIntegerField()
    text = models.TextField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "number"], name="guideline_number_once")]


class Acknowledgement(models.Model):
    """An annotator has read one version of the guidelines."""

    guideline = models.ForeignKey(Guideline, on_delete=models.CASCADE, related_name="acknowledgements")
    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="acknowledgements")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["guideline", "annotator"], name="acknowledged_once")]


class CriteriaRelease(models.Model):
    """Released wording of criteria, immutable; `criteria` publishes it, prompts and the judging page read it."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="criteria_releases")
    number = models.PositiveIntegerField()
    criteria = models.JSONField(help_text="[{name, wording, version}]")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="criteria_release_number_once")
        ]
