"""Routing plans as the API shows and takes them."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from app.web.api import Body, IdField, NumberField, Resource, StrictBooleanField, TextField, WholeNumberField

from . import reasons, words, worth
from .allocation import MIN_AUDIT
from .draft import POLICIES
from .models import RoutingPlan


class PlanResource(Resource):
    """One proposal of who judges what for a budget."""

    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=RoutingPlan.State.choices)
    policy = serializers.CharField()
    budget_share = serializers.FloatField(allow_null=True)
    budget_money = serializers.DecimalField(max_digits=14, decimal_places=4, allow_null=True)
    currency = serializers.CharField()
    audit_share = serializers.FloatField()
    overlap = serializers.IntegerField()
    seed = serializers.IntegerField()
    threshold = serializers.FloatField(allow_null=True)
    parameters = serializers.DictField(help_text="alpha, expected_items, online, second.")
    follows = serializers.IntegerField(
        source="follows.number",
        default=None,
        allow_null=True,
        help_text="Number of the plan whose audits it took over.",
    )
    honesty = serializers.SerializerMethodField(
        help_text="{line, tone, report}: what routing is worth by the audits; report has estimates or is null."
    )
    sentence = serializers.SerializerMethodField(help_text="What it does, in words.")
    summary = serializers.DictField(help_text="What it would do, in numbers.")
    job = serializers.UUIDField(source="job_id", allow_null=True)
    created_at = serializers.DateTimeField()
    applied_at = serializers.DateTimeField(allow_null=True)

    class Meta:
        ref_name = "Plan"

    def get_honesty(self, plan: RoutingPlan) -> dict:
        found = worth.stored(plan)
        line = worth.line(plan, found)
        return {"line": line.text, "tone": line.tone, "report": found.get("report")}

    def get_sentence(self, plan: RoutingPlan) -> str:
        return words.sentence(plan)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Example", {"budget": "25 %", "policy": "net_gain", "audit_share": 0.05}, request_only=True
        )
    ]
)
class NewPlan(Body):
    """A plan to draft; a draft changes nothing until it is applied."""

    budget = TextField(
        max_length=40, help_text="A share of items (0.25, 25 %), or money with its currency (25 EUR)."
    )
    policy = serializers.ChoiceField(required=False, choices=list(POLICIES.items()))
    audit_share = NumberField(
        required=False, min_value=MIN_AUDIT, max_value=1, help_text="At least 0.05: the audit floor."
    )
    alpha = NumberField(
        required=False,
        min_value=0.001,
        max_value=0.999,
        help_text="Error allowed where a model labels alone.",
    )
    online = StrictBooleanField(required=False, help_text="Keep up with new items and judgments.")
    expected_items = WholeNumberField(
        required=False, min_value=1, max_value=10**9, help_text="Spread a budget in money over so many items."
    )
    overlap = WholeNumberField(required=False, min_value=1, max_value=100)
    seed = WholeNumberField(required=False, min_value=0, max_value=2**63 - 1)
    annotators = serializers.ListField(
        child=IdField(), required=False, max_length=1000, help_text="Ids of the models it listens to."
    )
    second = IdField(
        required=False,
        help_text="Id of a stronger model that items may go to instead of people; needs money.",
    )


class DecisionResource(Resource):
    """Where a plan sends one item, and why."""

    plan = serializers.IntegerField(source="plan.number")
    plan_state = serializers.CharField(source="plan.state")
    policy = serializers.CharField(source="plan.policy")
    item = serializers.CharField(source="item_id")
    route = serializers.ChoiceField(choices=["human", "lm", "both"])
    queue = serializers.CharField()
    is_audit = serializers.BooleanField()
    accepted = serializers.BooleanField(
        help_text="The model's label may stand alone, with a proven error rate."
    )
    score = serializers.FloatField()
    threshold = serializers.FloatField(source="plan.threshold", allow_null=True)
    propensity = serializers.FloatField(help_text="Probability that a person was to judge it.")
    predicted_error = serializers.FloatField(source="predicted", allow_null=True)
    priority = serializers.IntegerField()
    reasons = serializers.ListField(child=serializers.DictField())
    reasons_in_words = serializers.SerializerMethodField()

    class Meta:
        ref_name = "Decision"

    def get_reasons_in_words(self, decision) -> list[str]:
        return reasons.of(decision)
