"""Snapshots and exports over the API."""

from __future__ import annotations

from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.response import Response

from annotations.projects.access import project_for
from app.jobs.api import ACCEPTED, LOCATION, accepted
from app.jobs.models import Job
from app.web.api import (
    SLUG,
    ApiView,
    FieldsQuery,
    PageQuery,
    bad,
    in_path,
    many,
    one,
    page_of,
    parse,
    parse_query,
)
from app.web.problems import Problem

from . import diff, downloads, export, hub, pushing, snapshots
from .formats import BadOption
from .models import Export, HubPush, Snapshot
from .rows import BadQuery
from .serializers import (
    ExportResource,
    HubPushResource,
    NewDiff,
    NewExport,
    NewHubPush,
    NewSnapshot,
    SnapshotResource,
)

SNAPSHOT = in_path("public_id", "The snapshot's id, snap_….")
EXPORT = in_path("id", "The export's id.", OpenApiTypes.INT)


class Snapshots(ApiView):
    """The snapshots of a project."""

    @extend_schema(
        tags=["datasets"], summary="List snapshots, newest first", parameters=[SLUG, PageQuery],
        operation_id="snapshots_list", responses=page_of(SnapshotResource),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug)
        query = parse_query(PageQuery, request)
        return many(SnapshotResource, Snapshot.objects.filter(project=project), query, order_by=("-number",))

    @extend_schema(
        tags=["datasets"], summary="Freeze a snapshot", request=NewSnapshot, parameters=[SLUG, LOCATION],
        operation_id="snapshots_create", responses={202: ACCEPTED},
    )  # fmt: skip
    def post(self, request, slug):
        """The snapshot whose `job` it is appears in the list at once, and is `ready` when the job is done."""
        project = project_for(request, slug)
        body = parse(NewSnapshot, request.data)
        try:
            made = snapshots.create_snapshot(
                project=project, actor=request.user, query=body.get("query"), note=body.get("note", "")
            )
        except BadQuery as error:
            raise bad("query", str(error)) from None
        return accepted(Job.objects.get(pk=made.job_id))


class SnapshotOne(ApiView):
    """One snapshot."""

    @extend_schema(
        tags=["datasets"], summary="Read a snapshot", parameters=[SLUG, SNAPSHOT, FieldsQuery],
        operation_id="snapshots_retrieve", responses=SnapshotResource,
    )  # fmt: skip
    def get(self, request, slug, public_id):
        return one(request, SnapshotResource, _snapshot(request, slug, public_id))


class SnapshotDiff(ApiView):
    """The difference between two snapshots."""

    @extend_schema(
        tags=["datasets"], summary="Compare an earlier snapshot with this one", request=NewDiff,
        parameters=[SLUG, SNAPSHOT, LOCATION], operation_id="snapshots_diff", responses={202: ACCEPTED},
    )  # fmt: skip
    def post(self, request, slug, public_id):
        """The job's result says what was added, removed and changed: items, judgments, verdicts, versions."""
        after = _snapshot(request, slug, public_id)
        body = parse(NewDiff, request.data)
        before = Snapshot.objects.filter(project=after.project, public_id=body["since"]).first()
        if before is None:
            raise bad("since", "There is no such snapshot in this project.")
        try:
            return accepted(diff.start(before=before, after=after, actor=request.user))
        except snapshots.NotReady as error:
            raise Problem(409, "The snapshot is not ready", str(error)) from None


class Exports(ApiView):
    """The exports of a snapshot."""

    @extend_schema(
        tags=["datasets"], summary="List a snapshot's exports", parameters=[SLUG, SNAPSHOT, PageQuery],
        operation_id="exports_list", responses=page_of(ExportResource),
    )  # fmt: skip
    def get(self, request, slug, public_id):
        snapshot = _snapshot(request, slug, public_id)
        query = parse_query(PageQuery, request)
        rows = Export.objects.filter(snapshot=snapshot).select_related("snapshot")
        return many(ExportResource, rows, query, order_by=("-pk",))

    @extend_schema(
        tags=["datasets"], summary="Write a snapshot's files", request=NewExport,
        parameters=[SLUG, SNAPSHOT, LOCATION], operation_id="exports_create",
        responses={
            200: OpenApiResponse(ExportResource, "The same export stands already, or is being written."),
            202: ACCEPTED,
        },
    )  # fmt: skip
    def post(self, request, slug, public_id):
        snapshot = _snapshot(request, slug, public_id)
        body = parse(NewExport, request.data)
        try:
            made, created = export.start_export(
                snapshot=snapshot,
                actor=request.user,
                format=body["format"],
                container=body.get("container"),
                options=body.get("options"),
            )
        except BadOption as error:
            raise bad("options", str(error)) from None
        except snapshots.NotReady as error:
            raise Problem(409, "The snapshot is not ready", str(error)) from None
        if not created:
            return Response(ExportResource(made).data)
        return accepted(Job.objects.get(pk=made.job_id))


class ExportOne(ApiView):
    """One export."""

    @extend_schema(
        tags=["datasets"], summary="Read an export", parameters=[SLUG, SNAPSHOT, EXPORT, FieldsQuery],
        operation_id="exports_retrieve", responses=ExportResource,
    )  # fmt: skip
    def get(self, request, slug, public_id, pk):
        return one(request, ExportResource, _export(request, slug, public_id, pk))


class ExportFileOne(ApiView):
    """One file of an export."""

    @extend_schema(
        tags=["datasets"], summary="Fetch a file of an export", operation_id="exports_file",
        parameters=[SLUG, SNAPSHOT, EXPORT, in_path("name", "Its `path` in the export's `files`.")],
        responses={
            (200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY, "The file."),
            (206, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY, "The range asked for."),
            304: OpenApiResponse(description="You have it."),
            416: OpenApiResponse(description="The file has no such range."),
        },
    )  # fmt: skip
    def get(self, request, slug, public_id, pk, name):
        """`Range` goes on where a download stopped; the ETag is the file's sha256."""
        known = export.file_of(_export(request, slug, public_id, pk), name)
        if known is None:
            raise Http404("No such file.")
        return downloads.file_response(request, *known)


class HubPushes(ApiView):
    """The pushes of an export to a hub."""

    @extend_schema(
        tags=["datasets"], summary="List an export's pushes to a hub", parameters=[SLUG, SNAPSHOT, EXPORT, PageQuery],
        operation_id="pushes_list", responses=page_of(HubPushResource),
    )  # fmt: skip
    def get(self, request, slug, public_id, pk):
        query = parse_query(PageQuery, request)
        rows = HubPush.objects.filter(export=_export(request, slug, public_id, pk))
        return many(HubPushResource, rows, query, order_by=("-pk",))

    @extend_schema(
        tags=["datasets"], summary="Push an export to a hub", request=NewHubPush,
        parameters=[SLUG, SNAPSHOT, EXPORT, LOCATION], operation_id="pushes_create", responses={202: ACCEPTED},
    )  # fmt: skip
    def post(self, request, slug, public_id, pk):
        """With the token of the site, into a private repository unless `public` says otherwise. 409 where none is set."""
        project = project_for(request, slug)
        found = _export(request, slug, public_id, pk)
        body = parse(NewHubPush, request.data)
        try:
            made = pushing.start_push(export=found, actor=request.user, role=project.role, **body)
        except pushing.BadPush as error:
            raise bad(error.field, str(error)) from None
        except hub.NotSetUp as error:
            raise Problem(409, "Pushing to a hub is not set up", str(error)) from None
        except pushing.Busy as error:
            raise Problem(409, "It cannot be pushed now", str(error)) from None
        return accepted(Job.objects.get(pk=made.job_id))


def _snapshot(request, slug: str, public_id: str) -> Snapshot:
    project = project_for(request, slug)
    return get_object_or_404(Snapshot.objects.select_related("project"), project=project, public_id=public_id)


def _export(request, slug: str, public_id: str, pk: int) -> Export:
    snapshot = _snapshot(request, slug, public_id)
    return get_object_or_404(Export.objects.select_related("snapshot"), snapshot=snapshot, pk=pk)
