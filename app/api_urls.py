"""The addresses of the API, version 1."""

from django.urls import path, re_path

from annotations.analysis import api as analysis
from annotations.criteria import api as criteria
from annotations.datasets import api as datasets
from annotations.judging import api as judging
from annotations.judging import arms_api as arms
from annotations.judging import asking_again_api as again
from annotations.judging import batch_api as batches
from annotations.judging import gates_api as gates
from annotations.judging import item_api as items
from annotations.judging import mapping_api as mappings
from annotations.judging import media_api as media
from annotations.judging import quality_api as quality
from annotations.judging import review_api as reviews
from annotations.lm import api as lm
from annotations.people import api as people
from annotations.people import overview_api as overview
from annotations.people import rules_api as people_rules
from annotations.projects import api as projects
from annotations.projects import design_api as designs
from annotations.projects import webhook_api as webhooks
from app.jobs import api as jobs
from app.web.api import NoSuchResource
from routing.features import api as features
from routing.plans import api as plans
from routing.plans import budget_api as budgets
from routing.rewards import api as rewards

app_name = "api"
PROJECT = "projects/<slug:slug>"
LM = f"{PROJECT}/lm-annotators/<int:pk>"
HOOK = f"{PROJECT}/webhooks/<int:pk>"
SNAPSHOT = f"{PROJECT}/snapshots/<slug:public_id>"

urlpatterns = [
    path("projects", projects.Projects.as_view(), name="projects"),
    path(PROJECT, projects.ProjectDetail.as_view(), name="project"),
    path(f"{PROJECT}/restore", projects.ProjectRestore.as_view(), name="project_restore"),
    path("deleted-projects", projects.DeletedProjects.as_view(), name="deleted_projects"),
    path(f"{PROJECT}/log", items.JudgmentLog.as_view(), name="log"),
    path(f"{PROJECT}/webhooks", webhooks.Webhooks.as_view(), name="webhooks"),
    path(HOOK, webhooks.WebhookOne.as_view(), name="webhook"),
    path(f"{HOOK}/test", webhooks.WebhookTest.as_view(), name="webhook_test"),
    path(f"{HOOK}/deliveries", webhooks.WebhookDeliveries.as_view(), name="webhook_deliveries"),
    path(f"{HOOK}/deliveries/<uuid:uuid>/resend", webhooks.DeliveryResend.as_view(), name="delivery_resend"),
    path(f"{PROJECT}/guidelines", projects.Guidelines.as_view(), name="guidelines"),
    path(
        f"{PROJECT}/guidelines/<int:version>/acknowledgement",
        projects.GuidelineAcknowledgement.as_view(),
        name="guideline_acknowledgement",
    ),
    path(f"{PROJECT}/schemas", designs.Schemas.as_view(), name="schemas"),
    path(f"{PROJECT}/schemas/<int:number>", designs.SchemaOne.as_view(), name="schema_version"),
    path(f"{PROJECT}/schemas/<int:number>/use", again.SchemaUse.as_view(), name="schema_use"),
    path(f"{PROJECT}/schemas/<int:number>/ask-again", again.AskAgain.as_view(), name="ask_again"),
    path(f"{PROJECT}/items", items.Items.as_view(), name="items"),
    path(f"{PROJECT}/items/<int:pk>", items.ItemOne.as_view(), name="item"),
    path(f"{PROJECT}/items/<int:pk>/reviews", reviews.ItemReviews.as_view(), name="item_reviews"),
    path(f"{PROJECT}/reviews", reviews.Reviews.as_view(), name="reviews"),
    path(f"{PROJECT}/quality/people", quality.QualityPeople.as_view(), name="quality_people"),
    path(f"{PROJECT}/quality/people/<int:pk>", quality.QualityPerson.as_view(), name="quality_person"),
    path(
        f"{PROJECT}/quality/people/<int:pk>/quarantine",
        quality.QualityQuarantine.as_view(),
        name="quality_quarantine",
    ),
    path(f"{PROJECT}/quality/gate-items", gates.GateItems.as_view(), name="gate_items"),
    path(f"{PROJECT}/items/<int:pk>/gate", gates.GateItem.as_view(), name="gate_item"),
    path(f"{PROJECT}/quality/identity", gates.IdentityRule.as_view(), name="identity_rule"),
    path(f"{PROJECT}/quality/arms", arms.Arms.as_view(), name="arms"),
    path(f"{PROJECT}/quality/gates", quality.QualityGates.as_view(), name="quality_gates"),
    path(f"{PROJECT}/analysis/agreement", analysis.Agreement.as_view(), name="analysis_agreement"),
    path(f"{PROJECT}/analysis/rankings", analysis.Rankings.as_view(), name="analysis_rankings"),
    path(f"{PROJECT}/analysis/bias", analysis.Bias.as_view(), name="analysis_bias"),
    path(f"{PROJECT}/analysis/annotators", analysis.Annotators.as_view(), name="analysis_annotators"),
    path(f"{PROJECT}/analysis/subset", analysis.Subset.as_view(), name="analysis_subset"),
    path(f"{PROJECT}/mappings", mappings.Mappings.as_view(), name="mappings"),
    path(f"{PROJECT}/mappings/<int:pk>", mappings.MappingOne.as_view(), name="mapping"),
    path(f"{PROJECT}/batches", batches.Batches.as_view(), name="batches"),
    path(f"{PROJECT}/batches/<int:pk>", batches.BatchOne.as_view(), name="batch"),
    path(f"{PROJECT}/batches/<int:pk>/items", batches.BatchItems.as_view(), name="batch_items"),
    path(f"{PROJECT}/assignments", batches.Assignments.as_view(), name="assignments"),
    path(f"{PROJECT}/assignments/<int:pk>", batches.AssignmentOne.as_view(), name="assignment"),
    path(f"{PROJECT}/media", media.Media.as_view(), name="media"),
    path(f"{PROJECT}/media/<str:name>", media.MediaOne.as_view(), name="media_one"),
    path(f"{PROJECT}/imports", items.Imports.as_view(), name="imports"),
    path(f"{PROJECT}/overview", overview.Overview.as_view(), name="overview"),
    path(f"{PROJECT}/entry", people_rules.Entry.as_view(), name="entry"),
    path(f"{PROJECT}/pay", people_rules.Pay.as_view(), name="pay"),
    path(f"{PROJECT}/pay/people", people_rules.Earned.as_view(), name="earned"),
    path(f"{PROJECT}/pay/bonuses", people_rules.Bonuses.as_view(), name="bonuses"),
    path(f"{PROJECT}/places", people.Places.as_view(), name="places"),
    path(f"{PROJECT}/places/<str:session>/end", people.PlaceEnding.as_view(), name="place_end"),
    path(f"{PROJECT}/next", judging.Next.as_view(), name="next"),
    path(f"{PROJECT}/judgments", judging.Judgments.as_view(), name="judgments"),
    path(f"{PROJECT}/judgments/<uuid:uuid>", judging.JudgmentOne.as_view(), name="judgment"),
    path(f"{PROJECT}/budget", budgets.BudgetOne.as_view(), name="budget"),
    path(f"{PROJECT}/features", features.Features.as_view(), name="features"),
    path(f"{PROJECT}/taggings", features.Taggings.as_view(), name="taggings"),
    path(f"{PROJECT}/taggings/<int:pk>", features.TaggingOne.as_view(), name="tagging"),
    path(f"{PROJECT}/taggings/<int:pk>/tags", features.TaggingTags.as_view(), name="tagging_tags"),
    path(f"{PROJECT}/plans", plans.Plans.as_view(), name="plans"),
    path(f"{PROJECT}/plans/<int:number>", plans.PlanOne.as_view(), name="plan"),
    path(f"{PROJECT}/plans/<int:number>/decisions", plans.Decisions.as_view(), name="plan_decisions"),
    path(f"{PROJECT}/items/<int:pk>/decisions", plans.ItemDecisions.as_view(), name="item_decisions"),
    path(f"{PROJECT}/plans/<int:number>/apply", plans.PlanApply.as_view(), name="plan_apply"),
    path(f"{PROJECT}/plans/<int:number>/discard", plans.PlanDrop.as_view(), name="plan_discard"),
    path(f"{PROJECT}/snapshots", datasets.Snapshots.as_view(), name="snapshots"),
    path(SNAPSHOT, datasets.SnapshotOne.as_view(), name="snapshot"),
    path(f"{SNAPSHOT}/diff", datasets.SnapshotDiff.as_view(), name="snapshot_diff"),
    path(f"{SNAPSHOT}/exports", datasets.Exports.as_view(), name="exports"),
    path(f"{SNAPSHOT}/exports/<int:pk>", datasets.ExportOne.as_view(), name="export"),
    path(f"{SNAPSHOT}/exports/<int:pk>/pushes", datasets.HubPushes.as_view(), name="pushes"),
    path(
        f"{SNAPSHOT}/exports/<int:pk>/files/<path:name>",
        datasets.ExportFileOne.as_view(),
        name="export_file",
    ),
    path(f"{PROJECT}/reward-models", rewards.RewardModels.as_view(), name="reward_models"),
    path(f"{PROJECT}/reward-models/<slug:public_id>", rewards.RewardModelOne.as_view(), name="reward_model"),
    path(
        f"{PROJECT}/reward-models/<slug:public_id>/score",
        rewards.RewardModelScore.as_view(),
        name="reward_model_score",
    ),
    path(
        f"{PROJECT}/reward-models/<slug:public_id>/best",
        rewards.RewardModelBest.as_view(),
        name="reward_model_best",
    ),
    path(f"{PROJECT}/training-runs", rewards.TrainingRuns.as_view(), name="training_runs"),
    path(f"{PROJECT}/training-runs/<int:pk>", rewards.TrainingRunOne.as_view(), name="training_run"),
    path(f"{PROJECT}/criteria", criteria.Criteria.as_view(), name="criteria"),
    path(f"{PROJECT}/criteria/<int:pk>", criteria.CriterionOne.as_view(), name="criterion"),
    path(
        f"{PROJECT}/criteria/<int:pk>/versions",
        criteria.CriterionVersions.as_view(),
        name="criterion_versions",
    ),
    path(f"{PROJECT}/criteria-releases", criteria.CriteriaReleases.as_view(), name="criteria_releases"),
    path(
        f"{PROJECT}/criteria-releases/<int:number>",
        criteria.CriteriaReleaseOne.as_view(),
        name="criteria_release",
    ),
    path(f"{PROJECT}/criteria-proposals", criteria.Proposals.as_view(), name="criteria_proposals"),
    path(
        f"{PROJECT}/criteria-proposals/<int:pk>/decision",
        criteria.ProposalDecision.as_view(),
        name="criteria_proposal_decision",
    ),
    path(f"{PROJECT}/judge-wordings", criteria.JudgeWordings.as_view(), name="judge_wordings"),
    path("endpoints", lm.Endpoints.as_view(), name="endpoints"),
    path("endpoints/<int:pk>", lm.EndpointOne.as_view(), name="endpoint"),
    path("endpoints/<int:pk>/try", lm.EndpointTry.as_view(), name="endpoint_try"),
    path(f"{PROJECT}/usable-models", lm.UsableModels.as_view(), name="usable_models"),
    path(f"{PROJECT}/prompts", lm.Prompts.as_view(), name="prompts"),
    path(f"{PROJECT}/lm-annotators", lm.LMAnnotators.as_view(), name="lm_annotators"),
    path(LM, lm.LMAnnotatorOne.as_view(), name="lm_annotator"),
    path(f"{LM}/estimate", lm.LMEstimate.as_view(), name="lm_estimate"),
    path(f"{LM}/runs", lm.LMRuns.as_view(), name="lm_runs"),
    path(f"{LM}/canaries", lm.LMCanaries.as_view(), name="lm_canaries"),
    path("jobs", jobs.Jobs.as_view(), name="jobs"),
    path("jobs/<uuid:pk>", jobs.JobDetail.as_view(), name="job"),
    path("jobs/<uuid:pk>/cancel", jobs.JobCancel.as_view(), name="job_cancel"),
    path("jobs/<uuid:pk>/retry", jobs.JobRetry.as_view(), name="job_retry"),
    re_path(r"", NoSuchResource.as_view(), name="none"),
]
