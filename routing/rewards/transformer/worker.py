"""The trainer's own process: python -m routing.rewards.transformer.worker FOLDER

FOLDER holds `material.json.gz` and `request.json`; checkpoints go to FOLDER/checkpoints and the finished model
to FOLDER/model (whole, by a rename). Events are JSON lines on stdout; the last one says how it ended. SIGTERM:
checkpoint and end. It ends by itself when the process that started it is gone, and holds a lock on its devices, so
that there are never two trainers on one. Exit codes: 0 done, 2 refused, 3 stopped.

With several processes `accelerate launch` starts this in each of them, and the first alone locks, speaks and writes.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

DONE, REFUSED, STOPPED = 0, 2, 3
LEADS = os.environ.get("RANK", "0") == "0"
ORPHAN_SECONDS = 0.5


def main(folder: Path, parent: int) -> int:
    _end_with(parent)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    if LEADS:
        _tell({"note": "Loading"})
    try:
        code = STOPPED if LEADS and not _locked(request["locks"], stop) else _train(folder, request, stop)
    except Exception as error:
        _tell({"error": f"{type(error).__name__}: {error}"[:500]})
        raise
    if code == STOPPED and LEADS:
        _tell({"stopped": True})
    return code


def _locked(paths: list[str], stop: threading.Event) -> bool:
    """Wait for the locks of all devices, in the order given; false where the training is stopped before."""
    for path in paths:
        lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _tell({"note": "Another trainer holds the device; waiting."})
                if stop.wait(1.0):
                    return False
    return True


def _train(folder: Path, request: dict[str, Any], stop: threading.Event) -> int:
    import torch

    from routing.rewards.prepare import Spec
    from routing.rewards.transformer import material, model, network, training
    from routing.rewards.transformer.options import Options

    if request.get("threads"):
        torch.set_num_threads(int(request["threads"]))
    spec = Spec(**request["spec"])
    options = Options.read(spec.options)
    began = time.monotonic()
    try:
        trainer = training.Trainer(
            material.read(folder / "material.json.gz"), spec, options, folder / "checkpoints",
            tell=_tell, should_stop=stop.is_set, device=request.get("device"),
        )  # fmt: skip
        trainer.run()
    except training.Stopped:
        return STOPPED
    except (training.CannotTrain, network.BaseRefused) as error:
        _tell({"refused": str(error)})
        return REFUSED
    if not trainer.group.leads:
        return DONE
    place = trainer.position
    info = {
        "loss": spec.loss, "seed": spec.seed, "base": options.base, "revision": options.revision,
        "options": asdict(options), "steps": place["step"], "tokens": place["tokens"],
        "parameters": trainer.n_parameters, "left_out": trainer.left_out, "device": trainer.group.device,
        "extrapolation": place.get("extrapolation", 1.0), "token_budget": trainer.passes.budget,
        "seconds": round(time.monotonic() - began, 1), "torch": torch.__version__,
    }  # fmt: skip
    found = model.TransformerModel(
        trainer.network,
        trainer.tokenizer,
        trainer.template,
        options.max_length,
        trainer.temperature(),
        0.0,
        info,
    )
    temporary = folder / ".model.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    found.save(temporary)
    shutil.rmtree(folder / "model", ignore_errors=True)
    os.replace(temporary, folder / "model")
    _tell({"done": True, "step": place["step"]})
    return DONE


def _tell(event: dict[str, Any]) -> None:
    try:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(STOPPED)


def _end_with(starter: int) -> None:
    """End this process when its parent or the starter is gone: nobody would hear of what it does."""
    parent = os.getppid()
    if parent != starter:  # `accelerate launch` stands between
        import psutil

        try:
            known = psutil.Process(starter)
        except psutil.NoSuchProcess:
            os._exit(STOPPED)

    def watch() -> None:
        while os.getppid() == parent and (parent == starter or known.is_running()):
            time.sleep(ORPHAN_SECONDS)
        os._exit(STOPPED)

    threading.Thread(target=watch, daemon=True, name="orphan").start()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
