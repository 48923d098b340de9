"""Celery entry points of jobs: run one, sweep what was lost, and the workers' signs of life."""

from __future__ import annotations

import os
import threading

from celery import shared_task
from celery.signals import worker_ready, worker_shutdown
from django.conf import settings
from django.db import close_old_connections, connection

from . import broker, retention, runner

BEAT_SECONDS = 20


@shared_task(name="jobs.run", bind=True)
def run_job(self, job_id: str) -> None:
    """Run one job by id; does nothing if another worker has it."""
    runner.run(job_id, worker=self.request.hostname or "")


@shared_task(name="jobs.sweep")
def sweep() -> None:
    """Send again what was lost."""
    runner.sweep()


@shared_task(name="jobs.forget_logs")
def forget_logs() -> None:
    """Forget what jobs logged long ago."""
    retention.forget_logs()


@worker_ready.connect
def _sweep_parts(**_: object) -> None:
    """Clear away what killed writers left in the embedded broker's folder."""
    folder = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("control_folder")
    if folder:
        broker.sweep_parts(folder)


_stop = threading.Event()


@worker_ready.connect
def _start_beating(sender=None, **_: object) -> None:
    """Write this worker's sign of life every few seconds, in a thread that ends with the worker."""
    name = sender.hostname if sender is not None else f"worker-{os.getpid()}"
    queues = ",".join(sorted(q.name for q in sender.task_consumer.queues)) if sender is not None else ""

    def loop() -> None:
        while not _stop.is_set():
            close_old_connections()
            try:
                runner.beat(name, queues, os.getpid())
            finally:
                connection.close()
            _stop.wait(BEAT_SECONDS)

    threading.Thread(target=loop, name="worker-beat", daemon=True).start()


@worker_shutdown.connect
def _stop_beating(**_: object) -> None:
    _stop.set()
