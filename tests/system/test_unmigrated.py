"""A command on a database that is not migrated says in one line what to run; another error of the database stays one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.faults.harness import ROOT

OLDER = """
import django; django.setup()
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
call_command("migrate", verbosity=0)
with connection.cursor() as cursor:
    cursor.execute("DROP TABLE judging_assignment")
try:
    call_command("expire_leases")
except OperationalError as error:
    print(error)
MigrationRecorder(connection).record_unapplied("jobs", "0001_initial")
try:
    call_command("expire_leases")
except CommandError as error:
    print(error.returncode, error)
"""


@pytest.fixture
def run(tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess:
        environment = {
            **os.environ,
            "DATABASE_URL": f"sqlite:///{tmp_path}/new.sqlite3",
            "DATA_DIR": str(tmp_path),
            "DJANGO_SETTINGS_MODULE": "app.settings",
            "SECRET_KEY": "tests-only",
            "ENV_FILE": os.devnull,
        }
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    return run


def test_a_command_says_what_to_run_before_it(tmp_path, run):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"prompt": "Why?", "responses": [{"text": "a"}, {"text": "b"}]}\n')
    backup = tmp_path / "backup.tar"
    for command in (
        ["import_items", "pairs", pairs, "--create"],
        ["verify_counts"],
        ["backup", backup],
        ["serve", "--no-worker"],
    ):
        out = run("manage.py", *map(str, command))
        (line,) = out.stderr.splitlines()
        assert (out.returncode, out.stdout) == (2, "")
        assert line.startswith("CommandError: The database was never migrated: ")
    assert not backup.exists()


def test_an_older_database_is_told_apart_and_another_error_stays(run):
    out = run("-c", OLDER)
    assert out.returncode == 0, out.stderr
    assert out.stdout.splitlines() == [
        "no such table: judging_assignment",
        "2 The database lacks 1 of this version's migrations: run `manage.py migrate` (`make run` does it too), then "
        "this again.",
    ]
