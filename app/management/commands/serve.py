"""Start the web server and a Celery worker as two processes, and keep both running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from app.management.base import unmigrated

BACKOFF_SECONDS = (0.5, 1, 2, 5, 10)
GRACE_SECONDS = 20


class Child:
    """One process we keep alive: started again, with a growing pause, when it dies."""

    def __init__(self, name: str, command: list[str]):
        self.name, self.command = name, command
        self.process: subprocess.Popen | None = None
        self.failures = 0
        self.start_at = 0.0

    def tend(self, now: float) -> str | None:
        """Start the process if it is due, or notice that it died; returns a line to print, if any."""
        if self.process is None:
            if now >= self.start_at:
                self.process = subprocess.Popen(self.command, start_new_session=True)  # noqa: S603
                self.started = now
            return None
        code = self.process.poll()
        if code is None:
            if self.failures and now - self.started > 60:
                self.failures = 0
            return None
        pause = BACKOFF_SECONDS[min(self.failures, len(BACKOFF_SECONDS) - 1)]
        self.failures += 1
        self.process, self.start_at = None, now + pause
        return f"{self.name} ended with {code}; starting it again in {pause} s"

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def end(self, deadline: float) -> None:
        """Wait for the process until the deadline, then kill its whole group."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


class Command(BaseCommand):
    help = "Start the web server and a Celery worker with its scheduler; Ctrl-C stops both."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--web-workers", type=int, default=2, help="Web processes, of four threads each.")
        parser.add_argument("--no-worker", action="store_true", help="Only the web server.")

    def handle(self, *args, host: str, port: int, web_workers: int, no_worker: bool, **options) -> None:
        if said := unmigrated():
            raise CommandError(said, returncode=2)
        children = [Child("The web server", web_command(host, port, web_workers))]
        if not no_worker:
            children.append(Child("The worker", worker_command()))
        stopping = False

        def stop(signum, frame) -> None:
            nonlocal stopping
            stopping = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        self.stdout.write(f"Plumbline: http://{host}:{port}   (Ctrl-C stops it)")
        while not stopping:
            for child in children:
                said = child.tend(time.monotonic())
                if said:
                    self.stderr.write(said)
            time.sleep(0.3)
        for child in children:
            child.stop()
        deadline = time.monotonic() + GRACE_SECONDS
        for child in children:
            child.end(deadline)


def web_command(host: str, port: int, workers: int) -> list[str]:
    """The gunicorn command line."""
    return [
        sys.executable,
        "-m",
        "gunicorn",
        "app.wsgi",
        f"--bind={host}:{port}",
        f"--workers={workers}",
        "--worker-class=gthread",
        "--threads=4",
        "--timeout=60",
        "--graceful-timeout=15",
        "--log-level=warning",
        f"--chdir={settings.BASE_DIR}",
    ]


def worker_command() -> list[str]:
    """The Celery command line of the embedded default: one process, threads, with the scheduler inside."""
    return [
        sys.executable,
        "-m",
        "celery",
        "--app=app.celery:app",
        f"--workdir={settings.BASE_DIR}",
        "worker",
        "--beat",
        "--pool=threads",
        "--concurrency=3",
        "--queues=default,gpu,sandbox",
        "--hostname=embedded@%h",
        "--loglevel=WARNING",
        "--without-gossip",
        "--without-mingle",
    ]
