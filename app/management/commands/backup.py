"""Write a backup of the database and the media folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from django.utils import timezone

from app.management import backup
from app.management.base import PlumblineCommand


class Command(PlumblineCommand):
    help = (
        "Write database and media to one file, while the site works. SECRET_KEY, weights of local models and "
        "caches are not in it: keep .env apart. Exit code 0: written; 2: it could not be, and nothing is left."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("path", nargs="?", help="The file; plumbline-DATE-TIME.tar here if left out.")

    def handle(self, *args, path: str | None, **options) -> None:
        target = Path(path or f"plumbline-{timezone.now():%Y%m%d-%H%M%S}.tar")
        try:
            done = backup.backup(target, lambda words, n: self.progress(n, None, words))
        except backup.BackupError as error:
            self.fail(str(error))
        self.say(f"{done.path}: {done.rows:,} rows and {done.files:,} files, {done.bytes / 1e6:,.1f} MB.")
        self.say("Keep SECRET_KEY apart from it: without it stored keys of LM endpoints cannot be read.")
        self.finish({key: value for key, value in asdict(done).items() if key != "same_secret"})
