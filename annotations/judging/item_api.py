"""Items and imports over the API, for reviewers and up: annotators work through the queue."""

from __future__ import annotations

from django.conf import settings
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import parsers

from annotations.items import readers
from annotations.items.models import Item
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

from . import item_queries, uploads
from .importing import start_import_job
from .models import Judgment
from .serializers import ItemQuery, ItemResource, ItemSummary, NewImport

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
        """The job's result is {new, updated, duplicate, invalid, judgments, errors}."""
        project = project_for(request, slug, at_least=RESEARCHER)
        values = parse(NewImport, request.data)
        draft = uploads.new_draft(slug)
        try:
            uploads.store_file(draft, values["file"])
        except uploads.UnusableFile as error:
            raise bad("file", str(error)) from None
        name, mapping = values.get("format") or draft.format, values.get("mapping")
        try:
            readers.read(draft.path, name, mapping)
        except readers.UnknownFormat as error:
            raise bad("mapping" if mapping else "format", error.message) from None
        options = {key: values[key] for key in ("dry_run", "ask_again", "wanted") if key in values}
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
