"""Leases and judgments. Judgments are append-only: a correction is a new row that supersedes the old."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from annotations.items.models import Item
from annotations.projects.models import (
    Annotator,
    CriteriaRelease,
    Guideline,
    Project,
    TaskSchema,
)


class Assignment(models.Model):
    """A lease of one item to one person. One row per (item, annotator); a new lease after expiry reuses it.

    `reserved`: a researcher gave the item to this person, who has not begun; it takes a place like a lease, and
    does not expire.
    """

    class State(models.TextChoices):
        LEASED = "leased"
        RESERVED = "reserved"
        SUBMITTED = "submitted"
        SKIPPED = "skipped"
        EXPIRED = "expired"
        RELEASED = "released"

    class Purpose(models.TextChoices):
        DATA = "data"
        REPEAT = "repeat"
        TRAINING = "training"
        QUALIFICATION = "qualification"
        GOLD = "gold"
        REVIEW = "review"

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="assignments", db_index=False)
    annotator = models.ForeignKey(
        Annotator, on_delete=models.CASCADE, related_name="assignments", db_index=False
    )
    state = models.CharField(max_length=9, choices=State.choices, default=State.LEASED)
    presented_order = models.CharField(
        max_length=8, help_text="Canonical indices as shown, left first, e.g. '10'."
    )
    occasion = models.PositiveSmallIntegerField(
        default=0, help_text="0 = the first time; 1 and on = a hidden repeat of an item judged before."
    )
    purpose = models.CharField(max_length=13, choices=Purpose.choices, default=Purpose.DATA)
    arm = models.CharField(max_length=40, blank=True, help_text="The experiment arm it was shown under.")
    expert = models.BooleanField(
        default=False, db_default=False, help_text="It takes one of the places kept for experts."
    )
    by_hand = models.BooleanField(
        default=False,
        db_default=False,
        help_text="A researcher chose the person; it is theirs until unassigned.",
    )
    leased_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    draft = models.JSONField(null=True, help_text="Unfinished answer, saved by the page.")
    drafted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["item", "annotator", "occasion"], name="assignment_once")
        ]
        indexes = [
            models.Index(fields=["annotator", "state", "-leased_at"], name="assignment_mine"),
            models.Index(
                fields=["expires_at"],
                condition=Q(state="leased"),
                name="assignment_live",
            ),
        ]

    @property
    def is_data(self) -> bool:
        """Whether its lease, its sides and its answer count: not for gates, hidden repeats and reviews."""
        return self.purpose == self.Purpose.DATA and not self.occasion


class Judgment(models.Model):
    """One annotator's answer to one item. Written by `judging.submit` only, never changed.

    `is_current`: this is the annotator's answer that counts as data. It turns false when another judgment
    supersedes this one or the person's work is quarantined, and is false from the start where the answer is no
    data (`aside` says which): it and `aside` are the only columns that ever change.
    """

    class Aside(models.TextChoices):
        NO = "", "Data"
        REPEAT = "repeat", "Hidden repeat"
        TRAINING = "training", "Training"
        QUALIFICATION = "qualification", "Qualification test"
        GOLD = "gold", "Gold"
        REVIEW = "review", "Review"
        QUARANTINE = "quarantine", "Quarantine"
        RETURNED = "returned", "Given back with a place"

    class Outcome(models.TextChoices):
        ANSWERED = "answered", gettext_lazy("Answered")
        CANNOT_JUDGE = "cannot_judge", gettext_lazy("Cannot judge")
        SKIPPED = "skipped", gettext_lazy("Skipped")
        FLAGGED = "flagged", gettext_lazy("Flagged")

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
    aside = models.CharField(
        max_length=13,
        choices=Aside.choices,
        default=Aside.NO,
        blank=True,
        help_text="Why it is kept but is no data; empty for data.",
    )
    occasion = models.PositiveSmallIntegerField(default=0, help_text="As of its assignment.")
    arm = models.CharField(max_length=40, blank=True, help_text="The experiment arm it was given under.")
    created_at = models.DateTimeField()
    received_at = models.DateTimeField(default=timezone.now)
    active_ms = models.PositiveIntegerField(null=True)
    wall_ms = models.PositiveIntegerField(null=True)
    meta = models.JSONField(default=dict, help_text="How it was given: position in session, viewport, late.")
    digest = models.BinaryField(
        max_length=32,
        null=True,
        help_text="SHA-256 over what it says, written with it; see `digest`. Null only in rows older than the log.",
    )

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
            models.CheckConstraint(
                condition=Q(is_current=False) | Q(aside=""), name="judgment_aside_is_no_data"
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
                    & Q(scale_max__in=[1, 2, 3, 4])
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


class Seal(models.Model):
    """A block of a project's judgment log: the hash over the block before and the digests of these judgments.

    Written by `log.seal` only, never changed. Blocks follow one another without gaps: each begins behind the
    `last` of the one before.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="seals")
    number = models.PositiveIntegerField(help_text="From 1, without gaps.")
    last = models.BigIntegerField(help_text="No later judgment has an id up to this one.")
    n = models.PositiveIntegerField(help_text="Judgments in the block.")
    hash = models.BinaryField(max_length=32)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "number"], name="seal_number_once")]


class ErasedJudgment(models.Model):
    """The digest of a judgment that was deleted with its person, so that the log can still be verified."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    judgment = models.BigIntegerField(unique=True, help_text="The id it had.")
    digest = models.BinaryField(max_length=32)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["project", "judgment"], name="erased_scan")]


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


class Expectation(models.Model):
    """What a gate item (training, qualification test, gold) is expected to be answered, and how exactly.

    `answer` and each of `accepted` have the form of `expected.to_json`; what they do not mention may be anything.
    """

    item = models.OneToOneField(Item, on_delete=models.CASCADE, related_name="expectation")
    answer = models.JSONField()
    accepted = models.JSONField(default=list, blank=True, help_text="Further answers that are right.")
    strength_within = models.PositiveSmallIntegerField(
        null=True, help_text="Steps a preference may differ; empty = the same side is enough."
    )
    score_within = models.PositiveSmallIntegerField(default=1, help_text="Steps a score may differ.")
    explanation = models.TextField(blank=True, help_text="Shown after a training item was answered.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)


class Check(models.Model):
    """Whether one answer passed its gate: fits what is expected, or what the person said the first time (repeat).

    Only the latest answer of an occasion has one; skips and flags have none.
    """

    judgment = models.OneToOneField(Judgment, on_delete=models.CASCADE, related_name="gate_check")
    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=13, choices=Judgment.Aside.choices)
    passed = models.BooleanField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["annotator", "kind"], name="check_of_person")]


class Review(models.Model):
    """A reviewer's decision about an item: an answer that is final, or that the votes stand as they are.

    The votes are never changed. The newest review of an item is in force.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="reviews", db_index=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="reviews", db_index=False)
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    judgment = models.OneToOneField(
        Judgment,
        null=True,
        on_delete=models.PROTECT,
        related_name="review",
        help_text="The final answer (`aside` review); empty where the votes stand.",
    )
    causes = models.JSONField(
        default=list, blank=True, help_text="Why people disagreed; see `causes.CAUSES`."
    )
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(fields=["item", "-id"], name="review_of_item"),
            models.Index(fields=["project", "-id"], name="review_scan"),
        ]


class LabelCap(models.Model):
    """The most labels that people give in a project; see `label_cap`. `held + given <= cap` whatever runs at once."""

    project = models.OneToOneField(
        Project, primary_key=True, on_delete=models.CASCADE, related_name="label_cap"
    )
    cap = models.PositiveIntegerField()
    held = models.PositiveIntegerField(default=0, help_text="Places taken: live leases, and given by hand.")
    given = models.PositiveIntegerField(default=0, help_text="Labels given, each once.")
    beyond = models.PositiveIntegerField(
        default=0, help_text="Late answers that were kept though the cap was reached."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(cap__gte=F("held") + F("given")), name="label_cap_holds")
        ]

    @property
    def used(self) -> int:
        """Labels given or held."""
        return self.held + self.given

    @property
    def left(self) -> int:
        return self.cap - self.used
