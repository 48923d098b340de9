"""Asking again over the API: items judged under a version that a newer one breaks."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.response import Response

from annotations.projects import design
from annotations.projects.access import project_for
from annotations.projects.models import Membership, TaskSchema
from annotations.projects.serializers import SchemaVersion
from app.jobs.api import ACCEPTED, accepted
from app.web.api import (
    SLUG,
    ApiView,
    Body,
    Query,
    Resource,
    WholeNumberField,
    in_path,
    parse,
    parse_query,
)

from . import asking_again

RESEARCHER = Membership.Role.RESEARCHER
NUMBER = in_path("number", "The version's number.", OpenApiTypes.INT)


class AskAgainPeople(Query):
    """How many people."""

    people = serializers.IntegerField(
        required=False, min_value=1, max_value=asking_again.MOST_PEOPLE, help_text="Else as the project says."
    )


class AskAgainBody(Body):
    """How many people are asked for each item."""

    people = WholeNumberField(min_value=1, max_value=asking_again.MOST_PEOPLE)


class AskAgainPreview(Resource):
    """What asking again would do."""

    items = serializers.IntegerField(help_text="Items that would be asked again.")
    judgments = serializers.IntegerField(help_text="Judgments that would be wanted more.")
    cost = serializers.DecimalField(max_digits=20, decimal_places=4, help_text="In the project's currency.")
    judged = serializers.IntegerField(help_text="Items judged under a version whose answers may not hold.")


class UsedSchema(SchemaVersion):
    """The version that people are asked now, and whether items judged before wait to be asked again."""

    ask_again = serializers.SerializerMethodField(
        help_text="What asking again of as many people as the project wants would do; null: nothing was judged "
        "under a version whose answers may not hold. To do it, post to the version's `ask-again`."
    )

    class Meta:
        ref_name = "UsedSchema"

    @extend_schema_field(AskAgainPreview(allow_null=True))
    def get_ask_again(self, schema) -> dict | None:
        found = asking_again.preview(project=schema.project, schema=schema, people=schema.project.overlap)
        return AskAgainPreview(found).data if found.judged else None


class SchemaUse(ApiView):
    """What people are asked from now on."""

    @extend_schema(
        tags=["task design"], summary="Ask this version from now on", request=None,
        parameters=[SLUG, NUMBER], operation_id="schemas_use", responses=UsedSchema,
    )  # fmt: skip
    def post(self, request, slug, number):
        """Items judged before stay as they are; where the answers may not hold, `ask_again` says how many."""
        project = project_for(request, slug, at_least=RESEARCHER)
        schema = get_object_or_404(
            TaskSchema.objects.select_related("project"), project=project, number=number
        )
        design.ask_version(project=project, schema=schema, actor=request.user)
        return Response(UsedSchema(schema, context={"asked": schema}).data)


class AskAgain(ApiView):
    """Items judged under a version that this one breaks."""

    @extend_schema(
        tags=["task design"], summary="Read what asking again under this version would do",
        parameters=[SLUG, NUMBER, AskAgainPeople], operation_id="ask_again_retrieve",
        responses=AskAgainPreview,
    )  # fmt: skip
    def get(self, request, slug, number):
        project = project_for(request, slug, at_least=RESEARCHER)
        schema = get_object_or_404(TaskSchema, project=project, number=number)
        people = parse_query(AskAgainPeople, request).get("people", project.overlap)
        return Response(
            AskAgainPreview(asking_again.preview(project=project, schema=schema, people=people)).data
        )

    @extend_schema(
        tags=["task design"], summary="Ask this version from now on, and items judged before again",
        request=AskAgainBody, parameters=[SLUG, NUMBER], operation_id="ask_again_create",
        responses={202: ACCEPTED},
    )  # fmt: skip
    def post(self, request, slug, number):
        """Old judgments stay, with their version."""
        project = project_for(request, slug, at_least=RESEARCHER)
        schema = get_object_or_404(TaskSchema, project=project, number=number)
        people = parse(AskAgainBody, request.data)["people"]
        job = asking_again.start(project=project, schema=schema, people=people, actor=request.user)
        return accepted(job)
