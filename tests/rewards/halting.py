"""The trainer's process, which halts once, after the step HALT_AT, until it is stopped or killed.

What a test does to a training that is under way then meets it there, however fast it is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from routing.rewards.transformer import worker

MODULE = "tests.rewards.halting"


def main(folder: Path, parent: int) -> int:
    train, tell, told_to_stop = worker._train, worker._tell, []

    def training(folder, request, stop) -> int:
        told_to_stop.append(stop)
        return train(folder, request, stop)

    def telling(event) -> None:
        halts = event.get("step") == int(os.environ["HALT_AT"]) and not (folder / "halted").exists()
        if halts:
            (folder / "halted").touch()  # before the word that has it killed
        tell(event)
        if halts:
            told_to_stop[0].wait()

    worker._train, worker._tell = training, telling
    return worker.main(folder, parent)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
