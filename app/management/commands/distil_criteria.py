"""Distil a project's released criteria into a reward model."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from annotations.criteria import lab
from annotations.lm import endpoints, runs
from annotations.lm.models import EndpointModel
from annotations.projects.models import Project
from app.jobs import runner
from app.management.base import PlumblineCommand
from routing.rewards import distil, linear
from routing.rewards.models import TrainingRun


class Command(PlumblineCommand):
    help = (
        "Distil released criteria: a model labels the pairs it has not judged by the release in use, then a reward model "
        "learns from people's labels and these. MODEL is one the project may use; the lab's judge if none is named. Says "
        "what it would cost first; labels that are stored are not asked for again. Exit code 0: trained; 2: nothing was."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("project", metavar="PROJECT", help="Slug of the project.")
        parser.add_argument("--model", metavar="MODEL", help="Name of the model that labels.")
        parser.add_argument("--limit", type=int, metavar="N", help="Label at most N pairs.")
        parser.add_argument("--cap", metavar="MONEY", help="Spend at most this on labels.")
        parser.add_argument("--loss", choices=list(linear.LOSSES), default="scaled_bt")
        parser.add_argument("--dry-run", action="store_true", help="Say what it would cost and stop.")

    def handle(
        self, *args, project: str, model: str | None, limit, cap, loss: str, dry_run: bool, **options
    ) -> None:
        found = Project.objects.filter(slug=project).first()
        if found is None:
            self.fail(f"{project}: no such project.")
        if limit is not None and limit < 1:
            self.fail(f"--limit {limit}: expected a number of at least 1.")
        try:
            money = Decimal(cap) if cap is not None else None
        except InvalidOperation:
            self.fail(f"--cap {cap}: expected an amount of money.")
        try:
            detail = distil.labeller(project=found, model=self._model(found, model))
            said = runs.estimate(detail, limit=limit)
            self.say(
                f"{detail.annotator.name}: {said['items']:,} pairs to label, likely {said['cost']} {said['currency']}, at most {said['worst']}."
            )
            if dry_run:
                self.finish({"annotator": detail.annotator.name, "estimate": said})
                return
            job = runner.run(
                distil.start(detail=detail, loss=loss, limit=limit, cap=money).pk, worker="command"
            )
        except distil.CannotDistil as error:
            self.fail(str(error))
        if job.state != job.State.SUCCEEDED:
            self.fail(job.error or "The labelling did not end.")
        self.say(f"{job.result['judged']:,} pairs labelled for {job.result['cost']}.")
        training = runner.run(job.result["training_job"], worker="command")
        run = TrainingRun.objects.select_related("reward_model").get(pk=job.result["run"])
        if run.reward_model is None:
            self.fail((training.error if training else "") or "The training did not end: see its job.")
        made = run.reward_model
        right = made.metrics["accuracy"]
        words = (
            "too few pairs were held out to measure it"
            if right["value"] is None
            else f"right on {right['value']:.3f} of {right['n']:,} held out"
        )
        self.say(f"{made.public_id} learnt from {made.metrics['n_train']:,} pairs; {words}.")
        self.finish(
            {"annotator": detail.annotator.name, "labels": job.result, "estimate": said, "model": made.public_id,
             **{k: made.metrics[k] for k in ("n_train", "accuracy", "length_baseline")}}
        )  # fmt: skip

    def _model(self, project: Project, name: str | None) -> EndpointModel:
        offered = EndpointModel.objects.filter(endpoint__in=endpoints.usable(project), is_offered=True)
        if name is None:
            judge = lab.lab_of(project).judge
            if judge is None:
                self.fail("The lab has no model as judge: name one by --model.")
            return judge
        found = offered.filter(name=name).select_related("endpoint").first()
        if found is None:
            self.fail(
                f"{name}: no such model here. There are: {', '.join(offered.values_list('name', flat=True)) or 'none'}."
            )
        return found
