"""Fill a fresh installation with the demo: people, real judgments, a plan, a trained reward model."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import urlsplit

from django.conf import settings

from annotations.items.models import Item
from annotations.judging.importing import ImportOptions, import_records
from annotations.lm import registry
from annotations.lm.annotate import annotate, unjudged
from annotations.projects import presets
from annotations.projects.models import Project
from app.jobs import runner
from app.management import demo
from app.management.base import PlumblineCommand
from routing.plans.apply import apply_plan
from routing.plans.budget import Budget
from routing.plans.build import build_plan
from routing.plans.draft import draft_plan
from routing.plans.models import RoutingPlan
from routing.rewards.jobs import start_training
from routing.rewards.models import RewardModel

LOCAL = {"127.0.0.1", "localhost", "::1", "testserver"}
DEFAULT_PASSWORD = "plumbline-demo"  # noqa: S105 - shown in the README; refused on a public address


class Command(PlumblineCommand):
    help = "Make the demo's people and projects from the bundled real data; what exists is left as it is."

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--password", default="", help="For the demo's people; needed on a public address."
        )

    def handle(self, *args, password: str, **options) -> None:
        host = urlsplit(settings.SITE_URL).hostname
        if not password and host not in LOCAL:
            self.fail(
                f"SITE_URL is {settings.SITE_URL}: give --password, the demo's own is known to everybody."
            )
        people = demo.make_people(password or DEFAULT_PASSWORD)
        pairs = self._pairs(people)
        ratings = self._ratings(people)
        model = RewardModel.objects.filter(project=pairs).order_by("number").first()
        self.say(f"Demo: {settings.SITE_URL}  (sign in as ann, ben, chi, rosa or admin)")
        self.finish(
            {
                "projects": [pairs.slug, ratings.slug],
                "items": Item.objects.filter(project__in=[pairs, ratings]).count(),
                "people": sorted(people),
                "reward_model": model.public_id if model else None,
            }
        )

    def _pairs(self, people) -> Project:
        project = demo.make_project(
            demo.PAIRS,
            people,
            name="Pairs people and models judged",
            description="PandaLM and LLMBar: real pairs with the recorded judgments of people and language models.",
            definition=presets.PRESETS["preference_ratings"],
            guidelines=demo.PAIRS_GUIDELINES,
            overlap=2,
            cap=Decimal(500),
            human_cost=Decimal("0.40"),
        )
        if not Item.objects.filter(project=project).exists():
            self.say("Importing PandaLM and LLMBar …")
            self._import(project, demo.pair_records())
            demo.link_people(project, people)
        baseline = registry.add_baseline(project=project, actor=people["rosa"])
        registry.ensure_details(project)
        if unjudged(project, baseline.annotator).exists():
            self.say("Running the offline baseline …")
            annotate(detail=baseline)
        if not RoutingPlan.objects.filter(project=project).exists():
            self.say("Planning who judges what …")
            plan = draft_plan(
                project=project,
                budget=Budget(share=0.5),
                audit_share=0.1,
                seed=20,
                actor=people["rosa"],
                in_background=False,
            )
            plan = build_plan(plan)
            apply_plan(plan=plan, actor=people["rosa"])
        if not RewardModel.objects.filter(project=project).exists():
            self.say("Training a reward model …")
            run = start_training(project=project, actor=people["rosa"], loss="scaled_bt", seed=20)
            runner.run(run.job_id, worker="demo")
        return project

    def _ratings(self, people) -> Project:
        project = demo.make_project(
            demo.RATINGS,
            people,
            name="Summaries rated on seven qualities",
            description="SummEval-OP: summaries of product reviews, three raters each.",
            definition=demo.ratings_definition(),
            guidelines=demo.RATINGS_GUIDELINES,
            overlap=4,
        )
        if not Item.objects.filter(project=project).exists():
            self.say("Importing SummEval-OP …")
            self._import(project, demo.rating_records())
        return project

    def _import(self, project: Project, records) -> None:
        report = import_records(
            project=project, records=records, origin_label="demo", options=ImportOptions()
        )
        if report.invalid or report.errors:
            self.fail(f"The bundled data did not go in whole: {report.errors[:3]}")
