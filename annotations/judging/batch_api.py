"""Batches and work given by hand over the API, for researchers; reviewers may read."""

from __future__ import annotations

from django.db.models import Count
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from annotations.items import batches
from annotations.items.models import Batch
from annotations.projects.access import project_for
from annotations.projects.models import Membership
from app.jobs.api import ACCEPTED, accepted
from app.web.api import (
    SLUG,
    ApiView,
    Body,
    FieldsQuery,
    IdField,
    PageQuery,
    Resource,
    StrictBooleanField,
    TextField,
    WholeNumberField,
    bad,
    in_path,
    many,
    one,
    page_of,
    parse,
    parse_query,
)

from . import assigning, moving
from .models import Assignment

REVIEWER, RESEARCHER = Membership.Role.REVIEWER, Membership.Role.RESEARCHER
BATCH = in_path("id", "The batch's id.", OpenApiTypes.INT)
MOST_MOVED = 10_000


class BatchResource(Resource):
    """A part of the items with rules of its own."""

    id = serializers.CharField(source="pk")
    name = serializers.CharField()
    overlap = serializers.IntegerField(
        allow_null=True, help_text="People per item; null: as the project says."
    )
    weight = serializers.IntegerField(help_text="How often it comes up; 0: it is not given out.")
    required_tags = serializers.ListField(child=serializers.CharField())
    expert_tags = serializers.ListField(child=serializers.CharField())
    expert_slots = serializers.IntegerField(help_text="Of the people per item, how many are experts.")
    max_votes = serializers.IntegerField(
        allow_null=True, help_text="While votes disagree, people are asked up to so many."
    )
    warning = serializers.CharField()
    n_items = serializers.IntegerField()

    class Meta:
        ref_name = "Batch"


class TagsBody(serializers.ListField):
    """Tags, which are compared in lower case."""

    child = TextField(max_length=40)

    def to_internal_value(self, data):
        return batches.clean_tags(super().to_internal_value(data))


class ChangedBatch(Body):
    """What to change of a batch; what is left out stays."""

    name = TextField(required=False, max_length=120)
    overlap = WholeNumberField(required=False, allow_null=True, min_value=1, max_value=50)
    weight = WholeNumberField(required=False, min_value=0, max_value=1000)
    required_tags = TagsBody(required=False, max_length=50)
    expert_tags = TagsBody(required=False, max_length=50)
    expert_slots = WholeNumberField(required=False, min_value=0, max_value=50)
    max_votes = WholeNumberField(required=False, allow_null=True, min_value=1, max_value=50)
    warning = TextField(required=False, allow_blank=True, max_length=2000)


class NewBatch(ChangedBatch):
    """The rules of a new batch."""

    name = TextField(max_length=120)


class MovedItems(Body):
    """Items to put into the batch, wherever they are now."""

    items = serializers.ListField(child=IdField(), allow_empty=False, max_length=MOST_MOVED)


class Moved(Resource):
    """How many items moved."""

    moved = serializers.IntegerField()


class AssignmentResource(Resource):
    """An item that was given to a person by hand and is not judged yet."""

    id = serializers.CharField(source="pk")
    item = serializers.CharField(source="item_id")
    external_id = serializers.CharField(source="item.external_id", allow_null=True)
    person = serializers.CharField(source="annotator.name")
    annotator = serializers.CharField(source="annotator_id")
    begun = serializers.SerializerMethodField()
    assigned_at = serializers.DateTimeField(source="leased_at", help_text="When it was given, or begun.")

    class Meta:
        ref_name = "Assignment"

    def get_begun(self, assignment: Assignment) -> bool:
        return assignment.state == Assignment.State.LEASED


class NewPair(Body):
    """One item for one person."""

    item = TextField(max_length=500, help_text="The item's own id, or its number here.")
    person = TextField(max_length=200, help_text="The person's name in the project.")


class NewAssignments(Body):
    """Items for people."""

    assignments = NewPair(many=True, allow_empty=False, max_length=2000)
    ask_more = StrictBooleanField(
        required=False, default=False, help_text="Ask one person more where an item has all it wants."
    )


class RefusalResource(Resource):
    """A pair that could not be given."""

    place = serializers.IntegerField(source="line", help_text="Its place in the list, from 1.")
    field = serializers.CharField()
    message = serializers.CharField()


class Given(Resource):
    """What came of it."""

    assigned = serializers.IntegerField()
    known = serializers.IntegerField(help_text="Given before.")
    refused = RefusalResource(many=True)


def _batches(project):
    return Batch.objects.filter(project=project).annotate(n_items=Count("items"))


class Batches(ApiView):
    """The batches of a project."""

    @extend_schema(
        tags=["batches"], summary="List batches", parameters=[SLUG, PageQuery],
        operation_id="batches_list", responses=page_of(BatchResource),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug, at_least=REVIEWER)
        return many(BatchResource, _batches(project), parse_query(PageQuery, request), order_by=("pk",))

    @extend_schema(
        tags=["batches"], summary="Make a batch", request=NewBatch, parameters=[SLUG],
        operation_id="batches_create", responses={201: BatchResource},
    )  # fmt: skip
    def post(self, request, slug):
        project = project_for(request, slug, at_least=RESEARCHER)
        values = parse(NewBatch, request.data)
        try:
            batch = batches.create_batch(project=project, actor=request.user, **values)
        except batches.InvalidBatch as error:
            raise bad(error.field, str(error)) from None
        return Response(BatchResource(_batches(project).get(pk=batch.pk)).data, status=201)


class BatchOne(ApiView):
    """One batch."""

    @extend_schema(
        tags=["batches"], summary="Read a batch", parameters=[SLUG, BATCH, FieldsQuery],
        operation_id="batches_retrieve", responses=BatchResource,
    )  # fmt: skip
    def get(self, request, slug, pk):
        project = project_for(request, slug, at_least=REVIEWER)
        return one(request, BatchResource, get_object_or_404(_batches(project), pk=pk))

    @extend_schema(
        tags=["batches"], summary="Change a batch", request=ChangedBatch, parameters=[SLUG, BATCH],
        operation_id="batches_update", responses={200: BatchResource, 202: ACCEPTED},
    )  # fmt: skip
    def patch(self, request, slug, pk):
        """A large batch is saved at once, and its items follow in a job."""
        project = project_for(request, slug, at_least=RESEARCHER)
        batch = get_object_or_404(Batch, project=project, pk=pk)
        values = parse(ChangedBatch, request.data)
        try:
            job = moving.change_batch(batch=batch, actor=request.user, **values)
        except batches.InvalidBatch as error:
            raise bad(error.field, str(error)) from None
        if job is not None:
            return accepted(job)
        return Response(BatchResource(_batches(project).get(pk=pk)).data)

    @extend_schema(
        tags=["batches"], summary="Delete an empty batch", parameters=[SLUG, BATCH],
        operation_id="batches_delete", responses={204: OpenApiResponse(description="It is gone.")},
    )  # fmt: skip
    def delete(self, request, slug, pk):
        project = project_for(request, slug, at_least=RESEARCHER)
        try:
            batches.delete_batch(batch=get_object_or_404(Batch, project=project, pk=pk), actor=request.user)
        except batches.InvalidBatch as error:
            raise bad("id", str(error)) from None
        return Response(status=204)


class BatchItems(ApiView):
    """The items of a batch."""

    @extend_schema(
        tags=["batches"], summary="Put items into a batch", request=MovedItems, parameters=[SLUG, BATCH],
        operation_id="batches_move", responses=Moved,
    )  # fmt: skip
    def post(self, request, slug, pk):
        """Ids that are no items of the project are passed over."""
        project = project_for(request, slug, at_least=RESEARCHER)
        batch = get_object_or_404(Batch, project=project, pk=pk)
        ids = parse(MovedItems, request.data)["items"]
        moved = batches.move_items(project=project, item_ids=set(ids), batch=batch)
        return Response(Moved({"moved": moved}).data)


class Assignments(ApiView):
    """Work given by hand."""

    @extend_schema(
        tags=["assignments"], summary="List what was given by hand and is not judged", parameters=[SLUG, PageQuery],
        operation_id="assignments_list", responses=page_of(AssignmentResource),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug, at_least=REVIEWER)
        rows = assigning.given_by_hand(project)
        return many(AssignmentResource, rows, parse_query(PageQuery, request), order_by=("pk",))

    @extend_schema(
        tags=["assignments"], summary="Give items to people", request=NewAssignments, parameters=[SLUG],
        operation_id="assignments_create", responses=Given,
    )  # fmt: skip
    def post(self, request, slug):
        """What cannot be given is refused with a reason, and the rest is given; giving again changes nothing."""
        project = project_for(request, slug, at_least=RESEARCHER)
        body = parse(NewAssignments, request.data)
        rows = [(n, row["item"], row["person"]) for n, row in enumerate(body["assignments"], start=1)]
        pairs, refused = assigning.pairs_of(project, rows)
        report = assigning.assign(project=project, pairs=pairs, actor=request.user, ask_more=body["ask_more"])
        report.refused = sorted([*refused, *report.refused], key=lambda one: one.line)
        return Response(Given(report).data)


class AssignmentOne(ApiView):
    """One piece of work given by hand."""

    @extend_schema(
        tags=["assignments"], summary="Take back what was given by hand",
        parameters=[SLUG, in_path("id", "The assignment's id.", OpenApiTypes.INT)],
        operation_id="assignments_delete", responses={204: OpenApiResponse(description="It is anybody's again.")},
    )  # fmt: skip
    def delete(self, request, slug, pk):
        project = project_for(request, slug, at_least=RESEARCHER)
        row = get_object_or_404(
            assigning.given_by_hand(project).select_related("item__project", "annotator"), pk=pk
        )
        assigning.unassign(assignment=row, actor=request.user)
        return Response(status=204)
