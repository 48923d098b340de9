"""Starts the trainer's process, hears its events, stops it, and starts it again where it was killed. No torch.

The process has a process group of its own, so that it can be ended whole, and so that a signal to the worker's
group does not reach it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from routing.rewards.penalised import TrainingCancelled
from routing.rewards.prepare import Material, Spec
from routing.rewards.transformer import material as material_file
from routing.rewards.transformer.options import Options

WORKER = "routing.rewards.transformer.worker"
ENDINGS = {"done", "error", "refused", "stopped"}
ERRORS = "stderr.log"
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
    locks: Sequence[Path] = (),
    device: str | None = None,
    threads: int | None = None,
) -> Path:
    """Train in `folder` (which keeps the checkpoints) and return the finished model's folder.

    `beat` is called about every second and may raise; the process is then killed before the error goes on.
    Raises ValueError where the trainer refused, TrainingCancelled, TrainerDied.
    """
    processes = Options.read(spec.options).processes
    folder.mkdir(parents=True, exist_ok=True)
    finished = folder / "model"
    if (finished / "model.json").is_file() and _same_request(folder, spec):
        return finished
    material_file.write(folder / "material.json.gz", material)
    request = {
        "spec": spec.as_dict(), "locks": [str(lock) for lock in locks or [folder / ".device.lock"]],
        "device": device, "threads": threads,
    }  # fmt: skip
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    shutil.rmtree(finished, ignore_errors=True)
    for attempt in range(1, DEATHS + 1):
        code, last, tail, asked = _once(folder, processes, tell, beat, should_cancel)
        if "refused" in last:
            raise ValueError(last["refused"])
        if code == 0 or "done" in last:  # their launcher may be stopped just after the processes are done
            return finished
        if asked or "stopped" in last:  # a process that is still loading says nothing when it is stopped
            raise TrainingCancelled
        how = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
        if code > 0 and not (processes > 1 and (signalled := _signal(folder))):
            raise TrainerDied(f"The trainer {how}: {last.get('error') or tail or 'it said nothing'}")
        if code > 0:
            how = f"killed by signal {signalled} in one of its {processes} processes"
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
    processes: int,
    tell: Callable[[dict[str, Any]], None],
    beat: Callable[[], None],
    should_cancel: Callable[[], bool],
) -> tuple[int, dict[str, Any], str, bool]:
    """Run the trainer to its end; returns (exit code, the event that ended it, last words on stderr, whether it was asked to stop)."""
    errors = folder / ERRORS
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
                   "TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}  # fmt: skip
    with errors.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", *_launcher(processes), WORKER, str(folder), str(os.getpid())],
            stdout=subprocess.PIPE, stderr=stderr, cwd=ROOT, env=environment, start_new_session=True,
        )  # fmt: skip
    ended: dict[str, Any] = {}
    asked, last = 0.0, 0.0
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
            if not isinstance(event, dict):
                continue
            if ENDINGS & event.keys():
                ended = event
            else:
                tell(event)
        process.wait()
    finally:
        _kill(process)
    return process.returncode, ended, _tail(errors), bool(asked)


def _launcher(processes: int) -> list[str]:
    """What starts the worker: nothing for one process, else `accelerate launch`, on a port that is free."""
    if processes == 1:
        return []
    return ["accelerate.commands.accelerate_cli", "launch", "--multi_gpu", "--num_processes", str(processes),
            "--num_machines", "1", "--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no",
            "--module"]  # fmt: skip


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


def _signal(folder: Path) -> int:
    """The signal that killed one of several processes, as their launcher tells it; 0 where none did."""
    said = (folder / ERRORS).read_text("utf-8", "replace")
    found = [int(n) for n in re.findall(r"traceback : Signal (\d+) \(", said) if int(n) != signal.SIGTERM]
    return found[0] if found else 0


def _tail(path: Path) -> str:
    try:
        lines = [line for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return lines[-1][:500] if lines else ""
