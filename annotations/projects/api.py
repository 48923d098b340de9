"""Projects and guidelines over the API."""

from __future__ import annotations

from django.db import IntegrityError
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
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

from . import design, designs, lifecycle
from .access import annotator_for, project_for, projects_of
from .design_api import definition_errors
from .models import Acknowledgement, Annotator, Guideline, Membership
from .presets import PRESETS
from .serializers import (
    DeletedProject,
    GuidelineResource,
    NewProject,
    ProjectChange,
    ProjectResource,
    ProjectSummary,
)
from .setup import create_project

ANNOTATOR, OWNER = Membership.Role.ANNOTATOR, Membership.Role.OWNER
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
            checked = designs.check(definition).model_dump(mode="json")
            project = create_project(owner=request.user, definition=checked, **values)
        except designs.DesignError as error:
            raise invalid(definition_errors(error)) from None
        except IntegrityError:
            raise Problem(
                409, "The slug is taken", "Another project has this slug; choose another one."
            ) from None
        data = ProjectResource(project, context={"roles": roles_of(request.user)}).data
        return Response(data, status=201, headers={"Location": reverse("api:project", args=[project.slug])})


class ProjectDetail(ApiView):
    """One project."""

    @extend_schema(
        tags=["projects"], summary="Read a project", parameters=[SLUG, FieldsQuery],
        operation_id="projects_retrieve", responses=ProjectResource,
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug, at_least=ANNOTATOR)
        return one(request, ProjectResource, project, roles={project.pk: project.role})

    @extend_schema(
        tags=["projects"], summary="Change a project's settings", request=ProjectChange, parameters=[SLUG],
        operation_id="projects_update", responses=ProjectResource,
    )  # fmt: skip
    def patch(self, request, slug):
        """For owners. `status` archived ends the work and keeps everything readable."""
        project = project_for(request, slug, at_least=OWNER)
        body = parse(ProjectChange, request.data)
        values = {name: body.get(name, getattr(project, name)) for name in design.SETTINGS}
        design.change_settings(project=project, values=values, cap=None, actor=request.user)
        return Response(ProjectResource(project, context={"roles": {project.pk: project.role}}).data)

    @extend_schema(
        tags=["projects"], summary="Delete a project", parameters=[SLUG], operation_id="projects_delete",
        responses=DeletedProject,
    )  # fmt: skip
    def delete(self, request, slug):
        """For owners. It is hidden from everybody at once and can be restored for 30 days; then it is gone."""
        project = project_for(request, slug, at_least=OWNER)
        return Response(DeletedProject(lifecycle.delete_project(project=project, actor=request.user)).data)


class DeletedProjects(ApiView):
    """Projects you deleted and may restore."""

    @extend_schema(
        tags=["projects"], summary="List deleted projects that you may restore", parameters=[PageQuery],
        operation_id="deleted_projects_list", responses=page_of(DeletedProject),
    )  # fmt: skip
    def get(self, request):
        query = parse_query(PageQuery, request)
        return many(DeletedProject, lifecycle.deleted_projects(request.user), query, order_by=("-pk",))


class ProjectRestore(ApiView):
    """Bringing a deleted project back."""

    @extend_schema(
        tags=["projects"], summary="Restore a deleted project", request=None, parameters=[SLUG],
        operation_id="projects_restore", responses=ProjectResource,
    )  # fmt: skip
    def post(self, request, slug):
        """It comes back archived; set its `status` to go on."""
        project = get_object_or_404(lifecycle.deleted_projects(request.user), slug=slug)
        project = lifecycle.restore_project(project=project, actor=request.user)
        return Response(ProjectResource(project, context={"roles": {project.pk: OWNER}}).data)


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
