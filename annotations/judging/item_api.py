"""Items and imports over the API, for reviewers and up: annotators work through the queue."""

from __future__ import annotations

from django.conf import settings
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import parsers
from rest_framework.response import Response

from annotations.items import prerender, readers
from annotations.items.models import Item, SavedMapping
from annotations.projects.access import project_for
from annotations.projects.models import Membership
from app.accounts import audit
from app.jobs.api import ACCEPTED, LOCATION, accepted
from app.web.api import (
    SLUG,
    ApiView,
    FieldsQuery,
    answer_page,
    bad,
    in_path,
    one,
    page_of,
    parse,
    parse_query,
    wanted_fields,
)
from app.web.paging import BadCursorError

from . import item_queries, log, uploads
from .api_requests import ItemQuery, NewImport, NewItems
from .importing import ImportOptions, import_records, start_import_job
from .models import Judgment
from .serializers import ItemResource, ItemsReport, ItemSummary, LogHead

REVIEWER, RESEARCHER = Membership.Role.REVIEWER, Membership.Role.RESEARCHER
FORM_OVERHEAD = 1_000_000


class Items(ApiView):
    """The items of a project."""

    @extend_schema(
        tags=["items"], summary="List items", parameters=[SLUG, ItemQuery], operation_id="items_list",
        responses=page_of(ItemSummary),
    )  # fmt: skip
    def get(self, request, slug):
        """With filters a page looks through 20,000 items at most, so it may hold few and still have a `next`."""
        project = project_for(request, slug, at_least=REVIEWER)
        query = parse_query(ItemQuery, request)
        only = wanted_fields(query)
        ItemSummary(only=only)
        try:
            page = item_queries.browse_items(
                project=project, wish=query, cursor=query.get("cursor", ""), size=query["size"]
            ).page
        except BadCursorError as error:
            raise bad("cursor", str(error)) from None
        return answer_page(ItemSummary, page.rows, page.next_cursor, only)

    @extend_schema(
        tags=["items"], summary="Add up to 500 items, with any judgments of them", request=NewItems,
        parameters=[SLUG], operation_id="items_create", responses=ItemsReport,
    )  # fmt: skip
    def post(self, request, slug):
        """Good rows go in and bad ones are named. The same rows again are known by their `id`, or by their texts."""
        project = project_for(request, slug, at_least=RESEARCHER)
        body = parse(NewItems, request.data)
        options = {name: body[name] for name in ("ask_again", "wanted", "batch") if name in body}
        report = import_records(
            project=project,
            records=readers.read_rows(body["items"]),
            origin_label="request",
            options=ImportOptions(**options),
        )
        if report.new or report.updated:
            prerender.start_rendering(project=project, actor=request.user)
            audit.record(actor=request.user, action="items.added", scope=slug, target="", n=report.new)
        return Response(ItemsReport(report).data)


class ItemOne(ApiView):
    """One item."""

    @extend_schema(
        tags=["items"], summary="Read an item with its responses and judgments",
        parameters=[SLUG, in_path("id", "The item's id.", OpenApiTypes.INT), FieldsQuery],
        operation_id="items_retrieve", responses=ItemResource,
    )  # fmt: skip
    def get(self, request, slug, pk):
        project = project_for(request, slug, at_least=REVIEWER)
        item = get_object_or_404(Item.objects.prefetch_related("responses"), project=project, pk=pk)
        judgments = (
            Judgment.objects.filter(item=item)
            .select_related("annotator", "schema", "guideline", "supersedes")
            .prefetch_related("comparisons", "scores", "calls")
            .order_by("-is_current", "pk")[: item_queries.JUDGMENTS_SHOWN]
        )
        return one(request, ItemResource, item, judgments=judgments)


class JudgmentLog(ApiView):
    """The hash chain over a project's judgments."""

    @extend_schema(
        tags=["judgments"], summary="Read the last block of the judgment log", parameters=[SLUG, FieldsQuery],
        operation_id="log_retrieve", responses=LogHead,
    )  # fmt: skip
    def get(self, request, slug):
        """Keep `hash` somewhere else: `verify_log --expect` tells later whether anything up to it was changed."""
        project = project_for(request, slug, at_least=RESEARCHER)
        return one(request, LogHead, log.head(project))


class Imports(ApiView):
    """Bringing files in."""

    parser_classes = [parsers.MultiPartParser]

    def largest_body(self) -> int:
        return settings.UPLOAD_MAX_BYTES + FORM_OVERHEAD

    @extend_schema(
        tags=["items"], summary="Import a file of items and judgments", request={"multipart/form-data": NewImport},
        parameters=[SLUG, LOCATION], operation_id="imports_create", responses={202: ACCEPTED},
    )  # fmt: skip
    def post(self, request, slug):
        """The job's result is {new, updated, duplicate, invalid, judgments, errors, pii}."""
        project = project_for(request, slug, at_least=RESEARCHER)
        values = parse(NewImport, request.data)
        draft = uploads.new_draft(slug)
        try:
            uploads.store_file(draft, values["file"])
        except uploads.UnusableFile as error:
            raise bad("file", str(error)) from None
        name, mapping = values.get("format") or draft.format, values.get("mapping")
        if wanted := values.get("saved_mapping"):
            saved = SavedMapping.objects.filter(project=project, name=wanted).first()
            if saved is None or mapping is not None:
                raise bad(
                    "saved_mapping", "There is none of this name." if mapping is None else "Give one mapping."
                )
            mapping = saved.columns
        if mapping and name not in readers.TABLES and "format" not in values:
            name = "table"  # a known format whose keys the caller maps all the same
        try:
            readers.read(draft.path, name, mapping)
        except readers.UnknownFormat as error:
            raise bad("mapping" if mapping else "format", error.message) from None
        options = {
            key: values[key] for key in ("dry_run", "ask_again", "wanted", "batch", "pii") if key in values
        }
        job = start_import_job(
            project=project,
            path=draft.path,
            format=name,
            mapping=mapping,
            options=options,
            actor=request.user,
        )
        audit.record(
            actor=request.user, action="items.import_started", scope=slug, target=draft.file, job=str(job.pk)
        )
        return accepted(job)
