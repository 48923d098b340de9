"""Check the judgment log: that no judgment was changed, left out or put in since it was sealed."""

from __future__ import annotations

from dataclasses import asdict

from annotations.judging import log
from annotations.projects.models import Project
from app.management.base import PlumblineCommand

SHOWN = 50


class Command(PlumblineCommand):
    help = (
        "Hash every judgment and every block of the judgment log again and print what does not hold. A chain that "
        "was written anew by somebody with access to the database shows only against a hash kept elsewhere: give "
        "one with --expect. Exit code 0: all holds; 1: something does not; 2: no such project."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("project", nargs="?", help="Slug of a project; all projects if left out.")
        parser.add_argument("--seal", action="store_true", help="Seal what has settled first.")
        parser.add_argument(
            "--expect", default="", metavar="HASH", help="A block of the project must have this hash."
        )

    def handle(self, *args, project: str | None, seal: bool, expect: str, **options) -> None:
        projects = Project.objects.order_by("pk")
        if project:
            projects = projects.filter(slug=project)
            if not projects:
                self.fail(f"No project {project!r}.")
        if expect and not project:
            self.fail("--expect needs the project whose block it is.")
        sealed = log.seal_all() if seal else 0
        reports = []
        for one in projects:
            report = log.verify(
                project=one,
                expect=expect,
                progress=lambda done, slug=one.slug: self.progress(done, None, slug),
            )
            self.say(
                f"{report.project}: {report.judgments:,} judgments in {report.seals:,} blocks, "
                f"{report.erased:,} of them erased, {report.unsealed:,} not sealed yet; head {report.head or '–'}"
            )
            for problem in report.problems[:SHOWN]:
                where = f"block {problem.seal}" if problem.seal else "not sealed yet"
                self.say(
                    f"  {where}{f', judgment {problem.judgment}' if problem.judgment else ''}: {problem.message}"
                )
            if not report.known:
                self.say("  no block has the expected hash: the log is not the one that hash was taken from")
            reports.append(report)
        n = sum(len(report.problems) + (not report.known) for report in reports)
        self.say("Everything holds." if not n else f"{n} {'thing does' if n == 1 else 'things do'} not hold.")
        payload = [
            {**asdict(report), "problems": [asdict(problem) for problem in report.problems[:SHOWN]]}
            for report in reports
        ]
        self.finish({"sealed": sealed, "problems": n, "projects": payload}, code=1 if n else 0)
