"""Rankings as lists, and rows of one response each joined to the item they belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routing.rewards.data import (
    KINDS,
    RANK,
    Pairs,
    _collect,
    _Columns,
    _naming,
    _text,
    group_items,
    prompt_text,
    usable_judgments,
    weight_of,
)


@dataclass(frozen=True)
class Lists(_Columns):
    """Ranked responses, one list a row.

    Attributes:
        prompts, group, source, item_ids, dataset: lists of n strings, as in `Pairs`.
        texts: n lists of two or more texts.
        ranks: n lists of ranks, 1 best; ties share the lowest.
        weight: as in `Pairs`. float (n,).
    """

    prompts: list[str]
    texts: list[list[str]]
    ranks: list[list[int]]
    weight: np.ndarray
    group: list[str]
    source: list[str]
    item_ids: list[str]
    dataset: list[str]

    def padded(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (ranks, mask), both (n, K) with K the longest list."""
        width = max(map(len, self.ranks), default=0)
        ranks = np.zeros((len(self), width), dtype=int)
        mask = np.zeros((len(self), width), dtype=bool)
        for row, given in enumerate(self.ranks):
            ranks[row, : len(given)], mask[row, : len(given)] = given, True
        return ranks, mask


def lists_from_items(items: Iterable[dict[str, Any]], *, lm_weight: float = 1.0) -> Lists:
    """Aggregate rankings per item: the mean rank over people, else over language models, ranked again.

    Only responses that every annotator of that kind ranked are in the list; fewer than two give none.
    """
    items = list(items)
    rows = []
    for item, group in zip(items, group_items(items), strict=True):
        with _naming(item):
            said: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
            for judgment in usable_judgments(item):
                for row in judgment.get("scores") or []:
                    if row["attribute"] == RANK:
                        who = said[judgment.get("kind", "human")][str(judgment.get("annotator", ""))]
                        who[int(row["response"])] = float(row["value"])
            kind = next((kind for kind in KINDS if kind in said), None)
            if kind is None:
                continue
            shared = sorted(set.intersection(*(set(ranks) for ranks in said[kind].values())))
            if len(shared) < 2:
                continue
            means = [float(np.mean([ranks[r] for ranks in said[kind].values()])) for r in shared]
            rows.append(
                {
                    "prompts": prompt_text(item), "ranks": [1 + sum(m < mean - 1e-9 for m in means) for mean in means],
                    "texts": [_text(item["responses"][r]["text"]) for r in shared],
                    "weight": weight_of(item, kind, lm_weight), "group": group, "source": kind,
                    "item_ids": str(item.get("id", "")), "dataset": str(item.get("source") or ""),
                }
            )  # fmt: skip
    return _collect(Lists, rows)


def with_pairs(lists: Lists, pairs: Pairs) -> Lists:
    """Return the lists, and every pair that no ranking gave as a list of two; ties share rank 1."""
    kept = [i for i, origin in enumerate(pairs.origin) if origin != "ranking"]
    sign = pairs.sign
    return Lists(
        prompts=lists.prompts + [pairs.prompts[i] for i in kept],
        texts=lists.texts + [[pairs.first_texts[i], pairs.second_texts[i]] for i in kept],
        ranks=lists.ranks + [[1 + int(sign[i] > 0), 1 + int(sign[i] < 0)] for i in kept],
        weight=np.concatenate([lists.weight, pairs.weight[kept]]),
        group=lists.group + [pairs.group[i] for i in kept],
        source=lists.source + [pairs.source[i] for i in kept],
        item_ids=lists.item_ids + [pairs.item_ids[i] for i in kept],
        dataset=lists.dataset + [pairs.dataset[i] for i in kept],
    )


def join_singles(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the items, those of one response joined where source, prompt and context are the same.

    Files of ratings hold one response a row; together the rows of one prompt can be compared. The joined item
    keeps the first row's id and place; an annotator's judgments of several rows become one.
    """
    owner: dict[tuple[str, str], dict[str, Any]] = {}
    joined = []
    for item in items:
        prompt = prompt_text(item)
        if len(item.get("responses") or []) != 1 or not prompt:
            joined.append(item)
            continue
        key = (str(item.get("source") or ""), prompt)
        if key not in owner:
            owner[key] = {**item, "responses": [], "judgments": []}
            joined.append(owner[key])
        _append(owner[key], item)
    return joined


def _append(whole: dict[str, Any], item: dict[str, Any]) -> None:
    """Add an item of one response to `whole`, its judgments merged by annotator."""
    place = len(whole["responses"])
    whole["responses"] = [*whole["responses"], *item["responses"]]
    known = {(j.get("kind", "human"), j.get("annotator")): j for j in whole["judgments"]}
    for judgment in usable_judgments(item):
        scores = [{**row, "response": place} for row in judgment.get("scores") or []]
        found = known.get((judgment.get("kind", "human"), judgment.get("annotator")))
        if found is None or judgment.get("annotator") is None:
            found = {**judgment, "scores": [], "comparisons": []}
            known[found.get("kind", "human"), found.get("annotator")] = found
            whole["judgments"].append(found)
        found["scores"] = [*found["scores"], *scores]
