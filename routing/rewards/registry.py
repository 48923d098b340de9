"""The registry of reward models: register, promote through gates, archive, roll back.

At most one model of a project is promoted (a constraint of the database says so too); whoever changes that
holds the project's lock. Files and comparisons are read before the lock is taken.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from annotations.projects.models import Annotator, Project
from app.accounts import audit

from . import artefacts, backends, train
from .evaluate import paired_gain
from .locks import lock_registry, lock_run
from .models import RewardModel, TrainingRun

FOLDER = "models"
MIN_PROMOTE = 100
ECE_LIMIT = 0.15
_TRIES = 3


class Refused(Exception):
    """The registry does not do this; its text says why. Nothing was changed."""


class GatesFailed(Refused):
    """A promotion failed at least one gate."""

    def __init__(self, gates: list[Gate]) -> None:
        self.gates = gates
        super().__init__("Not promoted: " + " ".join(gate.words for gate in gates))


@dataclass(frozen=True)
class Gate:
    """One condition of a promotion; `words` say what was found."""

    name: str
    passed: bool
    words: str


def directory(model: RewardModel) -> Path:
    """Where the model's files are."""
    return Path(settings.MEDIA_ROOT) / model.path


def remove_files(project: Project) -> None:
    """Remove the files of every model of the project from the disk."""
    for model in RewardModel.objects.filter(project=project).exclude(path=""):
        shutil.rmtree(directory(model), ignore_errors=True)


def register(*, run_id: int, trained: train.Trained, config: dict[str, Any]) -> RewardModel:
    """Move the trained files into their place and register them as the run's one model, `rm_<run>`.

    A second call for the same run returns the model that the first one registered.
    """
    name = f"rm_{run_id}"
    path = f"{FOLDER}/{name}"
    train.move_into_place(trained.directory, Path(settings.MEDIA_ROOT) / path)
    with transaction.atomic():
        run = TrainingRun.objects.select_related("snapshot").get(pk=run_id)
        lock_registry(run.project_id)
        if (registered := lock_run(run_id).reward_model_id) is not None:
            return RewardModel.objects.get(pk=registered)
        last = RewardModel.objects.filter(project=run.project_id).aggregate(last=Max("number"))["last"] or 0
        model = RewardModel.objects.create(
            public_id=name,
            project_id=run.project_id,
            number=last + 1,
            backend=run.backend,
            loss=run.loss,
            config=config,
            snapshot=run.snapshot,
            data_sha256=run.snapshot.sha256,
            path=path,
            files_sha256={file: facts["sha256"] for file, facts in sorted(trained.files.items())},
            metrics=trained.metrics,
            parent=promoted(run.project),
        )
        TrainingRun.objects.filter(pk=run_id).update(reward_model=model)
        audit.record(
            actor=run.created_by,
            action="reward_model.trained",
            scope=run.project.slug,
            target=name,
            run=run_id,
        )
    return model


def promoted(project: Project) -> RewardModel | None:
    """The project's promoted model, if it has one."""
    return RewardModel.objects.filter(project=project, status=RewardModel.Status.PROMOTED).first()


def damage(model: RewardModel) -> str:
    """What is wrong with the model's files, in words; empty when they are as they were registered."""
    for name, sha256 in model.files_sha256.items():
        try:
            with open(directory(model) / name, "rb") as handle:
                found = hashlib.file_digest(handle, "sha256").hexdigest()
        except OSError:
            return f"The file {name} is missing."
        if found != sha256:
            return f"The file {name} is not what was registered."
    return ""


def compare(model: RewardModel, other: RewardModel) -> dict[str, Any]:
    """Return the estimate of `model`'s accuracy minus `other`'s on the model's own hold-out, stored once made.

    Raises `artefacts.ArtefactError` when files of either cannot be read.
    """
    known = (model.metrics.get("against") or {}).get(other.public_id)
    if known is not None:
        return known
    holdout, logits = train.read_holdout(directory(model))
    theirs = train.margins(backends.load(directory(other)), holdout)
    gain = train.finite(paired_gain(logits, theirs, holdout, seed=model.metrics.get("seed", 0)))
    model.metrics = {
        **model.metrics,
        "against": {**(model.metrics.get("against") or {}), other.public_id: gain},
    }
    model.save(update_fields=["metrics"])
    return gain


def gates(model: RewardModel, incumbent: RewardModel | None) -> list[Gate]:
    """The conditions of promoting `model` in place of `incumbent`, each with what was found."""
    metrics = model.metrics
    broken = damage(model)
    n_train = metrics.get("n_train") or 0
    accuracy, ece = metrics.get("accuracy") or {}, metrics.get("ece10") or {}
    numbers = [(metrics.get(name) or {}).get("value") for name in ("accuracy", "nll", "brier", "ece10")]
    whole = all(isinstance(number, float) and math.isfinite(number) for number in numbers)
    found = [
        Gate("files", not broken, broken or "The files are as they were registered."),
        Gate(
            "pairs",
            n_train >= MIN_PROMOTE,
            f"It learnt from {n_train:,} decided pairs; {MIN_PROMOTE} are needed.",
        ),
        Gate(
            "estimate",
            whole,
            f"It was measured on {accuracy.get('n', 0):,} held-out pairs."
            if whole
            else f"It has no estimate on the hold-out: {accuracy.get('reason') or 'a figure is not a number'}.",
        ),
    ]
    if whole:
        calibrated = ece["value"] <= ECE_LIMIT
        words = f"Its calibration error is {ece['value']:.3f}; the limit is {ECE_LIMIT:g}."
        found.append(Gate("calibration", calibrated, words))
    if incumbent is not None and incumbent.pk != model.pk and not broken:
        found.append(_not_worse(model, incumbent))
    return found


def _not_worse(model: RewardModel, incumbent: RewardModel) -> Gate:
    try:
        gain = compare(model, incumbent)
    except artefacts.ArtefactError:
        needed = {
            backends.needed(each.backend, each.config.get("spec", {}).get("options") or {})
            for each in (model, incumbent)
        }
        if not needed <= set(backends.available()):
            words = (
                f"It was not compared with {incumbent.public_id}, and this server cannot run transformers to do so. "
                "Train it again: the worker compares."
            )
            return Gate("incumbent", False, words)
        words = f"{incumbent.public_id}, promoted now, cannot be read, so nothing can be compared with it."
        return Gate("incumbent", True, words)
    if gain["value"] is None:
        words = f"It cannot be compared with {incumbent.public_id}: {gain.get('reason', 'no estimate')}."
        return Gate("incumbent", False, words)
    points = [f"{100 * gain[key]:+.1f}".replace("-", "−") for key in ("value", "lo", "hi")]
    words = (
        f"Against {incumbent.public_id} on the same {gain['n']:,} held-out pairs: "
        f"{points[0]} points [{points[1]}, {points[2]}]."
    )
    return Gate("incumbent", gain["hi"] >= 0, words)


def promote(*, model: RewardModel, actor, may_override: bool = False, reason: str = "") -> RewardModel:
    """Make `model` the project's promoted one; the model before it is archived.

    Raises `GatesFailed` unless `may_override` and a `reason` are given, which the audit log keeps; damaged
    files cannot be overridden. Takes the project's lock.
    """
    reason = reason.strip()
    for _ in range(_TRIES):
        model = RewardModel.objects.select_related("project", "annotator").get(pk=model.pk)
        incumbent = promoted(model.project)
        if incumbent is not None and incumbent.pk == model.pk:
            return model
        failed = [gate for gate in gates(model, incumbent) if not gate.passed]
        if any(gate.name == "files" for gate in failed) or (failed and not (may_override and reason)):
            raise GatesFailed(failed)
        with transaction.atomic():
            lock_registry(model.project_id)
            now = promoted(model.project)
            if (now and now.pk) == (incumbent and incumbent.pk):
                _install(model, incumbent)
                model.replaced = incumbent
                model.save(update_fields=["replaced"])
                audit.record(
                    actor=actor,
                    action="reward_model.promoted",
                    scope=model.project.slug,
                    target=model.public_id,
                    replaced=incumbent.public_id if incumbent else None,
                    **({"override": reason, "failed": [gate.name for gate in failed]} if failed else {}),
                )
                return model
    raise Refused("Others are promoting models of this project at this moment. Try again.")


def roll_back(*, project: Project, actor) -> RewardModel:
    """Promote again what the promoted model replaced, and archive the promoted one.

    Raises `Refused` when there is nothing to go back to or its files are damaged. Takes the project's lock.
    """
    with transaction.atomic():
        lock_registry(project.pk)
        current = promoted(project)
        if current is None or current.replaced is None:
            raise Refused("There is no earlier promoted model to go back to.")
        target = current.replaced
        if broken := damage(target):
            raise Refused(f"{target.public_id} cannot be promoted again. {broken}")
        _install(target, current)
        audit.record(
            actor=actor,
            action="reward_model.rolled_back",
            scope=project.slug,
            target=target.public_id,
            replaced=current.public_id,
        )
    return target


def archive(*, model: RewardModel, actor) -> RewardModel:
    """Put a model away; its files stay. Raises `Refused` for the promoted one. Takes the project's lock."""
    with transaction.atomic():
        lock_registry(model.project_id)
        model = RewardModel.objects.select_related("project").get(pk=model.pk)
        if model.status == RewardModel.Status.PROMOTED:
            raise Refused(f"{model.public_id} is promoted. Promote another model or roll back first.")
        if model.status != RewardModel.Status.ARCHIVED:
            model.status = RewardModel.Status.ARCHIVED
            model.save(update_fields=["status"])
            audit.record(
                actor=actor, action="reward_model.archived", scope=model.project.slug, target=model.public_id
            )
    return model


def _install(model: RewardModel, before: RewardModel | None) -> None:
    """Swap the promoted model and its Annotator. Needs the project's lock."""
    if before is not None:
        RewardModel.objects.filter(pk=before.pk).update(status=RewardModel.Status.ARCHIVED)
        Annotator.objects.filter(pk=before.annotator_id).update(status=Annotator.Status.PAUSED)
    annotator, _ = Annotator.objects.get_or_create(
        project_id=model.project_id,
        kind=Annotator.Kind.REWARD_MODEL,
        name=f"{model.public_id} · {model.backend}",
    )
    Annotator.objects.filter(pk=annotator.pk).update(status=Annotator.Status.ACTIVE)
    model.annotator = annotator
    model.status = RewardModel.Status.PROMOTED
    model.promoted_at = timezone.now()
    model.save(update_fields=["annotator", "status", "promoted_at"])
