"""Reviewing over the API: the items people disagree about, and what a reviewer decides."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from annotations.items.models import Item
from annotations.projects import schemas
from annotations.projects.access import project_for, reviewer_for
from annotations.projects.models import Membership, Project
from app.web.api import (
    SLUG,
    ApiView,
    Body,
    PageQuery,
    Resource,
    StrictBooleanField,
    TextField,
    answer_page,
    bad,
    in_path,
    invalid,
    page_of,
    parse,
    parse_query,
    wanted_fields,
)
from app.web.paging import BadCursorError
from app.web.problems import Problem

from . import forms, review
from .answers import Answer, InvalidAnswer
from .api_answers import refuse_unasked, to_values
from .api_requests import MAX_ANSWERS, AnswersField, NewComparison, NewScore
from .causes import CAUSES
from .models import Judgment, Review
from .serializers import ItemSummary
from .submit import Conflict

REVIEWER = Membership.Role.REVIEWER
ITEM = in_path("id", "The item's id.", OpenApiTypes.INT)


class ReviewQuery(PageQuery):
    """Which items."""

    show = serializers.ChoiceField(
        required=False,
        choices=["open", "flagged", "done"],
        default="open",
        help_text="open: people disagree or somebody flagged it, and nobody reviewed it.",
    )


class ReviewResource(Resource):
    """A reviewer's decision about an item."""

    id = serializers.CharField(source="pk")
    item = serializers.CharField(source="item_id")
    reviewer = serializers.CharField(source="reviewer.username", default=None, allow_null=True)
    judgment = serializers.UUIDField(
        source="judgment.uuid",
        default=None,
        allow_null=True,
        help_text="The final answer; null: the votes stand.",
    )
    causes = serializers.ListField(child=serializers.CharField())
    note = serializers.CharField()
    created_at = serializers.DateTimeField()

    class Meta:
        ref_name = "Review"


class ItemToReview(ItemSummary):
    """An item people disagree about or flagged, or one that was reviewed."""


class NewReview(Body):
    """A decision: the answer that is final, responses in stored order, or that the votes stand."""

    votes_stand = StrictBooleanField(required=False, default=False, help_text="Instead of an answer.")
    outcome = serializers.ChoiceField(
        required=False,
        choices=["answered", "cannot_judge"],
        help_text="`answered` if it is not given; `cannot_judge` leaves the item without a label.",
    )
    comparisons = NewComparison(many=True, required=False, max_length=MAX_ANSWERS)
    scores = NewScore(many=True, required=False, max_length=8 * MAX_ANSWERS)
    answers = AnswersField(required=False)
    reason = TextField(required=False, allow_blank=True)
    causes = serializers.ListField(
        required=False,
        default=list,
        child=serializers.ChoiceField(choices=sorted(CAUSES)),
        max_length=len(CAUSES),
        help_text="Why people disagree.",
    )
    note = TextField(required=False, allow_blank=True, default="", max_length=4000)

    def validate(self, values: dict) -> dict:
        given = [
            name for name in ("outcome", "comparisons", "scores", "answers", "reason") if values.get(name)
        ]
        if values["votes_stand"] and given:
            raise serializers.ValidationError({given[0]: ["Not with `votes_stand`."]})
        return values


class Reviews(ApiView):
    """What a reviewer may decide."""

    @extend_schema(
        tags=["quality"], summary="List the items to review", parameters=[SLUG, ReviewQuery],
        operation_id="reviews_list", responses=page_of(ItemToReview),
    )  # fmt: skip
    def get(self, request, slug):
        """A page looks through 20,000 items at most, so it may hold few and still have a `next`."""
        project = project_for(request, slug, at_least=REVIEWER)
        query = parse_query(ReviewQuery, request)
        only = wanted_fields(query)
        ItemToReview(only=only)
        try:
            page = review.browse(
                project=project, show=query["show"], cursor=query.get("cursor", ""), size=query["size"]
            ).page
        except BadCursorError as error:
            raise bad("cursor", str(error)) from None
        return answer_page(ItemToReview, page.rows, page.next_cursor, only)


class ItemReviews(ApiView):
    """The reviews of one item."""

    @extend_schema(
        tags=["quality"], summary="List an item's reviews, newest first", parameters=[SLUG, ITEM],
        operation_id="item_reviews_list", responses=page_of(ReviewResource),
    )  # fmt: skip
    def get(self, request, slug, pk):
        """The newest one is in force; at most the 100 newest are listed."""
        project = project_for(request, slug, at_least=REVIEWER)
        item = get_object_or_404(Item, project=project, pk=pk)
        rows = Review.objects.filter(item=item).select_related("reviewer", "judgment").order_by("-pk")
        return answer_page(ReviewResource, list(rows[:100]), None)

    @extend_schema(
        tags=["quality"], summary="Decide about an item", request=NewReview, parameters=[SLUG, ITEM],
        operation_id="item_reviews_create", responses={201: ReviewResource},
    )  # fmt: skip
    def post(self, request, slug, pk):
        """No vote changes; a later review takes the place of an earlier one."""
        project = project_for(request, slug, at_least=REVIEWER)
        item = get_object_or_404(Item.objects.select_related("project"), project=project, pk=pk)
        body = parse(NewReview, request.data)
        if project.schema_id is None and not body["votes_stand"]:
            raise Problem(409, "The project asks nothing yet")
        try:
            made = review.decide(
                item=item,
                reviewer=reviewer_for(request.user, project),
                actor=request.user,
                answer=None if body["votes_stand"] else _answer(project, item, body),
                causes=body["causes"],
                note=body["note"],
                origin=Judgment.Origin.API,
            )
        except InvalidAnswer as error:
            raise invalid([{"field": e.field, "message": e.message} for e in error.errors]) from None
        except Conflict as error:
            raise Problem(409, "It contradicts what is stored", str(error)) from None
        return Response(ReviewResource(made).data, status=201)


def _answer(project: Project, item: Item, body: dict) -> Answer:
    """The body's answer, places being those of the stored responses. Raises InvalidAnswer."""
    definition = schemas.load(project.schema_id)[1]
    order = "".join(str(place) for place in range(item.n_responses))
    answer = forms.to_answer(definition, to_values(definition, body, order), order, item.n_responses)
    refuse_unasked(body, answer)
    return answer
