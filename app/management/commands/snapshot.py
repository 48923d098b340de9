"""Freeze a project's items and judgments into a snapshot."""

from __future__ import annotations

import json

from annotations.datasets import rows, snapshots
from annotations.projects.models import Project
from app.management.base import PlumblineCommand


class Command(PlumblineCommand):
    help = (
        "Freeze a project's items and judgments into an immutable snapshot; prints its id, sha256 and rows."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("project", metavar="PROJECT", help="Slug of the project.")
        parser.add_argument("--note", default="", help="What the snapshot is for.")
        parser.add_argument(
            "--query",
            default="{}",
            metavar="JSON",
            help='Filters, e.g. \'{"kinds": ["human"], "only_judged": true}\'.',
        )

    def handle(self, *args, project: str, note: str, query: str, **options) -> None:
        found = Project.objects.filter(slug=project).first()
        if found is None:
            self.fail(f"There is no project {project!r}.")
        try:
            wanted = json.loads(query)
            if not isinstance(wanted, dict):
                raise rows.BadQuery("expected a JSON object")
            snapshot = snapshots.freeze_now(project=found, query=wanted, note=note, report=self.progress)
        except ValueError as error:  # BadQuery, or JSON that is none
            self.fail(f"--query: {error}")
        except OSError as error:
            self.fail(f"The snapshot cannot be written: {error}")
        self.say(
            f"{snapshot.public_id}: {snapshot.n_items:,} items, {snapshot.n_judgments:,} judgments, "
            f"sha256 {snapshot.sha256}"
        )
        self.finish(
            {
                "snapshot": snapshot.public_id,
                "sha256": snapshot.sha256,
                "rows": snapshot.n_items,
                "judgments": snapshot.n_judgments,
                "path": str(snapshots.rows_path(snapshot)),
            }
        )
