"""What is judged: items and their responses, and who each item is sent to."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotations.projects.models import Annotator, Project


class Batch(models.Model):
    """A part of the project's items with rules of its own: how many people, which people, how often it comes.

    Items without a batch follow the project.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="batches")
    name = models.CharField(max_length=120)
    overlap = models.PositiveSmallIntegerField(
        null=True, help_text="People who judge each item; the project's number where empty."
    )
    weight = models.PositiveSmallIntegerField(
        default=1, help_text="How often a person's next item comes from here; 0 = not given out."
    )
    required_tags = models.JSONField(
        default=list, blank=True, help_text="A person needs all of these tags to be given its items."
    )
    expert_tags = models.JSONField(
        default=list, blank=True, help_text="People with any of these are the batch's experts."
    )
    expert_slots = models.PositiveSmallIntegerField(
        default=0,
        help_text="Of the wanted judgments of an item, how many its experts give; they give these and no others.",
    )
    max_votes = models.PositiveSmallIntegerField(
        null=True, help_text="Ask further people while votes disagree, up to so many; empty = no further."
    )
    warning = models.TextField(
        blank=True, help_text="Content warning; its items stay blurred until the person shows them."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="batch_name_once")]

    def __str__(self) -> str:
        return self.name


class Item(models.Model):
    """A prompt with 1..8 responses.

    Routing columns are written by `items.routes.set_routes` only. Counters are kept by `judging` in the
    transaction of the write, and checked by `verify_counts`:
    `open_slots = max(0, wanted - n_human - n_leased)` while a person may judge the item, else 0. Where
    `experts_wanted` of the wanted judgments are kept for experts there are two quotas: `expert_slots` is what is
    free for experts, and `open_slots` what is free for everybody else.
    """

    class Route(models.TextChoices):
        HUMAN = "human", "People"
        LM = "lm", "Language model"
        BOTH = "both", "Both"

    class Purpose(models.TextChoices):
        DATA = "data", "Data"
        TRAINING = "training", "Training"
        QUALIFICATION = "qualification", "Qualification test"
        GOLD = "gold", "Gold"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="items", db_index=False)
    batch = models.ForeignKey(
        Batch, null=True, blank=True, on_delete=models.SET_NULL, related_name="items", db_index=False
    )
    purpose = models.CharField(
        max_length=13,
        choices=Purpose.choices,
        default=Purpose.DATA,
        help_text="Only data items are in the queue; the others are quality gates and never data.",
    )
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
    withdrawn_for = models.CharField(
        max_length=20,
        blank=True,
        default="",
        db_default="",
        help_text="`identity`: by the rule for responses that name their model; empty: by a person.",
    )
    names_model = models.BooleanField(
        default=False, db_default=False, help_text="A response says which model wrote it; see `identity`."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    route = models.CharField(max_length=5, choices=Route.choices, default=Route.HUMAN)
    route_ref = models.CharField(max_length=80, blank=True, help_text="What set the route, e.g. plan:7.")
    label_by = models.ForeignKey(
        Annotator,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
        help_text="The model whose label stands where no person judges; empty where all models' do.",
    )
    label_fallback = models.ForeignKey(
        Annotator,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
        help_text="The model whose label stands where `label_by` gave none.",
    )
    human_propensity = models.FloatField(default=1.0)
    is_audit = models.BooleanField(default=False)
    priority = models.IntegerField(default=0, help_text="Higher comes first in the queue.")
    wanted = models.PositiveSmallIntegerField(default=1, help_text="Human judgments wanted.")
    experts_wanted = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="How many of those only experts of the batch may give."
    )

    order_key = models.BigIntegerField(help_text="Seeded random place in the queue.")
    n_human = models.PositiveIntegerField(
        default=0, help_text="People with a current answer or cannot_judge."
    )
    n_leased = models.PositiveSmallIntegerField(
        default=0, help_text="Live leases, and places kept for people by hand."
    )
    n_expert = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="Of n_human and n_leased, those in an expert's place."
    )
    n_lm = models.PositiveIntegerField(default=0, help_text="Models with a current judgment.")
    n_skipped = models.PositiveIntegerField(default=0)
    n_flagged = models.PositiveIntegerField(default=0)
    n_forward = models.PositiveIntegerField(
        default=0, help_text="Times shown in stored order, live or submitted."
    )
    n_reversed = models.PositiveIntegerField(default=0)
    open_slots = models.PositiveSmallIntegerField(default=0)
    expert_slots = models.PositiveSmallIntegerField(default=0, db_default=0)

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
                fields=["project", "batch", "-priority", "order_key"],
                condition=Q(open_slots__gt=0),
                name="item_queue",
            ),
            models.Index(
                fields=["project", "batch", "-priority", "order_key"],
                condition=Q(expert_slots__gt=0),
                name="item_expert_queue",
            ),
            models.Index(fields=["batch", "id"], condition=Q(batch__isnull=False), name="item_of_batch"),
            models.Index(fields=["project", "id"], name="item_browse"),
            models.Index(
                fields=["project", "purpose", "id"], condition=~Q(purpose="data"), name="item_gates"
            ),
            models.Index(fields=["project", "content_hash"], name="item_content"),
        ]

    def __str__(self) -> str:
        return self.external_id or f"item {self.pk}"


class Response(models.Model):
    """One response of an item, at its place in the stored (canonical) order."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="responses", db_index=False)
    index = models.PositiveSmallIntegerField()
    text = models.TextField()
    redacted = models.TextField(
        blank=True,
        default="",
        db_default="",
        help_text="What people are shown instead of the text, with as many characters; empty = the text.",
    )
    model = models.CharField(max_length=200, blank=True, help_text="What wrote it; never sent to annotators.")
    meta = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["item_id", "index"]
        constraints = [
            models.UniqueConstraint(fields=["item", "index"], name="response_place_once"),
            models.CheckConstraint(condition=Q(index__lte=7), name="response_index_in_0_7"),
        ]


class MediaFile(models.Model):
    """An image that texts of the project's items may show as `![words](media:name)`.

    Never changed: a name stands for one content for ever, so that its address may be cached. A removed file keeps its
    row and its name.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="media", db_index=False)
    name = models.CharField(max_length=100)
    sha256 = models.CharField(max_length=64, help_text="Of the file as it is kept.")
    content_type = models.CharField(max_length=20)
    size = models.PositiveIntegerField(help_text="Bytes.")
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="media_name_once")]

    def __str__(self) -> str:
        return self.name


class SavedMapping(models.Model):
    """What the columns of a kind of table are, under a name, for the next file of that kind."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="saved_mappings", db_index=False
    )
    name = models.CharField(max_length=120)
    columns = models.JSONField(help_text="{column: role}")
    saved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="mapping_name_once")]

    def __str__(self) -> str:
        return self.name
