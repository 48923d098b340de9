"""End leases that ran out, so that their items are handed out again."""

from __future__ import annotations

from annotations.judging import queue
from annotations.projects.models import Project
from app.management.base import PlumblineCommand


class Command(PlumblineCommand):
    help = "End leases that ran out, of one project or of all; the worker does the same every minute."

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("project", nargs="?", help="Slug of a project; all projects if left out.")

    def handle(self, *args, project: str | None, **options) -> None:
        found = None
        if project:
            found = Project.objects.filter(slug=project).first()
            if found is None:
                self.fail(f"No project {project!r}.")
        ended = queue.expire_leases(project_id=found.pk if found else None)
        self.say(f"{ended} {'lease' if ended == 1 else 'leases'} ended.")
        self.finish({"expired": ended})
