"""The addresses of the API, version 1."""

from django.urls import path, re_path

from annotations.datasets import api as datasets
from annotations.judging import api as judging
from annotations.judging import item_api as items
from annotations.projects import api as projects
from app.jobs import api as jobs
from app.web.api import NoSuchResource
from routing.plans import api as plans
from routing.rewards import api as rewards

app_name = "api"
PROJECT = "projects/<slug:slug>"
SNAPSHOT = f"{PROJECT}/snapshots/<slug:public_id>"

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
    path(f"{PROJECT}/plans", plans.Plans.as_view(), name="plans"),
    path(f"{PROJECT}/plans/<int:number>", plans.PlanOne.as_view(), name="plan"),
    path(f"{PROJECT}/plans/<int:number>/apply", plans.PlanApply.as_view(), name="plan_apply"),
    path(f"{PROJECT}/plans/<int:number>/discard", plans.PlanDrop.as_view(), name="plan_discard"),
    path(f"{PROJECT}/snapshots", datasets.Snapshots.as_view(), name="snapshots"),
    path(SNAPSHOT, datasets.SnapshotOne.as_view(), name="snapshot"),
    path(f"{SNAPSHOT}/exports", datasets.Exports.as_view(), name="exports"),
    path(f"{SNAPSHOT}/exports/<int:pk>", datasets.ExportOne.as_view(), name="export"),
    path(
        f"{SNAPSHOT}/exports/<int:pk>/files/<path:name>",
        datasets.ExportFileOne.as_view(),
        name="export_file",
    ),
    path(f"{PROJECT}/reward-models", rewards.RewardModels.as_view(), name="reward_models"),
    path(f"{PROJECT}/reward-models/<slug:public_id>", rewards.RewardModelOne.as_view(), name="reward_model"),
    path(f"{PROJECT}/training-runs", rewards.TrainingRuns.as_view(), name="training_runs"),
    path(f"{PROJECT}/training-runs/<int:pk>", rewards.TrainingRunOne.as_view(), name="training_run"),
    path("jobs", jobs.Jobs.as_view(), name="jobs"),
    path("jobs/<uuid:pk>", jobs.JobDetail.as_view(), name="job"),
    path("jobs/<uuid:pk>/cancel", jobs.JobCancel.as_view(), name="job_cancel"),
    path("jobs/<uuid:pk>/retry", jobs.JobRetry.as_view(), name="job_retry"),
    re_path(r"", NoSuchResource.as_view(), name="none"),
]
