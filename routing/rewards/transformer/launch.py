"""Starts the trainer's process, hears its events, stops it, and starts it again where it was killed. No torch.

The process has a process group of its own, so that it can be ended whole, and so that a signal to the worker's
group does not reach it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from routing.rewards.penalised import TrainingCancelled
from routing.rewards.prepare import Material, Spec
from routing.rewards.transformer import material as material_file
from routing.rewards.transformer.options import Options

DEATHS = 3
GRACE_SECONDS = 60.0
BEAT_SECONDS = 1.0
ROOT = Path(__file__).resolve().parents[3]


class TrainerDied(RuntimeError):
    """The trainer's process was killed too often; the text says by what."""


def train(
    material: Material,
    spec: Spec,
    folder: Path,
    *,
    tell: Callable[[dict[str, Any]], None],
    beat: Callable[[], None] = lambda: None,
    should_cancel: Callable[[], bool] = lambda: False,
    lock: Path | None = None,
    device: str | None = None,
    threads: int | None = None,
) -> Path:
    """Train in `folder` (which keeps the checkpoints) and return the finished model's folder.

    `beat` is called about every second and may raise; the process is then killed before the error goes on.
    Raises ValueError where the trainer refused, TrainingCancelled, TrainerDied.
    """
    Options.read(spec.options)
    folder.mkdir(parents=True, exist_ok=True)
    finished = folder / "model"
    if (finished / "model.json").is_file() and _same_request(folder, spec):
        return finished
    material_file.write(folder / "material.json.gz", material)
    request = {
        "spec": spec.as_dict(), "lock": str(lock or folder / ".device.lock"), "device": device, "threads": threads,
    }  # fmt: skip
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    shutil.rmtree(finished, ignore_errors=True)
    for attempt in range(1, DEATHS + 1):
        code, refused, tail = _once(folder, tell, beat, should_cancel)
        if code == 0:
            return finished
        if refused:
            raise ValueError(refused)
        if code == 3:
            raise TrainingCancelled
        how = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
        if code > 0:
            raise TrainerDied(f"The trainer {how}: {tail or 'it said nothing'}")
        if attempt < DEATHS:
            tell({"note": f"The trainer was {how}; going on from its last checkpoint."})
    raise TrainerDied(
        f"The trainer was {how}, {DEATHS} times. Out of memory of the machine is the usual cause."
    )


def _same_request(folder: Path, spec: Spec) -> bool:
    try:
        return json.loads((folder / "request.json").read_text(encoding="utf-8"))["spec"] == json.loads(
            json.dumps(spec.as_dict())
        )
    except (OSError, ValueError, KeyError):
        return False


def _once(
    folder: Path,
    tell: Callable[[dict[str, Any]], None],
    beat: Callable[[], None],
    should_cancel: Callable[[], bool],
) -> tuple[int, str, str]:
    """Run the process to its end; returns (exit code, refusal, last words on stderr)."""
    errors = folder / "stderr.log"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
                   "TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}  # fmt: skip
    with errors.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "routing.rewards.transformer.worker", str(folder), str(os.getpid())],
            stdout=subprocess.PIPE, stderr=stderr, cwd=ROOT, env=environment, start_new_session=True,
        )  # fmt: skip
    refused, asked, last = "", 0.0, 0.0
    try:
        for line in _lines(process):
            now = time.monotonic()
            if now - last >= BEAT_SECONDS:
                last = now
                beat()
                if not asked and should_cancel():
                    asked = now
                    process.send_signal(signal.SIGTERM)
                if asked and now - asked > GRACE_SECONDS:
                    _kill(process)
            if not line:
                continue
            try:
                event = json.loads(line)
            except ValueError:
                continue  # a library printed something
            refused = event.get("refused", refused)
            if "refused" not in event and "done" not in event:
                tell(event)
        process.wait()
    finally:
        _kill(process)
    return process.returncode, refused, _tail(errors)


def _lines(process: subprocess.Popen) -> Iterator[str]:
    """Yield the process's lines, and an empty one each time it was silent for a moment."""
    found: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in process.stdout:  # type: ignore[union-attr]
            found.put(line.decode("utf-8", "replace"))
        found.put(None)

    threading.Thread(target=read, daemon=True, name="trainer-events").start()
    while True:
        try:
            line = found.get(timeout=BEAT_SECONDS / 2)
        except queue.Empty:
            yield ""
            continue
        if line is None:
            return
        yield line


def _kill(process: subprocess.Popen) -> None:
    """End the process and whatever it started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _tail(path: Path) -> str:
    try:
        lines = [line for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return lines[-1][:500] if lines else ""
