"""Checkpoints of a training: weights, optimiser, random state and position, whole or not there. No pickle."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from routing.rewards.transformer import parallel

STATE = "state.json"
TENSORS = "tensors.safetensors"
_PREFIX = "step-"


def write(folder: Path, step: int, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> Path:
    """Write `step-N` beside its place, sync, rename; then remove older ones."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{_PREFIX}{step:08d}"
    temporary = folder / f".{target.name}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary / TENSORS
    )
    (temporary / STATE).write_text(json.dumps(state, sort_keys=True), encoding="utf-8")
    for name in (TENSORS, STATE):
        _sync(temporary / name)
    _sync(temporary)
    if target.exists():  # written by an attempt before this one
        shutil.rmtree(target)
    os.replace(temporary, target)
    _sync(folder)
    for old in folder.iterdir():
        if old != target and old.name.startswith((_PREFIX, f".{_PREFIX}")):
            shutil.rmtree(old, ignore_errors=True)
    return target


def latest(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Return (tensors, state) of the last whole checkpoint, or None."""
    if not folder.is_dir():
        return None
    for place in sorted((p for p in folder.iterdir() if p.name.startswith(_PREFIX)), reverse=True):
        try:
            return load_file(place / TENSORS), json.loads((place / STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError, SafetensorError):
            continue
    return None


def optimiser_state(
    optimiser: torch.optim.Optimizer, trained: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """AdamW's state as whole named tensors: optim.<parameter>.<name>."""
    return {
        f"optim.{parameter}.{name}": parallel.whole(torch.as_tensor(value)).cpu()
        for parameter, tensor in trained.items()
        for name, value in optimiser.state.get(tensor, {}).items()
    }


def restore_optimiser(
    optimiser: torch.optim.Optimizer, trained: Mapping[str, torch.Tensor], tensors: dict[str, torch.Tensor]
) -> None:
    """Put back what `optimiser_state` gave; learning rates are set anew by the loop."""
    document = optimiser.state_dict()
    order = [id(p) for group in optimiser.param_groups for p in group["params"]]
    number = {name: order.index(id(p)) for name, p in trained.items()}
    states: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optim."):
            parameter, _, name = key.removeprefix("optim.").rpartition(".")
            found = tensor if name == "step" else parallel.like(tensor, trained[parameter])
            states.setdefault(number[parameter], {})[name] = found
    document["state"] = states
    optimiser.load_state_dict(document)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
