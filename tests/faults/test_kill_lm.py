"""kill -9 in the middle of an LM run, among 429s: every item once, what was stored is not paid again, the cap holds."""

from __future__ import annotations

import json
import os
import time
from collections import Counter

import pytest

from tests.faults import harness
from tests.faults.conftest import services
from tests.faults.test_kill_worker import look, wait_until
from tests.lm.scripted import serving

pytestmark = pytest.mark.faults

LEASE_SECONDS, SWEEP_SECONDS = 8, 2
CONCURRENCY = 8


@pytest.fixture
def site():
    short = {"JOB_LEASE_SECONDS": str(LEASE_SECONDS), "SWEEP_SECONDS": str(SWEEP_SECONDS)}
    with harness.site(**services(), **short) as made:
        yield made


def n_stored(site) -> int:
    return site.rows("SELECT count(*) FROM lm_reply WHERE state = 'done'")[0][0]


def killed_run(site, n: int, kills: int, model: str = "429-some") -> None:
    path = site.folder / "lm.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(n):  # every item a text of its own, so that every call is one
            row = {
                "id": str(number),
                "prompt": f"Question {number}",
                "responses": [{"text": "good"}, {"text": f"{number}"}],
            }
            file.write(json.dumps(row) + "\n")
    site.inside("add_project", slug="lm", file=str(path), people=[], overlap=0, render=False)
    with serving() as scripted:
        made = site.inside(
            "start_run",
            module="tests.faults.inside_lm",
            slug="lm",
            url=scripted.url,
            model=model,
            cap="500",
            concurrency=CONCURRENCY,
        )
        [(job,)] = site.rows("SELECT id FROM jobs_job WHERE kind = 'lm.annotate'")
        for kill in range(kills):
            goal = 2 * n * (kill + 1) // (kills + 1)
            # Each attempt counts what is left to it, so the goal is in replies that are stored; none is given beyond
            # it but for those that are under way, or a fast run would end before it is killed.
            scripted.goes_on = lambda goal=goal: n_stored(site) < goal
            site.start_worker()
            wait_until(site, job, lambda _, goal=goal: n_stored(site) >= goal, seconds=900)
            site.worker.kill()
            scripted.goes_on = lambda: True
            assert 0 < n_stored(site) < 2 * n
        last = look(site, job)
        assert (last.state, last.attempt) == ("running", kills)
        site.start_worker()
        done = wait_until(site, job, lambda seen: seen.state == "succeeded", seconds=900)
        while scripted.under_way:  # requests of a killed worker may still be answered
            time.sleep(0.05)
        requests = scripted.billed()
    assert (done.attempt, done.result["left"], done.result["failed"]) == (kills + 1, 0, 0)
    judged = site.rows(
        f"SELECT count(*), count(DISTINCT item_id) FROM judging_judgment WHERE annotator_id = {made['annotator']}"
    )
    assert judged == [(n, n)]
    assert site.rows(f"SELECT count(*) FROM judging_lmcall WHERE annotator_id = {made['annotator']}") == [
        (2 * n,)
    ]
    assert site.rows("SELECT count(*) FROM lm_reply WHERE state = 'done'") == [(2 * n,)]
    assert site.rows("SELECT count(*) FROM lm_reply WHERE state = 'pending'") == [(0,)]
    by_call = Counter((r.data["prompt"], tuple(r.data["responses"].items())) for r in requests)
    assert len(by_call) == 2 * n
    again = len(requests) - len(by_call)
    assert again <= kills * CONCURRENCY, "a reply that was stored was asked for again"
    spent, held, cap = site.rows(
        "SELECT spent_micros, held_micros, cap_micros FROM ledger_account WHERE name = 'money'"
    )[0]
    billed = sum(2 * r.tokens_in + 8 * r.tokens_out for r in requests)
    assert held == 0
    assert billed <= spent <= cap, f"the server bills {billed}, the books say {spent}"
    [(worst,)] = site.rows("SELECT max(amount_micros) FROM ledger_reservation WHERE purpose = 'lm.call'")
    assert spent <= billed + kills * CONCURRENCY * worst


def test_a_run_that_is_killed_goes_on_from_what_was_stored(site):
    killed_run(site, 60, kills=1)


@pytest.mark.slow
def test_many_items_and_three_kills(site):
    if not services() and "LM_ITEMS" not in os.environ:
        pytest.skip("runs with the services, where more is written at once")
    # LM_ITEMS=5000 for the whole measure
    killed_run(site, int(os.environ.get("LM_ITEMS", "300")), kills=3)
