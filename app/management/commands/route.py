"""Make a routing plan from the command line, and apply it if asked."""

from __future__ import annotations

from annotations.lm import registry
from annotations.projects.models import Project
from app.ledger.ledger import BudgetExceeded
from app.management.base import PlumblineCommand
from routing.plans import policies, words
from routing.plans.apply import apply_plan
from routing.plans.budget import BadBudget, parse_budget, parse_share
from routing.plans.build import build_plan
from routing.plans.draft import POLICIES, PlanError, currency_of, draft_plan


class Command(PlumblineCommand):
    help = "Make a routing plan (a draft) and print its predicted effect and cost; --apply puts it in force."

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("project", metavar="PROJECT", help="Slug of the project.")
        parser.add_argument(
            "--budget",
            required=True,
            help="A share of items (0.25, 25%%) or money with its currency (25EUR); audits count in it.",
        )
        parser.add_argument("--policy", choices=list(POLICIES), default=policies.DEFAULT)
        parser.add_argument(
            "--audit", default="0.05", metavar="S", help="Share of items drawn as audits (0.05)."
        )
        parser.add_argument(
            "--overlap", type=int, metavar="K", help="People per item; the project's by default."
        )
        parser.add_argument("--seed", type=int, metavar="N", help="Drawn and stored if not given.")
        parser.add_argument(
            "--annotator", action="append", metavar="NAME", help="Model to listen to; repeat for several."
        )
        parser.add_argument(
            "--second",
            metavar="NAME",
            help="A stronger model that items may go to instead of people; needs money.",
        )
        parser.add_argument("--apply", action="store_true", help="Put the plan in force.")

    def handle(self, *args, project: str, **options) -> None:
        found = Project.objects.filter(slug=project).first()
        if found is None:
            self.fail(f"{project}: no such project.")
        try:
            plan = draft_plan(
                project=found,
                budget=parse_budget(options["budget"], currency=currency_of(found)),
                policy=options["policy"],
                audit_share=parse_share(options["audit"], allow_zero=True),
                overlap=options["overlap"],
                seed=options["seed"],
                annotators=self._annotators(found, options["annotator"]),
                second=next(
                    iter(self._annotators(found, options["second"] and [options["second"]]) or ()), None
                ),
                in_background=False,
            )
            build_plan(plan, self.progress)
            if options["apply"]:
                plan = apply_plan(plan=plan)
        except (BadBudget, PlanError, BudgetExceeded) as error:
            self.fail(str(error))
        done = plan.summary
        self.say(words.sentence(plan))
        self.say(
            f"{done['judgments']:,} judgments to give; {done['lm']:,} items to models, {done['unlabelled']:,} of "
            f"these without any model's verdict. Seed {plan.seed}."
        )
        second = done.get("second") or {}
        if second.get("items"):
            self.say(
                f"{second['items']:,} items to {second['name']}, about {second['cost']} {plan.currency}."
            )
        elif second.get("words"):
            self.say(f"{second['words']}.")
        if words.duration(done):
            self.say(f"People would need {words.duration(done)}.")
        if not options["apply"]:
            self.say("A draft: nothing was changed. --apply puts a plan in force.")
        self.finish(
            {
                "project": found.slug,
                "plan": plan.number,
                "state": plan.state,
                "policy": plan.policy,
                "budget": words.budget(plan),
                "seed": plan.seed,
                "threshold": plan.threshold,
                "currency": plan.currency,
                **{
                    key: done[key]
                    for key in (
                        "items",
                        "people",
                        "chosen",
                        "audits",
                        "lm",
                        "unlabelled",
                        "judgments",
                        "cost",
                    )
                },
            }
        )

    def _annotators(self, project: Project, names: list[str] | None):
        if names is None:
            return None
        known = {row.annotator.name: row for row in registry.lm_annotators(project)}
        for name in names:
            if name not in known:
                self.fail(
                    f"{name}: no such LM annotator in {project.slug}. There are: {', '.join(known) or 'none'}."
                )
        return [known[name] for name in names]
