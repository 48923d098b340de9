"""The annotator's loop and everybody's judgments over the API."""

from __future__ import annotations

from django.db import IntegrityError
from django.db.models import Exists, OuterRef
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.response import Response

from annotations.projects.access import RANK, project_for
from annotations.projects.api import own_annotator
from annotations.projects.models import Annotator, Membership, Project
from app.web.api import (
    SLUG,
    ApiView,
    FieldsQuery,
    bad,
    in_path,
    invalid,
    many,
    one,
    page_of,
    parse,
    parse_query,
)
from app.web.problems import Problem

from . import limits, pages, queue, stops
from .answers import InvalidAnswer
from .api_answers import blind_view, submit_body
from .api_requests import JudgmentQuery, NewJudgment
from .models import Judgment
from .serializers import JudgmentDetail, JudgmentResource, NextItem, OwnJudgment
from .submit import Conflict

ANNOTATOR, REVIEWER = Membership.Role.ANNOTATOR, Membership.Role.REVIEWER
RELATED = ["annotator", "schema", "guideline", "supersedes", "item"]
KEY = OpenApiParameter(
    "Idempotency-Key", OpenApiTypes.UUID, OpenApiParameter.HEADER, description="Instead of `id` in the body."
)


class Next(ApiView):
    """The annotator's queue."""

    @extend_schema(
        tags=["judging"], summary="Lease the next item to judge", request=None, parameters=[SLUG],
        operation_id="next",
        responses={200: NextItem, 204: OpenApiResponse(description="Nothing is left for you.")},
    )  # fmt: skip
    def post(self, request, slug):
        """Gives the item you hold, if you hold one. Until you judge it or the lease runs out it stays yours."""
        annotator = own_annotator(request, slug)
        _check_may_judge(annotator)
        assignment = queue.next_assignment(annotator)
        if assignment is None:
            annotator.refresh_from_db(fields=["status", "stage", "note"])
            _check_may_judge(annotator)
            limit = limits.reached(annotator)
            if limit is not None:
                raise Problem(409, "You have reached a limit", limit.sentence)
            return Response(status=204)
        return Response(NextItem(blind_view(assignment)).data)


def _check_may_judge(annotator: Annotator) -> None:
    """Raise a 409 that says why nobody is to judge now."""
    project = annotator.project
    stop = stops.why_not(annotator, "before")
    if stop is not None:
        raise Problem(409, stop.title, stop.text)
    if project.status != Project.Status.ACTIVE or annotator.status != Annotator.Status.ACTIVE:
        detail = "The project, or your part in it, is paused."
        raise Problem(409, "Judging is paused", annotator.note or detail)
    if annotator.stage == Annotator.Stage.FAILED:
        raise Problem(409, "You did not qualify", annotator.note)
    if project.schema_id is None:
        raise Problem(409, "The project asks nothing yet")
    guideline = pages.guideline_state(annotator)
    if not guideline.acknowledged:
        raise Problem(
            409, "There are guidelines to read", f"Read and acknowledge version {guideline.number} first."
        )


class Judgments(ApiView):
    """Judgments of a project: all for reviewers and up, one's own for annotators."""

    has_own_idempotency = True

    @extend_schema(
        tags=["judgments"], summary="List judgments", parameters=[SLUG, JudgmentQuery],
        operation_id="judgments_list", responses=page_of(JudgmentResource),
    )  # fmt: skip
    def get(self, request, slug):
        """Annotators get their own, with fewer fields and `order` "displayed": as the responses were shown to them."""
        project = project_for(request, slug, at_least=ANNOTATOR)
        query = parse_query(JudgmentQuery, request)
        rows, resource = _visible(project, request.user)
        for name, lookup in (("annotator", "annotator"), ("kind", "annotator__kind"), ("outcome", "outcome")):
            if name in query:
                rows = rows.filter(**{lookup: query[name]})
        if "item" in query:
            rows = rows.filter(item=query["item"])
        if "current" in query:
            current = "is_current" if resource is JudgmentResource else "is_latest"
            rows = rows.filter(**{current: query["current"] == "true"})
        return many(resource, rows, query, order_by=("pk",))

    @extend_schema(
        tags=["judging"], summary="Judge an item, or correct a judgment", request=NewJudgment,
        parameters=[SLUG, KEY], operation_id="judgments_create",
        responses={
            200: OpenApiResponse(OwnJudgment, "It was stored before; this is what is stored."),
            201: OpenApiResponse(OwnJudgment, "It is stored."),
        },
    )  # fmt: skip
    def post(self, request, slug):
        """`preference` and `response` count in the order the responses were shown; `id` makes a retry harmless."""
        annotator = own_annotator(request, slug)
        body = parse(NewJudgment, _with_key(request))
        try:
            stored = submit_body(annotator, body)
        except InvalidAnswer as error:
            raise invalid([{"field": e.field, "message": e.message} for e in error.errors]) from None
        except Conflict as error:
            raise Problem(409, "It contradicts what is stored", str(error)) from None
        except IntegrityError:
            raise Problem(
                409, "It contradicts what is stored", "This id belongs to another judgment."
            ) from None
        data = OwnJudgment(stored.judgment).data
        return Response(data, status=201 if stored.created else 200)


def _with_key(request) -> object:
    """The body, with `id` from the Idempotency-Key header where the body has none."""
    key, body = request.headers.get("Idempotency-Key"), request.data
    if key is None or not isinstance(body, dict):
        return body
    if "id" in body and str(body["id"]).lower() != key.lower():
        raise bad("id", "It differs from the Idempotency-Key header.")
    return {**body, "id": body.get("id", key)}


def _visible(project: Project, user):
    """The judgments this person may read, and how they read them."""
    rows = Judgment.objects.filter(project=project).select_related(*RELATED)
    rows = rows.prefetch_related("comparisons", "scores")
    if RANK[project.role] >= RANK[REVIEWER]:
        return rows, JudgmentResource
    replaced = Exists(Judgment.objects.filter(supersedes=OuterRef("pk")))
    return rows.filter(annotator__user=user).annotate(is_latest=~replaced), OwnJudgment


class JudgmentOne(ApiView):
    """One judgment."""

    @extend_schema(
        tags=["judgments"], summary="Read a judgment", operation_id="judgments_retrieve",
        parameters=[SLUG, in_path("uuid", "The judgment's id.", OpenApiTypes.UUID), FieldsQuery],
        responses=JudgmentDetail,
    )  # fmt: skip
    def get(self, request, slug, uuid):
        """Annotators get their own only, as in the list."""
        project = project_for(request, slug, at_least=ANNOTATOR)
        rows, resource = _visible(project, request.user)
        if resource is JudgmentResource:
            rows, resource = rows.prefetch_related("calls"), JudgmentDetail
        return one(request, resource, get_object_or_404(rows, uuid=uuid))
