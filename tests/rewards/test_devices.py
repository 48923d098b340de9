"""A device is held by one training: leases, fences, and what a Job does with them."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from routing.rewards import backends, devices, jobs, train
from routing.rewards.models import DeviceLease, RewardModel

pytestmark = pytest.mark.django_db
NAME = "host:cuda:0"


def test_one_training_holds_a_device_until_it_gives_it_back_or_dies():
    mine, other = uuid4(), uuid4()
    fence = devices.acquire(name=NAME, job_id=mine)
    assert fence == 1
    assert devices.acquire(name=NAME, job_id=other) is None
    assert devices.holder(NAME) == mine
    devices.renew(name=NAME, fence=fence)
    devices.release(name=NAME, fence=fence)
    assert devices.acquire(name=NAME, job_id=other) == 2
    DeviceLease.objects.update(lease_until=timezone.now() - timedelta(seconds=1))  # it died
    assert devices.acquire(name=NAME, job_id=mine) == 3
    with pytest.raises(devices.Lost):
        devices.renew(name=NAME, fence=2)
    devices.release(name=NAME, fence=2)  # the dead one's wake frees nothing
    assert devices.holder(NAME) == mine


def test_an_attempt_of_the_same_job_takes_over_from_the_last():
    job = uuid4()
    assert [devices.acquire(name=NAME, job_id=job) for _ in range(2)] == [1, 2]
    with pytest.raises(devices.Lost):
        devices.renew(name=NAME, fence=1)


def test_bases_are_only_taken_from_the_folders_of_the_settings(project, alice, settings, tmp_path):
    base = tmp_path / "models" / "small"
    base.mkdir(parents=True)
    (base / "config.json").write_text("{}")
    (base / "model.safetensors").write_text("")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    settings.REWARD_BASE_FOLDERS = [str(tmp_path / "models")]

    def start(place):
        return jobs.start_training(
            project=project, actor=alice, options={"backend": "transformer", "options": {"base": str(place)}}
        )

    if "transformer" not in backends.available():
        with pytest.raises(jobs.BadTraining, match="backend 'transformer'"):
            start(base)
        return
    for place in (elsewhere, base / ".." / ".." / "elsewhere", "hub/name"):
        with pytest.raises(jobs.BadTraining, match="below REWARD_BASE_FOLDERS"):
            start(place)
    run = start(base)
    assert run.spec["options"]["base"] == str(base)


def test_a_database_that_is_away_for_a_moment_does_not_end_a_training(
    pairs_project, alice, settings, tmp_path, monkeypatch
):
    """A beat that fails is tried again until the lease is over; then the error goes on."""
    import time

    from django.db import OperationalError

    away = iter([False, True, True, False])

    class Job:
        def report(self, **more):
            if next(away):
                raise OperationalError("the server closed the connection")

    def beat(last):
        with jobs._patient(last):
            Job().report()
            return True

    monkeypatch.setattr(jobs.connection, "close", lambda: None)
    assert [beat(time.monotonic()) for _ in range(4)] == [True, None, None, True]
    away = iter([True])
    with pytest.raises(OperationalError):
        beat(time.monotonic() - 2 * devices.LEASE.total_seconds())


def test_a_training_that_lost_its_device_stops_without_a_word(
    pairs_project, alice, settings, tmp_path, monkeypatch
):
    """Another training took the device meanwhile: this one may not register anything."""
    pytest.importorskip("torch", reason="torch is not installed (requirements-train.txt)")
    from app.jobs import runner

    base = tmp_path / "b"
    base.mkdir()
    (base / "config.json").write_text("{}")
    (base / "model.safetensors").write_text("")
    settings.REWARD_BASE_FOLDERS = [str(tmp_path)]
    run = jobs.start_training(
        project=pairs_project, actor=alice, options={"backend": "transformer", "options": {"base": str(base)}}
    )

    def taken(material, spec, folder, *, work, **more):
        work.beat()
        DeviceLease.objects.update(fence=99)
        work.beat()
        raise AssertionError("it went on")

    monkeypatch.setattr(train, "train", taken)
    assert runner.run(run.job_id) is None
    assert RewardModel.objects.count() == 0
