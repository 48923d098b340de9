"""Quality over the API: people's figures, pausing and quarantine, the gates' rules."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from pydantic import ValidationError
from rest_framework import serializers
from rest_framework.response import Response

from annotations.projects import people as project_people
from annotations.projects import rules
from annotations.projects.access import project_for
from annotations.projects.models import Annotator, Membership, Project
from app.web.api import (
    SLUG,
    ApiView,
    Body,
    FieldsQuery,
    NumberField,
    Resource,
    StrictBooleanField,
    TextField,
    WholeNumberField,
    answer_page,
    bad,
    in_path,
    one,
    page_of,
    parse,
    parse_query,
    wanted_fields,
)
from app.web.problems import Problem

from . import gate_rules_change, quality, quarantine

REVIEWER, RESEARCHER = Membership.Role.REVIEWER, Membership.Role.RESEARCHER
PERSON = in_path("id", "The person's id in the project.", OpenApiTypes.INT)


# --- People -------------------------------------------------------------------------------------------------
class EstimateResource(Resource):
    """A share with its 95 % interval."""

    value = serializers.FloatField()
    lo = serializers.FloatField()
    hi = serializers.FloatField()
    n = serializers.IntegerField()

    class Meta:
        ref_name = "Estimate"


class PersonQualityResource(Resource):
    """How one person judges. Speed, rows of one answer and sides are of the project's latest 20,000 judgments."""

    id = serializers.CharField(source="annotator.pk")
    name = serializers.CharField(source="annotator.name")
    status = serializers.ChoiceField(source="annotator.status", choices=Annotator.Status.choices)
    stage = serializers.ChoiceField(source="annotator.stage", choices=Annotator.Stage.choices)
    judged = serializers.IntegerField(source="annotator.n_judged")
    gold = EstimateResource(allow_null=True, help_text="Gold items answered as expected.")
    repeats = EstimateResource(allow_null=True, help_text="Hidden repeats answered the same.")
    test = EstimateResource(
        allow_null=True, help_text="Items of the qualification test answered as expected."
    )
    fast = EstimateResource(allow_null=True, help_text="Answers faster than the rules allow.")
    left = EstimateResource(allow_null=True, help_text="Of preferences for a side, those for the left one.")
    longest_run = serializers.IntegerField(source="run", help_text="The longest row of one displayed answer.")
    quarantined = serializers.IntegerField(source="aside", help_text="Judgments kept out of the data.")
    last_at = serializers.DateTimeField(allow_null=True)
    flags = serializers.ListField(child=serializers.CharField(), help_text="What is worth a look, in words.")

    class Meta:
        ref_name = "PersonQuality"


class PersonState(Resource):
    """Whether a person is given items."""

    id = serializers.CharField(source="pk")
    name = serializers.CharField()
    status = serializers.ChoiceField(choices=Annotator.Status.choices)
    stage = serializers.ChoiceField(choices=Annotator.Stage.choices)
    note = serializers.CharField(help_text="What the person is told.")
    quarantined_at = serializers.DateTimeField(allow_null=True)


class PersonChange(Body):
    """Pause a person or go on, or let them past the test."""

    paused = StrictBooleanField(required=False)
    note = TextField(
        required=False, allow_blank=True, max_length=500, help_text="To the person, when pausing."
    )
    let_in = StrictBooleanField(required=False, help_text="true: may work, whatever their test said.")

    def validate_let_in(self, value: bool) -> bool:
        if not value:
            raise serializers.ValidationError("Only true: nobody is sent back.")
        return value


class QuarantineReason(Body):
    """Why."""

    reason = TextField(required=False, allow_blank=True, max_length=300)


class MovedJudgments(Resource):
    """How many judgments went out of the data, or came back."""

    judgments = serializers.IntegerField()


def _person(project: Project, pk: int) -> Annotator:
    people = Annotator.objects.filter(project=project, kind=Annotator.Kind.HUMAN)
    return get_object_or_404(people.select_related("project"), pk=pk)


class QualityPeople(ApiView):
    """How people judge."""

    @extend_schema(
        tags=["quality"], summary="List people's figures, those with flags first",
        parameters=[SLUG, FieldsQuery], operation_id="quality_people_list",
        responses=page_of(PersonQualityResource),
    )  # fmt: skip
    def get(self, request, slug):
        """At most 500 people, on one page."""
        project = project_for(request, slug, at_least=REVIEWER)
        only = wanted_fields(parse_query(FieldsQuery, request))
        PersonQualityResource(only=only)
        return answer_page(PersonQualityResource, quality.people_quality(project), None, only)


class QualityPerson(ApiView):
    """One person's part in the project."""

    @extend_schema(
        tags=["quality"], summary="Pause a person, go on, or let them in", request=PersonChange,
        parameters=[SLUG, PERSON], operation_id="quality_people_update", responses=PersonState,
    )  # fmt: skip
    def patch(self, request, slug, pk):
        project = project_for(request, slug, at_least=RESEARCHER)
        person = _person(project, pk)
        values = parse(PersonChange, request.data)
        if "paused" in values:
            try:
                project_people.set_paused(
                    annotator=person,
                    paused=values["paused"],
                    actor=request.user,
                    note=values.get("note", "").strip(),
                )
            except project_people.Quarantined as refusal:
                raise Problem(409, "In quarantine", str(refusal)) from None
        elif "note" in values:
            raise bad("note", "Goes with `paused`.")
        if values.get("let_in"):
            gate_rules_change.let_in(annotator=person, actor=request.user)
        return Response(PersonState(_person(project, pk)).data)


class QualityQuarantine(ApiView):
    """A person's judgments out of the data, or back in."""

    @extend_schema(
        tags=["quality"], summary="Keep a person's judgments out of the data, and pause them",
        request=QuarantineReason, parameters=[SLUG, PERSON], operation_id="quality_quarantine_create",
        responses=MovedJudgments,
    )  # fmt: skip
    def post(self, request, slug, pk):
        """Their items are open again. Doing it again moves nothing more."""
        project = project_for(request, slug, at_least=RESEARCHER)
        person = _person(project, pk)
        reason = parse(QuarantineReason, request.data).get("reason", "")
        n = quarantine.quarantine(annotator=person, actor=request.user, reason=reason)
        return Response(MovedJudgments({"judgments": n}).data)

    @extend_schema(
        tags=["quality"], summary="Count a person's judgments again", parameters=[SLUG, PERSON],
        operation_id="quality_quarantine_delete", responses=MovedJudgments,
    )  # fmt: skip
    def delete(self, request, slug, pk):
        """They stay paused until somebody lets them go on."""
        project = project_for(request, slug, at_least=RESEARCHER)
        n = quarantine.restore(annotator=_person(project, pk), actor=request.user)
        return Response(MovedJudgments({"judgments": n}).data)


# --- Gates --------------------------------------------------------------------------------------------------
class GatesResource(Resource):
    """The gates' rules. Shares are of the items a person is given."""

    training = serializers.BooleanField()
    qualification_items = serializers.IntegerField()
    qualification_pass = serializers.FloatField()
    gold_share = serializers.FloatField()
    gold_first = serializers.IntegerField()
    repeat_share = serializers.FloatField()
    pause_after_gold = serializers.IntegerField()
    pause_below_gold = serializers.FloatField()
    pause_below_consistency = serializers.FloatField()
    fastest_ms = serializers.IntegerField(help_text="For 1,000 characters of responses; 0: not marked.")
    message = serializers.CharField(help_text="To who is paused or did not qualify.")

    class Meta:
        ref_name = "Gates"


class GatesChange(Body):
    """What to change of the gates' rules; what is left out stays."""

    training = StrictBooleanField(required=False)
    qualification_items = WholeNumberField(required=False)
    qualification_pass = NumberField(required=False)
    gold_share = NumberField(required=False)
    gold_first = WholeNumberField(required=False)
    repeat_share = NumberField(required=False)
    pause_after_gold = WholeNumberField(required=False)
    pause_below_gold = NumberField(required=False)
    pause_below_consistency = NumberField(required=False)
    fastest_ms = WholeNumberField(required=False)
    message = TextField(required=False, allow_blank=True, max_length=500)


class QualityGates(ApiView):
    """The gates' rules."""

    @extend_schema(
        tags=["quality"], summary="Read the gates' rules", parameters=[SLUG, FieldsQuery],
        operation_id="quality_gates_retrieve", responses=GatesResource,
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug, at_least=RESEARCHER)
        return one(request, GatesResource, rules.of(project).gates)

    @extend_schema(
        tags=["quality"], summary="Change the gates' rules", request=GatesChange, parameters=[SLUG],
        operation_id="quality_gates_update", responses=GatesResource,
    )  # fmt: skip
    def patch(self, request, slug):
        project = project_for(request, slug, at_least=RESEARCHER)
        values = parse(GatesChange, request.data)
        try:
            gates = rules.Gates(**{**rules.of(project).gates.model_dump(), **values})
        except ValidationError as error:
            first = error.errors()[0]
            raise bad(".".join(map(str, first["loc"])), f"{first['msg']}.") from None
        if values:
            gate_rules_change.change_gates(project=project, gates=gates, actor=request.user)
        return Response(GatesResource(gates).data)
