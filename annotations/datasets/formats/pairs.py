"""What the formats of pairs share: labelled pairs, verdicts on single responses, and facts about two texts."""

from __future__ import annotations

from .. import truth
from ..aggregate import THUMB, Label, count_votes, current_judgments, label_pairs, soft_label, votes_of
from .base import Row

NEAR = 0.8
"""From this similarity on, two responses are near-duplicates."""
SHINGLE = 3


def labels_of(item: Row, options: dict[str, str]) -> list[Label]:
    """The item's labelled pairs, ties and disagreements among them; with the method `raw` one per vote."""
    aspect, method, judged_by = options["aspect"], options["method"], options["judged_by"]
    if method == truth.METHOD:
        return list(truth.labels(item, aspect=aspect, judged_by=judged_by))
    if method != "raw":
        return label_pairs(item, aspect=aspect, method=method, ties="keep", judged_by=judged_by)
    labels = []
    for (first, second), kind, origin, votes in votes_of(item, aspect=aspect, judged_by=judged_by):
        for vote in votes:
            counts = count_votes((vote,))
            verdict = "first" if vote < 0 else "second" if vote > 0 else "tie"
            labels.append(
                Label(first, second, kind, origin, counts, verdict, float(vote), soft_label(*counts))
            )
    return labels


def merits_of(item: Row, options: dict[str, str]) -> tuple[dict[int, int], dict[int, str]]:
    """What speaks for each response, and whose judgment it is: thumbs up minus down, else wins minus losses."""
    balance, kinds = thumbs_of(item, options["judged_by"])
    if balance:
        return balance, kinds
    for label in labels_of(item, options):
        if label.verdict == "disagreement":
            continue
        sign = {"first": 1, "tie": 0, "second": -1}[label.verdict]
        for index, gain in ((label.first, sign), (label.second, -sign)):
            balance[index] = balance.get(index, 0) + gain
            kinds[index] = label.kind
    return balance, kinds


def thumbs_of(item: Row, judged_by: str) -> tuple[dict[int, int], dict[int, str]]:
    """Thumbs up minus thumbs down per response, people's where people gave any, and whose they are."""
    given: dict[str, dict[int, int]] = {"human": {}, "lm": {}}
    for judgment in current_judgments(item):
        for row in judgment["scores"]:
            if row["attribute"] == THUMB:
                counts = given[judgment["kind"]]
                counts[row["response"]] = counts.get(row["response"], 0) + (1 if row["value"] > 0 else -1)
    balance: dict[int, int] = {}
    kinds: dict[int, str] = {}
    for kind in ("lm", "human") if judged_by == "final" else (judged_by,):
        balance.update(given[kind])
        kinds.update(dict.fromkeys(given[kind], kind))
    return balance, kinds


def similarity(left: str, right: str) -> float:
    """Jaccard overlap of the two texts' runs of three words, in [0, 1]; of single words where one is shorter."""
    a, b = left.lower().split(), right.lower().split()
    size = SHINGLE if min(len(a), len(b)) >= SHINGLE else 1
    one = {tuple(a[i : i + size]) for i in range(len(a) - size + 1)}
    two = {tuple(b[i : i + size]) for i in range(len(b) - size + 1)}
    return round(len(one & two) / len(one | two), 4) if one or two else 1.0


def reward_margin(item: Row, better: int, worse: int) -> float | None:
    """By how much the reward models score one response above the other, averaged over them; None without any."""
    differences = []
    superseded = {judgment["supersedes"] for judgment in item["judgments"]}
    for judgment in item["judgments"]:
        if judgment["kind"] != "reward_model" or judgment["id"] in superseded:
            continue
        by_name: dict[str, dict[int, float]] = {}
        for row in judgment["scores"]:
            by_name.setdefault(row["attribute"], {})[row["response"]] = row["value"]
        scored = [one for one in by_name.values() if better in one and worse in one]
        differences += [one[better] - one[worse] for one in scored[:1]]
    return round(sum(differences) / len(differences), 6) if differences else None
