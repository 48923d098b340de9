"""kill -9 in the middle of an import: each item is whole or absent, and a rerun completes."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time

import pytest

from tests.faults import harness
from tests.faults.conftest import services

pytestmark = pytest.mark.faults

COPIES = 6
DIGESTS = """
import django, json, sys
django.setup()
from tests.judging.import_state import digests
print(json.dumps(digests(sys.argv[1])))
"""
BROKEN = """
SELECT i.id FROM items_item i JOIN projects_project p ON p.id = i.project_id
WHERE p.slug = 'killed' AND (
    i.n_responses <> (SELECT count(*) FROM items_response r WHERE r.item_id = i.id)
    OR i.n_human + i.n_lm <> (SELECT count(*) FROM judging_judgment j WHERE j.item_id = i.id)
    OR i.n_human + i.n_lm < 4
    OR EXISTS (SELECT 1 FROM judging_judgment j WHERE j.item_id = i.id AND j.outcome = 'answered'
        AND NOT EXISTS (SELECT 1 FROM judging_comparison c WHERE c.judgment_id = j.id)))
"""
COUNT = """
SELECT count(*) FROM items_item i JOIN projects_project p ON p.id = i.project_id WHERE p.slug = 'killed'
"""


def write_judged_pairs(path) -> int:
    """The demo's pairs with three or more people and models each, several times over; returns how many items."""
    with gzip.open(harness.PAIRS, "rt", encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row["source"] == "pandalm"]
    with path.open("w", encoding="utf-8") as file:
        for copy in range(COPIES):
            for row in rows:
                file.write(json.dumps({**row, "id": f"{row['id']}#{copy}", "meta": {"copy": copy}}) + "\n")
    return COPIES * len(rows)


def start(site, *arguments) -> subprocess.Popen:
    command = [sys.executable, "manage.py", "import_items", *arguments, "--create", "--no-render", "--json"]
    return subprocess.Popen(
        command, cwd=harness.ROOT, env=site.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def digests(site, slug: str) -> dict:
    return json.loads(site._run("-c", DIGESTS, slug))


def test_a_killed_import_leaves_whole_items_and_a_rerun_completes():
    with harness.site(**services()) as site:
        path = site.folder / "judged.jsonl"
        n = write_judged_pairs(path)
        calm = start(site, "calm", str(path))
        out, err = calm.communicate(timeout=300)
        assert calm.returncode == 0, err
        assert json.loads(out.splitlines()[-1])["new"] == n

        kills = 0
        for pause, least in ((0.05, 1), (0.15, 1001)):
            process = start(site, "killed", str(path))
            while process.poll() is None and site.rows(COUNT)[0][0] < least:
                time.sleep(0.01)
            time.sleep(pause)
            if process.poll() is None:
                process.kill()
                kills += 1
            process.communicate(timeout=60)
            assert site.rows(BROKEN) == []
        assert kills >= 1
        site.manage("verify_counts", "killed")

        again = start(site, "killed", str(path))
        out, err = again.communicate(timeout=300)
        assert again.returncode == 0, err
        report = json.loads(out.splitlines()[-1])
        assert (report["new"] + report["duplicate"], report["invalid"]) == (n, 0)
        assert site.rows(COUNT)[0][0] == n
        assert digests(site, "killed") == digests(site, "calm")
        site.manage("verify_counts")
