"""kill -9 of the database and of Redis while a transformer trains: it goes on or says why not, and registers nothing by halves.

Both are this test's own, in a folder and on ports of their own; nobody else's is touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from tests.faults import harness
from tests.faults.test_kill_trainer import OPTIONS, trainers
from tests.faults.test_kill_worker import look

pytest.importorskip("torch", reason="torch is not installed (pip install -r requirements-train.txt)")
pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.no_database]  # it brings its own
AS_ROOT = os.geteuid() == 0


def binary(name: str) -> str:
    """Where a server program is; PostgreSQL's are often not on the path."""
    found = shutil.which(name)
    places = [Path(found)] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    if not places:
        pytest.skip(f"{name} is not installed")
    return str(places[0])


class Postgres:
    """A PostgreSQL of our own, which may be killed and started again."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="plumbline-postgres-"))  # where its own user may go
        folder, self.port = self.folder, harness.free_port()
        self.as_ = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if AS_ROOT else []
        if AS_ROOT:
            shutil.chown(folder, "postgres", "postgres")
        command = [binary("initdb"), "-D", str(folder), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"]
        subprocess.run([*self.as_, *command], check=True, capture_output=True)
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        self.start()

    def start(self) -> None:
        command = [binary("postgres"), "-D", str(self.folder), "-p", str(self.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}"]
        self.child = subprocess.Popen(
            [*self.as_, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "PostgreSQL did not come up"
                time.sleep(0.2)

    def kill(self) -> None:
        """kill -9 of the postmaster and of every process it has started."""
        children = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and _parent(entry) == self.child.pid
        ]
        for pid in (self.child.pid, *children):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.child.wait(10)
        while any(Path(f"/proc/{pid}").exists() and _state(pid) != "Z" for pid in children):
            time.sleep(0.05)


class Redis:
    """A Redis of our own, without a file: what it held is gone when it is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, harness.free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        command = [
            binary("redis-server"),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
        ]
        self.child = subprocess.Popen(
            [*command, str(self.folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < deadline, "Redis did not come up"
            time.sleep(0.1)

    def kill(self) -> None:
        self.child.kill()
        self.child.wait(10)


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return 0


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


@pytest.fixture
def postgres():
    made = Postgres()
    yield made
    made.kill()
    shutil.rmtree(made.folder)


@pytest.fixture
def redis(tmp_path):
    made = Redis(tmp_path)
    yield made
    made.kill()


@pytest.fixture
def site(postgres, redis, tmp_path):
    from tests.rewards.tiny import make_base

    base = make_base(tmp_path / "bases" / "tiny", hidden=64)
    short = {"JOB_LEASE_SECONDS": "12", "SWEEP_SECONDS": "2", "REWARD_BASE_FOLDERS": str(base.parent)}
    with harness.site(database=postgres.url, redis=redis.url, **short) as made:
        made.inside(
            "add_project", slug="train", file=str(harness.PAIRS), overlap=0, people=[], owner="alice",
            render=False,
        )  # fmt: skip
        made.inside("start_transformer", slug="train", options={"base": str(base), **OPTIONS})
        yield made


def test_a_training_outlives_its_database_and_its_broker(site, postgres, redis):
    [(job,)] = site.rows("SELECT job_id FROM rewards_trainingrun")
    models = site.folder / "media" / "models"
    site.start_worker()

    def until(is_so, seconds: float = 400) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            assert len(trainers(site)) <= 1
            if site.worker.child.poll() is not None:  # `manage.py serve` starts again what ended
                site.start_worker()
            assert time.monotonic() < deadline, site.worker.log.read_text()[-3000:]
            time.sleep(0.1)

    until(lambda: next(iter(models.glob(".rm_*.work/checkpoints/step-*")), None) is not None)
    redis.kill()
    postgres.kill()
    assert not [path for path in models.iterdir() if not path.name.startswith(".")]
    time.sleep(4)  # some beats of the training fail meanwhile
    postgres.start()
    redis.start()
    assert site.rows("SELECT count(*) FROM rewards_rewardmodel") == [(0,)]
    before = time.monotonic()
    until(lambda: look(site, job).state not in {"queued", "running"} or time.monotonic() - before > 380)
    seen = look(site, job)
    registered = site.rows("SELECT public_id, path, files_sha256 FROM rewards_rewardmodel")
    names = sorted(path.name for path in models.iterdir() if not path.name.startswith("."))
    assert names == [row[0] for row in registered]
    if seen.state == "failed":
        assert "Error" in seen.error
        assert registered == []
        return
    assert (seen.state, seen.error) == ("succeeded", "")
    [(name, _, files)] = registered
    assert seen.result["model"] == name
    assert sorted(files) == sorted(path.name for path in (models / name).iterdir())
    assert site.rows("SELECT count(*) FROM rewards_devicelease WHERE lease_until IS NOT NULL") == [(0,)]
    assert trainers(site) == []
