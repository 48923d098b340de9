"""A throw-away site of real processes: its own data folder and database, gunicorn and a worker to be killed.

`Site` is the site; `tests.faults.people` are the people who judge in it. Everything listens on 127.0.0.1 only.
"""

from __future__ import annotations

import atexit
import gzip
import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

ROOT = Path(__file__).resolve().parents[2]
PAIRS = ROOT / "demo" / "data" / "1_pairs_human_lm.jsonl.gz"
BOOT_SECONDS = 120
DATABASE = "plumbline.sqlite3"
BLANK = ROOT / ".pytest_cache" / "blank-site"
_models: dict[str, str] = {}  # server → its database to copy, made by this process


@lru_cache(maxsize=1)
def real_pairs() -> list[dict]:
    """The demo's real pairs without anybody's judgments: [{id, source, prompt, response_a, response_b}]."""
    with gzip.open(PAIRS, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [{key: row[key] for key in ("id", "source", "prompt", "response_a", "response_b")} for row in rows]


def write_items(path: Path, n: int) -> None:
    """`n` items as native JSONL: the real pairs, again with new ids (and `meta.copy`) once all are used."""
    pairs = real_pairs()
    with path.open("w", encoding="utf-8") as file:
        for number in range(n):
            copy, place = divmod(number, len(pairs))
            row = pairs[place]
            if copy:
                row = {**row, "id": f"{row['id']}#{copy}", "meta": {"copy": copy}}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


_ports = count()


def free_port() -> int:
    """A port that nobody else takes before it is used, nor while a server that had it is being started again.

    Below those that the system gives to outgoing connections, each of this process once, and other ones in each
    worker of pytest-xdist.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8
    while True:
        port = 12_000 + 2_000 * worker + (os.getpid() * 37 + next(_ports)) % 2_000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def group_of(pid: int) -> list[int]:
    """The living processes of a process group."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == pid and fields[0] != "Z":
                found.append(int(entry))
    return found


class Process:
    """A child in a process group of its own."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path):
        self.log = log
        with log.open("ab") as file:
            self.child = subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=file, stderr=file, start_new_session=True
            )

    def kill(self) -> None:
        """kill -9 to the whole group, at once; nothing gets to clean up."""
        for _ in range(200):
            try:
                os.killpg(self.child.pid, signal.SIGKILL)
            except ProcessLookupError:
                break
            if not group_of(self.child.pid):
                break
            time.sleep(0.01)
        self.child.wait(10)

    def stop(self) -> None:
        """Ask politely, then kill what is left."""
        if self.child.poll() is None:
            self.child.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.child.wait(10)
        self.kill()


def throwaway_name() -> str:
    """A database's name that no other run has, and none that was killed left behind: tests' uuids are the same in each."""
    return f"plumbline_throwaway_{os.getpid()}_{time.time_ns():x}"


@lru_cache(maxsize=1)
def blank_key() -> str:
    """What a blank site is made of: migrations, static files and the pinned libraries."""
    digest = hashlib.sha256()
    parts = [
        path
        for room in ("app", "annotations", "routing")
        for path in (ROOT / room).glob("**/migrations/*.py")
    ]
    for path in sorted([*parts, *(ROOT / "static").rglob("*"), ROOT / "requirements.txt"]):
        if path.is_file():
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def keep_blank(folder: Path, kept: Path) -> None:
    """Keep a blank site's folder for the next sites, whole or not at all; older ones go."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=kept.parent))
    with (
        closing(sqlite3.connect(folder / DATABASE)) as made,
        closing(sqlite3.connect(part / DATABASE)) as copy,
    ):
        made.backup(copy)
    shutil.copytree(folder / "static", part / "static")
    for old in kept.parent.iterdir():
        with suppress(FileNotFoundError):  # another process has just renamed its own
            if time.time() - old.stat().st_mtime > 86_400:
                shutil.rmtree(old, ignore_errors=True)
    try:
        part.rename(kept)
    except OSError:  # another process was first
        shutil.rmtree(part, ignore_errors=True)


class Site:
    """Settings, database and processes of one throw-away site.

    `database` is a PostgreSQL URL of a server where a database may be made (and is dropped at the end); without
    it the site has an SQLite file. `extra` are further environment variables of its processes.
    """

    def __init__(self, folder: Path, *, database: str = "", redis: str = "", **extra: str):
        self.folder, self.port = folder, free_port()
        self._server, self._name = database, throwaway_name()
        self.url = ""
        if database:
            parts = urlsplit(database)
            self.url = urlunsplit(parts._replace(path=f"/{self._name}"))
            model = f' TEMPLATE "{_models[database]}"' if database in _models else ""
            self._on_server(f'CREATE DATABASE "{self._name}"{model}')
        keep = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
        self.env = {key: os.environ[key] for key in keep if key in os.environ} | {
            "DJANGO_SETTINGS_MODULE": "app.settings",
            "ENV_FILE": os.devnull,
            "SECRET_KEY": "throw-away",
            "DEBUG": "0",
            "DATA_DIR": str(folder),
            "SITE_URL": f"http://127.0.0.1:{self.port}",
            "LOG_LEVEL": "WARNING",
            "PYTHONUNBUFFERED": "1",
            **({"DATABASE_URL": self.url} if database else {}),
            **({"REDIS_URL": redis} if redis else {}),
            **extra,
        }
        self.web: Process | None = None
        self.worker: Process | None = None
        self._processes: list[Process] = []
        self._make_blank()

    def _make_blank(self) -> None:
        """Every table and the static files: made once for this code (on PostgreSQL once a process), then copied."""
        kept = BLANK / blank_key()
        if kept.exists():
            leave = shutil.ignore_patterns(DATABASE) if self.is_postgres else None
            shutil.copytree(kept, self.folder, ignore=leave, dirs_exist_ok=True)
        if not kept.exists() or (self.is_postgres and self._server not in _models):
            self.inside("blank")
        if self.is_postgres and self._server not in _models:
            _models[self._server] = model = throwaway_name()
            self._on_server(f'CREATE DATABASE "{model}" TEMPLATE "{self._name}"')
            atexit.register(self._on_server, f'DROP DATABASE IF EXISTS "{model}" WITH (FORCE)')
        if not self.is_postgres and not kept.exists():
            keep_blank(self.folder, kept)

    def _on_server(self, statement: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(statement)

    @property
    def is_postgres(self) -> bool:
        return bool(self.url)

    def inside(
        self, name: str, *, module: str = "tests.faults.inside", timeout: float = 900, **arguments: object
    ) -> dict:
        """Run one function of the module in a process with the site's settings; returns what it returns."""
        said = self._run("-m", module, name, json.dumps(arguments), timeout=timeout)
        return json.loads(said.splitlines()[-1])

    def manage(self, *arguments: str) -> str:
        """Run a management command of the site; returns its stdout. Fails unless it exits with 0."""
        return self._run("manage.py", *arguments)

    def _run(self, *arguments: str, timeout: float = 900) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr[-4000:]}"
        return done.stdout

    def add_items(
        self, n: int, *, overlap: int, people: list[str], slug: str = "pairs", **more: object
    ) -> dict:
        """A project with `n` real items, wanted from `overlap` of these people."""
        path = self.folder / f"{slug}.jsonl"
        write_items(path, n)
        return self.inside("add_project", slug=slug, file=str(path), people=people, overlap=overlap, **more)

    def rows(self, sql: str) -> list[tuple]:
        """What a query finds, read beside the site and not through it."""
        if self.is_postgres:
            with psycopg.connect(self.url, autocommit=True) as connection:
                return connection.execute(sql).fetchall()
        connection = sqlite3.connect(self.folder / DATABASE, timeout=30)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def start_web(self) -> None:
        """Start the web server on `port`, and wait until it answers."""
        self.web = self.serve(self.port)

    def serve(self, port: int, *, application: str = "app.wsgi", workers: int = 2) -> Process:
        """Start gunicorn with an application as `manage.py serve` starts ours; returns once it answers."""
        command = [sys.executable, "-c", _WEB, str(port), str(workers), application]
        process = self._start(command, f"{application}.log")
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            assert process.child.poll() is None, process.log.read_text()[-4000:]
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("GET", "/healthz")
                if connection.getresponse().status == 200:
                    return process
            except (OSError, HTTPException):
                time.sleep(0.05)
            finally:
                connection.close()
        raise AssertionError(f"the web server did not come up: {process.log.read_text()[-4000:]}")

    def start_worker(self) -> None:
        """Start a Celery worker with its scheduler, as `manage.py serve` does."""
        self.worker = self._start([sys.executable, "-c", _WORKER], "worker.log")

    def _start(self, command: list[str], log: str) -> Process:
        process = Process(command, self.env, self.folder / log)
        self._processes.append(process)
        return process

    def close(self) -> None:
        """Stop every process and drop the database."""
        try:
            for process in self._processes:
                process.stop()
        finally:
            if self.is_postgres:
                self._on_server(f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)')


_EXEC = """
import os, sys, django
django.setup()
from app.management.commands import serve
"""
_WEB = (
    _EXEC
    + """
command = serve.web_command("127.0.0.1", int(sys.argv[1]), int(sys.argv[2]))
command[command.index("app.wsgi")] = sys.argv[3]
os.execv(command[0], command)
"""
)
_WORKER = _EXEC + "command = serve.worker_command(); os.execv(command[0], command)"


@contextmanager
def site(*, database: str = "", redis: str = "", **extra: str) -> Iterator[Site]:
    """A throw-away site in a folder of its own, gone afterwards whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="plumbline-site-"))
    made = None
    try:
        made = Site(folder, database=database, redis=redis, **extra)
        yield made
    finally:
        if made is not None:
            made.close()
        shutil.rmtree(folder, ignore_errors=True)
