"""Experiment arms over the API: what they are, and how judging differs between them."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from pydantic import ValidationError
from rest_framework import serializers
from rest_framework.response import Response

from annotations.projects import rules
from annotations.projects.access import project_for
from annotations.projects.models import Membership, Project, TaskSchema
from app.web.api import SLUG, ApiView, Body, Resource, StrictBooleanField, WholeNumberField, bad, parse

from . import arm_report, gate_rules_change
from .quality_api import EstimateResource

RESEARCHER = Membership.Role.RESEARCHER


class ArmEstimates(Resource):
    """Of each measure its estimate; null where there is nothing to count."""

    seconds = EstimateResource(allow_null=True, help_text="Median active time of an item.")
    ties = EstimateResource(allow_null=True, help_text="Share of ties.")
    agreement = EstimateResource(allow_null=True, help_text="Share of others who say the same.")
    gold = EstimateResource(allow_null=True, help_text="Gold items answered as expected.")


class ArmResource(Resource):
    """One arm and what was judged under it, from the latest 20,000 judgments."""

    name = serializers.CharField()
    weight = serializers.IntegerField()
    schema_number = serializers.IntegerField(allow_null=True, help_text="null: what the project asks.")
    criteria = serializers.BooleanField(help_text="Whether released criteria stand on the page.")
    people = serializers.IntegerField()
    judgments = serializers.IntegerField()
    estimates = ArmEstimates()
    against_first = ArmEstimates(
        allow_null=True, help_text="The differences to the first arm; null for the first."
    )

    class Meta:
        ref_name = "Arm"


class NewArm(Body):
    """One arm."""

    name = serializers.RegexField(r"^[a-z][a-z0-9_]{0,39}$")
    weight = WholeNumberField(required=False, min_value=1, max_value=100)
    schema_number = WholeNumberField(required=False, allow_null=True, min_value=1)
    criteria = StrictBooleanField(required=False)


class ArmsBody(Body):
    """All arms of the project; an empty list ends the experiment."""

    arms = NewArm(many=True, max_length=8)


class ArmsResource(Resource):
    """The project's experiment arms."""

    arms = ArmResource(many=True)

    class Meta:
        ref_name = "Arms"


def _arms(project: Project) -> Response:
    found = {numbers.name: numbers for numbers in arm_report.report(project)}
    rows = []
    for arm in rules.of(project).arms:
        numbers = found[arm.name]
        seen = {"people": numbers.people, "judgments": numbers.judgments, "estimates": numbers.estimates}
        rows.append({**arm.model_dump(), **seen, "against_first": numbers.against or None})
    return Response(ArmsResource({"arms": rows}).data)


class Arms(ApiView):
    """A project's experiment arms."""

    @extend_schema(
        tags=["quality"], summary="Read the experiment arms and how judging differs between them",
        parameters=[SLUG], operation_id="arms_retrieve", responses=ArmsResource,
    )  # fmt: skip
    def get(self, request, slug):
        """Intervals draw whole people again."""
        return _arms(project_for(request, slug, at_least=RESEARCHER))

    @extend_schema(
        tags=["quality"], summary="Set the experiment arms", request=ArmsBody, parameters=[SLUG],
        operation_id="arms_update", responses=ArmsResource,
    )  # fmt: skip
    def put(self, request, slug):
        """People in an arm that stays, stay in it; new people are drawn into these arms."""
        project = project_for(request, slug, at_least=RESEARCHER)
        given = parse(ArmsBody, request.data)["arms"]
        known = set(TaskSchema.objects.filter(project=project).values_list("number", flat=True))
        for place, arm in enumerate(given):
            if arm.get("schema_number") not in {None, *known}:
                raise bad(f"arms.{place}.schema_number", "The project has no such version.")
        try:
            arms = tuple(rules.Arm(**arm) for arm in given)
            gate_rules_change.change_arms(project=project, arms=arms, actor=request.user)
        except ValidationError as error:
            raise bad("arms", f"{error.errors()[0]['msg'].removeprefix('Value error, arms: ')}.") from None
        return _arms(project)
