"""Collection efforts: who takes part, what is asked, and in which words."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy


class LiveProjects(models.Manager):
    """Projects that are not deleted: what every page, command and sweep sees."""

    def get_queryset(self):
        return super().get_queryset().filter(deleted_at=None)


class Project(models.Model):
    """One collection effort. `account_id` is the ledger account its money comes from.

    A deleted project is out of `objects` at once and can be brought back for a while; see `lifecycle`.
    """

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
    rules = models.JSONField(
        default=dict, blank=True, help_text="Limits, gates, pay, entry and arms; see `rules.Rules`."
    )
    counts_labels = models.BooleanField(
        default=False, db_default=False, help_text="There is, or will be in a moment, a cap of human labels."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True, help_text="Since when it is archived.")
    deleted_at = models.DateTimeField(null=True, blank=True, help_text="Since when it is deleted.")

    objects = LiveProjects()
    everything = models.Manager()  # noqa: DJ012 - ruff takes the manager above for a field

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person's role in a project."""

    class Role(models.TextChoices):
        OWNER = "owner", gettext_lazy("Owner")
        RESEARCHER = "researcher", gettext_lazy("Researcher")
        REVIEWER = "reviewer", gettext_lazy("Reviewer")
        ANNOTATOR = "annotator", gettext_lazy("Annotator")

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

    class Stage(models.TextChoices):
        TRAINING = "training", "Training"
        QUALIFICATION = "qualification", "Qualification test"
        READY = "ready", "Ready"
        FAILED = "failed", "Did not qualify"

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
    note = models.CharField(
        max_length=500, blank=True, help_text="Why the person is paused, in words for the person."
    )
    tags = models.JSONField(
        default=list, blank=True, help_text="Skills, languages and fields of a person: ['de', 'medicine']."
    )
    stage = models.CharField(
        max_length=13,
        choices=Stage.choices,
        default=Stage.READY,
        help_text="Where the person stands before the real work.",
    )
    arm = models.CharField(
        max_length=40, blank=True, help_text="The experiment arm the person was drawn into."
    )
    checked_since = models.DateTimeField(
        null=True,
        help_text="Only gate results after this moment may pause the person: when they were resumed.",
    )
    quarantined_at = models.DateTimeField(
        null=True, help_text="Since when the person's judgments are kept out of the data."
    )
    meta = models.JSONField(default=dict, blank=True)
    n_judged = models.PositiveIntegerField(default=0, help_text="Current judgments with an answer.")
    n_forward = models.PositiveIntegerField(
        default=0, help_text="Pairs shown in stored order, live or submitted."
    )
    n_reversed = models.PositiveIntegerField(default=0, help_text="Pairs shown in reversed order.")
    n_assigned = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Items given to the person by hand and not begun."
    )
    cursors = models.JSONField(
        null=True, help_text="Where the person stands in each batch, in projects that have batches."
    )
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

    @property
    def known_as(self) -> str:
        """The name, and the account's where a file had named the person otherwise; `user` is loaded."""
        return (
            f"{self.name} ({self.user.username})"
            if self.user and self.user.username != self.name
            else self.name
        )


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
