"""Write a snapshot as a data set in one of the formats."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from annotations.datasets import export, formats, hub, pushing, snapshots
from annotations.datasets.models import Snapshot
from annotations.projects.models import Project
from app.management.base import PlumblineCommand


class Command(PlumblineCommand):
    help = "Write a snapshot as a data set; given a project, freezes it first."

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("source", metavar="SNAPSHOT|PROJECT", help="snap_…, or the slug of a project.")
        parser.add_argument("--format", required=True, help=", ".join(formats.FORMATS))
        parser.add_argument(
            "--container", help=f"{', '.join(formats.CONTAINERS)}; default: the format's first."
        )
        parser.add_argument(
            "--out", required=True, type=Path, metavar="DIR", help="A new folder, or an earlier export."
        )
        parser.add_argument(
            "--option",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="e.g. style=standard, aspect=helpfulness, method=mean, annotators=name; may be repeated.",
        )

        parser.add_argument(
            "--push", metavar="OWNER/NAME", help="Send it to this dataset repository of the hub, too."
        )
        parser.add_argument(
            "--public", action="store_true", help="With --push: for everybody; needs --option licence=…"
        )

    def handle(
        self,
        *args,
        source: str,
        format: str,
        container: str | None,
        out: Path,
        option: list,
        push: str | None,
        public: bool,
        **rest,
    ) -> None:
        try:
            if push:
                hub.check_set_up()
                pushing.check_repository(push)
            if bad := [pair for pair in option if "=" not in pair]:
                raise formats.BadOption(f"--option {bad[0]!r}: expected KEY=VALUE")
            wanted = dict(pair.split("=", 1) for pair in option)
            container, wanted = formats.check_options(format, container, wanted)
            if push and public:
                pushing.check_public({"options": wanted})
        except (formats.BadOption, hub.NotSetUp, pushing.BadPush) as error:
            self.fail(str(error))
        out = out.resolve()
        if out.exists() and not _replaceable(out):
            self.fail(f"{out} is not empty and holds no earlier export. Give another folder.")
        snapshot = self._snapshot(source)
        try:
            manifest = export.write_export(
                snapshot=snapshot,
                format=format,
                container=container,
                options=wanted,
                folder=out,
                replace=True,
                report=self.progress,
            )
        except (snapshots.NotReady, snapshots.SnapshotDamaged) as error:
            self.fail(str(error))
        except OSError as error:
            self.fail(f"The export cannot be written: {error}")
        files = [entry for entry in manifest["files"] if entry["split"]]
        for entry in files:
            self.say(f"{entry['rows']:>9,} rows  {out / entry['path']}")
        for reason, n in manifest["dropped"].items():
            self.say(f"{n:>9,} left out: {reason}")
        self.say(f"{manifest['rows']:>9,} rows from {snapshot.public_id}, sha256 {snapshot.sha256}")
        pushed = self._push(out, snapshot, manifest, push, public) if push else None
        self.finish(
            {
                **({"pushed": asdict(pushed)} if pushed else {}),
                "snapshot": snapshot.public_id,
                "sha256": snapshot.sha256,
                "rows": manifest["rows"],
                "files": [
                    {"path": str(out / entry["path"]), "sha256": entry["sha256"], "rows": entry["rows"]}
                    for entry in files
                ],
                "dropped": manifest["dropped"],
                "manifest": str(out / export.MANIFEST),
            }
        )

    def _push(
        self, out: Path, snapshot: Snapshot, manifest: dict, repository: str, public: bool
    ) -> hub.Pushed:
        try:
            pushing.record(
                actor=None,
                snapshot=snapshot,
                repository=repository,
                public=public,
                format=manifest["format"],
            )
            pushed = hub.push_folder(folder=out, repository=repository, public=public, report=self.progress)
        except hub.HubRefused as error:
            self.fail(f"The files are in {out}. {error}")
        self.say(
            f"Pushed to {pushed.url}, commit {pushed.commit}{'' if pushed.changed else ' (nothing was new)'}."
        )
        return pushed

    def _snapshot(self, source: str) -> Snapshot:
        known = snapshots.find(source)
        if known is not None:
            return known
        project = Project.objects.filter(slug=source).first()
        if project is None:
            self.fail(f"{source!r} is neither a snapshot nor a project.")
        try:
            snapshot = snapshots.freeze_now(project=project, note="For an export", report=self.progress)
        except OSError as error:
            self.fail(f"The snapshot cannot be written: {error}")
        self.say(f"Froze {project.slug} as {snapshot.public_id}.")
        return snapshot


def _replaceable(folder: Path) -> bool:
    """Whether the folder is empty or an earlier export, which the new one replaces."""
    if not folder.is_dir():
        return False
    return not any(folder.iterdir()) or '"plumbline_export": 1' in _start(folder / export.MANIFEST)


def _start(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(1000)
    except OSError:
        return ""
