"""Endpoints (site admins), models, prompts, LM annotators and runs over the API."""

from __future__ import annotations

from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.response import Response

from annotations.projects import rules
from annotations.projects.access import project_for, require
from annotations.projects.models import Project
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

from . import canaries, configure, endpoints, prompts, registry, report, runs
from .models import Endpoint, EndpointModel, LMAnnotator, Prompt, Run
from .serializers import (
    EndpointResource,
    LMAnnotatorResource,
    LMReportResource,
    NewEndpoint,
    NewLMAnnotator,
    NewPrompt,
    NewRun,
    PromptResource,
    RunEstimateResource,
    RunResource,
    TrialResource,
    UsableModelResource,
)

ENDPOINT = in_path("pk", "The endpoint's id.", OpenApiTypes.INT)
ANNOTATOR = in_path("pk", "The LM annotator's id.", OpenApiTypes.INT)


def _admins_only(request) -> None:
    if not request.user.is_staff:
        raise PermissionDenied("Endpoints belong to site admins.")


class Endpoints(ApiView):
    """Servers that models are asked at. For site admins."""

    @extend_schema(
        tags=["lm"], summary="List endpoints", parameters=[PageQuery], operation_id="endpoints_list",
        responses=page_of(EndpointResource),
    )  # fmt: skip
    def get(self, request):
        _admins_only(request)
        query = parse_query(PageQuery, request)
        return many(EndpointResource, Endpoint.objects.prefetch_related("models"), query, order_by=("name",))

    @extend_schema(
        tags=["lm"], summary="Add an endpoint", request=NewEndpoint, operation_id="endpoints_create",
        responses={201: EndpointResource},
    )  # fmt: skip
    def post(self, request):
        """The key is stored encrypted and never answered."""
        _admins_only(request)
        return Response(EndpointResource(_save(request, None)).data, status=201)


class EndpointOne(ApiView):
    """One endpoint. For site admins."""

    @extend_schema(
        tags=["lm"], summary="Read an endpoint", parameters=[ENDPOINT, FieldsQuery],
        operation_id="endpoints_retrieve", responses=EndpointResource,
    )  # fmt: skip
    def get(self, request, pk):
        _admins_only(request)
        return one(request, EndpointResource, get_object_or_404(Endpoint, pk=pk))

    @extend_schema(
        tags=["lm"], summary="Replace an endpoint's settings", parameters=[ENDPOINT], request=NewEndpoint,
        operation_id="endpoints_replace", responses=EndpointResource,
    )  # fmt: skip
    def put(self, request, pk):
        """Without `key` the stored key stays, unless the address is another one."""
        _admins_only(request)
        return Response(EndpointResource(_save(request, get_object_or_404(Endpoint, pk=pk))).data)


def _save(request, endpoint: Endpoint | None) -> Endpoint:
    body = parse(NewEndpoint, request.data)
    offers = [endpoints.Offer(m["name"], m["input_price"], m["output_price"]) for m in body["models"]]
    names = [offer.name for offer in offers]
    if len(set(names)) != len(names):
        raise bad("models", "A name stands twice.")
    try:
        return endpoints.save_endpoint(
            values={**body, "requests_per_minute": body.get("requests_per_minute")},
            models=offers,
            secret=body.get("key"),
            projects=list(endpoint.projects.all()) if endpoint else [],
            actor=request.user,
            endpoint=endpoint,
        )
    except endpoints.BadEndpoint as error:
        raise bad({"secret": "key"}.get(error.field, error.field), str(error)) from None


class EndpointTry(ApiView):
    """Trying an endpoint. For site admins."""

    @extend_schema(
        tags=["lm"], summary="Ask the server for its models", parameters=[ENDPOINT], request=None,
        operation_id="endpoints_try", responses=TrialResource,
    )  # fmt: skip
    def post(self, request, pk):
        """Checks address and key; costs nothing."""
        _admins_only(request)
        return Response(TrialResource(endpoints.try_endpoint(get_object_or_404(Endpoint, pk=pk))).data)


class UsableModels(ApiView):
    """Models that a project may use."""

    @extend_schema(
        tags=["lm"], summary="List the models the project may use", parameters=[SLUG, PageQuery],
        operation_id="usable_models_list", responses=page_of(UsableModelResource),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug)
        rows = EndpointModel.objects.filter(endpoint__in=endpoints.usable(project), is_offered=True)
        query = parse_query(PageQuery, request)
        return many(UsableModelResource, rows.select_related("endpoint"), query, order_by=("pk",))


class Prompts(ApiView):
    """The versions of a project's prompts."""

    @extend_schema(
        tags=["lm"], summary="List prompt versions, newest first", parameters=[SLUG, PageQuery],
        operation_id="prompts_list", responses=page_of(PromptResource),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug)
        query = parse_query(PageQuery, request)
        return many(PromptResource, Prompt.objects.filter(project=project), query, order_by=("-pk",))

    @extend_schema(
        tags=["lm"], summary="Add a prompt version", parameters=[SLUG], request=NewPrompt,
        operation_id="prompts_create", responses={201: PromptResource},
    )  # fmt: skip
    def post(self, request, slug):
        """The content of a version that exists gives that version."""
        project = project_for(request, slug)
        made = prompts.add_prompt(project=project, actor=request.user, **parse(NewPrompt, request.data))
        return Response(PromptResource(made).data, status=201)


class LMAnnotators(ApiView):
    """The LM annotators of a project: of endpoints, local, baselines and imported ones alike."""

    @extend_schema(
        tags=["lm"], summary="List LM annotators", parameters=[SLUG, PageQuery],
        operation_id="lm_annotators_list", responses=page_of(LMAnnotatorResource),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug)
        registry.ensure_details(project)
        rows = _details(project)
        return many(LMAnnotatorResource, rows, parse_query(PageQuery, request), order_by=("pk",))

    @extend_schema(
        tags=["lm"], summary="Make an LM annotator", parameters=[SLUG], request=NewLMAnnotator,
        operation_id="lm_annotators_create", responses={201: LMAnnotatorResource},
    )  # fmt: skip
    def post(self, request, slug):
        """It freezes the project's questions, guidelines and criteria of today, and never changes."""
        project = project_for(request, slug)
        body = parse(NewLMAnnotator, request.data)
        model = EndpointModel.objects.select_related("endpoint").filter(pk=body.pop("model")).first()
        if model is None or not endpoints.may_use(project, model.endpoint):
            raise bad("model", "This project may use no such model.")
        prompt = Prompt.objects.filter(project=project, pk=body.pop("prompt")).first()
        if prompt is None:
            raise bad("prompt", "This project has no such prompt version.")
        name = body.pop("name")
        try:
            detail = configure.add_annotator(
                project=project,
                model=model,
                prompt=prompt,
                parameters=configure.Parameters(**body),
                name=name,
                actor=request.user,
            )
        except configure.CannotConfigure as error:
            raise bad(error.field, str(error)) from None
        return Response(LMAnnotatorResource(detail).data, status=201)


class LMAnnotatorOne(ApiView):
    """One LM annotator."""

    @extend_schema(
        tags=["lm"], summary="Read an LM annotator with its figures", parameters=[SLUG, ANNOTATOR, FieldsQuery],
        operation_id="lm_annotators_retrieve", responses=LMReportResource,
    )  # fmt: skip
    def get(self, request, slug, pk):
        project = project_for(request, slug)
        found = next((row for row in report.reports(project) if row.detail.pk == pk), None)
        if found is None:
            raise Http404("No such annotator.")
        detail = get_object_or_404(_details(project), pk=pk)
        flips = canaries.overall(canaries.rates(detail))
        return one(request, LMReportResource, detail, report=found, flips=flips)


class LMEstimate(ApiView):
    """What a run would cost."""

    @extend_schema(
        tags=["lm"], summary="Estimate a run over the items left", parameters=[SLUG, ANNOTATOR],
        operation_id="lm_annotators_estimate", responses=RunEstimateResource,
    )  # fmt: skip
    def get(self, request, slug, pk):
        detail = _asking(project_for(request, slug), pk)
        return Response(RunEstimateResource(runs.estimate(detail)).data)


class LMRuns(ApiView):
    """The runs of an LM annotator."""

    @extend_schema(
        tags=["lm"], summary="List its runs, newest first", parameters=[SLUG, ANNOTATOR, PageQuery],
        operation_id="lm_runs_list", responses=page_of(RunResource),
    )  # fmt: skip
    def get(self, request, slug, pk):
        project = project_for(request, slug)
        detail = get_object_or_404(_details(project), pk=pk)
        rows = Run.objects.filter(annotator=detail.annotator).select_related("annotator__lm")
        return many(RunResource, rows, parse_query(PageQuery, request), order_by=("-pk",))

    @extend_schema(
        tags=["lm"], summary="Run it over the items it has not judged", request=NewRun,
        parameters=[SLUG, ANNOTATOR, LOCATION], operation_id="lm_runs_create", responses={202: ACCEPTED},
    )  # fmt: skip
    def post(self, request, slug, pk):
        """One run at a time. The job's result counts judged and failed items, calls, and the cost."""
        project = project_for(request, slug)
        require(project, rules.of(project).budget.runs_by, "Running models")
        detail = get_object_or_404(_details(project), pk=pk)
        try:
            run = runs.start(detail=detail, actor=request.user, **parse(NewRun, request.data))
        except runs.CannotAnnotate as error:
            raise Problem(409, "It cannot run", str(error)) from None
        return accepted(Job.objects.get(pk=run.job_id))


class LMCanaries(ApiView):
    """The canaries of an LM annotator."""

    @extend_schema(
        tags=["lm"], summary="Ask it about tampered items", request=None, parameters=[SLUG, ANNOTATOR, LOCATION],
        operation_id="lm_canaries_create", responses={202: ACCEPTED},
    )  # fmt: skip
    def post(self, request, slug, pk):
        project = project_for(request, slug)
        require(project, rules.of(project).budget.runs_by, "Running models")
        detail = get_object_or_404(_details(project), pk=pk)
        try:
            return accepted(canaries.start(detail=detail, actor=request.user))
        except runs.CannotAnnotate as error:
            raise Problem(409, "They cannot be asked", str(error)) from None


def _details(project: Project):
    return LMAnnotator.objects.filter(annotator__project=project).select_related(
        "annotator", "endpoint_model__endpoint", "prompt"
    )


def _asking(project: Project, pk: int) -> LMAnnotator:
    detail = runs.find(pk, project)
    if detail is None or not detail.asks:
        raise Http404("No such annotator that asks a model.")
    return detail
