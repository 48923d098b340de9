"""Run an LM annotator over the items it has not judged."""

from __future__ import annotations

from annotations.lm import registry
from annotations.lm.annotate import CannotAnnotate, annotate
from annotations.projects.models import Project
from app.management.base import PlumblineCommand


class Command(PlumblineCommand):
    help = (
        "Run an LM annotator over unjudged items. NAME is an annotator of the project, or longer_wins for the "
        "offline baseline (the longer response wins; a rule, not a language model)."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("project", metavar="PROJECT", help="Slug of the project.")
        parser.add_argument("--annotator", required=True, metavar="NAME")
        parser.add_argument("--limit", type=int, metavar="N", help="Judge at most N items.")

    def handle(self, *args, project: str, annotator: str, limit: int | None, **options) -> None:
        found = Project.objects.filter(slug=project).first()
        if found is None:
            self.fail(f"{project}: no such project.")
        if limit is not None and limit < 1:
            self.fail(f"--limit {limit}: expected a number of at least 1.")
        detail = registry.find(found, annotator)
        if detail is None:
            names = ", ".join(row.annotator.name for row in registry.lm_annotators(found)) or "none yet"
            self.fail(
                f"{annotator}: no such LM annotator in {project}. There are: {names}; longer_wins adds one."
            )
        try:
            result = annotate(detail=detail, limit=limit, report=self.progress)
        except CannotAnnotate as error:
            self.fail(str(error))
        self.say(
            f"{detail.annotator.name} judged {result['judged']:,} items; {result['left']:,} are left unjudged."
        )
        self.finish({"project": found.slug, "annotator": detail.annotator.name, **result})
