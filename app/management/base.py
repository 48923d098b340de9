"""What every command shares: one JSON line for scripts, exit codes 0, 1 and 2, progress on a terminal, and one line
about a database that is not migrated."""

from __future__ import annotations

import json
import sys
import time

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, OperationalError, ProgrammingError, connection
from django.db.migrations.executor import MigrationExecutor

REDRAW_SECONDS = 0.2
BAR = 24


class PlumblineCommand(BaseCommand):
    """Base of the commands: `finish` ends with a summary, `fail` with exit code 2 and a message on stderr.

    Exit codes: 0 all good, 1 done with something to look at, 2 nothing could be done. With `--json` the last
    line of stdout is one JSON object. A command that needs no database runs without one; one that fails on a table
    or column that is not there says what to run.
    """

    def add_arguments(self, parser) -> None:
        parser.add_argument("--json", action="store_true", help="End with one JSON object on stdout.")

    def execute(self, *args, **options):
        self.as_json = bool(options.get("json"))
        self._drawn = 0.0
        self._width = 0
        try:
            return super().execute(*args, **options)
        except (OperationalError, ProgrammingError) as error:
            said = unmigrated()
            if not said:
                raise
            self.end_progress()
            raise CommandError(said, returncode=2) from error

    def finish(self, payload: dict, code: int = 0) -> None:
        """End the command: the payload as one JSON line with `--json`; exits with `code` if it is not 0."""
        self.end_progress()
        if self.as_json:
            self.stdout.write(json.dumps(payload, ensure_ascii=False, default=str))
        if code:
            sys.exit(code)

    def fail(self, message: str) -> None:
        """End the command with exit code 2 and the message on stderr: nothing could be done."""
        self.end_progress()
        raise CommandError(message, returncode=2)

    def say(self, line: str) -> None:
        """A line for people on stdout, left out with `--json`."""
        self.end_progress()
        if not self.as_json:
            self.stdout.write(line)

    def progress(self, done: int, total: int | None = None, message: str = "") -> None:
        """Redraw the progress bar, on a terminal only (stderr)."""
        if not self.stderr.isatty():
            return
        now = time.monotonic()
        if now - self._drawn < REDRAW_SECONDS and done != total:
            return
        self._drawn = now
        if total:
            filled = min(BAR, BAR * done // total)
            bar = f"[{'#' * filled}{'.' * (BAR - filled)}] {done:,} / {total:,}"
        else:
            bar = f"{done:,}"
        line = f"{bar} {message}".rstrip()
        self.stderr.write(f"\r{line:<{self._width}}", ending="")
        self.stderr.flush()
        self._width = len(line)

    def end_progress(self) -> None:
        if self._width:
            self.stderr.write("")
            self._width = 0


def unmigrated() -> str:
    """What to run before anything else, if this version's migrations are not all in the database; else nothing."""
    try:
        executor = MigrationExecutor(connection)
        missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except DatabaseError:  # the database does not answer: the command's own error says so
        return ""
    if not missing:
        return ""
    if not executor.loader.applied_migrations:
        lacks = "The database was never migrated"
    else:
        lacks = f"The database lacks {missing} of this version's migrations"
    return f"{lacks}: run `manage.py migrate` (`make run` does it too), then this again."
