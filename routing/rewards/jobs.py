"""Training as a Job: start it, and what it does, step by step, wherever the worker was killed before."""

from __future__ import annotations

import contextlib
import platform
import shutil
import time
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import numpy
import scipy
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.urls import reverse
from django.utils import timezone

from annotations.datasets import snapshots
from annotations.datasets.models import Snapshot
from annotations.projects.models import Project
from app.jobs import runner
from app.jobs.models import WorkerBeat
from app.jobs.runner import JobContext, JobFailed, JobLost

from . import artefacts, backends, bases, devices, linear, losses, prepare, registry, train
from .evaluate import paired_gain
from .models import TrainingRun
from .transformer.options import Options

KIND = "rewards.train"
QUEUE = {"linear": "default", "transformer": "gpu"}
STEPS = (
    ("freeze", "Freeze the data", 0),
    ("read", "Read it", 8),
    ("preflight", "Look it over", 14),
    ("fit", "Fit", 16),
    ("evaluate", "Evaluate on the hold-out", 86),
    ("verify", "Save, reload and rescore", 94),
    ("register", "Register", 97),
)
STARTS = {name: share for name, _, share in STEPS}
TOTAL = 100
FIT_KEYS = ("accuracy", "lr", "tokens_per_second", "eta_seconds", "memory_mib", "tokens")
LIVE_STAGES = ("ratings", "preferences", "joint")
EVENT_SECONDS = 2.0
DEVICE_POLL_SECONDS = 1.0
OPTIONS = (
    "backend", "judgments", "lm_weight", "aspect", "note", "strength_map", "extrapolate", "use_ratings",
    "propensity", "options",
)  # fmt: skip


class BadTraining(ValueError):
    """A training nobody can start like this; its text says what was expected."""


def start_training(
    *,
    project: Project,
    actor,
    snapshot: Snapshot | None = None,
    loss: str = "scaled_bt",
    seed: int = 0,
    options: dict[str, Any] | None = None,
    any_base: bool = False,
) -> TrainingRun:
    """Write a TrainingRun with its Job; without a snapshot the Job freezes the project's data first.

    `any_base` lets a transformer start from any folder or hub id (the command line); else see `bases`.
    `options`: any of backend, judgments, lm_weight, aspect (see `prepare.Spec`) and a note. Raises
    BadTraining for unknown values and for a snapshot of another project or one that is not ready.
    """
    options = dict(options or {})
    if unknown := sorted(set(options) - set(OPTIONS)):
        raise BadTraining(f"unknown option {unknown[0]!r}; expected one of {', '.join(OPTIONS)}")
    note = str(options.pop("note", ""))[:300]
    spec = prepare.Spec(loss=loss, seed=int(seed), **options)
    for name, value, known in (
        ("loss", spec.loss, linear.LOSSES),
        ("backend", spec.backend, trainable_backends()),
        ("judgments", spec.judgments, prepare.JUDGMENTS),
        ("strength_map", spec.strength_map, losses.STRENGTH_MAPS),
    ):
        if value not in known:
            raise BadTraining(f"{name} {value!r}: expected one of {', '.join(known)}")
    try:
        _check_options(spec, any_base)
    except ValueError as error:
        raise BadTraining(str(error)) from None
    if not 0 < spec.lm_weight <= 1:
        raise BadTraining(f"lm_weight {spec.lm_weight:g}: expected a number above 0 and at most 1")
    if not 0 <= spec.seed < 2**63:
        raise BadTraining(f"seed {spec.seed}: expected a whole number from 0 to 2^63 - 1")
    if snapshot is not None and (snapshot.project_id != project.pk or snapshot.state != Snapshot.State.READY):
        raise BadTraining(f"{snapshot.public_id} is not a finished snapshot of this project")
    with transaction.atomic():
        run = TrainingRun.objects.create(
            project=project,
            snapshot=snapshot,
            backend=spec.backend,
            loss=spec.loss,
            seed=spec.seed,
            spec={**spec.as_dict(), "note": note},
            created_by=actor if actor is not None and actor.is_authenticated else None,
        )
        job = runner.start(
            kind=KIND,
            title=f"Train reward model rm_{run.pk}",
            args={"run_id": run.pk},
            scope=project.slug,
            queue=queue_of(spec.backend, spec.options),
            actor=actor,
            result_url=reverse("rewards:run", args=[project.slug, run.pk]),
        )
        run.job_id = job.pk
        run.save(update_fields=["job_id"])
    return run


def queue_of(backend: str, options: dict[str, Any]) -> str:
    """The queue whose workers can run such a model."""
    return QUEUE[backends.needed(backend, options)]


def _check_options(spec: prepare.Spec, any_base: bool) -> None:
    """Raise ValueError naming an option that the backend does not know or that may not be read."""
    if spec.backend == "transformer":
        wanted = Options.read(spec.options)
        if not any_base:
            bases.check(wanted.base)
        return
    if unknown := sorted(set(spec.options) - {"embeddings"}):
        raise ValueError(f"option {unknown[0]!r}: expected embeddings, the one option of the linear backend")
    if spec.options and not any_base:
        bases.check(str(spec.options["embeddings"]), "embeddings")


def trainable_backends() -> tuple[str, ...]:
    """What can be trained: what this process has, and transformers where a worker is there for them alone."""
    seen = timezone.now() - timedelta(minutes=2)
    beats = WorkerBeat.objects.filter(seen_at__gte=seen).values_list("queues", flat=True)
    if QUEUE["transformer"] in set(beats):
        return backends.NAMES
    return backends.available()


def spec_of(run: TrainingRun) -> prepare.Spec:
    """What the run was asked for."""
    return prepare.Spec(**{key: value for key, value in run.spec.items() if key != "note"})


def perform(job: JobContext, run_id: int) -> dict[str, Any]:
    """Train the run's model and register it; running it again gives the same model, registered once."""
    run = TrainingRun.objects.select_related("project", "snapshot", "reward_model").filter(pk=run_id).first()
    if run is None:
        raise JobFailed("This training run is gone.")
    if run.reward_model is not None:
        return _result(run.reward_model)
    spec, steps = spec_of(run), _Steps(job)
    snapshot = _frozen(run, steps)
    steps.begin("read", f"Reading {snapshot.public_id}")
    try:
        material = prepare.prepare(
            snapshots.open_rows(snapshot),
            spec,
            tick=lambda n: job.report(
                message=f"Reading {snapshot.public_id}: {n:,} of {snapshot.n_items:,} items"
            ),
        )
        steps.begin("preflight", "Looking the data over")
        job.event(kind="preflight", fence=job.job.fence, report=material.report)
        for line in prepare.notes(material.report):
            job.log(line)
        prepare.refuse_if_too_little(material)
    except (ValueError, snapshots.SnapshotDamaged) as error:
        _fail(job, error)
    with _Folder(run.pk, job.job.fence) as folder:
        try:
            with _device(job, run, spec) as work:
                trained = train.train(
                    material, spec, folder, step=steps.begin, progress=steps.fit,
                    should_cancel=lambda: bool(job.report()), work=work,
                )  # fmt: skip
        except devices.Lost:
            raise JobLost(str(job.job.pk)) from None
        except (train.NotReproduced, ValueError) as error:
            _fail(job, error)
        _against_promoted(run.project, material, trained, job)
        steps.begin("register", "Registering the model")
        job.check()
        model = registry.register(run_id=run.pk, trained=trained, config=_config(run, trained))
    shutil.rmtree(_work_folder(run), ignore_errors=True)
    job.report(done=TOTAL, message=f"{model.public_id} is registered")
    return _result(model)


def _work_folder(run: TrainingRun) -> Path:
    """Where the trainer's checkpoints are until the model is registered; attempts of a run share it."""
    return Path(settings.MEDIA_ROOT) / registry.FOLDER / f".rm_{run.pk}.work"


@contextlib.contextmanager
def _device(job: JobContext, run: TrainingRun, spec: prepare.Spec):
    """Hold the devices of this machine while a transformer trains; waits for them, and gives them back."""
    if spec.backend != "transformer":
        yield None
        return
    names, device = devices.of_this_machine(Options.read(spec.options).processes)
    held: dict[str, int] = {}
    last = time.monotonic()

    def beat() -> None:
        nonlocal last
        with _patient(last):
            for name, fence in held.items():
                devices.renew(name=name, fence=fence)
            job.report()
            last = time.monotonic()

    try:
        for name in names:
            while (fence := devices.acquire(name=name, job_id=job.job.pk)) is None:
                beat()
                job.report(message=f"Waiting for {name}: another training holds it")
                time.sleep(DEVICE_POLL_SECONDS)
            held[name] = fence
            job.log(f"Training on {name}, fence {fence}")
        folder = _work_folder(run)
        folder.mkdir(parents=True, exist_ok=True)
        locks = tuple(folder.parent / f".{name.replace(':', '_').replace('/', '_')}.lock" for name in names)
        threads = settings.REWARD_CPU_THREADS if device == "cpu" else None
        yield backends.Work(folder, locks, beat, device, threads)
    finally:
        for name, fence in held.items():
            devices.release(name=name, fence=fence)


@contextlib.contextmanager
def _patient(last: float):
    """Outlive a database that is away for less than the device's lease: nobody else can take the device then."""
    try:
        yield
    except (OperationalError, InterfaceError):
        connection.close()
        if time.monotonic() - last > devices.LEASE.total_seconds():
            raise


def _fail(job: JobContext, error: Exception) -> NoReturn:
    """End the Job with the error's words, after what was reported so far is written."""
    job.check()
    raise JobFailed(str(error))


class _Steps:
    """Writes what the run's page shows live: steps, the loss curve, a share done."""

    def __init__(self, job: JobContext) -> None:
        self.job, self.fence, self.told = job, job.job.fence, 0.0

    def begin(self, name: str, words: str) -> None:
        self.job.event(kind="step", fence=self.fence, name=name, words=words)
        self.job.log(words)
        self.job.report(done=STARTS[name], total=TOTAL, message=words)

    def fit(self, event: dict[str, Any]) -> None:
        now = time.monotonic()
        if event["stage"] == "note":
            with _patient(now):
                self.job.log(event["message"])
            return
        if event["stage"] in LIVE_STAGES and now - self.told < EVENT_SECONDS and event["fraction"] != 1.0:
            return  # the page keeps 500 events: a long run must not push its own beginning out
        self.told = now
        with _patient(now):
            self._write(event)

    def _write(self, event: dict[str, Any]) -> None:
        kept = {key: event[key] for key in FIT_KEYS if event.get(key) is not None}
        kept |= {key: event[key] for key in ("stage", "fold", "step", "loss", "message")}
        self.job.event(kind="fit", fence=self.fence, **train.finite(kept))
        if event["fraction"] is None:
            return
        share = STARTS["fit"] + round(event["fraction"] * (STARTS["evaluate"] - STARTS["fit"]))
        self.job.report(done=share, total=TOTAL, message=event["message"])


class _Folder:
    """The folder a run writes in before its model has a name; gone afterwards, whatever happened."""

    def __init__(self, run_id: int, fence: int) -> None:
        self.root = Path(settings.MEDIA_ROOT) / registry.FOLDER
        self.stem, self.path = f".rm_{run_id}.", self.root / f".rm_{run_id}.{fence}.tmp"

    def __enter__(self) -> Path:
        self._sweep()
        self.path.mkdir(parents=True)
        return self.path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what killed attempts of this run left behind."""
        for left in self.root.glob(f"{self.stem}*.tmp") if self.root.is_dir() else ():
            shutil.rmtree(left, ignore_errors=True)


def _frozen(run: TrainingRun, steps: _Steps) -> Snapshot:
    """The run's snapshot, frozen now if none was given; an earlier attempt's is finished, not made anew."""
    steps.begin("freeze", "Freezing the data")
    if run.snapshot is None:
        with transaction.atomic():
            run.snapshot = snapshots.add_snapshot(
                project=run.project, actor=run.created_by, note=f"For rm_{run.pk}"
            )
            run.save(update_fields=["snapshot"])
    if run.snapshot.state != Snapshot.State.READY:
        run.snapshot = snapshots.build(
            run.snapshot,
            report=lambda done, total: steps.job.report(message=f"Freezing: {done:,} of {total:,} items"),
        )
    return run.snapshot


def _against_promoted(project: Project, material, trained: train.Trained, job: JobContext) -> None:
    """Put the paired comparison with the promoted model beside the other figures."""
    incumbent = registry.promoted(project)
    if incumbent is None:
        return
    try:
        theirs = train.margins(backends.load(registry.directory(incumbent)), material.holdout)
    except artefacts.ArtefactError as error:
        job.log(f"Not compared with {incumbent.public_id}: {error}")
        return
    own = train.margins(backends.load(trained.directory), material.holdout)
    gain = paired_gain(own, theirs, material.holdout, seed=trained.metrics["seed"])
    trained.metrics["against"] = {incumbent.public_id: train.finite(gain)}


def _config(run: TrainingRun, trained: train.Trained) -> dict[str, Any]:
    versions = {"python": platform.python_version(), "numpy": numpy.__version__, "scipy": scipy.__version__}
    return {
        "spec": run.spec,
        "fit": train.finite(trained.info),
        "preflight": train.finite(trained.report),
        "versions": {**versions, "scikit-learn": version("scikit-learn")},
    }


def _result(model) -> dict[str, Any]:
    return {
        "model": model.public_id,
        "n_train": model.metrics.get("n_train"),
        "accuracy": model.metrics.get("accuracy"),
    }
