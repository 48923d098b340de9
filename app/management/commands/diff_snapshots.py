"""Say what changed between two snapshots of a project."""

from __future__ import annotations

from annotations.datasets import diff, snapshots
from app.management.base import PlumblineCommand


class Command(PlumblineCommand):
    help = (
        "Compare two snapshots of one project: items and judgments added and removed, verdicts that changed, other "
        "filters and versions. Exit code 0: they are equal; 1: they differ; 2: they cannot be compared."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("before", metavar="SNAPSHOT", help="snap_…")
        parser.add_argument("after", metavar="SNAPSHOT", help="snap_…")

    def handle(self, *args, before: str, after: str, **options) -> None:
        found = [snapshots.find(name) for name in (before, after)]
        for name, snapshot in zip((before, after), found, strict=True):
            if snapshot is None:
                self.fail(f"There is no snapshot {name!r}.")
        try:
            told = diff.diff(*found, report=self.progress)
        except (diff.NotComparable, snapshots.NotReady, snapshots.SnapshotDamaged) as error:
            self.fail(str(error))
        items, judgments, verdicts = told["items"], told["judgments"], told["verdicts"]
        self.say(
            f"Items: {items['added']:,} added, {items['removed']:,} removed, {items['changed']:,} changed, "
            f"{items['same']:,} the same."
        )
        self.say(
            f"Judgments: {judgments['added']:,} added, {judgments['removed']:,} removed, "
            f"{judgments['changed']:,} changed. Verdicts: {verdicts['changed']:,} of {verdicts['of']:,} changed."
        )
        for key, (was, now) in told["query"].items():
            self.say(f"{key}: {was} → {now}")
        self.finish(told, code=0 if items["same"] == sum(items.values()) else 1)
