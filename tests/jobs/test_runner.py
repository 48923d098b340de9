"""A job runs once, reports, stops when asked, and comes back after its worker died."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from app.jobs import runner
from app.jobs.models import Job

pytestmark = [pytest.mark.django_db, pytest.mark.smoke]


@pytest.fixture
def handlers(monkeypatch):
    known = {}
    monkeypatch.setattr(runner, "HANDLERS", known)
    monkeypatch.setattr(runner, "REPORT_EVERY", 0)
    return known


def test_a_job_runs_and_keeps_its_result(handlers):
    def double(job, *, n):
        job.report(done=1, total=2, message="half")
        job.log("one line")
        job.event(step=1, loss=0.5)
        return {"n": 2 * n}

    handlers["double"] = double
    job = runner.start(kind="double", title="Double", args={"n": 21})
    assert (job.state, job.fraction) == ("queued", None)

    done = runner.run(job.pk, worker="w1")

    assert (done.state, done.result, done.fraction, done.worker) == ("succeeded", {"n": 42}, 1.0, "w1")
    assert "one line" in done.log
    assert done.events == [{"step": 1, "loss": 0.5}]
    assert runner.run(job.pk) is None


def test_an_error_is_kept_and_the_job_can_run_again(handlers):
    tries = []

    def flaky(job):
        tries.append(1)
        if len(tries) == 1:
            raise runner.JobFailed("The file is gone.")

    handlers["flaky"] = flaky
    job = runner.start(kind="flaky", title="Flaky", args={})
    assert (runner.run(job.pk).state, Job.objects.get().error) == ("failed", "The file is gone.")
    again = runner.retry(job)
    assert (again.state, again.error) == ("queued", "")
    assert runner.run(job.pk).state == "succeeded"


def test_a_queued_job_is_cancelled_at_once_and_a_running_one_at_its_next_report(handlers):
    def slow(job):
        runner.cancel(Job.objects.get(pk=job.job.pk))
        job.report(done=1)
        raise AssertionError("went on after the cancel")

    handlers["slow"] = slow
    running = runner.start(kind="slow", title="Slow", args={})
    assert runner.run(running.pk).state == "cancelled"
    queued = runner.start(kind="slow", title="Slow", args={})
    assert runner.cancel(queued).state == "cancelled"
    assert runner.run(queued.pk) is None


def test_a_dead_workers_job_is_taken_over_and_the_old_holder_may_not_write(handlers):
    seen = []

    def work(job):
        seen.append(job)
        if len(seen) == 1:
            Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
            assert runner.run(job.job.pk, worker="second").state == "succeeded"
            job.report(done=99)
            raise AssertionError("the old holder wrote")
        return {"by": "second"}

    handlers["work"] = work
    job = runner.start(kind="work", title="Work", args={})
    assert runner.run(job.pk, worker="first") is None
    stored = Job.objects.get()
    assert (stored.state, stored.result, stored.attempt, stored.done) == ("succeeded", {"by": "second"}, 2, 0)


def test_the_sweeper_sends_what_was_lost_and_gives_up_after_five_deaths(handlers, monkeypatch):
    sent = []
    monkeypatch.setattr(runner, "send", lambda pk, queue: sent.append(pk))
    old = timezone.now() - timedelta(minutes=10)
    lost = Job.objects.create(kind="x", title="Lost", state="running", lease_until=old, attempt=1)
    unsent = Job.objects.create(kind="x", title="Unsent")
    hopeless = Job.objects.create(kind="x", title="Hopeless", state="running", lease_until=old, attempt=5)
    fresh = Job.objects.create(
        kind="x", title="Alive", state="running", lease_until=timezone.now() + timedelta(hours=1)
    )
    Job.objects.update(created_at=old)

    assert runner.sweep() == 2

    assert set(sent) == {lost.pk, unsent.pk}
    assert fresh.pk not in sent
    hopeless.refresh_from_db()
    assert (hopeless.state, hopeless.error) == ("failed", "Its worker died 5 times.")
