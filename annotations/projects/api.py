"""Projects and guidelines over the API."""

from __future__ import annotations

from django.db import IntegrityError
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from pydantic import ValidationError as DefinitionError
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
from app.web.problems import Problem

from .access import annotator_for, project_for, projects_of
from .models import Acknowledgement, Annotator, Guideline, Membership
from .presets import PRESETS
from .serializers import GuidelineResource, NewProject, ProjectResource, ProjectSummary
from .setup import create_project

ANNOTATOR = Membership.Role.ANNOTATOR
MADE = OpenApiParameter("Location", str, OpenApiParameter.HEADER, description="Its address.", response=[201])


def roles_of(user) -> dict[int, str]:
    """The person's role in each project they are a member of, by the project's key; site admins own them all."""
    return (
        {} if user.is_staff else dict(Membership.objects.filter(user=user).values_list("project_id", "role"))
    )


def own_annotator(request, slug: str) -> Annotator:
    """The person's Annotator in the project. Raises Http404 for outsiders and people who were removed."""
    annotator = annotator_for(request.user, slug)
    if annotator.status == Annotator.Status.REMOVED:
        raise Http404("No such project.")
    return annotator


class Projects(ApiView):
    """Projects you are a member of."""

    @extend_schema(
        tags=["projects"], summary="List your projects", parameters=[PageQuery],
        operation_id="projects_list", responses=page_of(ProjectSummary),
    )  # fmt: skip
    def get(self, request):
        query = parse_query(PageQuery, request)
        rows = projects_of(request.user).defer("seed")
        return many(ProjectSummary, rows, query, order_by=("slug",), roles=roles_of(request.user))

    @extend_schema(
        tags=["projects"], summary="Make a project; you own it", request=NewProject, parameters=[MADE],
        operation_id="projects_create", responses={201: ProjectResource},
    )  # fmt: skip
    def post(self, request):
        values = parse(NewProject, request.data)
        definition = values.pop("definition") if "definition" in values else PRESETS[values.pop("preset")]
        try:
            project = create_project(owner=request.user, definition=definition, **values)
        except DefinitionError as error:
            raise invalid(_definition_errors(error)) from None
        except IntegrityError:
            raise Problem(
                409, "The slug is taken", "Another project has this slug; choose another one."
            ) from None
        data = ProjectResource(project, context={"roles": roles_of(request.user)}).data
        return Response(data, status=201, headers={"Location": reverse("api:project", args=[project.slug])})


def _definition_errors(error: DefinitionError) -> list[dict]:
    return [
        {
            "field": ".".join(["definition", *(str(part) for part in each["loc"])]),
            "message": each["msg"].removeprefix("Value error, "),
        }
        for each in error.errors(include_url=False, include_input=False)[:50]
    ]


class ProjectDetail(ApiView):
    """One project."""

    @extend_schema(
        tags=["projects"], summary="Read a project", parameters=[SLUG, FieldsQuery],
        operation_id="projects_retrieve", responses=ProjectResource,
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug, at_least=ANNOTATOR)
        return one(request, ProjectResource, project, roles={project.pk: project.role})


class Guidelines(ApiView):
    """The versions of a project's guidelines."""

    @extend_schema(
        tags=["guidelines"], summary="List the guidelines, newest first", parameters=[SLUG, PageQuery],
        operation_id="guidelines_list", responses=page_of(GuidelineResource),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug, at_least=ANNOTATOR)
        query = parse_query(PageQuery, request)
        seen = Acknowledgement.objects.filter(annotator__user=request.user, annotator__project=project)
        acknowledged = set(seen.values_list("guideline_id", flat=True))
        rows = Guideline.objects.filter(project=project)
        return many(GuidelineResource, rows, query, order_by=("-number",), acknowledged=acknowledged)


class GuidelineAcknowledgement(ApiView):
    """Having read a version."""

    @extend_schema(
        tags=["guidelines"], summary="Say that you have read a version", request=None,
        parameters=[SLUG, in_path("version", "The version's number.", OpenApiTypes.INT)],
        operation_id="guidelines_acknowledge", responses={204: OpenApiResponse(description="It is recorded.")},
    )  # fmt: skip
    def post(self, request, slug, version):
        annotator = own_annotator(request, slug)
        guideline = get_object_or_404(Guideline, project=annotator.project, number=version)
        Acknowledgement.objects.get_or_create(guideline=guideline, annotator=annotator)
        return Response(status=204)
