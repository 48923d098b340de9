"""Jobs over the API: follow, cancel, retry."""

from __future__ import annotations

from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.response import Response

from app.accounts import audit
from app.web.api import ApiView, FieldsQuery, many, one, page_of, parse_query
from app.web.problems import Problem

from . import runner
from .access import job_for, visible_jobs
from .models import Job
from .serializers import JobQuery, JobResource, JobSummary

LOCATION = OpenApiParameter(
    "Location", str, OpenApiParameter.HEADER, description="Address of the job.", response=[202]
)
ACCEPTED = OpenApiResponse(JobResource, "The work goes on; follow the job.")


def accepted(job: Job) -> Response:
    """202 with the job, and its address in `Location`."""
    location = reverse("api:job", args=[job.pk])
    return Response(JobResource(job).data, status=202, headers={"Location": location})


class Jobs(ApiView):
    """Long work you may see."""

    @extend_schema(
        tags=["jobs"], summary="List jobs, newest first", parameters=[JobQuery],
        operation_id="jobs_list", responses=page_of(JobSummary),
    )  # fmt: skip
    def get(self, request):
        query = parse_query(JobQuery, request)
        jobs = visible_jobs(request.user).defer("log", "events", "result", "args")
        if "state" in query:
            jobs = jobs.filter(state=query["state"])
        if "project" in query:
            jobs = jobs.filter(scope=query["project"])
        return many(JobSummary, jobs, query, order_by=("-created_at", "-pk"))


class JobDetail(ApiView):
    """One job."""

    @extend_schema(
        tags=["jobs"], summary="Follow a job", parameters=[FieldsQuery], operation_id="jobs_retrieve",
        responses=JobResource,
    )  # fmt: skip
    def get(self, request, pk):
        return one(request, JobResource, job_for(request.user, pk))


class JobCancel(ApiView):
    """Stopping a job."""

    @extend_schema(
        tags=["jobs"], summary="Ask a job to stop", request=None,
        operation_id="jobs_cancel", responses=JobResource,
    )  # fmt: skip
    def post(self, request, pk):
        job = job_for(request.user, pk)
        if job.is_finished:
            raise Problem(
                409, "The job is over", f"It is {job.state}; only waiting or running jobs can stop."
            )
        job = runner.cancel(job)
        audit.record(
            actor=request.user, action="job.cancelled", scope=job.scope, target=str(job.pk), kind=job.kind
        )
        return Response(JobResource(job).data)


class JobRetry(ApiView):
    """Running a job again."""

    @extend_schema(
        tags=["jobs"], summary="Run a failed or cancelled job again", request=None, parameters=[LOCATION],
        operation_id="jobs_retry", responses={202: ACCEPTED},
    )  # fmt: skip
    def post(self, request, pk):
        job = job_for(request.user, pk)
        if job.state not in {Job.State.FAILED, Job.State.CANCELLED}:
            raise Problem(
                409, "The job cannot run again", f"It is {job.state}; only failed or cancelled jobs can."
            )
        job = runner.retry(job)
        audit.record(
            actor=request.user, action="job.retried", scope=job.scope, target=str(job.pk), kind=job.kind
        )
        return accepted(job)
