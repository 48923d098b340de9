"""What the API says and takes of endpoints, prompts, LM annotators and runs. A stored key is never in any of them."""

from __future__ import annotations

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from app.jobs.models import Job
from app.web.api import (
    Body,
    IdField,
    NumberField,
    Resource,
    StrictBooleanField,
    TextField,
    WholeNumberField,
)

from . import prompts

ESTIMATE = {"type": ["object", "null"], "additionalProperties": {}}


class EndpointModelResource(Resource):
    """A model of an endpoint with its prices for a million tokens."""

    name = serializers.CharField()
    input_price = serializers.DecimalField(max_digits=12, decimal_places=4)
    output_price = serializers.DecimalField(max_digits=12, decimal_places=4)


class EndpointResource(Resource):
    """A server that models are asked at, as its admins see it."""

    id = serializers.CharField(source="pk")
    name = serializers.CharField()
    base_url = serializers.CharField()
    currency = serializers.CharField()
    has_key = serializers.BooleanField(source="has_secret", help_text="Whether a key is stored or named.")
    secret_env = serializers.CharField(help_text="Name of the variable that holds the key, if any.")
    requests_per_minute = serializers.IntegerField(allow_null=True)
    concurrency = serializers.IntegerField()
    timeout_seconds = serializers.IntegerField()
    max_attempts = serializers.IntegerField()
    is_shared = serializers.BooleanField()
    is_enabled = serializers.BooleanField()
    models = serializers.SerializerMethodField()

    @extend_schema_field(EndpointModelResource(many=True))
    def get_models(self, endpoint) -> list:
        rows = [m for m in endpoint.models.all() if m.is_offered]
        return EndpointModelResource(sorted(rows, key=lambda m: m.name), many=True).data


class NewModel(Body):
    name = TextField(max_length=200)
    input_price = serializers.DecimalField(max_digits=12, decimal_places=4, min_value=0, default=0)
    output_price = serializers.DecimalField(max_digits=12, decimal_places=4, min_value=0, default=0)


class NewEndpoint(Body):
    """An endpoint to be added. The key is taken and never given back."""

    name = TextField(max_length=80)
    base_url = TextField(max_length=300)
    key = TextField(max_length=2000, required=False, write_only=True)
    secret_env = TextField(max_length=80, required=False, allow_blank=True, default="")
    currency = serializers.RegexField(r"^[A-Z]{3}$", default="EUR")
    requests_per_minute = WholeNumberField(min_value=1, max_value=1_000_000, required=False, allow_null=True)
    concurrency = WholeNumberField(min_value=1, max_value=64, default=4)
    timeout_seconds = WholeNumberField(min_value=1, max_value=600, default=60)
    max_attempts = WholeNumberField(min_value=1, max_value=20, default=5)
    is_shared = StrictBooleanField(default=True)
    is_enabled = StrictBooleanField(default=True)
    models = NewModel(many=True, allow_empty=False, max_length=100)


class TrialResource(Resource):
    """What asking an endpoint for its models found."""

    ok = serializers.BooleanField()
    words = serializers.CharField()
    models = serializers.ListField(child=serializers.CharField())
    missing = serializers.ListField(child=serializers.CharField())


class UsableModelResource(Resource):
    """A model this project may use."""

    id = serializers.CharField(source="pk", help_text="Give it as `model` to make an annotator.")
    name = serializers.CharField()
    endpoint = serializers.CharField(source="endpoint.name")
    currency = serializers.CharField(source="endpoint.currency")
    input_price = serializers.DecimalField(max_digits=12, decimal_places=4)
    output_price = serializers.DecimalField(max_digits=12, decimal_places=4)


class PromptResource(Resource):
    """One version of a prompt; it never changes."""

    id = serializers.CharField(source="pk")
    name = serializers.CharField()
    number = serializers.IntegerField()
    instructions = serializers.CharField()
    with_guidelines = serializers.BooleanField()
    with_criteria = serializers.BooleanField()
    with_reason = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class NewPrompt(Body):
    """The words of a prompt; the content of a known version gives that version."""

    name = TextField(max_length=80)
    instructions = TextField(max_length=prompts.MAX_INSTRUCTIONS, allow_blank=True, default="")
    with_guidelines = StrictBooleanField(default=True)
    with_criteria = StrictBooleanField(default=True)
    with_reason = StrictBooleanField(default=True)


class LMAnnotatorResource(Resource):
    """A model, a rule or imported judgments that stand beside people."""

    id = serializers.CharField(source="pk")
    name = serializers.CharField(source="annotator.name")
    backend = serializers.CharField()
    model = serializers.CharField()
    endpoint = serializers.CharField(source="endpoint_model.endpoint.name", default=None, allow_null=True)
    prompt = serializers.SerializerMethodField(help_text="The id of its prompt version.")
    prompt_hash = serializers.CharField()
    parameters = serializers.DictField()
    judged = serializers.IntegerField(source="annotator.n_judged")
    created_at = serializers.DateTimeField()

    def get_prompt(self, detail) -> str | None:
        return str(detail.prompt_id) if detail.prompt_id else None


class LMReportResource(LMAnnotatorResource):
    """An LM annotator with how it stands beside people. Estimates are null where they are undefined."""

    agreement = serializers.SerializerMethodField()
    order_consistency = serializers.SerializerMethodField()
    longer_wins_beyond_people = serializers.SerializerMethodField()
    canary_flips = serializers.SerializerMethodField()
    cost = serializers.SerializerMethodField(help_text="Of its recorded calls, in the project's currency.")

    @extend_schema_field(ESTIMATE)
    def get_agreement(self, detail):
        return self.context["report"].tally.agreement

    @extend_schema_field(ESTIMATE)
    def get_order_consistency(self, detail):
        return self.context["report"].tally.consistency

    @extend_schema_field(ESTIMATE)
    def get_longer_wins_beyond_people(self, detail):
        return self.context["report"].lengths.bias

    @extend_schema_field(ESTIMATE)
    def get_canary_flips(self, detail):
        return self.context["flips"]

    def get_cost(self, detail) -> str:
        return self.context["report"].cost_words


class NewLMAnnotator(Body):
    """A model, a prompt version and parameters; the same again gives the same annotator."""

    model = IdField()
    prompt = IdField()
    name = TextField(max_length=150, required=False, default="", allow_blank=True)
    asks = serializers.ChoiceField(list(prompts.ASKS), default=prompts.COMPARISONS)
    both_orders = StrictBooleanField(default=True)
    samples = WholeNumberField(min_value=1, max_value=20, default=1)
    temperature = NumberField(min_value=0, max_value=2, default=0.0)
    max_tokens = WholeNumberField(min_value=16, max_value=32_000, default=600)
    logprobs = StrictBooleanField(default=True)
    structured = StrictBooleanField(default=True)


class RunEstimateResource(Resource):
    """What a run would take, extrapolated from some of its items."""

    items = serializers.IntegerField()
    calls = serializers.IntegerField()
    tokens_in = serializers.IntegerField()
    tokens_out = serializers.IntegerField()
    cost = serializers.CharField()
    worst = serializers.CharField(help_text="The sum of what is held, call by call.")
    currency = serializers.CharField()
    left = serializers.CharField(help_text="What the project's account has left.")
    is_free = serializers.BooleanField()


class RunResource(Resource):
    """One start of an annotator."""

    id = serializers.CharField(source="pk")
    annotator = serializers.SerializerMethodField(help_text="The LM annotator's id.")
    limit = serializers.IntegerField(allow_null=True)
    state = serializers.SerializerMethodField()
    job = serializers.SerializerMethodField(help_text="Address of its job.")
    created_at = serializers.DateTimeField()

    def get_annotator(self, run) -> str:
        return str(run.annotator.lm.pk)

    def get_state(self, run) -> str:
        return Job.objects.filter(pk=run.job_id).values_list("state", flat=True).first() or ""

    def get_job(self, run) -> str:
        return reverse("api:job", args=[run.job_id]) if run.job_id else ""


class NewRun(Body):
    """How far a run goes."""

    limit = WholeNumberField(min_value=1, required=False, allow_null=True)
    cap = serializers.DecimalField(
        max_digits=12, decimal_places=6, min_value=0, required=False, allow_null=True,
        help_text="Money this run may spend at most, beside the project's own cap.",
    )  # fmt: skip
    again = StrictBooleanField(
        default=False, help_text="Ask once more about items whose replies gave no verdict."
    )
