"""Jobs outlive the processes around them: a killed worker's job is taken over, a web restart does not touch it."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from dataclasses import dataclass
from http.client import HTTPException

import pytest

from tests.faults import harness
from tests.faults.conftest import services
from tests.faults.people import Visitor

pytestmark = pytest.mark.faults

LEASE_SECONDS, SWEEP_SECONDS = 12, 2
_JOB = "SELECT state, done, attempt, fence, worker, result, error FROM jobs_job WHERE id = '{id}'"


@dataclass
class Seen:
    """A job's row."""

    state: str
    done: int
    attempt: int
    fence: int
    worker: str
    result: dict | None
    error: str


@pytest.fixture(scope="module")
def site():
    """A site whose jobs are taken over after twelve seconds, with real judgments to learn from."""
    short = {"JOB_LEASE_SECONDS": str(LEASE_SECONDS), "SWEEP_SECONDS": str(SWEEP_SECONDS)}
    with harness.site(**services(), **short) as made:
        made.inside(
            "add_project",
            slug="train",
            file=str(harness.PAIRS),
            overlap=0,
            people=[],
            owner="alice",
            render=False,
        )
        made.start_web()
        yield made


@pytest.fixture
def worker(site):
    """The site's worker; gone afterwards, whatever the test did to it."""
    site.start_worker()
    yield site.worker
    site.worker.kill()


@pytest.fixture(scope="module")
def session(site):
    return site.inside("sessions", people=["alice"])["alice"]


def start_training(site, session, seed: int) -> tuple[str, str]:
    """Start a training from its page; returns the address of its run's page and the job's id."""
    alice = Visitor(session, site.port)
    try:
        status, text, _ = alice.request("GET", "/p/train/reward-models/train/")
        assert status == 200, text[:600]
        form = {"judgments": "human", "loss": "scaled_bt", "seed": str(seed), "snapshot": "", "note": ""}
        status, text, run = alice.request("POST", "/p/train/reward-models/train/", form)
        assert status == 302, text[:2000]
    finally:
        alice.close()
    [(job,)] = site.rows(
        f"SELECT job_id FROM rewards_trainingrun WHERE id = {run.rstrip('/').split('/')[-1]}"
    )
    return run, str(job)


def look(site, job: str) -> Seen:
    [row] = site.rows(_JOB.format(id=job))
    result = json.loads(row[5]) if isinstance(row[5], str) else row[5]
    return Seen(*row[:5], result, row[6])


def wait_until(site, job: str, is_so, seconds: float = 180) -> Seen:
    """Look at the job again and again until it is so."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look(site, job)
        if is_so(seen):
            return seen
        assert seen.state in {"queued", "running"}, f"{seen}"
        assert time.monotonic() < deadline, (
            f"{seen}; the worker's log:\n{site.worker.log.read_text()[-3000:]}"
        )
        time.sleep(0.03)


def models_of(site, run: str) -> list[tuple]:
    number = run.rstrip("/").split("/")[-1]
    return site.rows(
        "SELECT m.public_id, m.status FROM rewards_trainingrun r "
        f"JOIN rewards_rewardmodel m ON m.id = r.reward_model_id WHERE r.id = {number}"
    )


def test_the_job_of_a_killed_worker_is_taken_over_and_finishes_once(site, session, worker):
    before = site.rows("SELECT count(*) FROM rewards_rewardmodel")[0][0]
    run, job = start_training(site, session, seed=1)
    wait_until(site, job, lambda seen: seen.state == "running" and seen.done >= 16)
    worker.kill()
    left = look(site, job)
    assert (left.state, left.attempt, left.fence, left.result) == ("running", 1, 1, None)
    killed = time.monotonic()
    site.start_worker()
    taken = wait_until(site, job, lambda seen: seen.attempt == 2)
    assert time.monotonic() - killed < 5 * LEASE_SECONDS + 60
    assert taken.fence == 2
    done = wait_until(site, job, lambda seen: seen.state == "succeeded")
    assert (done.attempt, done.fence, done.error) == (2, 2, "")
    [(model, state)] = models_of(site, run)
    assert (done.result["model"], state) == (model, "candidate")
    assert site.rows("SELECT count(*) FROM rewards_rewardmodel") == [(before + 1,)]


def test_a_training_survives_a_restart_of_the_web_server_and_shows_its_progress(site, session, worker):
    run, job = start_training(site, session, seed=2)
    wait_until(site, job, lambda seen: seen.state == "running" and seen.done >= 8)
    os.killpg(
        worker.child.pid, signal.SIGSTOP
    )  # hold the work, so that there is progress to see after the restart
    try:
        held = look(site, job)
        assert held.state == "running"
        site.web.kill()
        alice = Visitor(session, site.port)
        with pytest.raises((OSError, HTTPException)):
            alice.request("GET", run)
        alice.close()
        site.start_web()
        status, page, _ = alice.request("GET", run)
        alice.close()
        assert status == 200
        assert re.search(rf'<progress[^>]*value="{held.done}"[^>]*max="100"', page), page
    finally:
        os.killpg(worker.child.pid, signal.SIGCONT)
    done = wait_until(site, job, lambda seen: seen.state == "succeeded")
    assert (done.attempt, done.fence, done.worker) == (1, 1, held.worker)
    alice = Visitor(session, site.port)
    status, page, _ = alice.request("GET", run)
    alice.close()
    [(model, _)] = models_of(site, run)
    assert status == 200
    assert model in page
