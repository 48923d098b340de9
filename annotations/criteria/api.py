"""Criteria over the API: their versions, releases and proposals, deciding a proposal, and wordings of LM annotators."""

from __future__ import annotations

from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from annotations.projects.access import project_for
from annotations.projects.models import CriteriaRelease
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

from . import cards, lab
from .models import Criterion, CriterionVersion, JudgeWording, Proposal
from .serializers import (
    CriteriaReleaseResource,
    CriterionDetailResource,
    CriterionResource,
    CriterionVersionResource,
    DecisionBody,
    JudgeWordingResource,
    ProposalQuery,
    ProposalResource,
)

CRITERION = in_path("pk", "The criterion's id.", OpenApiTypes.INT)
PROPOSAL = in_path("pk", "The proposal's id.", OpenApiTypes.INT)
RELEASE = in_path("number", "The release's number.", OpenApiTypes.INT)


class Criteria(ApiView):
    """The criteria of a project, drafts and rejected ones included."""

    @extend_schema(
        tags=["criteria"], summary="List criteria", parameters=[SLUG, PageQuery], operation_id="criteria_list",
        responses=page_of(CriterionResource),
    )  # fmt: skip
    def get(self, request, slug):
        rows = Criterion.objects.filter(project=project_for(request, slug)).select_related("current")
        return many(CriterionResource, rows, parse_query(PageQuery, request), order_by=("pk",))


class CriterionOne(ApiView):
    """One criterion."""

    @extend_schema(
        tags=["criteria"], summary="Read a criterion with its figures", parameters=[SLUG, CRITERION, FieldsQuery],
        operation_id="criteria_retrieve", responses=CriterionDetailResource,
    )  # fmt: skip
    def get(self, request, slug, pk):
        """The figures are of the newest round that measured the wording in force; null before the first."""
        project = project_for(request, slug)
        row = next((r for r in cards.board(project) if r["criterion"].pk == pk), None)
        if row is None:
            raise Http404("No such criterion.")
        return one(request, CriterionDetailResource, row["criterion"], facts=row["facts"])


class CriterionVersions(ApiView):
    """The wordings of a criterion; none ever changes."""

    @extend_schema(
        tags=["criteria"], summary="List a criterion's versions, newest first", parameters=[SLUG, CRITERION, PageQuery],
        operation_id="criterion_versions_list", responses=page_of(CriterionVersionResource),
    )  # fmt: skip
    def get(self, request, slug, pk):
        criterion = get_object_or_404(Criterion, project=project_for(request, slug), pk=pk)
        rows = CriterionVersion.objects.filter(criterion=criterion)
        return many(CriterionVersionResource, rows, parse_query(PageQuery, request), order_by=("-number",))


class CriteriaReleases(ApiView):
    """The sets of criteria that were released."""

    @extend_schema(
        tags=["criteria"], summary="List releases, newest first", parameters=[SLUG, PageQuery],
        operation_id="criteria_releases_list", responses=page_of(CriteriaReleaseResource),
    )  # fmt: skip
    def get(self, request, slug):
        rows = CriteriaRelease.objects.filter(project=project_for(request, slug)).select_related(
            "lab_set__back_to"
        )
        return many(CriteriaReleaseResource, rows, parse_query(PageQuery, request), order_by=("-number",))


class CriteriaReleaseOne(ApiView):
    """One release."""

    @extend_schema(
        tags=["criteria"], summary="Read a release", parameters=[SLUG, RELEASE, FieldsQuery],
        operation_id="criteria_releases_retrieve", responses=CriteriaReleaseResource,
    )  # fmt: skip
    def get(self, request, slug, number):
        rows = CriteriaRelease.objects.filter(project=project_for(request, slug)).select_related(
            "lab_set__back_to"
        )
        return one(request, CriteriaReleaseResource, get_object_or_404(rows, number=number))


class Proposals(ApiView):
    """What the engine proposes; a person decides."""

    @extend_schema(
        tags=["criteria"], summary="List proposals, newest first", parameters=[SLUG, ProposalQuery],
        operation_id="criteria_proposals_list", responses=page_of(ProposalResource),
    )  # fmt: skip
    def get(self, request, slug):
        query = parse_query(ProposalQuery, request)
        rows = Proposal.objects.filter(project=project_for(request, slug)).select_related(
            "criterion", "version"
        )
        if state := query.get("state"):
            rows = rows.filter(state=state)
        return many(ProposalResource, rows, query, order_by=("-pk",))


class ProposalDecision(ApiView):
    """Deciding a proposal."""

    @extend_schema(
        tags=["criteria"], summary="Accept or reject a proposal", parameters=[SLUG, PROPOSAL], request=DecisionBody,
        operation_id="criteria_proposals_decide", responses=ProposalResource,
    )  # fmt: skip
    def post(self, request, slug, pk):
        """A wording that its paired test does not show to be better, and one that speaks to the judge, need a reason."""
        proposal = get_object_or_404(Proposal, project=project_for(request, slug), pk=pk)
        body = parse(DecisionBody, request.data)
        if body["accept"] and proposal.kind == Proposal.Kind.REFINE and proposal.version_id is None:
            raise Problem(
                409, "It cannot be decided", "This proposal has no wording yet: write one, or reject it."
            )
        try:
            done = lab.decide(
                proposal=proposal, accept=body["accept"], reason=body["reason"], actor=request.user
            )
        except lab.BadCriterion as error:
            if error.field == "reason":
                raise bad("reason", str(error)) from None
            raise Problem(409, "It cannot be decided", str(error)) from None
        return Response(ProposalResource(done).data)


class JudgeWordings(ApiView):
    """Wordings proposed for LM annotators, with their tests."""

    @extend_schema(
        tags=["criteria"], summary="List wordings of LM annotators, newest first", parameters=[SLUG, PageQuery],
        operation_id="judge_wordings_list", responses=page_of(JudgeWordingResource),
    )  # fmt: skip
    def get(self, request, slug):
        rows = JudgeWording.objects.filter(project=project_for(request, slug))
        return many(JudgeWordingResource, rows, parse_query(PageQuery, request), order_by=("-pk",))
