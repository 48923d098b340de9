"""Routing plans as the API shows and takes them."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from app.web.api import Body, IdField, NumberField, Resource, TextField, WholeNumberField

from . import words
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
    sentence = serializers.SerializerMethodField(help_text="What it does, in words.")
    summary = serializers.DictField(help_text="What it would do, in numbers.")
    job = serializers.UUIDField(source="job_id", allow_null=True)
    created_at = serializers.DateTimeField()
    applied_at = serializers.DateTimeField(allow_null=True)

    class Meta:
        ref_name = "Plan"

    def get_sentence(self, plan: RoutingPlan) -> str:
        return words.sentence(plan)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Example", {"budget": "25 %", "policy": "lm_uncertainty", "audit_share": 0.05}, request_only=True
        )
    ]
)
class NewPlan(Body):
    """A plan to draft; a draft changes nothing until it is applied."""

    budget = TextField(
        max_length=40, help_text="A share of items (0.25, 25 %), or money with its currency (25 EUR)."
    )
    policy = serializers.ChoiceField(required=False, choices=list(POLICIES.items()))
    audit_share = NumberField(required=False, min_value=0, max_value=1)
    overlap = WholeNumberField(required=False, min_value=1, max_value=100)
    seed = WholeNumberField(required=False, min_value=0, max_value=2**63 - 1)
    annotators = serializers.ListField(
        child=IdField(), required=False, max_length=1000, help_text="Ids of the models it listens to."
    )
