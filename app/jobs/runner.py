"""One way to start, run, report, cancel and retry any long work.

A room registers a handler in its `tasks.py`:

    @handler("datasets.export")
    def export(job: JobContext, *, snapshot_id: str) -> dict: ...

and starts it with `start(kind="datasets.export", title=..., args={...})`. The handler must be idempotent: after
a crash it is run again from the top with the same arguments.
"""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.module_loading import autodiscover_modules

from app.webhooks import outbox

from .models import Job, WorkerBeat

LEASE = timedelta(seconds=settings.JOB_LEASE_SECONDS)
RESEND_AFTER = timedelta(seconds=45)
MAX_ATTEMPTS = 5
LOG_TAIL = 20_000
EVENTS_KEPT = 500
REPORT_EVERY = 0.5

HANDLERS: dict[str, Callable[..., dict | None]] = {}
log = structlog.get_logger(__name__)


class JobCancelled(Exception):
    """Raised inside a handler by `JobContext.check` once a cancel was asked for."""


class JobLost(Exception):
    """Another worker holds this job now; the old holder must stop without writing."""


class JobFailed(Exception):
    """A handler's own clear refusal; its text is shown to the user as it is."""


def handler(kind: str) -> Callable:
    """Register the decorated function as what runs jobs of `kind`."""

    def register(function: Callable[..., dict | None]) -> Callable[..., dict | None]:
        HANDLERS[kind] = function
        return function

    return register


def handler_of(kind: str) -> Callable[..., dict | None] | None:
    """The handler of a kind, or None. A process that is no Celery worker loads the rooms' tasks at first need."""
    if kind not in HANDLERS:
        autodiscover_modules("tasks")
    return HANDLERS.get(kind)


def start(
    *,
    kind: str,
    title: str,
    args: dict,
    scope: str = "",
    queue: str = "default",
    actor=None,
    result_url: str = "",
) -> Job:
    """Write a Job row and send it to a worker once the surrounding transaction commits."""
    job = Job.objects.create(
        kind=kind,
        title=title[:200],
        args=args,
        scope=scope,
        queue=queue,
        result_url=result_url,
        created_by=actor if actor is not None and actor.is_authenticated else None,
    )
    transaction.on_commit(lambda: send(job.pk, queue))
    return job


def send(job_id, queue: str) -> None:
    """Tell a worker to look at the job; a broker that does not answer leaves the row to the sweeper."""
    from .tasks import run_job

    try:
        run_job.apply_async(args=[str(job_id)], queue=queue, retry=False)
    except Exception as error:  # the broker is down: the row stays queued and the sweeper sends it later
        log.warning("job.not_sent", job=str(job_id), error=str(error))
        return
    Job.objects.filter(pk=job_id).update(sent_at=timezone.now())


def cancel(job: Job) -> Job:
    """Ask a job to stop; a queued one stops at once, a running one at its next check."""
    now = timezone.now()
    stopped = Job.objects.filter(pk=job.pk, state=Job.State.QUEUED).update(
        state=Job.State.CANCELLED,
        finished_at=now,
        message="It had not begun",
        cancel_requested=True,
    )
    if not stopped:
        Job.objects.filter(pk=job.pk, state=Job.State.RUNNING).update(cancel_requested=True)
    job.refresh_from_db()
    return job


def retry(job: Job) -> Job:
    """Queue a failed or cancelled job again, with the same arguments."""
    with transaction.atomic():
        again = Job.objects.filter(pk=job.pk, state__in=[Job.State.FAILED, Job.State.CANCELLED]).update(
            state=Job.State.QUEUED,
            attempt=0,
            error="",
            message="Queued again",
            cancel_requested=False,
            finished_at=None,
            started_at=None,
            lease_until=None,
            sent_at=None,
            done=0,
            result=None,
        )
        if again:
            transaction.on_commit(lambda: send(job.pk, job.queue))
    job.refresh_from_db()
    return job


class JobContext:
    """What a handler holds: report progress, log, and learn of a cancel. Extends the job's lease as it reports."""

    def __init__(self, job: Job, worker: str = ""):
        self.job = job
        self.worker = worker
        self._last = 0.0
        self._pending: dict[str, object] = {}
        self._log: list[str] = []
        self._events: list[dict] = []

    def report(
        self,
        done: int | None = None,
        total: int | None = None,
        message: str | None = None,
    ) -> None:
        """Say how far the work is (units of the handler's choice). Raises JobCancelled or JobLost."""
        if done is not None:
            self._pending["done"] = done
        if total is not None:
            self._pending["total"] = total
        if message is not None:
            self._pending["message"] = message[:300]
        if time.monotonic() - self._last >= REPORT_EVERY:
            self.check()

    def log(self, line: str) -> None:
        """Add a line to the log tail shown on the job's page."""
        self._log.append(f"{timezone.now():%H:%M:%S} {line}")
        if time.monotonic() - self._last >= REPORT_EVERY:
            self.check()

    def event(self, **facts: object) -> None:
        """Add a structured progress record, such as a loss at a step."""
        self._events.append(facts)
        if time.monotonic() - self._last >= REPORT_EVERY:
            self.check()

    def flush(self) -> None:
        """Write what was reported, whatever was asked of the job meanwhile: its last words before it ends."""
        with contextlib.suppress(JobCancelled, JobLost):
            self.check()

    def check(self) -> None:
        """Write what was reported, extend the lease, and raise if the job was cancelled or taken over."""
        self._last = time.monotonic()
        row = Job.objects.filter(pk=self.job.pk).values("cancel_requested", "fence", "log", "events").first()
        if row is None or row["fence"] != self.job.fence:
            raise JobLost(str(self.job.pk))
        changes = dict(self._pending, lease_until=timezone.now() + LEASE)
        if self._log:
            changes["log"] = (row["log"] + "".join(line + "\n" for line in self._log))[-LOG_TAIL:]
        if self._events:
            changes["events"] = (row["events"] + self._events)[-EVENTS_KEPT:]
        if not Job.objects.filter(pk=self.job.pk, fence=self.job.fence).update(**changes):
            raise JobLost(str(self.job.pk))
        self._pending, self._log, self._events = {}, [], []
        if row["cancel_requested"]:
            raise JobCancelled(str(self.job.pk))


def claim(job_id, worker: str) -> Job | None:
    """Take the job for this worker, or None if it is finished, cancelled, or held by a live worker.

    A conditional UPDATE decides, so two workers with the same message cannot both run it.
    """
    now = timezone.now()
    free = Q(state=Job.State.QUEUED) | Q(state=Job.State.RUNNING, lease_until__lt=now)
    taken = (
        Job.objects.filter(pk=job_id)
        .filter(free)
        .update(
            state=Job.State.RUNNING,
            started_at=now,
            lease_until=now + LEASE,
            attempt=F("attempt") + 1,
            fence=F("fence") + 1,
            worker=worker,
        )
    )
    return Job.objects.get(pk=job_id) if taken else None


def run(job_id, worker: str = "") -> Job | None:
    """Run one job to its end in this process; returns its row, or None if it was not ours to run."""
    job = claim(job_id, worker)
    if job is None:
        return None
    context = JobContext(job, worker)
    try:
        function = handler_of(job.kind)
        if function is None:
            raise JobFailed(f"No handler is registered for {job.kind!r}.")
        context.check()
        result = function(context, **job.args)
        context.check()
    except JobLost:
        log.warning("job.lost", job=str(job.pk), kind=job.kind)
        return None
    except JobCancelled:
        _finish(job, state=Job.State.CANCELLED, message=Job.State.CANCELLED.label)
    except JobFailed as error:
        context.flush()
        _finish(job, state=Job.State.FAILED, error=str(error), message="Failed")
    except Exception as error:
        log.error("job.failed", job=str(job.pk), kind=job.kind, exc_info=True)
        context.flush()
        trace = traceback.format_exc(limit=-6)
        _finish(
            job,
            state=Job.State.FAILED,
            error=f"{type(error).__name__}: {error}",
            message="Failed",
            log=(Job.objects.values_list("log", flat=True).get(pk=job.pk) + trace)[-LOG_TAIL:],
        )
    else:
        _finish(job, state=Job.State.SUCCEEDED, result=result or {}, lease_until=None)
    job.refresh_from_db()
    return job


def _finish(job: Job, **changes: object) -> None:
    with transaction.atomic():
        if not Job.objects.filter(pk=job.pk, fence=job.fence).update(finished_at=timezone.now(), **changes):
            return
        outbox.publish(
            scope=job.scope,
            kind=f"job.{changes['state']}",
            job=str(job.pk),
            kind_of_job=job.kind,
            title=job.title,
            error=changes.get("error", ""),
        )


def sweep() -> int:
    """Send again what was lost: queued rows no worker took, and running rows whose lease ran out.

    Returns the number of jobs sent. A job that lost its worker `MAX_ATTEMPTS` times fails with that as its error.
    """
    now = timezone.now()
    dead = Job.objects.filter(state=Job.State.RUNNING, lease_until__lt=now)
    dead.filter(attempt__gte=MAX_ATTEMPTS).update(
        state=Job.State.FAILED,
        finished_at=now,
        error=f"Its worker died {MAX_ATTEMPTS} times.",
        message="Failed",
    )
    unsent = Q(state=Job.State.QUEUED) & (Q(sent_at__isnull=True) | Q(sent_at__lt=now - RESEND_AFTER))
    lost = Q(state=Job.State.RUNNING, lease_until__lt=now)
    rows = list(
        Job.objects.filter(created_at__lt=now - timedelta(seconds=5))
        .filter(unsent | lost)
        .values_list("pk", "queue")
    )
    for pk, queue in rows:
        send(pk, queue)
    return len(rows)


def beat(name: str, queues: str, pid: int) -> None:
    """Record a worker's sign of life."""
    WorkerBeat.objects.update_or_create(
        name=name[:120],
        defaults={"queues": queues[:120], "pid": pid, "seen_at": timezone.now()},
    )
