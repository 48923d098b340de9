"""A transformer's training outlives its worker and its trainer; never two trainers on one device."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults import harness
from tests.faults.conftest import services
from tests.faults.test_kill_worker import look, wait_until

pytest.importorskip("torch", reason="torch is not installed (pip install -r requirements-train.txt)")
pytestmark = [pytest.mark.faults, pytest.mark.slow]
OPTIONS = {
    "max_length": 192,
    "token_budget": 2048,
    "batch": 4,
    "epochs": 3,
    "checkpoint_every": 5,
    "patience": 99,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    from tests.rewards.tiny import make_base

    if services():
        pytest.skip("runs on SQLite; test_kill_services trains on PostgreSQL and Redis")

    base = make_base(tmp_path_factory.mktemp("bases") / "tiny", hidden=64)
    short = {"JOB_LEASE_SECONDS": "12", "SWEEP_SECONDS": "2", "REWARD_BASE_FOLDERS": str(base.parent)}
    with harness.site(**short) as made:
        made.base = str(base)
        made.inside(
            "add_project",
            slug="train",
            file=str(harness.PAIRS),
            overlap=0,
            people=[],
            owner="alice",
            render=False,
        )
        yield made


def trainers(site) -> list[int]:
    """The trainers that work for this site."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes()
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except (OSError, IndexError):
            continue
        if b"transformer.worker" in words and str(site.folder).encode() in words and state != "Z":
            found.append(int(entry.name))
    return found


def test_killed_trainers_and_workers_lose_nothing(site):
    site.inside("start_transformer", slug="train", options={"base": site.base, **OPTIONS})
    [(job,)] = site.rows("SELECT job_id FROM rewards_trainingrun")
    site.start_worker()

    def steps(seen=None):
        [(log,)] = site.rows(f"SELECT log FROM jobs_job WHERE id = '{job}'")
        folder = next(iter((site.folder / "media" / "models").glob(".rm_*.work/checkpoints/step-*")), None)
        return folder is not None, log

    wait_until(site, job, lambda seen: steps()[0])
    [trainer] = trainers(site)
    os.kill(trainer, signal.SIGKILL)
    wait_until(site, job, lambda seen: "killed by signal 9; going on from its last checkpoint" in steps()[1])
    wait_until(site, job, lambda seen: len(trainers(site)) == 1 and trainers(site) != [trainer])
    site.worker.kill()
    killed = time.monotonic()
    while trainers(site):  # nobody would hear of what it does
        assert time.monotonic() - killed < 120
        time.sleep(0.05)
    assert look(site, job).state == "running"
    site.start_worker()
    most = 0

    def done(seen):
        nonlocal most
        most = max(most, len(trainers(site)))
        return seen.state == "succeeded"

    seen = wait_until(site, job, done, seconds=900)
    assert (seen.attempt, seen.fence, seen.error) == (2, 2, "")
    assert most == 1
    assert "Going on from the checkpoint at step" in steps()[1]
    assert site.rows("SELECT count(*) FROM rewards_rewardmodel") == [(1,)]
    assert site.rows("SELECT count(*) FROM rewards_devicelease WHERE lease_until IS NOT NULL") == [(0,)]
    folder = site.folder / "media" / "models"
    assert sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock")) == [seen.result["model"]]
