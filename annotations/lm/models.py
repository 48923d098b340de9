"""Language models that annotate: where they are reached, in which words they are asked, what they replied."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from annotations.items.models import Item
from annotations.projects.models import Annotator, CriteriaRelease, Guideline, Project, TaskSchema


class Endpoint(models.Model):
    """A server that speaks the chat completions API. Owned by site admins; projects use it.

    The key is read from the environment variable `secret_env`, or kept encrypted in `secret_box` (see `vault`).
    """

    name = models.CharField(max_length=80, unique=True)
    base_url = models.CharField(
        max_length=300, help_text="Up to /v1, as the server's own documentation says."
    )
    secret_env = models.CharField(max_length=80, blank=True)
    secret_box = models.TextField(blank=True, help_text="Encrypted; never shown.")
    currency = models.CharField(max_length=3, default="EUR")
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    concurrency = models.PositiveSmallIntegerField(
        default=4, validators=[MinValueValidator(1), MaxValueValidator(64)]
    )
    timeout_seconds = models.PositiveSmallIntegerField(default=60)
    max_attempts = models.PositiveSmallIntegerField(default=5)
    is_shared = models.BooleanField(default=True, help_text="Every project may use it.")
    projects = models.ManyToManyField(Project, blank=True, related_name="+")
    is_enabled = models.BooleanField(default=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    @property
    def has_secret(self) -> bool:
        return bool(self.secret_env or self.secret_box)


class Pace(models.Model):
    """How fast an endpoint may be asked right now, shared by all workers. Its row is locked by whoever asks."""

    endpoint = models.OneToOneField(Endpoint, primary_key=True, on_delete=models.CASCADE, related_name="pace")
    arrival = models.DateTimeField(
        null=True, help_text="Theoretical arrival time of the next request (GCRA)."
    )
    blocked_until = models.DateTimeField(null=True, help_text="As the server's Retry-After said.")


class EndpointModel(models.Model):
    """One model of an endpoint, its prices, and what the server was found to understand."""

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="models")
    name = models.CharField(max_length=200)
    input_price = models.DecimalField(max_digits=12, decimal_places=4, default=0)
    output_price = models.DecimalField(max_digits=12, decimal_places=4, default=0)
    lacks = models.JSONField(default=list, blank=True, help_text="Parameters that the server refused.")
    is_offered = models.BooleanField(default=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["endpoint", "name"], name="endpoint_model_once")]

    def __str__(self) -> str:
        return f"{self.name} at {self.endpoint.name}"


class Prompt(models.Model):
    """One immutable version of the words a model is asked in; questions and answer format are added by `asking`."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompts")
    name = models.CharField(max_length=80)
    number = models.PositiveIntegerField()
    instructions = models.TextField(blank=True)
    with_guidelines = models.BooleanField(default=True)
    with_criteria = models.BooleanField(default=True)
    with_reason = models.BooleanField(default=True)
    sha256 = models.CharField(max_length=64)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name", "number"], name="prompt_number_once"),
            models.UniqueConstraint(fields=["project", "name", "sha256"], name="prompt_content_once"),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.number}"


class LMAnnotator(models.Model):
    """Detail of one LM annotator: where it is asked, which model, in which words. Never changed once it has judged.

    `backend` is `endpoint`, `local` (weights on the worker's own machine), `imported` (its judgments came with a
    file), `baseline` (an offline rule, named as such) or `criteria` (owns the calls of the criteria lab; no annotator
    that anybody runs, and in no list).
    """

    class Backend(models.TextChoices):
        IMPORTED = "imported", "Imported judgments"
        BASELINE = "baseline", "Offline baseline"
        ENDPOINT = "endpoint", "Endpoint"
        LOCAL = "local", "Local weights"
        CRITERIA = "criteria", "Criteria lab"

    annotator = models.OneToOneField(Annotator, on_delete=models.CASCADE, related_name="lm")
    backend = models.CharField(max_length=12, choices=Backend.choices)
    model = models.CharField(max_length=200)
    strategy = models.CharField(
        max_length=120, blank=True, help_text="Prompt strategy, where the file names one."
    )
    rule = models.CharField(max_length=40, blank=True, help_text="Name of the baseline's rule.")
    parameters = models.JSONField(default=dict, blank=True)
    endpoint_model = models.ForeignKey(
        EndpointModel, null=True, on_delete=models.PROTECT, related_name="annotators"
    )
    prompt = models.ForeignKey(Prompt, null=True, on_delete=models.PROTECT, related_name="annotators")
    schema = models.ForeignKey(TaskSchema, null=True, on_delete=models.PROTECT, related_name="+")
    guideline = models.ForeignKey(Guideline, null=True, on_delete=models.PROTECT, related_name="+")
    criteria_release = models.ForeignKey(
        CriteriaRelease, null=True, on_delete=models.PROTECT, related_name="+"
    )
    prompt_hash = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    @property
    def is_baseline(self) -> bool:
        return self.backend == self.Backend.BASELINE

    @property
    def asks(self) -> bool:
        """Whether it can be asked about new items by calling a model."""
        return self.backend in {self.Backend.ENDPOINT, self.Backend.LOCAL}


class Reply(models.Model):
    """One call and its reply, by the hash of all that was asked: the cache, and the claim while it is under way.

    A pending row is held by `owner` until `claimed_until`; `reservations` are the ledger's. Retired replies stay for
    the record and are not found again.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        DONE = "done"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    endpoint = models.ForeignKey(Endpoint, null=True, on_delete=models.SET_NULL, related_name="+")
    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="+")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=64)
    state = models.CharField(max_length=7, choices=State.choices, default=State.PENDING)
    owner = models.CharField(max_length=80)
    claimed_until = models.DateTimeField(null=True)
    reservations = models.JSONField(default=list)
    order = models.CharField(max_length=8)
    sample = models.PositiveSmallIntegerField(default=0)
    code = models.CharField(max_length=32, blank=True, help_text="The fences' random code.")
    raw = models.TextField(blank=True)
    finish = models.CharField(max_length=40, blank=True)
    refusal = models.BooleanField(default=False)
    probability = models.FloatField(null=True, help_text="P(second) by token probabilities.")
    tokens_in = models.PositiveIntegerField(null=True)
    tokens_out = models.PositiveIntegerField(null=True)
    cost_micros = models.BigIntegerField(default=0)
    latency_ms = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "key"], condition=Q(retired_at__isnull=True), name="reply_once"
            )
        ]
        indexes = [
            models.Index(fields=["endpoint"], condition=Q(state="pending"), name="reply_pending"),
            models.Index(fields=["annotator", "item"], name="reply_of"),
        ]


class Run(models.Model):
    """One start of an annotator over items; the Job says how far it is."""

    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="lm_runs")
    job_id = models.UUIDField(null=True, unique=True)
    limit = models.PositiveIntegerField(null=True)
    account_id = models.UUIDField(null=True, help_text="Ledger account of the run's own cap.")
    estimate = models.JSONField(default=dict)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)


class Failure(models.Model):
    """An item an annotator could not be asked about; gone once it is judged."""

    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="+")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=40)
    message = models.CharField(max_length=500)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["annotator", "item"], name="failure_once")]


class Canary(models.Model):
    """What an annotator said of an item whose known-worse response was tampered with. Never a judgment."""

    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="+")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=20)
    verdict = models.CharField(max_length=8, blank=True, help_text="better, worse, tie; empty where unread.")
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["annotator", "item", "kind"], name="canary_once")]
