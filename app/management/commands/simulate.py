"""Run a whole campaign without people."""

from __future__ import annotations

import secrets

from django.db import connection

from annotations.lm import registry
from annotations.lm.annotate import CannotAnnotate, annotate
from annotations.projects import setup
from annotations.projects.models import Project
from app.jobs import runner
from app.ledger.ledger import BudgetExceeded
from app.management.base import PlumblineCommand
from app.management.simulation import copies
from app.management.simulation.campaign import Campaign, facts
from app.management.simulation.people import Habits
from routing.plans.apply import apply_plan
from routing.plans.budget import BadBudget, parse_budget
from routing.plans.build import build_plan
from routing.plans.draft import PlanError, currency_of, draft_plan
from routing.rewards import jobs
from routing.rewards.models import TrainingRun

MOST_ANNOTATORS = 10_000


class Command(PlumblineCommand):
    help = (
        "Run a whole campaign without people: simulated annotators take items from the real queue and submit real "
        "judgments, in a copy of the project (SLUG-simulated). Their truth comes from people's labels where the "
        "items have them, else from the seed. Exit code 0: every item that people were to judge is complete and "
        "every rule held; 1: something is left open or a rule was broken; 2: nothing could be done."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        usual = Habits()
        parser.add_argument("project", metavar="PROJECT", help="Slug of the project.")
        parser.add_argument("--annotators", type=int, required=True, metavar="N", help="Simulated people.")
        parser.add_argument("--items", type=int, metavar="N", help="Copy the first N items only.")
        parser.add_argument(
            "--overlap", type=int, metavar="K", help="People per item, instead of the items' own."
        )
        parser.add_argument("--seed", type=int, metavar="N", help="Drawn and printed if not given.")
        parser.add_argument(
            "--into",
            metavar="SLUG",
            help="Write into this project: a new copy with this slug, or one that exists and holds no real work.",
        )
        parser.add_argument(
            "--among-people",
            action="store_true",
            help="Write with --into even where real people have worked.",
        )
        parser.add_argument(
            "--noise", type=float, default=usual.noise, help=f"Spread of a judgment ({usual.noise})."
        )
        parser.add_argument("--position-bias", type=float, default=usual.position_bias, metavar="B")
        parser.add_argument("--fatigue", type=float, default=usual.fatigue, metavar="F")
        parser.add_argument("--skip-rate", type=float, default=usual.skip_rate, metavar="R")
        parser.add_argument("--flag-rate", type=float, default=usual.flag_rate, metavar="R")
        parser.add_argument(
            "--workers",
            type=int,
            metavar="N",
            help="At once: 4 on PostgreSQL, 1 on SQLite; only with 1 does a seed repeat.",
        )
        parser.add_argument(
            "--route", metavar="BUDGET", help="First let a baseline judge, then route: 0.25 or 25EUR."
        )
        parser.add_argument("--train", action="store_true", help="Train a reward model on the result.")

    def handle(self, *args, project: str, **options) -> None:
        source = Project.objects.filter(slug=project).first()
        if source is None:
            self.fail(f"{project}: no such project.")
        habits = self._habits(options)
        for name, least, most in (("annotators", 1, MOST_ANNOTATORS), ("items", 1, None), ("overlap", 1, 50)):
            value = options[name]
            if value is not None and not (least <= value <= (most or value)):
                self.fail(
                    f"--{name} {value}: expected {least} to {most:,}"
                    if most
                    else f"--{name} {value}: expected 1 or more"
                )
        seed = secrets.randbits(31) if options["seed"] is None else options["seed"]
        workers = options["workers"] or (4 if connection.vendor == "postgresql" else 1)
        target = self._target(source, options, seed)
        people = copies.people_of(target, options["annotators"])
        routed = self._route(target, options["route"], seed) if options["route"] else None
        target.refresh_from_db()
        for person in people:
            person.project = target
        campaign = Campaign(
            project=target, people=people, habits=habits, seed=seed, workers=workers, progress=self.progress
        )
        outcome = campaign.run()
        found = facts(target, people)
        payload = {
            "project": source.slug,
            "into": target.slug,
            "seed": seed,
            "annotators": len(people),
            "workers": workers,
            "judgments": outcome.judgments,
            "outcomes": dict(sorted(outcome.outcomes.items())),
            "quota_violations": len(outcome.over_quota),
            **found,
            "fits_truth": {"value": outcome.right / outcome.decided, "n": outcome.decided}
            if outcome.decided
            else None,
            "seconds": round(outcome.seconds, 2),
            "judgments_per_second": round(outcome.judgments / outcome.seconds, 1)
            if outcome.seconds
            else None,
            "claim_ms": _quantiles(outcome.claim_ms),
            "submit_ms": _quantiles(outcome.submit_ms),
            "plan": routed,
            "reward_model": self._train(target, seed) if options["train"] else None,
        }
        self._tell(payload)
        broken = (
            payload["quota_violations"]
            or found["duplicates"]
            or found["counter_differences"]
            or found["complete"] < found["items_for_people"]
        )
        self.finish(payload, code=1 if broken else 0)

    def _habits(self, options: dict) -> Habits:
        names = ("noise", "position_bias", "fatigue", "skip_rate", "flag_rate")
        habits = Habits(**{name: options[name] for name in names})
        try:
            habits.check()
        except ValueError as error:
            self.fail(f"--{str(error).replace('_', '-', 1)}")
        return habits

    def _target(self, source: Project, options: dict, seed: int) -> Project:
        """The project to write into: a new copy, or one that exists and that nobody real has worked in."""
        slug = options["into"] or setup.free_slug(f"{source.slug}-simulated")
        known = Project.objects.filter(slug=slug).first()
        if known is not None:
            if copies.has_real_work(known) and not options["among_people"]:
                self.fail(
                    f"{slug} holds the work of real people, and simulated judgments would stand among it. Without "
                    "--into a copy is made; --among-people writes here all the same."
                )
            if known.schema_id is None:
                self.fail(f"{slug} asks nothing yet: choose its questions first.")
            return known
        try:
            return copies.copy_project(
                source=source,
                slug=slug,
                items=options["items"],
                overlap=options["overlap"],
                seed=seed,
                progress=self.progress,
            )
        except ValueError as error:
            self.fail(str(error))

    def _route(self, target: Project, budget: str, seed: int) -> dict:
        """Let the baseline judge every item, then make a plan for the budget and put it in force."""
        try:
            detail = registry.add_baseline(project=target)
            annotate(detail=detail, report=lambda done, total: self.progress(done, total, "Baseline"))
            plan = draft_plan(
                project=target,
                budget=parse_budget(budget, currency=currency_of(target)),
                policy="uncertainty",
                audit_share=0.05,
                overlap=None,
                seed=seed,
                annotators=None,
                in_background=False,
            )
            build_plan(plan, self.progress)
            plan = apply_plan(plan=plan)
        except (BadBudget, PlanError, BudgetExceeded, CannotAnnotate) as error:
            self.fail(f"--route: {error}")
        done = plan.summary
        return {"plan": plan.number, **{key: done[key] for key in ("people", "audits", "lm", "judgments")}}

    def _train(self, target: Project, seed: int) -> dict:
        try:
            run = jobs.start_training(project=target, actor=None, seed=seed)
        except jobs.BadTraining as error:
            return {"error": str(error)}
        job = runner.run(run.job_id, worker="command")
        if job is None or job.state != job.State.SUCCEEDED:
            return {
                "error": (job and (job.error or job.message)) or "the training was taken by another worker"
            }
        model = TrainingRun.objects.select_related("reward_model").get(pk=run.pk).reward_model
        return {
            "model": model.public_id,
            "accuracy": model.metrics["accuracy"],
            "n_train": model.metrics["n_train"],
        }

    def _tell(self, found: dict) -> None:
        balance = found["side_balance"]
        spread = found["judgments_by_annotator"]
        self.say(
            f"{found['into']}: {found['judgments']:,} judgments by {found['annotators']:,} simulated people in "
            f"{found['seconds']:,.1f} s ({found['judgments_per_second'] or 0:,.0f} a second). "
            f"{found['complete']:,} of {found['items_for_people']:,} items for people are complete."
        )
        self.say(
            f"Items over their quota: {found['quota_violations']}. Judged twice by one person: {found['duplicates']}. "
            f"Counters that are wrong: {found['counter_differences']}. Sides differ by at most {balance['items']} on an "
            f"item and {balance['annotators']} for a person. One person judged {spread['least']:,} to {spread['most']:,}."
        )
        if found["plan"]:
            self.say(
                f"Plan {found['plan']['plan']}: {found['plan']['people']:,} items to people, "
                f"{found['plan']['lm']:,} to models."
            )
        model = found["reward_model"]
        if model:
            self.say(f"Reward model: {model.get('model') or model['error']}")
        self.say(f"Seed {found['seed']}. These are simulated judgments: no person gave any of them.")


def _quantiles(values: list[float]) -> dict:
    """The middle and the 99th percentile, in milliseconds."""
    if not values:
        return {"p50": None, "p99": None}
    ordered = sorted(values)
    return {
        "p50": round(ordered[len(ordered) // 2], 2),
        "p99": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 2),
    }
