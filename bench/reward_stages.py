"""Ratings and preferences together or alone on SummEval-OP: one rater's pairs, the other raters' ratings.

    python -m bench.reward_stages ../shared/data/2_ratings.jsonl.gz

Each product is left out in turn; the models of the other fourteen predict the first rater's preferences there.
Prints the accuracy of ratings then preferences, preferences alone and ratings alone, with intervals over products,
and the paired differences. Fifteen products say little: no claim is made.
"""

from __future__ import annotations

import os
import sys
from itertools import combinations

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")

import numpy as np

from annotations.items import readers
from routing.rewards import backends, prepare, train
from routing.rewards.evaluate import paired_gain
from routing.rewards.lists import join_singles


def rows_of(path: str) -> tuple[list[dict], list[dict]]:
    """Return (pairs of the first rater, ratings of the others), items grouped by product."""
    items = [readers.to_native(row) for row in readers.read(path) if isinstance(row, readers.Record)]
    pairs, ratings = [], []
    for item in join_singles([row for row in items if row["source"] == "summeval_op"]):
        group = item["group"]
        first, *others = sorted(item["judgments"], key=lambda judgment: judgment["annotator"])
        merit: dict[int, list[float]] = {}
        for row in first["scores"]:
            merit.setdefault(row["response"], []).append(row["value"])
        comparisons = [
            {
                "first": a,
                "second": b,
                "preference": 1 if np.mean(merit[b]) > np.mean(merit[a]) else -1,
                "scale_max": 1,
            }
            for a, b in combinations(sorted(merit), 2)
            if np.mean(merit[a]) != np.mean(merit[b])
        ]
        base = {
            "prompt": item.get("prompt"),
            "context": item.get("context"),
            "responses": item["responses"],
            "group": group,
        }
        pairs.append(
            {
                **base,
                "id": f"p-{group}",
                "judgments": [{"annotator": "r1", "kind": "human", "comparisons": comparisons}],
            }
        )
        ratings.append({**base, "id": f"r-{group}", "judgments": [{**j, "comparisons": []} for j in others]})
    return pairs, ratings


def main() -> None:
    pairs, ratings = rows_of(sys.argv[1])
    products = sorted({row["group"] for row in pairs})
    whole = prepare.prepare(pairs, prepare.Spec(), crossfit=True).fit
    margins = {
        name: np.zeros(len(whole))
        for name in ("ratings, then preferences", "preferences alone", "ratings alone")
    }
    for product in products:
        test = np.flatnonzero([group == product for group in whole.group])
        mine = [row for row in pairs if row["group"] != product]
        theirs = [row for row in ratings if row["group"] != product]
        both = prepare.prepare(mine, prepare.Spec(), crossfit=True)
        rated = prepare.prepare(theirs, prepare.Spec(loss="mse"), crossfit=True)
        combined = prepare.Material(both.fit, rated.ratings, both.lists, both.holdout, both.report)
        for name, material, spec in (
            ("ratings, then preferences", combined, prepare.Spec()),
            ("preferences alone", both, prepare.Spec(use_ratings=False)),
            ("ratings alone", rated, prepare.Spec(loss="mse")),
        ):
            margins[name][test] = train.margins(backends.fit(material, spec), whole.take(test))
    length = train.evaluate(np.zeros(len(whole)), whole, seed=0)["length_baseline"]
    print(f"longer wins: {length['value']:.3f} [{length['lo']:.3f}, {length['hi']:.3f}], n = {length['n']}")
    for name, found in margins.items():
        est = train.evaluate(found, whole, seed=0)["accuracy"]
        print(f"{name}: {est['value']:.3f} [{est['lo']:.3f}, {est['hi']:.3f}], n = {est['n']}")
    for name in ("preferences alone", "ratings alone"):
        gain = paired_gain(margins["ratings, then preferences"], margins[name], whole, seed=0)
        print(f"both minus {name}: {gain['value']:+.3f} [{gain['lo']:+.3f}, {gain['hi']:+.3f}]")


if __name__ == "__main__":
    main()
