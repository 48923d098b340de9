"""Check that every counter is what it counts."""

from __future__ import annotations

from dataclasses import asdict

from annotations.judging import verify
from annotations.projects.models import Project
from app.management.base import PlumblineCommand

SHOWN = 50


class Command(PlumblineCommand):
    help = (
        "Recompute the counters of items and annotators from judgments and assignments and print what differs. "
        "Exit code 0: nothing differs, or all was fixed; 1: something differs; 2: no such project."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("project", nargs="?", help="Slug of a project; all projects if left out.")
        parser.add_argument("--fix", action="store_true", help="Set right what differs.")

    def handle(self, *args, project: str | None, fix: bool, **options) -> None:
        projects = Project.objects.order_by("pk")
        if project:
            projects = projects.filter(slug=project)
            if not projects:
                self.fail(f"No project {project!r}.")
        shown: list[dict] = []
        total = 0
        for one in projects:
            report = lambda done, slug=one.slug: self.progress(done, None, slug)  # noqa: E731
            for found in verify.verify_counts(project=one, fix=fix, progress=report):
                total += 1
                if len(shown) < SHOWN:
                    shown.append(asdict(found))
                    self.say(
                        f"{found.project}: {found.kind} {found.id}: {found.counter} is {found.stored}, "
                        f"counted {found.counted}"
                    )
        words = "counter differs" if total == 1 else "counters differ"
        self.say(f"{total} {words}{' and were set right' if fix and total else ''}.")
        self.finish(
            {"projects": len(projects), "differences": total, "fixed": total if fix else 0, "first": shown},
            code=1 if total and not fix else 0,
        )
