"""Routing plans over the API."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from annotations.items.models import Item
from annotations.lm import registry
from annotations.projects import rules
from annotations.projects.access import project_for, require
from app.jobs.api import ACCEPTED, LOCATION, accepted
from app.ledger.ledger import BudgetExceeded
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

from .apply import apply_plan, drop_plan
from .budget import BadBudget, parse_budget
from .draft import PlanError, currency_of, draft_plan, job_of
from .models import Decision, RoutingPlan
from .serializers import DecisionResource, NewPlan, PlanResource

DECISION_PAGE = page_of(DecisionResource)
NUMBER = in_path("number", "The plan's number.", OpenApiTypes.INT)


class Plans(ApiView):
    """The routing plans of a project."""

    @extend_schema(
        tags=["plans"], summary="List plans, newest first", parameters=[SLUG, PageQuery],
        operation_id="plans_list", responses=page_of(PlanResource),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug)
        query = parse_query(PageQuery, request)
        return many(PlanResource, RoutingPlan.objects.filter(project=project), query, order_by=("-number",))

    @extend_schema(
        tags=["plans"], summary="Draft a plan", request=NewPlan, parameters=[SLUG, LOCATION],
        operation_id="plans_create", responses={202: ACCEPTED},
    )  # fmt: skip
    def post(self, request, slug):
        """The plan whose `job` it is appears in the list at once, and is a `draft` when the job is done."""
        project = project_for(request, slug)
        body = parse(NewPlan, request.data)
        try:
            budget = parse_budget(body.pop("budget"), currency=currency_of(project))
        except BadBudget as error:
            raise bad("budget", str(error)) from None
        if "annotators" in body:
            body["annotators"] = _models(project, body["annotators"])
        if "second" in body:
            [body["second"]] = _models(project, [body["second"]], "second")
            if not body["second"].asks:
                raise bad("second", "This model cannot be asked: expected one with an endpoint or weights.")
        try:
            plan = draft_plan(project=project, budget=budget, actor=request.user, **body)
        except PlanError as error:
            raise bad("budget", str(error)) from None
        return accepted(job_of(plan))


def _models(project, ids: list[int], field: str = "annotators") -> list:
    """The project's models with these annotator ids. Raises a 400 for an id that is none."""
    known = {row.annotator_id: row for row in registry.lm_annotators(project)}
    for number in ids:
        if number not in known:
            raise bad(field, f"{number}: this project has no such model.")
    return [known[number] for number in dict.fromkeys(ids)]


class PlanOne(ApiView):
    """One plan."""

    @extend_schema(
        tags=["plans"], summary="Read a plan", parameters=[SLUG, NUMBER, FieldsQuery],
        operation_id="plans_retrieve", responses=PlanResource,
    )  # fmt: skip
    def get(self, request, slug, number):
        return one(request, PlanResource, _plan(request, slug, number))


class PlanApply(ApiView):
    """Putting a plan in force."""

    @extend_schema(
        tags=["plans"], summary="Put a draft in force", request=None, parameters=[SLUG, NUMBER],
        operation_id="plans_apply", responses=PlanResource,
    )  # fmt: skip
    def post(self, request, slug, number):
        """Routes change at once and the money is held; with any error nothing changes."""
        plan = _plan(request, slug, number)
        require(plan.project, rules.of(plan.project).budget.plans_by, "Putting plans in force")
        try:
            plan = apply_plan(plan=plan, actor=request.user)
        except (PlanError, BudgetExceeded) as error:
            raise Problem(409, "Not applied, nothing was changed", str(error)) from None
        return Response(PlanResource(plan).data)


class PlanDrop(ApiView):
    """Discarding a draft."""

    @extend_schema(
        tags=["plans"], summary="Discard a draft", request=None, parameters=[SLUG, NUMBER],
        operation_id="plans_discard", responses=PlanResource,
    )  # fmt: skip
    def post(self, request, slug, number):
        plan = _plan(request, slug, number)
        try:
            plan = drop_plan(plan=plan, actor=request.user)
        except PlanError as error:
            raise Problem(409, "Not discarded", str(error)) from None
        return Response(PlanResource(plan).data)


class Decisions(ApiView):
    """The decisions of a plan."""

    @extend_schema(
        tags=["plans"], summary="List a plan's decisions, in order of item", parameters=[SLUG, NUMBER, PageQuery],
        operation_id="plans_decisions_list", responses=DECISION_PAGE,
    )  # fmt: skip
    def get(self, request, slug, number):
        plan = _plan(request, slug, number)
        rows = Decision.objects.filter(plan=plan).select_related("plan")
        return many(DecisionResource, rows, parse_query(PageQuery, request), order_by=("item_id",))


class ItemDecisions(ApiView):
    """Why an item went where it went."""

    @extend_schema(
        tags=["plans"], summary="List the decisions about an item, newest plan first",
        parameters=[SLUG, in_path("pk", "The item's id.", OpenApiTypes.INT), PageQuery],
        operation_id="items_decisions_list", responses=DECISION_PAGE,
    )  # fmt: skip
    def get(self, request, slug, pk):
        project = project_for(request, slug)
        get_object_or_404(Item, project=project, pk=pk)
        rows = Decision.objects.filter(item_id=pk, plan__project=project).select_related("plan")
        return many(DecisionResource, rows, parse_query(PageQuery, request), order_by=("-plan_id",))


def _plan(request, slug: str, number: int) -> RoutingPlan:
    project = project_for(request, slug)
    plan = get_object_or_404(RoutingPlan, project=project, number=number)
    plan.project = project  # with the person's role
    return plan
