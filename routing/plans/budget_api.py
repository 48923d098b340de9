"""A project's budget over the API."""

from __future__ import annotations

from decimal import Decimal

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from pydantic import ValidationError
from rest_framework import serializers
from rest_framework.response import Response

from annotations.judging import label_cap
from annotations.projects import rules
from annotations.projects.access import project_for
from annotations.projects.models import Membership
from app.web.api import (
    SLUG,
    ApiView,
    Body,
    FieldsQuery,
    NumberField,
    ObjectField,
    Resource,
    StrictBooleanField,
    WholeNumberField,
    bad,
    invalid,
    one,
    parse,
)

from . import spending
from .budget_change import Changes, Refused, change_budget

MONEY = {"max_digits": 18, "decimal_places": 6}


class SpendingResource(Resource):
    """What one person, model or GPU job cost."""

    kind = serializers.ChoiceField(choices=["human", "lm", "gpu"])
    name = serializers.CharField()
    amount = serializers.DecimalField(**MONEY)
    owed = serializers.DecimalField(**MONEY, help_text="Not covered by the budget.")
    n = serializers.IntegerField()
    unit = serializers.CharField(help_text="What `n` counts: items, calls or seconds.")


class QueueResource(Resource):
    """Who can judge, and how much."""

    key = serializers.CharField(help_text="`people`, `expert:<tag>` or `lm:<annotator>`.")
    name = serializers.CharField()
    people = serializers.IntegerField()
    pace = serializers.FloatField(allow_null=True, help_text="Answers a day over the last 14 days.")
    judged = serializers.IntegerField()
    most = serializers.IntegerField(allow_null=True)


class BudgetResource(Resource):
    """Caps, what is used of them, how long they last, and what they went to."""

    currency = serializers.SerializerMethodField()
    money_cap = serializers.DecimalField(**MONEY, source="account.cap", default=None, allow_null=True)
    money_spent = serializers.DecimalField(**MONEY, source="account.spent", default=None, allow_null=True)
    money_held = serializers.DecimalField(**MONEY, source="account.held", default=None, allow_null=True)
    labels_cap = serializers.IntegerField(source="labels.cap", default=None, allow_null=True)
    labels_given = serializers.IntegerField(source="labels.given", default=None, allow_null=True)
    labels_held = serializers.IntegerField(source="labels.held", default=None, allow_null=True)
    labels_beyond = serializers.IntegerField(source="labels.beyond", default=None, allow_null=True)
    money_days_left = serializers.SerializerMethodField(
        help_text="{value, lo, hi, n}; null where no pace is known."
    )
    labels_days_left = serializers.SerializerMethodField(
        help_text="{value, lo, hi, n}; null where no pace is known."
    )
    warnings = serializers.SerializerMethodField()
    spending = SpendingResource(source="lines", many=True)
    queues = QueueResource(many=True)
    rules = serializers.SerializerMethodField(
        help_text="Warnings, roles, price of a GPU hour, limits of queues."
    )

    class Meta:
        ref_name = "Budget"

    def get_currency(self, found: spending.Budget) -> str | None:
        return found.account.currency if found.account else None

    def _days(self, found: spending.Budget, what: str) -> dict | None:
        return next((burn.days for burn in found.burn if burn.what == what), None)

    def get_money_days_left(self, found: spending.Budget) -> dict | None:
        return self._days(found, "money")

    def get_labels_days_left(self, found: spending.Budget) -> dict | None:
        return self._days(found, "labels")

    def get_warnings(self, found: spending.Budget) -> list[str]:
        return [warned.sentence for warned in found.warnings]

    def get_rules(self, found: spending.Budget) -> dict:
        return self.context["rules"].model_dump(mode="json")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Example", {"labels_cap": 2000, "alerts": [0.5, 0.9], "plans_by": "owner"}, request_only=True
        )
    ]
)
class BudgetChange(Body):
    """What to change; what is left out stays."""

    money_cap = serializers.DecimalField(
        max_digits=14, decimal_places=4, min_value=Decimal(0), required=False
    )
    labels_cap = WholeNumberField(
        min_value=1, allow_null=True, required=False, help_text="null lifts the cap."
    )
    alerts = serializers.ListField(
        child=NumberField(min_value=0.000001, max_value=1), max_length=5, required=False
    )
    mail = StrictBooleanField(required=False)
    plans_by = serializers.ChoiceField(choices=["researcher", "owner"], required=False)
    runs_by = serializers.ChoiceField(choices=["researcher", "owner"], required=False)
    gpu_hour = serializers.DecimalField(
        max_digits=10,
        decimal_places=4,
        min_value=Decimal(0),
        required=False,
        help_text="Price of a GPU hour.",
    )
    people = WholeNumberField(
        min_value=1, allow_null=True, required=False, help_text="Most items a plan sends."
    )
    experts = ObjectField(required=False, help_text="Most items a plan sends, by tag.")
    models = ObjectField(required=False, help_text="Most items a model judges, by annotator's id.")


class BudgetOne(ApiView):
    """The budget of a project."""

    @extend_schema(
        tags=["budget"], summary="Read the budget", parameters=[SLUG, FieldsQuery],
        operation_id="budget_retrieve", responses=BudgetResource,
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug)
        return one(request, BudgetResource, spending.budget_of(project), rules=rules.of(project).budget)

    @extend_schema(
        tags=["budget"], summary="Change caps and rules", parameters=[SLUG], request=BudgetChange,
        operation_id="budget_update", responses=BudgetResource,
    )  # fmt: skip
    def patch(self, request, slug):
        """For owners. A cap below what is spent or held is refused."""
        project = project_for(request, slug, at_least=Membership.Role.OWNER)
        body = parse(BudgetChange, request.data)
        keep = "labels_cap" not in body
        labels = label_cap.of(project)
        money, wish = body.pop("money_cap", None), body.pop("labels_cap", labels.cap if labels else None)
        try:
            section = rules.Budget.model_validate({**rules.of(project).budget.model_dump(), **body})
        except ValidationError as error:
            raise invalid(
                [
                    {"field": ".".join(map(str, each["loc"])) or "alerts", "message": each["msg"]}
                    for each in error.errors(include_url=False)
                ]
            ) from None
        try:
            changes = Changes(rules=section, money=money, labels=wish, keep_labels=keep)
            change_budget(project=project, changes=changes, actor=request.user)
        except Refused as error:
            raise bad(f"{error.field}_cap", str(error)) from None
        context = {"rules": rules.of(project).budget}
        return Response(BudgetResource(spending.budget_of(project), context=context).data)
