"""Analysis: rankings, agreement and truth inference against the libraries of the field, from stored codes.

    python -m bench.analysis
    python -m bench.analysis --oracles /path/to/python     # an environment with krippendorff and crowd-kit

CPU seconds of one process on simulated votes: 50 models (θ ~ N(0, .8), Davidson ties .5), 5 classes by 200 raters. Every
ratio is of one run on the same data, with equal estimates. evalica hashes texts, which is most of its time: we store codes.
krippendorff is GPL and crowd-kit pulls in transformers, so both stay in an environment of their own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import evalica
import numpy as np

from annotations.analysis import (
    bradley_terry,
    coefficients,
    dawid_skene,
    glad,
    mace,
    patterns,
    ranks,
    reliability,
    resampled,
)
from annotations.analysis.patterns import Labels
from bench.measure import machine, table
from tests.analysis.resampling import independent

PLAYERS, CLASSES, RATERS, PER_UNIT = 50, 5, 200, 3
ORACLE = """
import json, sys, time
import numpy as np, pandas as pd
data = np.load(sys.argv[1])
unit, rater, value = data["unit"], data["rater"], data["value"]
found = {}
import krippendorff
counts = np.zeros((unit.max() + 1, value.max() + 1), dtype=int)
np.add.at(counts, (unit, value), 1)
start = time.process_time()
for metric in ("nominal", "ordinal", "interval"):
    found[metric] = float(krippendorff.alpha(value_counts=counts, level_of_measurement=metric,
                                             value_domain=list(range(counts.shape[1]))))
found["alpha"] = time.process_time() - start
from crowdkit.aggregation.classification.dawid_skene import DawidSkene
frame = pd.DataFrame({"task": unit, "worker": rater, "label": value})
model = DawidSkene(n_iter=int(sys.argv[2]), tol=0)
start = time.process_time()
labels = model.fit_predict(frame)
found["dawid_skene"] = time.process_time() - start
np.save(sys.argv[3], model.probas_.sort_index().sort_index(axis=1).to_numpy())
print(json.dumps(found))
"""


def votes(n: int, seed: int = 0):
    """(first, second, verdict) of `n` random games."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(0, 0.8, PLAYERS)
    first = rng.integers(0, PLAYERS, n, dtype=np.int32)
    second = ((first + rng.integers(1, PLAYERS, n, dtype=np.int32)) % PLAYERS).astype(np.int32)
    d = (theta[first] - theta[second]) / 2
    win, loss = np.exp(d), np.exp(-d)
    u = rng.random(n) * (win + loss + 0.5)
    return first, second, np.where(u < win, -1, np.where(u < win + loss, 1, 0)).astype(np.int8)


def labels(n: int, seed: int = 1) -> Labels:
    """About `n` labels by raters who are right seven times of ten."""
    rng = np.random.default_rng(seed)
    units = n // PER_UNIT
    unit = np.repeat(np.arange(units, dtype=np.int32), PER_UNIT)
    truth = rng.integers(0, CLASSES, units)
    rater = rng.integers(0, RATERS, len(unit)).astype(np.int32)
    value = np.where(rng.random(len(unit)) < 0.7, truth[unit], rng.integers(0, CLASSES, len(unit))).astype(
        np.int16
    )
    return Labels(unit, rater, value, np.arange(float(CLASSES)), units, np.arange(units, dtype=np.int32),
                  np.zeros(len(unit), dtype=np.int64))  # fmt: skip


def timed(what: Callable, runs: int = 5):
    """(middle CPU seconds, the last result)."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        result = what()
        times.append(time.process_time() - start)
    return sorted(times)[runs // 2], result


def rank(first, second, verdict):
    fitted = bradley_terry.fit(bradley_terry.count(first, second, verdict, PLAYERS))
    return fitted, independent(fitted)


def alphas(found: Labels) -> dict:
    gathered = patterns.gather(found.unit, found.value, found.n_units, CLASSES)
    return coefficients.within(gathered.times @ coefficients.features(gathered.counts), found.levels)


def ten_million() -> None:
    """In a process of its own: CPU seconds and peak memory of ranking 10M votes, printed as JSON."""
    first, second, verdict = (
        np.concatenate(parts) for parts in zip(*(votes(1_000_000, s) for s in range(10)), strict=True)
    )
    seconds, _ = timed(lambda: rank(first, second, verdict), 3)
    print(json.dumps({"seconds": seconds, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--oracles", help="python of an environment with krippendorff and crowd-kit")
    parser.add_argument("--ten-million", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ten_million:
        ten_million()
        return
    print(f"{machine()}; {options.n:,} votes, {options.n:,} labels, CPU seconds")
    rows: list[list[str]] = []

    def row(what: str, seconds: float, bar: str, met: bool) -> None:
        rows.append([what, f"{seconds:.4f}", bar, "met" if met else "MISSED"])
        print(*rows[-1], sep=" · ", flush=True)

    first, second, verdict = votes(options.n)
    ours, (fitted, spread) = timed(lambda: rank(first, second, verdict))
    names = [f"model-{i}" for i in range(PLAYERS)]
    winner = {-1: evalica.Winner.X, 0: evalica.Winner.Draw, 1: evalica.Winner.Y}
    xs, ys, ws = [names[i] for i in first], [names[i] for i in second], [winner[v] for v in verdict.tolist()]
    theirs, found = timed(lambda: evalica.bradley_terry(xs, ys, ws), 3)
    log = np.log(found.scores.loc[names].to_numpy())
    gap = np.abs(log - log.mean() - fitted.theta).max()
    row(f"Bradley-Terry with intervals (evalica {theirs:.3f}, largest difference {gap:.0e})", ours,
        f"{theirs / ours:.0f} × evalica's point fit; bar ≥ 10", theirs / ours >= 10 and gap < 1e-5)  # fmt: skip
    item = np.arange(options.n) // 3
    who = (np.arange(options.n) % 1000).astype(np.int32)
    seconds, _ = timed(lambda: ranks.clustered(fitted, first, second, verdict, item=item, annotator=who), 3)
    row("the same, clustered by item and person", ours + seconds, "≤ 1 s", ours + seconds <= 1)
    seconds, drawn = timed(
        lambda: resampled.bootstrap(fitted, first, second, verdict, item=np.arange(options.n)), 3
    )
    agree = np.abs(drawn.std(axis=0) / spread.errors - 1).max()
    row(f"1,000 bootstraps (errors within {agree:.0%} of the sandwich)", seconds, "≤ 2 s", seconds <= 2)
    incremental = bradley_terry.Table(PLAYERS)
    np.add.at(incremental.table, (first, second, verdict + 1), 1)
    incremental.fit()

    def refit():
        incremental.add(3, 7, -1)
        return incremental.fit()

    seconds, _ = timed(refit, 41)
    row("refit after one vote", seconds, "≤ 0.005 s", seconds <= 0.005)
    child = subprocess.run(
        [sys.executable, "-m", "bench.analysis", "--ten-million"], capture_output=True, text=True, check=True
    )
    facts = json.loads(child.stdout.splitlines()[-1])
    row(
        f"Bradley-Terry with intervals, 10M votes, peak {facts['mb']:.0f} MB",
        facts["seconds"],
        "≤ 1,024 MB",
        facts["mb"] <= 1024,
    )

    many = labels(options.n)
    alpha, values = timed(lambda: alphas(many))
    spread_of, _ = timed(lambda: reliability.within(many, RATERS), 3)
    truth_seconds, _ = timed(lambda: dawid_skene.fit(many, RATERS, iterations=9, tolerance=0), 3)
    row("all coefficients with two-way intervals", spread_of, "≤ 2 s", spread_of <= 2)
    for name, model, bar in (
        ("MACE, 20 iterations", mace, 18.6 / 4),
        ("GLAD, 20 iterations", glad, 18.6 / 4),
    ):
        seconds, _ = timed(lambda m=model: m.fit(many, RATERS, iterations=20, tolerance=0), 1)
        row(name, seconds, f"≤ {bar:.1f} s (crowd-kit's MACE took 18.6)", seconds <= bar)
    if options.oracles:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "labels.npz"
            np.savez(path, unit=many.unit, rater=many.annotator, value=many.value)
            theirs_at = Path(folder) / "posterior.npy"
            made = subprocess.run(
                [options.oracles, "-c", ORACLE, str(path), "9", str(theirs_at)],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            posterior = np.load(theirs_at)
        oracle = json.loads(made.stdout.splitlines()[-1])
        gap = max(abs(oracle[m] - float(values[f"alpha_{m}"])) for m in ("nominal", "ordinal", "interval"))
        row(f"alpha, three distances, counting included (krippendorff {oracle['alpha']:.3f} on ready counts, difference {gap:.0e})",
            alpha, f"{oracle['alpha'] / alpha:.0f} ×; bar ≥ 3", oracle["alpha"] / alpha >= 3 and gap < 1e-5)  # fmt: skip
        # Ours adds 0.01 pseudo-votes a cell; without them the estimates are crowd-kit's.
        plain = dawid_skene.fit(many, RATERS, iterations=9, tolerance=0, smoothing=1e-10)
        gap = float(np.abs(plain.posterior - posterior).max())
        ratio = oracle["dawid_skene"] / truth_seconds
        row(f"Dawid-Skene, 9 iterations (crowd-kit {oracle['dawid_skene']:.2f}, largest difference {gap:.0e})", truth_seconds,
            f"{ratio:.1f} ×; bar ≥ 4", ratio >= 4 and gap < 1e-5)  # fmt: skip
    else:
        row("alpha, three distances, counting included", alpha, "≤ 0.25 s", alpha <= 0.25)
        row("Dawid-Skene, 9 iterations", truth_seconds, "≤ 2 s", truth_seconds <= 2)
    print("\n" + table(["", "CPU s", "bar", ""], rows))


if __name__ == "__main__":
    main()
