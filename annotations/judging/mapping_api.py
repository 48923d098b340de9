"""Saved mappings of a project's tables over the API."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from annotations.items import mappings
from annotations.items.models import SavedMapping
from annotations.projects.access import project_for
from app.web.api import (
    SLUG,
    ApiView,
    Body,
    FieldsQuery,
    ObjectField,
    PageQuery,
    Resource,
    TextField,
    bad,
    in_path,
    many,
    one,
    page_of,
    parse,
    parse_query,
)

MAPPING = in_path("id", "The mapping's id.", OpenApiTypes.INT)


class MappingResource(Resource):
    """What the columns of a kind of table are."""

    id = serializers.CharField(source="pk")
    name = serializers.CharField()
    columns = serializers.DictField(child=serializers.CharField(allow_blank=True))
    saved_at = serializers.DateTimeField()

    class Meta:
        ref_name = "SavedMapping"


class NewMapping(Body):
    """A mapping to keep; it takes the place of one of the same name."""

    name = TextField(max_length=mappings.MAX_NAME)
    columns = ObjectField(help_text='{column: role}, such as {"question": "prompt"}.')


class Mappings(ApiView):
    """The saved mappings of a project."""

    @extend_schema(
        tags=["items"], summary="List saved mappings", parameters=[SLUG, PageQuery],
        operation_id="mappings_list", responses=page_of(MappingResource),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug)
        query = parse_query(PageQuery, request)
        return many(MappingResource, SavedMapping.objects.filter(project=project), query, order_by=("pk",))

    @extend_schema(
        tags=["items"], summary="Save a mapping", request=NewMapping, parameters=[SLUG],
        operation_id="mappings_create", responses={200: MappingResource, 201: MappingResource},
    )  # fmt: skip
    def post(self, request, slug):
        """200 where a mapping of this name was replaced. An import names it as `saved_mapping`."""
        project = project_for(request, slug)
        body = parse(NewMapping, request.data)
        if not all(isinstance(role, str) for role in body["columns"].values()):
            raise bad("columns", "Expected an object of texts.")
        try:
            saved, made = mappings.save_mapping(
                project=project, name=body["name"], columns=body["columns"], actor=request.user
            )
        except mappings.BadMapping as error:
            raise bad("columns", str(error)) from None
        return Response(MappingResource(saved).data, status=201 if made else 200)


class MappingOne(ApiView):
    """One saved mapping."""

    @extend_schema(
        tags=["items"], summary="Read a saved mapping", parameters=[SLUG, MAPPING, FieldsQuery],
        operation_id="mappings_retrieve", responses=MappingResource,
    )  # fmt: skip
    def get(self, request, slug, pk):
        return one(request, MappingResource, _mapping(request, slug, pk))

    @extend_schema(
        tags=["items"], summary="Forget a saved mapping", parameters=[SLUG, MAPPING],
        operation_id="mappings_destroy", responses={204: None},
    )  # fmt: skip
    def delete(self, request, slug, pk):
        mappings.delete_mapping(saved=_mapping(request, slug, pk), actor=request.user)
        return Response(status=204)


def _mapping(request, slug: str, pk: int) -> SavedMapping:
    project = project_for(request, slug)
    return get_object_or_404(SavedMapping.objects.select_related("project"), project=project, pk=pk)
