"""Versions of a project's task over the API: list, read, make, and ask from now on."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from app.web.api import (
    SLUG,
    ApiView,
    FieldsQuery,
    PageQuery,
    in_path,
    invalid,
    many,
    one,
    page_of,
    parse,
    parse_query,
)

from . import design, designs
from .access import project_for
from .models import Membership, TaskSchema
from .serializers import NewSchema, SchemaVersion

REVIEWER, RESEARCHER = Membership.Role.REVIEWER, Membership.Role.RESEARCHER
NUMBER = in_path("number", "The version's number.", OpenApiTypes.INT)
MADE = OpenApiParameter(
    "Location", str, OpenApiParameter.HEADER, description="Its address.", response=[200, 201]
)


class Schemas(ApiView):
    """The versions of what a project asks."""

    @extend_schema(
        tags=["task design"], summary="List the versions of the task, newest first",
        parameters=[SLUG, PageQuery], operation_id="schemas_list", responses=page_of(SchemaVersion),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug, at_least=REVIEWER)
        query = parse_query(PageQuery, request)
        rows = TaskSchema.objects.filter(project=project)
        return many(SchemaVersion, rows, query, order_by=("-number",), asked=project.schema)

    @extend_schema(
        tags=["task design"], summary="Store a version of the task; the same design is the same version",
        request=NewSchema, parameters=[SLUG, MADE], operation_id="schemas_create",
        responses={200: SchemaVersion, 201: SchemaVersion},
    )  # fmt: skip
    def post(self, request, slug):
        project = project_for(request, slug, at_least=RESEARCHER)
        values = parse(NewSchema, request.data)
        try:
            definition = designs.check(values["definition"])
        except designs.DesignError as error:
            raise invalid(definition_errors(error)) from None
        before = TaskSchema.objects.filter(project=project).count()
        schema = design.add_version(
            project=project, definition=definition.model_dump(mode="json"), actor=request.user
        )
        created = TaskSchema.objects.filter(project=project).count() > before
        data = SchemaVersion(schema, context={"asked": project.schema}).data
        address = reverse("api:schema_version", args=[project.slug, schema.number])
        return Response(data, status=201 if created else 200, headers={"Location": address})


class SchemaOne(ApiView):
    """One version of what a project asks."""

    @extend_schema(
        tags=["task design"], summary="Read a version of the task, and what it changes",
        parameters=[SLUG, NUMBER, FieldsQuery], operation_id="schemas_retrieve", responses=SchemaVersion,
    )  # fmt: skip
    def get(self, request, slug, number):
        project = project_for(request, slug, at_least=REVIEWER)
        schema = get_object_or_404(TaskSchema, project=project, number=number)
        return one(request, SchemaVersion, schema, asked=project.schema)


def definition_errors(error: designs.DesignError) -> list[dict]:
    """A design's errors as a problem's `errors`, at most 50."""
    return [
        {"field": ".".join(["definition", *map(str, path)]), "message": words}
        for path, words in error.errors[:50]
    ]
