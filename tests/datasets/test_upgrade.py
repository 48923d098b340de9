"""A snapshot of an older schema, exported after the database was migrated: byte for byte what it was then.

Parquet and gzip are written by libraries whose bytes may change with their versions: with the same versions the bytes are
the same, across upgrades the rows are.
"""

from __future__ import annotations

import gzip
import json
import lzma
import os
import subprocess
import sys
from pathlib import Path

import pytest

from annotations.items import readers

ROOT = Path(__file__).resolve().parents[2]
OLD = Path(__file__).parent / "upgrade"
AGAIN = """
import json, sys
from pathlib import Path
from django.core.management import call_command
from annotations.datasets import export, snapshots
from annotations.judging import log
from annotations.judging.models import Judgment
call_command("migrate", verbosity=0)
expected = json.loads(Path(EXPECTED).read_text())
snapshot = snapshots.find(expected["snapshot"])
made = []
for number, wanted in enumerate(expected["exports"]):
    settings = {key: wanted[key] for key in ("format", "container", "options")}
    manifest = export.write_export(snapshot=snapshot, folder=Path(OUT) / str(number), **settings)
    made.append({entry["path"]: entry["sha256"] for entry in manifest["files"]})
packed = {}
for format in ("native", "trl_preference", "lmarena"):
    for container in ("jsonl", "jsonl.gz", "parquet"):
        folders = [Path(OUT) / f"{format}.{container}.{number}" for number in range(2)]
        written = [export.write_export(snapshot=snapshot, folder=folder, format=format, container=container) for folder in folders]
        packed[f"{format} {container}"] = [[(entry["path"], entry["sha256"]) for entry in one["files"]] for one in written]
later = snapshots.freeze_now(project=snapshot.project)
said = {"packed": packed, "exports": made, "again": later.sha256, "rows": later.n_items, "judgments": Judgment.objects.count()}
said["log"] = log.verify(project=snapshot.project).problems
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory):
    """What the migrated copy of the old site says of its snapshot, and where its exports are."""
    data = tmp_path_factory.mktemp("old")
    expected = json.loads((OLD / "expected.json").read_text())
    (data / "site.sqlite3").write_bytes(lzma.decompress((OLD / "site.xz").read_bytes()))
    folder = data / "media" / "snapshots" / expected["snapshot"]
    folder.mkdir(parents=True)
    for name in ("rows.jsonl.gz", "manifest.json"):
        (folder / name).write_bytes((OLD / name).read_bytes())
    script = f"EXPECTED = {str(OLD / 'expected.json')!r}\nOUT = {str(data / 'out')!r}\n{AGAIN}"
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"} | {
        "DATA_DIR": str(data),
        "DATABASE_URL": f"sqlite:///{data}/site.sqlite3",
        "SECRET_KEY": "tests-only",
    }
    ran = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", script],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    return expected, json.loads(ran.stdout.splitlines()[-1]), data / "out"


def test_every_export_of_an_old_snapshot_is_what_it_was_before_the_upgrade(upgraded):
    expected, said, _ = upgraded
    assert len(expected["exports"]) == len(said["exports"]) == 20
    differ = []
    for wanted, made in zip(expected["exports"], said["exports"], strict=True):
        differ += [
            (wanted["format"], wanted["options"], path)
            for path, sha256 in wanted["files"].items()
            if made.get(path) != sha256
        ]
    assert differ == []
    assert sum(wanted["rows"] for wanted in expected["exports"]) > 400


def held(path):
    """The file's records; a column that is null says what an absent key says."""
    records = list(readers.read(path))
    for record in records:
        place = record.meta.get("plumbline", {})
        record.meta["plumbline"] = {key: value for key, value in place.items() if value is not None}
    return records


@pytest.mark.parametrize("format", ["native", "trl_preference", "lmarena"])
def test_other_containers_have_the_same_bytes_each_time_and_the_rows_of_before(format, upgraded):
    """The lines of `.jsonl.gz` are those of `.jsonl`, whose bytes are the old ones; Parquet's columns hold the same values."""
    _, said, out = upgraded
    for container in ("jsonl", "jsonl.gz", "parquet"):
        first, second = said["packed"][f"{format} {container}"]
        assert first == second
    files = sorted((out / f"{format}.jsonl.0").glob("**/*.jsonl"))
    assert len(files) >= 2
    for path in files:
        packed = out / f"{format}.jsonl.gz.0" / "data" / f"{path.name}.gz"
        assert gzip.decompress(packed.read_bytes()) == path.read_bytes()
        columns = out / f"{format}.parquet.0" / "data" / f"{path.stem}.parquet"
        assert held(columns) == held(path)


def test_what_was_judged_before_the_upgrade_can_be_frozen_and_verified_after_it(upgraded):
    _, said, _ = upgraded
    assert (said["rows"], said["judgments"], said["log"]) == (22, 59, [])
