"""The trainer's own process: python -m routing.rewards.transformer.worker FOLDER

FOLDER holds `material.json.gz` and `request.json`; checkpoints go to FOLDER/checkpoints and the finished model
to FOLDER/model (whole, by a rename). Events are JSON lines on stdout. SIGTERM: checkpoint and end with code 3.
It ends by itself when the process that started it is gone, and holds a lock on its device, so that there are
never two trainers on one. Exit codes: 0 done, 2 refused (the last event says why), 3 stopped.
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
ORPHAN_SECONDS = 0.5


def main(folder: Path, parent: int) -> int:
    _end_with(parent)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    lock = os.open(request["lock"], os.O_CREAT | os.O_RDWR, 0o600)
    _tell({"note": "Loading"})
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            _tell({"note": "Another trainer holds the device; waiting."})
            if stop.wait(1.0):
                return STOPPED
    return _train(folder, request, stop)


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
    place = trainer.position
    info = {
        "loss": spec.loss, "seed": spec.seed, "base": options.base, "revision": options.revision,
        "options": asdict(options), "steps": place["step"], "tokens": place["tokens"],
        "parameters": trainer.n_parameters, "left_out": trainer.left_out, "device": trainer.device,
        "extrapolation": place.get("extrapolation", 1.0), "token_budget": trainer.budget,
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


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: nobody would hear of what it does."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(ORPHAN_SECONDS)
        os._exit(STOPPED)

    threading.Thread(target=watch, daemon=True, name="orphan").start()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
