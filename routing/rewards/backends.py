"""The backends behind one interface: fit, score, save, load.

A model has `score(prompts, responses, sources) -> float64 (n,)`, `save(directory) -> {file: {sha256, bytes}}`
and `info`. `transformer` needs torch, which only workers that train such models install.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from routing.features import encoders
from routing.rewards import artefacts, linear, losses, sourced
from routing.rewards.prepare import Material, Spec

NAMES = ("linear", "transformer")


class Model(Protocol):
    """A scorer that can be kept."""

    info: dict[str, Any]

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], sources: Sequence[str] | None = None
    ) -> np.ndarray: ...

    def save(self, directory: str | Path) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Work:
    """Where and how a backend with a process of its own works; the linear one needs none of it.

    Attributes:
        folder: keeps the checkpoints; a training of the same request in it goes on where it ended.
        locks: files whose locks stand for the devices on this machine.
        beat: called about every second; what it raises ends the process.
        device: "cpu" or "cuda:N"; None lets torch choose. threads: of torch on a CPU.
    """

    folder: Path
    locks: tuple[Path, ...] = ()
    beat: Callable[[], None] = lambda: None
    device: str | None = None
    threads: int | None = None


def available() -> tuple[str, ...]:
    """The backends this installation can train with."""
    return NAMES if find_spec("torch") and find_spec("transformers") else NAMES[:1]


def needed(backend: str, options: dict[str, Any]) -> str:
    """What a machine must have to run such a model: a linear one on sentence embeddings needs torch, too."""
    return "transformer" if options.get("embeddings") else backend


def fit(
    material: Material,
    spec: Spec,
    *,
    progress: Callable[[dict[str, Any]], None] | None = None,
    should_cancel: Callable[[], bool] | None = None,
    work: Work | None = None,
) -> Model:
    """Train the model that `spec` asks for; raise ValueError for what cannot be trained here."""
    if spec.backend not in available():
        have = ", ".join(available())
        raise ValueError(f"backend {spec.backend!r} is not installed here; this installation has {have}")
    if spec.backend == "transformer":
        return _transformer(material, spec, progress, should_cancel, work)
    embeddings = spec.options.get("embeddings")
    ratings = material.ratings if spec.use_ratings or spec.loss in ("mse", "joint", "bco") else None
    return sourced.fit(
        material.fit, ratings, material.lists,
        seed=spec.seed, loss=spec.loss, strength_map=losses.STRENGTH_MAPS[spec.strength_map],
        extrapolate=spec.extrapolate, embedder=encoders.sentences(embeddings) if embeddings else None,
        progress=progress, should_cancel=should_cancel,
    )  # fmt: skip


def _transformer(
    material: Material,
    spec: Spec,
    progress: Callable[[dict[str, Any]], None] | None,
    should_cancel: Callable[[], bool] | None,
    work: Work | None,
) -> Model:
    from routing.rewards.transformer import launch

    def tell(event: dict[str, Any]) -> None:
        if progress is not None:
            progress(_as_progress(event))

    with tempfile.TemporaryDirectory(prefix="reward-") as scratch:
        work = work or Work(Path(scratch))
        try:
            folder = launch.train(
                material, spec, work.folder, tell=tell, beat=work.beat, should_cancel=should_cancel or (lambda: False),
                locks=work.locks, device=work.device, threads=work.threads,
            )  # fmt: skip
        except launch.TrainerDied as error:
            raise ValueError(str(error)) from error
        return load(folder)


def _as_progress(event: dict[str, Any]) -> dict[str, Any]:
    """A trainer's event with the keys that every backend's events have."""
    base = {"stage": event.get("stage", "note"), "fold": None, "step": None, "loss": None, "fraction": None}
    if "note" in event:
        return {**base, "message": event["note"]}
    if found := event.get("validation"):
        words = f"Validation at step {found['step']:,}: loss {found['nll']:.4f}"
        return {**base, "stage": "validation", "step": found["step"], "loss": found["nll"], "message": words}
    words = f"{event['stage'].capitalize()}, step {event['step']:,} of {event['total']:,}: loss {event['loss']:.4f}"
    return {**base, **event, "fraction": min(1.0, event["step"] / max(event["total"], 1)), "message": words}


def load(directory: str | Path) -> Model:
    """Read a saved model of any backend; raise `artefacts.ArtefactError`."""
    try:
        header = json.loads((Path(directory) / artefacts.HEADER).read_bytes())
        kind = header.get("format")
    except (OSError, ValueError, AttributeError) as error:
        raise artefacts.ArtefactError(f"{directory} holds no readable model: {error}") from error
    if kind == sourced.FORMAT:
        return sourced.load(directory)
    if kind == "plumbline-transformer":
        if "transformer" not in available():
            raise artefacts.ArtefactError(f"{directory} needs torch, which is not installed here")
        from routing.rewards.transformer import model

        return model.load(directory)
    return linear.load(directory)
