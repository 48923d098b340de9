"""Run an LM annotator over the items it has not judged."""

from __future__ import annotations

import uuid

from annotations.lm import registry, runs
from annotations.lm.annotate import CannotAnnotate
from annotations.lm.engine import RunFailed
from annotations.projects.models import Project
from app.management.base import PlumblineCommand


class Command(PlumblineCommand):
    help = (
        "Run an LM annotator over unjudged items. NAME is an annotator of the project, or longer_wins for the "
        "offline baseline (the longer response wins; a rule, not a language model). What a model costs is held and "
        "spent from the project's account; replies that are stored are not asked for again. Exits with 1 if some "
        "items could not be asked, with 2 if nothing more could be done (no money, no key, no such annotator)."
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
        detail = runs.find(detail.pk)
        if runs.live_job(detail) is not None:
            self.fail(f"{detail.annotator.name} is running already: see its job.")
        try:
            result = runs.run(
                detail=detail, owner=f"command-{uuid.uuid4().hex}:1", limit=limit, report=self.progress
            )
        except (CannotAnnotate, RunFailed) as error:
            self.fail(str(error))
        self.say(
            f"{detail.annotator.name} judged {result['judged']:,} items; {result['left']:,} are left unjudged."
        )
        for key, words in (("unread", "gave no verdict"), ("failed", "could not be asked")):
            if result.get(key):
                self.say(f"{result[key]:,} items {words}; the annotator's page lists them.")
        self.finish(
            {"project": found.slug, "annotator": detail.annotator.name, **result},
            code=1 if result.get("failed") else 0,
        )
