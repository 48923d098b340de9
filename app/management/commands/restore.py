"""Restore a backup into an empty site."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from app.management import backup
from app.management.base import PlumblineCommand


class Command(PlumblineCommand):
    help = (
        "Restore what `backup` wrote into an empty database of the same kind and an empty media folder, and migrate "
        "it to this version. Nobody may use the site meanwhile. Exit code 0: restored; 1: restored, and SECRET_KEY "
        "is another one; 2: it could not be."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("path", help="The file.")

    def handle(self, *args, path: str, **options) -> None:
        try:
            done = backup.restore(Path(path), lambda words, n: self.progress(n, None, words))
        except backup.BackupError as error:
            self.fail(str(error))
        self.say(f"{done.rows:,} rows and {done.files:,} files are back.")
        if not done.same_secret:
            self.say("SECRET_KEY is not the one of the backup: enter the keys of LM endpoints again.")
        self.say("Check it with `verify_log` and `verify_counts`.")
        self.finish(asdict(done), code=0 if done.same_secret else 1)
