"""Leases and judgments. Judgments are append-only: a correction is a new row that supersedes the old."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from annotations.items.models import Item
from annotations.projects.models import (
    Annotator,
    CriteriaRelease,
    Guideline,
    Project,
    TaskSchema,
)


class Assignment(models.Model):
    """A lease of one item to one person. One row per (item, annotator); a new lease after expiry reuses it."""

    class State(models.TextChoices):
        LEASED = "leased"
        SUBMITTED = "submitted"
        SKIPPED = "skipped"
        EXPIRED = "expired"
        RELEASED = "released"

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="assignments", db_index=False)
    annotator = models.ForeignKey(
        Annotator, on_delete=models.CASCADE, related_name="assignments", db_index=False
    )
    state = models.CharField(max_length=9, choices=State.choices, default=State.LEASED)
    presented_order = models.CharField(
        max_length=8, help_text="Canonical indices as shown, left first, e.g. '10'."
    )
    leased_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    draft = models.JSONField(null=True, help_text="Unfinished answer, saved by the page.")
    drafted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "annotator"], name="assignment_once")]
        indexes = [
            models.Index(fields=["annotator", "state", "-leased_at"], name="assignment_mine"),
            models.Index(
                fields=["expires_at"],
                condition=Q(state="leased"),
                name="assignment_live",
            ),
        ]


class Judgment(models.Model):
    """One annotator's answer to one item. Written by `judging.submit` only, never changed.

    `is_current` turns false when another judgment supersedes this one: the only column that ever changes.
    """

    class Outcome(models.TextChoices):
        ANSWERED = "answered", "Answered"
        CANNOT_JUDGE = "cannot_judge", "Cannot judge"
        SKIPPED = "skipped", "Skipped"
        FLAGGED = "flagged", "Flagged"

    class Origin(models.TextChoices):
        PAGE = "page"
        API = "api"
        IMPORT = "import"
        MODEL = "model"

    uuid = models.UUIDField(unique=True)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="judgments", db_index=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="judgments", db_index=False)
    annotator = models.ForeignKey(
        Annotator, on_delete=models.PROTECT, related_name="judgments", db_index=False
    )
    schema = models.ForeignKey(TaskSchema, on_delete=models.PROTECT, related_name="+", db_index=False)
    guideline = models.ForeignKey(
        Guideline, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    criteria_release = models.ForeignKey(
        CriteriaRelease,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    outcome = models.CharField(max_length=12, choices=Outcome.choices)
    origin = models.CharField(max_length=6, choices=Origin.choices)
    answers = models.JSONField(default=dict, help_text="Answers beyond comparisons and scores.")
    reason = models.TextField(blank=True)
    probability = models.FloatField(null=True, help_text="P(second response better), ties counted half.")
    order_consistent = models.BooleanField(null=True)
    presented_order = models.CharField(max_length=8, blank=True)
    propensity = models.FloatField(
        default=1.0,
        help_text="Probability that this item went to this kind of annotator.",
    )
    supersedes = models.OneToOneField(
        "self",
        null=True,
        on_delete=models.PROTECT,
        related_name="superseded_by",
        db_index=True,
    )
    is_current = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    received_at = models.DateTimeField(auto_now_add=True)
    active_ms = models.PositiveIntegerField(null=True)
    wall_ms = models.PositiveIntegerField(null=True)
    meta = models.JSONField(default=dict, help_text="How it was given: position in session, viewport, late.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "annotator"],
                condition=Q(is_current=True),
                name="judgment_current_once",
            ),
            models.CheckConstraint(
                condition=Q(probability__isnull=True) | (Q(probability__gte=0) & Q(probability__lte=1)),
                name="judgment_probability_in_0_1",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "id"], name="judgment_scan"),
            models.Index(fields=["annotator", "-id"], name="judgment_mine"),
            models.Index(fields=["item", "id"], name="judgment_of_item"),
        ]


class Comparison(models.Model):
    """Two responses of the item compared in one aspect; negative preference = the first is better."""

    class Tie(models.TextChoices):
        GOOD = "equal_good"
        BAD = "equal_bad"
        EQUAL = "equal"

    judgment = models.ForeignKey(Judgment, on_delete=models.CASCADE, related_name="comparisons")
    first = models.PositiveSmallIntegerField()
    second = models.PositiveSmallIntegerField()
    aspect = models.CharField(max_length=64, default="overall")
    preference = models.SmallIntegerField(null=True)
    scale_max = models.PositiveSmallIntegerField(null=True)
    tie = models.CharField(max_length=10, choices=Tie.choices, null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(first__lt=F("second")), name="comparison_canonical_order"),
            models.CheckConstraint(
                condition=(
                    Q(
                        preference__isnull=False,
                        tie__isnull=True,
                        scale_max__isnull=False,
                    )
                    | Q(preference__isnull=True, tie__isnull=False)
                ),
                name="comparison_preference_or_tie",
            ),
            models.CheckConstraint(
                condition=Q(preference__isnull=True)
                | (
                    ~Q(preference=0)
                    & Q(preference__lte=F("scale_max"))
                    & Q(preference__gte=-1 * F("scale_max"))
                    & Q(scale_max__in=[1, 2, 3])
                ),
                name="comparison_strength_on_scale",
            ),
        ]


class Score(models.Model):
    """One response, one attribute, one value on the schema's scale (ratings, ranks, thumbs)."""

    judgment = models.ForeignKey(Judgment, on_delete=models.CASCADE, related_name="scores")
    response = models.PositiveSmallIntegerField()
    attribute = models.CharField(max_length=64)
    value = models.FloatField()
    scale_min = models.FloatField(null=True)
    scale_max = models.FloatField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=(Q(scale_min__isnull=True) | Q(value__gte=F("scale_min")))
                & (Q(scale_max__isnull=True) | Q(value__lte=F("scale_max"))),
                name="score_on_scale",
            )
        ]


class LMCall(models.Model):
    """One call of a model behind a judgment: the order it saw, what it said, what it cost.

    It stands in this room because imports, one floor below `lm`, bring recorded calls with them.
    """

    judgment = models.ForeignKey(Judgment, null=True, on_delete=models.CASCADE, related_name="calls")
    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="+", db_index=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+", db_index=False)
    order = models.CharField(max_length=8, blank=True, help_text="ab, ba, or empty where it is not known.")
    label = models.CharField(
        max_length=8,
        blank=True,
        help_text="a, b, tie, canonical; empty where unparsed.",
    )
    raw = models.TextField(blank=True)
    reason = models.TextField(blank=True)
    prompt_hash = models.CharField(max_length=64, blank=True)
    tokens_in = models.PositiveIntegerField(null=True)
    tokens_out = models.PositiveIntegerField(null=True)
    cost_micros = models.BigIntegerField(null=True)
    latency_ms = models.PositiveIntegerField(null=True)
    meta = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
