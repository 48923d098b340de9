"""Speed of the router's parts on one core: text statistics, hashed encoders, allocation, candidate mixes, prediction.

    .venv/bin/python -m bench.routing [--items 1000000] [--runs 3] [--data FILE]

CPU seconds of this process (user + system), the median of the runs; peak resident memory after each part.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from annotations.analysis.majority import NONE
from annotations.items import readers
from bench.measure import peak_mb
from routing.features import pairs
from routing.features.encoders import HashingEncoder
from routing.features.signals import signals
from routing.plans import policies
from routing.plans.allocation import allocate
from routing.predict import mixes

DATA = Path(__file__).parents[2] / "shared" / "data" / "1_pairs_human_lm.jsonl.gz"


def cpu(work: Callable[[], object], runs: int) -> float:
    """Median CPU seconds of `work`."""
    found = []
    for _ in range(runs):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return statistics.median(found)


def texts(path: Path, n: int) -> tuple[list[str], list[str], list[str]]:
    """Prompts, first and second responses of the file's pairs, repeated to n."""
    rows = [readers.to_native(row) for row in readers.read(path) if not isinstance(row, readers.Problem)]
    rows = [row for row in rows if len(row["responses"]) == 2]
    rows = (rows * (n // len(rows) + 1))[:n]
    sides = [[row["responses"][side]["text"] for row in rows] for side in (0, 1)]
    return [str(row["prompt"]) for row in rows], *sides


def made_pool(n: int, audited: int) -> policies.Pool:
    """A pool of n items with two models, 22 columns of statistics, and labels of people on `audited` items."""
    rng = np.random.default_rng(0)
    verdicts = rng.choice([-1, 0, 1, NONE], (n, 2), p=[0.45, 0.05, 0.48, 0.02]).astype(np.int8)
    probability = np.where(verdicts == NONE, np.nan, (verdicts + 1) / 2)
    text = rng.normal(size=(n, 15)).astype(np.float32)
    error = np.full(n, np.nan)
    error[:audited] = rng.random(audited) < 1 / (1 + np.exp(1.2 - text[:audited, 0]))
    return policies.Pool(
        signals=signals(verdicts, probability, np.full((n, 2), -1, dtype=np.int8), 0),
        group=np.arange(n) // 2,
        text=text,
        text_names=pairs.NAMES,
        toward=rng.normal(size=(n, 7)).astype(np.float32),
        toward_names=pairs.SIGNED,
        error=error,
    )


def row(part: str, size: str, seconds: float, count: int) -> None:
    """Print one line of the table."""
    peak = peak_mb([os.getpid()])
    print(f"| {part} | {size} | {seconds:.3f} | {count / seconds:,.0f} | {peak:,.0f} |", flush=True)


def measure_texts(path: Path, n: int, runs: int) -> None:
    """Statistics and hashed n-grams of n real pairs."""
    prompts, first, second = texts(path, n)
    seconds = cpu(lambda: pairs.pair_statistics(prompts, first, second), runs)
    row("text statistics", f"{n:,} pairs with prompts", seconds, n)
    encoder = HashingEncoder()
    seconds = cpu(lambda: (encoder.encode(first), encoder.encode(second)), runs)
    row("hashed encoder", f"{n:,} pairs", seconds, n)


def measure_mixes(runs: int) -> None:
    """Candidates drawn and counted at n = 10,000 with ninety tags."""
    rng = np.random.default_rng(1)
    sets = mixes.TagSets(rng.random((10_000, 90)) < rng.uniform(0.01, 0.5, 90))
    for budget in (500, 5000):
        seconds = cpu(lambda size=budget: mixes.draw(sets, 2000, seed=0, budget=size), runs)
        row("candidate mixes", f"2,000 of {budget:,} items, n = 10,000", seconds, 2000)


def measure_allocation(n: int, runs: int) -> None:
    """One queue whose costs differ, and three queues with room for few."""
    rng = np.random.default_rng(2)
    gain, cost = rng.random(n), rng.integers(1, 9, n)
    seconds = cpu(lambda: allocate(gain=gain, cost=cost, budget=n), runs)
    row("allocation, one queue", f"{n:,} items", seconds, n)
    many = rng.random((n, 3)) - 0.2
    more = {"cost": np.array([9, 30, 1]), "capacity": np.array([n // 5, n // 50, -1])}
    people = np.array([True, True, False])
    seconds = cpu(lambda: allocate(gain=many, budget=n, people=people, **more), runs)
    row("allocation: people, experts, a strong model", f"{n:,} items", seconds, n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    print("| part | size | CPU s | per second | peak MB |\n|---|---|---|---|---|")
    with threadpool_limits(1):
        measure_texts(options.data, 20_000, options.runs)
        measure_mixes(options.runs)
        measure_allocation(options.items, options.runs)
        pool = made_pool(options.items, 5000)
        seconds = cpu(lambda: policies.predict(pool, 0), options.runs)
        row(
            "label error: fit on 5,000 labels, predict all",
            f"{options.items:,} items",
            seconds,
            options.items,
        )


if __name__ == "__main__":
    main()
