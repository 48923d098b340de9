"""Backup and restore, by real processes: another, empty site holds the same rows, files and judgment log."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.conf import settings

from tests.faults.harness import ROOT, write_items

MADE = """
from django.core.management import call_command
from annotations.judging.models import Judgment
from annotations.judging import log
call_command("migrate", verbosity=0)
call_command("import_items", "pairs", PAIRS, "--create")
call_command("create_admin", username="root", email="root@example.org", noinput=True)
log.seal_all()
Judgment.objects.filter(pk=Judgment.objects.last().pk).delete()  # the last one's id must not come again
call_command("snapshot", "pairs")
"""
TOLD = """
import hashlib, json
from django.apps import apps
from django.db import connection
from pathlib import Path
from django.conf import settings
said = {}
for model in apps.get_models(include_auto_created=True):
    if model._meta.managed:
        rows = model._base_manager.order_by("pk").values_list(*[f.attname for f in model._meta.concrete_fields])
        text = "\\n".join(repr([bytes(v) if isinstance(v, memoryview) else v for v in row]) for row in rows.iterator(500))
        said[model._meta.label] = [model._base_manager.count(), hashlib.sha256(text.encode()).hexdigest()]
root = Path(settings.MEDIA_ROOT)
files = {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in root.rglob("*") if p.is_file()}
from annotations.items.bulk_insert import allocate
from annotations.judging.models import Judgment
from django.db import transaction
with transaction.atomic():
    next_id = list(allocate(Judgment, 1))
print(json.dumps({"rows": said, "files": files, "next": next_id}))
"""


class Place:
    """A site of its own: a data folder and, on PostgreSQL, a database."""

    def __init__(self, folder: Path, secret: str = "one"):
        self.folder = folder
        self.database = ""
        self.environment = {
            **{k: v for k, v in os.environ.items() if k not in ("DJANGO_SETTINGS_MODULE", "DATABASE_URL")},
            "DATA_DIR": str(folder),
            "SECRET_KEY": secret,
            "ENV_FILE": os.devnull,
            "LOG_LEVEL": "ERROR",
            "DJANGO_SETTINGS_MODULE": "app.settings",
            "ADMIN_PASSWORD": "correct horse battery",
        }
        url = os.environ.get("DATABASE_URL", "")
        if settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
            self.database = f"backup_{uuid.uuid4().hex[:12]}"
            self.server = url
            self._on_server(f'CREATE DATABASE "{self.database}"')
            parts = urlsplit(url)
            self.environment["DATABASE_URL"] = urlunsplit(parts._replace(path=f"/{self.database}"))

    def _on_server(self, statement: str) -> None:
        with psycopg.connect(self.server, autocommit=True) as server:
            server.execute(statement)

    def run(self, script: str = "", *command: str) -> subprocess.CompletedProcess:
        """A script in the site's Django, or a management command."""
        call = [sys.executable, "-c", f"import django; django.setup()\n{script}"]
        return subprocess.run(
            [sys.executable, "manage.py", *command] if command else call,
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def told(self) -> dict:
        out = self.run(TOLD)
        assert out.returncode == 0, out.stderr
        return json.loads(out.stdout.splitlines()[-1])

    def close(self) -> None:
        if self.database:
            self._on_server(f'DROP DATABASE "{self.database}" WITH (FORCE)')


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    made: list[Place] = []

    def place(name: str, **options) -> Place:
        made.append(Place(tmp_path_factory.mktemp(name), **options))
        return made[-1]

    yield place
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def first(places, tmp_path_factory):
    """A filled site and its backup."""
    one = places("first")
    pairs = tmp_path_factory.mktemp("file") / "pairs.jsonl"
    write_items(pairs, 40)
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    for n, row in enumerate(rows):
        row["human"] = [{"annotator": f"p{k}", "label": "ab"[(n + k) % 2]} for k in range(3)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = one.run(f"PAIRS = {str(pairs)!r}\n{MADE}")
    assert out.returncode == 0, out.stderr
    one.backup = one.folder / "out" / "whole.tar"
    out = one.run("", "backup", str(one.backup), "--json")
    assert out.returncode == 0, out.stderr
    one.said = json.loads(out.stdout.splitlines()[-1])
    return one


@pytest.mark.smoke
@pytest.mark.slow
def test_an_empty_site_holds_everything_after_a_restore(first, places):
    second = places("second")
    out = second.run("", "restore", str(first.backup), "--json")
    assert out.returncode == 0, out.stderr
    back = json.loads(out.stdout.splitlines()[-1])
    assert (back["rows"], back["files"]) == (first.said["rows"], first.said["files"])
    before, after = first.told(), second.told()
    assert before["rows"]["judging.Judgment"][0] == 119
    for label, rows in before["rows"].items():
        assert after["rows"][label] == rows, label
    assert (after["files"], after["next"]) == (before["files"], before["next"])
    log = json.loads(second.run("", "verify_log", "--json").stdout.splitlines()[-1])
    assert log["projects"][0]["judgments"] == 119
    assert [p["message"] for p in log["projects"][0]["problems"]] == ["1 of 120 judgments are missing"]
    again = second.run("", "restore", str(first.backup))
    assert (again.returncode, "holds files" in again.stderr) == (2, True)
    still = second.told()
    assert (still["rows"], still["files"]) == (after["rows"], after["files"])


@pytest.mark.slow
@pytest.mark.no_database
def test_what_is_damaged_or_of_another_kind_is_refused_before_anything_is_written(first, places, tmp_path):
    third = places("third", secret="two")
    whole = first.backup.read_bytes()
    with tarfile.open(first.backup) as archive:
        inside = [member.name for member in archive]
        manifest = json.loads(archive.extractfile("manifest.json").read())
        place = archive.getmember(next(name for name in inside if name.startswith("media/"))).offset_data
    assert inside[-1] == "manifest.json"
    broken = {
        "cut": whole[: len(whole) // 2],
        "flipped": whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :],
        "empty": b"",
        "no backup": b"hello" * 500,
        "leaving": _tar({"../evil": b"x"}),
        "other": _tar(
            {"manifest.json": json.dumps({**manifest, "vendor": "oracle", "members": {}}).encode()}
        ),
    }
    for name, data in broken.items():
        path = tmp_path / name
        path.write_bytes(data)
        out = third.run("", "restore", str(path))
        assert out.returncode == 2, (name, out.stdout, out.stderr)
        assert "Traceback" not in out.stderr, name
    assert not (third.folder / "media").exists()
    assert not list(third.folder.parent.rglob("evil"))
    out = third.run("", "restore", str(first.backup))
    assert (out.returncode, "SECRET_KEY is not the one" in out.stdout) == (1, True), out.stderr
    taken = third.run("", "backup", str(first.backup))
    assert (taken.returncode, first.backup.read_bytes() == whole) == (2, True)


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()
