"""Every loss of the linear reward model on every preference file: accuracy beside length and the human ceiling.

    python -m bench.reward_losses ../shared/data > table.md

Prints the Markdown table of `docs/reward-models.md`, one row per file, source and loss, as each is measured.
Every prompt group is scored by a model that never saw it (`train.crossfit`).
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")

from annotations.items import readers
from routing.rewards import linear, prepare, train

FILES = (
    "1_pairs_human_lm.jsonl.gz",
    "1b_pairs_five_workers.jsonl.gz",
    "2_ratings.jsonl.gz",
    "3_chosen_rejected.jsonl.gz",
)


def words(est: dict | None) -> str:
    if not est or est.get("value") is None:
        return "–"
    return f"{est['value']:.3f} [{est['lo']:.3f}, {est['hi']:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--losses", nargs="+", default=list(linear.LOSSES), choices=list(linear.LOSSES))
    parser.add_argument("--files", nargs="+", default=list(FILES))
    options = parser.parse_args()
    print("| file | source | loss | pairs | accuracy | longer wins | human ceiling | NLL | ECE | s |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for name in options.files:
        rows = [
            readers.to_native(row)
            for row in readers.read(options.data / name)
            if isinstance(row, readers.Record)
        ]
        for loss in options.losses:
            began = time.process_time()
            spec = prepare.Spec(loss=loss, judgments=prepare.HUMAN_ONLY)
            material = prepare.prepare(rows, spec, crossfit=True)
            try:
                found = train.evaluate(train.crossfit(material, spec), material.fit, seed=0)
            except ValueError as error:
                print(f"| {name} | | {loss} | – | {error} | | | | | |", flush=True)
                continue
            spent = time.process_time() - began
            parts = found["by_dataset"] or {"": found}
            for source, part in sorted(parts.items()):
                est = part["accuracy"]
                whole = not found["by_dataset"]
                nll = f"{found['nll']['value']:.3f}" if whole else ""
                ece = f"{found['ece10']['value']:.3f}" if whole else ""
                print(
                    f"| {name} | {source or rows[0].get('source', '')} | {loss} | {est['n']} | {words(est)} | "
                    f"{words(part['length_baseline'])} | {words(part['human_ceiling'])} | {nll} | {ece} | {spent:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
