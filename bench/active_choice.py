"""What an order of comparisons saves on real votes, against a random order.

    python -m bench.active_choice PAIRS.jsonl.gz

A file of pairs judged by several people each, in groups (`meta.topic`, else `source`) within which everything is compared: the
arguments of a topic play, a pair's first two votes are what may be asked for, and the others, of other people, say how good the
ratings are that come of it. Each order is given the same votes to choose from, ten at a time. Intervals are over groups, paired.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy import stats

from annotations.analysis import active, bradley_terry, means
from bench.measure import machine, table

BATCH, ASKED, RUNS = 10, 2, 4
SHARES = (0.1, 0.2, 0.3, 0.5)
VERDICT = {"a": -1, "b": 1, "tie": 0}


def groups_of(path: Path) -> list[tuple[np.ndarray, list[list[int]]]]:
    """[(pairs int64[P, 2], verdicts of each pair, -1 the first better)] per group."""
    groups: dict[str, dict] = defaultdict(dict)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            row = json.loads(line)
            group = groups[str(row.get("meta", {}).get("topic") or row["prompt"])]
            pair = (row["response_a"], row["response_b"])
            said = [VERDICT[h["label"]] for h in row["human"] if h["label"] in VERDICT]
            if len(said) > ASKED and pair[0] != pair[1]:
                group[pair] = said
    found = []
    for group in groups.values():
        codes: dict[str, int] = {}
        pairs = [[codes.setdefault(text, len(codes)) for text in pair] for pair in group]
        if len(codes) >= 8:
            found.append((np.array(pairs), list(group.values())))
    return found


def fitted(first, second, verdict, m: int) -> bradley_terry.Fit:
    """Ratings with a weak tie of everybody with everybody, so that all are in."""
    counts = np.zeros((m, m, 3))
    np.add.at(counts, (first, second, np.asarray(verdict) + 1), 1)
    counts[:, :, 1] += 0.25 * (1 - np.eye(m))
    return bradley_terry.fit(bradley_terry.of_table(counts))


def optimistic(theta, covariance, n, *, seed, allowed):
    """APOHF's choice: the best so far meets the one whose upper bound over it is highest."""
    first = int(np.where(allowed.any(axis=1), theta, -np.inf).argmax())
    v = np.diag(covariance)
    width = np.sqrt(np.clip(v + v[first] - 2 * covariance[first], 0, None))
    order = np.argsort(-np.where(allowed[first], theta + 2 * width, -np.inf))[: int(allowed[first].sum())]
    return np.array([[first, order[k % len(order)]] for k in range(n)])


RULES = {
    "random": None,
    "D-optimal (`ranking`)": lambda *a, **k: active.next_pairs(*a, **k)[0],
    "Thompson (`best`)": active.best_pairs,
    "APOHF's bound": optimistic,
}


def play(pairs, said, m: int, rule, seed: int, truth: np.ndarray) -> dict[float, tuple[float, float]]:
    """{share of the votes asked for: (Spearman with the truth, rank of the leader in the truth, 0 best to 1)}."""
    rng = np.random.default_rng(seed)
    waiting: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    pool = []
    for (a, b), votes in zip(pairs.tolist(), said, strict=True):
        for verdict in votes[:ASKED]:
            pool.append((a, b, verdict))
    for at in rng.permutation(len(pool)):
        a, b, verdict = pool[at]
        waiting[min(a, b), max(a, b)].append((a, b, verdict))
    asked: list[tuple[int, int, int]] = []
    marks = {share: round(share * len(pool)) for share in SHARES}
    found = {}
    while len(found) < len(SHARES):
        n = min(BATCH, min(mark for share, mark in marks.items() if share not in found) - len(asked))
        there = [pair for pair, votes in waiting.items() if votes]
        if asked and rule is not None:
            fit = fitted(*zip(*asked, strict=True), m)
            allowed = np.zeros((m, m), dtype=bool)
            for a, b in there:
                allowed[a, b] = allowed[b, a] = True
            wanted = rule(
                fit.theta, bradley_terry.bread(fit)[:m, :m], n, seed=seed + len(asked), allowed=allowed
            )
            wanted = [tuple(sorted(pair)) for pair in wanted.tolist()]
        else:
            wanted = []
        for pair in wanted:
            if waiting[pair]:
                asked.append(waiting[pair].pop())
                n -= 1
        rest = [pair for pair, votes in waiting.items() for _ in votes]
        for k in rng.permutation(len(rest))[:n]:
            asked.append(waiting[rest[k]].pop())
        for share, mark in marks.items():
            if share not in found and len(asked) >= mark:
                theta = fitted(*zip(*asked, strict=True), m).theta
                rank = stats.rankdata(-truth)[int(theta.argmax())]
                found[share] = float(stats.spearmanr(theta, truth).statistic), float((rank - 1) / (m - 1))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    groups = groups_of(options.file)
    values: dict[str, dict[float, list]] = {name: defaultdict(list) for name in RULES}
    for number, (pairs, said) in enumerate(groups):
        m = int(pairs.max()) + 1
        held = [(a, b, v) for (a, b), votes in zip(pairs.tolist(), said, strict=True) for v in votes[ASKED:]]
        truth = fitted(*zip(*held, strict=True), m).theta
        for name, rule in RULES.items():
            runs = [play(pairs, said, m, rule, 1000 * number + run, truth) for run in range(RUNS)]
            for share in SHARES:
                values[name][share].append(np.mean([run[share] for run in runs], axis=0))
    print(
        f"{machine()}; {len(groups)} groups, {sum(len(said) for _, said in groups):,} pairs, {RUNS} runs each"
    )
    base = {share: np.array(values["random"][share]) for share in SHARES}
    rows = []
    for name in RULES:
        for share in SHARES:
            mine = np.array(values[name][share])
            cells = [name, f"{share:.0%}".replace("%", " %")]
            for column in (0, 1):
                cells.append(f"{mine[:, column].mean():.3f}")
                gap = means.paired(base[share][:, column], mine[:, column])
                cells.append(
                    "" if name == "random" else f"{gap['value']:+.3f} [{gap['lo']:+.3f}, {gap['hi']:+.3f}]"
                )
            cells.append(_worth(values, name, share))
            rows.append(cells)
    head = [
        "order",
        "asked",
        "ρ with held-out",
        "minus random's",
        "leader's place",
        "minus random's",
        "random needs",
    ]
    print(table(head, rows))


def _worth(values, name: str, share: float) -> str:
    """How many of the votes a random order needs for this order's correlation, linear between the shares measured."""
    if name == "random":
        return ""
    got = float(np.mean(np.array(values[name][share])[:, 0]))
    line = [float(np.mean(np.array(values["random"][s])[:, 0])) for s in SHARES]
    if not line[0] <= got <= line[-1]:
        return "outside what was measured"
    return f"{100 * float(np.interp(got, line, SHARES)):.0f} %"


if __name__ == "__main__":
    main()
