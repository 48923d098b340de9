"""The addresses of the API, version 1."""

from django.urls import path, re_path

from annotations.judging import api as judging
from annotations.judging import item_api as items
from annotations.projects import api as projects
from app.jobs import api as jobs
from app.web.api import NoSuchResource

app_name = "api"
PROJECT = "projects/<slug:slug>"

urlpatterns = [
    path("projects", projects.Projects.as_view(), name="projects"),
    path(PROJECT, projects.ProjectDetail.as_view(), name="project"),
    path(f"{PROJECT}/guidelines", projects.Guidelines.as_view(), name="guidelines"),
    path(
        f"{PROJECT}/guidelines/<int:version>/acknowledgement",
        projects.GuidelineAcknowledgement.as_view(),
        name="guideline_acknowledgement",
    ),
    path(f"{PROJECT}/items", items.Items.as_view(), name="items"),
    path(f"{PROJECT}/items/<int:pk>", items.ItemOne.as_view(), name="item"),
    path(f"{PROJECT}/imports", items.Imports.as_view(), name="imports"),
    path(f"{PROJECT}/next", judging.Next.as_view(), name="next"),
    path(f"{PROJECT}/judgments", judging.Judgments.as_view(), name="judgments"),
    path(f"{PROJECT}/judgments/<uuid:uuid>", judging.JudgmentOne.as_view(), name="judgment"),
    path("jobs", jobs.Jobs.as_view(), name="jobs"),
    path("jobs/<uuid:pk>", jobs.JobDetail.as_view(), name="job"),
    path("jobs/<uuid:pk>/cancel", jobs.JobCancel.as_view(), name="job_cancel"),
    path("jobs/<uuid:pk>/retry", jobs.JobRetry.as_view(), name="job_retry"),
    re_path(r"", NoSuchResource.as_view(), name="none"),
]
