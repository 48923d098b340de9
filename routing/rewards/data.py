"""Training arrays from items in native JSONL form (one dict an item), and the split that never moves.

An item's label is the human aggregate where people judged it, else the language models'; judgments of
reward models are never learnt from. Per annotator and pair only the latest judgment counts, and none that
another judgment supersedes. Ties are votes of ½, so a label is the share of votes for the second response.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import combinations
from typing import Any, Self, TypeVar

import numpy as np

KINDS = ("human", "lm")
RANK = "rank"
PRIMARY_ATTRIBUTES = ("overall", "helpfulness")
SPLITS = ("train", "validation", "holdout")
TIE, SECOND = 1, 2  # columns of the votes; column 0 counts the first
_NUMERIC = {
    "target": float, "value": float, "weight": float, "strength": int, "votes": int, "response": int,
    "n_raters": int,
}  # fmt: skip

_Table = TypeVar("_Table", "Pairs", "Ratings")


class _Columns:
    """Equal-length columns: lists of text and numpy arrays, indexed together."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))  # type: ignore[arg-type]

    def take(self, index: Sequence[int] | np.ndarray) -> Self:
        """Return the rows at integer positions, or those where a boolean mask is true."""
        index = np.asarray(index)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(int)
        columns = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return type(self)(
            **{
                name: column[index] if isinstance(column, np.ndarray) else [column[i] for i in index]
                for name, column in columns.items()
            }
        )


@dataclass(frozen=True)
class Pairs(_Columns):
    """Pairs of responses with one aggregated label each.

    Attributes:
        prompts, first_texts, second_texts: lists of n strings; first and second in canonical order.
        target: share of votes for the second response, ties half; exactly ½ is a tie. float (n,).
        weight: 1 for people, `lm_weight` for language models, times the item's `label_weight`. float (n,).
        strength: level of preference 1..3 (1 for ties and unscaled labels). int (n,).
        group: key of what must not be divided between training and evaluation. list of n.
        source: "human" or "lm", whose votes made the label. list of n.
        origin: "direct", "ranking" or "rating", what the votes were. list of n.
        item_ids: list of n strings.
        votes: counts (first better, tie, second better) of that source, int (n, 3).
        dataset: the items' `source`, empty where they name none. list of n.
    """

    prompts: list[str]
    first_texts: list[str]
    second_texts: list[str]
    target: np.ndarray
    weight: np.ndarray
    strength: np.ndarray
    group: list[str]
    source: list[str]
    origin: list[str]
    item_ids: list[str]
    votes: np.ndarray
    dataset: list[str]

    @property
    def decided(self) -> np.ndarray:
        """Mask of the pairs that are not ties."""
        return self.target != 0.5

    @property
    def sign(self) -> np.ndarray:
        """+1 where the second response is better, -1 where the first is, 0 for ties."""
        return np.sign(self.target - 0.5).astype(int)


@dataclass(frozen=True)
class Ratings(_Columns):
    """Mean ratings, one row per response and attribute.

    Attributes:
        prompts, texts: lists of n strings.
        value: mean over the annotators of one source, mapped to [0, 1] by the scale. float (n,).
        weight: 1 for people, `lm_weight` for language models. float (n,).
        group, source, attribute, item_ids: lists of n strings, as in `Pairs`.
        response: index of the response in its item. int (n,).
        n_raters: how many annotators the mean is over. int (n,).
        dataset: the items' `source`, empty where they name none. list of n.
    """

    prompts: list[str]
    texts: list[str]
    value: np.ndarray
    weight: np.ndarray
    group: list[str]
    source: list[str]
    attribute: list[str]
    item_ids: list[str]
    response: np.ndarray
    n_raters: np.ndarray
    dataset: list[str]

    def primary(self) -> Ratings:
        """Return one row per response: its overall or helpfulness rating, else the mean of all it has."""
        rows: dict[tuple[str, str, int], list[int]] = defaultdict(list)
        for row, key in enumerate(zip(self.item_ids, self.texts, self.response.tolist(), strict=True)):
            rows[key].append(row)
        index, values = [], []
        for members in rows.values():
            chosen = [
                row for name in PRIMARY_ATTRIBUTES for row in members if self.attribute[row].lower() == name
            ]
            index.append((chosen or members)[0])
            values.append(float(np.mean(self.value[chosen[:1] or members])))
        kept = self.take(np.array(index, dtype=int))
        kept.value[:] = values
        return kept


def pairs_from_items(
    items: Iterable[dict[str, Any]], *, aspect: str = "overall", lm_weight: float = 1.0
) -> Pairs:
    """Aggregate the judgments of native items into labelled pairs.

    Direct comparisons on `aspect` come first: per pair the people's votes, else the language models'.
    Only an item without any direct comparison yields pairs from rankings, and failing those from ratings
    (an annotator votes for the response they rated higher; pairs rated equal overall are left out).
    Strength is |mean signed preference|, rounded, within 1..3. Raises ValueError naming a malformed item.
    """
    items = list(items)
    groups = group_items(items)
    bounds = _observed_bounds(items)
    rows: list[dict[str, Any]] = []
    for item, group in zip(items, groups, strict=True):
        with _naming(item):
            texts = [_text(response["text"]) for response in item["responses"]]
            prompt = prompt_text(item)
            judgments = list(usable_judgments(item))
            for (first, second), kind, origin, votes in _final_votes(judgments, aspect, bounds):
                counts = np.bincount([1 + int(np.sign(vote)) for vote in votes], minlength=3)
                target = float(counts[SECOND] + 0.5 * counts[TIE]) / len(votes)
                if origin == "rating" and target == 0.5:
                    continue
                strength = 1 if target == 0.5 else int(np.clip(np.floor(abs(np.mean(votes)) + 0.5), 1, 3))
                weight = weight_of(item, kind, lm_weight)
                rows.append(
                    {
                        "prompts": prompt, "first_texts": texts[first], "second_texts": texts[second],
                        "target": target, "weight": weight, "strength": strength, "group": group,
                        "source": kind, "origin": origin, "item_ids": str(item.get("id", "")), "votes": counts,
                        "dataset": str(item.get("source") or ""),
                    }
                )  # fmt: skip
    return _collect(Pairs, rows)


def ratings_from_items(
    items: Iterable[dict[str, Any]],
    attribute: str | None = None,
    *,
    lm_weight: float = 1.0,
) -> Ratings:
    """Average the Scores of native items per response and attribute, people before language models.

    Values are mapped to [0, 1] by their scale; a bound that is null is replaced by the extreme observed in
    `items`. `attribute` None returns every attribute but ranks. Raises ValueError naming a malformed item.
    """
    items = list(items)
    groups = group_items(items)
    bounds = _observed_bounds(items)
    rows: list[dict[str, Any]] = []
    for item, group in zip(items, groups, strict=True):
        with _naming(item):
            prompt = prompt_text(item)
            scores = _latest_scores(usable_judgments(item), bounds)
            cells: dict[tuple[int, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
            for (kind, _), answers in scores.items():
                for (response, name), value in answers.items():
                    if name != RANK and attribute in (None, name):
                        cells[response, name][kind].append(value)
            for (response, name), by_kind in sorted(cells.items()):
                kind = next(kind for kind in KINDS if kind in by_kind)
                values = by_kind[kind]
                text = _text(item["responses"][response]["text"])
                weight = weight_of(item, kind, lm_weight)
                rows.append(
                    {
                        "prompts": prompt, "texts": text, "value": float(np.mean(values)), "weight": weight,
                        "group": group, "source": kind, "attribute": name, "n_raters": len(values),
                        "item_ids": str(item.get("id", "")), "response": response,
                        "dataset": str(item.get("source") or ""),
                    }
                )  # fmt: skip
    return _collect(Ratings, rows)


def weight_of(item: dict[str, Any], kind: str, lm_weight: float) -> float:
    """Return the weight of an item's label: its source's, times the item's own `label_weight` (1 if absent)."""
    return (1.0 if kind == "human" else lm_weight) * float(item.get("label_weight", 1.0))


def usable_judgments(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield an item's answered human and LM judgments that nothing supersedes, oldest first."""
    judgments = item.get("judgments") or []
    superseded = {judgment["supersedes"] for judgment in judgments if judgment.get("supersedes")}
    for judgment in sorted(judgments, key=lambda judgment: judgment.get("created_at") or ""):
        if (
            judgment.get("kind", "human") in KINDS
            and judgment.get("outcome", "answered") == "answered"
            and judgment.get("id") not in superseded
        ):
            yield judgment


def prompt_text(item: dict[str, Any]) -> str:
    """Return the item's prompt as one text: chat turns as `role: content` lines, then its context."""
    prompt = item.get("prompt") or ""
    if not isinstance(prompt, str):
        prompt = "\n".join(f"{turn.get('role', '')}: {_text(turn.get('content'))}" for turn in prompt)
    context = item.get("context")
    return f"{prompt}\n\n{context}".strip() if context else prompt


def group_items(items: Sequence[dict[str, Any]]) -> list[str]:
    """Return each item's group: its `group`, else a hash of its prompt (else of its id).

    Items with the same prompt share a group even if their `group` fields differ: such groups are joined
    under the key of the earliest item, so that appending items moves none that stood alone before.
    Case and white space do not distinguish prompts.
    """
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    owner: dict[str, str] = {}
    keys = []
    order: dict[str, int] = {}
    for item in items:
        with _naming(item):
            prompt = " ".join(prompt_text(item).casefold().split())
        content = f"prompt\0{prompt}" if prompt else f"item\0{item.get('source', '')}\0{item.get('id', '')}"
        digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        group = str(item.get("group") or digest)
        order.setdefault(group, len(order))
        keys.append(group)
        mine, other = root(group), root(owner.setdefault(digest, group))
        early, late = sorted((mine, other), key=order.__getitem__)
        parent[late] = early
    return [root(key) for key in keys]


def split_of(
    group: str,
    salt: str = "plumbline-1",
    *,
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1),
) -> str:
    """Return the split of a group, a function of its key alone: 'train', 'validation' or 'holdout'.

    u = first 64 bits of sha256(salt, NUL, group) / 2^64, cut at the cumulated shares. The same group falls
    in the same split for ever; a new salt draws anew. Raises ValueError unless the shares sum to 1.
    """
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1.0) > 1e-9:
        raise ValueError("split shares must be three non-negative numbers that sum to 1")
    digest = hashlib.sha256(f"{salt}\0{group}".encode("utf-8", "surrogatepass")).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < shares[0]:
        return SPLITS[0]
    return SPLITS[1] if position < shares[0] + shares[1] else SPLITS[2]


def _final_votes(
    judgments: list[dict[str, Any]], aspect: str, bounds: dict[str, tuple[float, float]]
) -> Iterator[tuple[tuple[int, int], str, str, list[float]]]:
    """Yield (pair, kind, origin, signed votes) for each pair of one item that has a label."""
    direct: dict[tuple[int, int], dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for judgment in judgments:
        for row in judgment.get("comparisons") or []:
            if row.get("aspect", "overall") != aspect:
                continue
            first, second = int(row["first"]), int(row["second"])
            vote = 0.0 if row.get("tie") else float(row["preference"])
            if first > second:
                first, second, vote = second, first, -vote
            if first < 0 or first == second:
                raise ValueError(f"a comparison of responses {first} and {second}")
            kind = judgment.get("kind", "human")
            direct[first, second][kind][str(judgment.get("annotator", ""))] = vote
    if direct:
        for pair, by_kind in sorted(direct.items()):
            kind = next(kind for kind in KINDS if kind in by_kind)
            yield pair, kind, "direct", list(by_kind[kind].values())
        return
    scores = _latest_scores(judgments, bounds)
    for origin in ("ranking", "rating"):
        derived: dict[tuple[int, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for (kind, _), answers in scores.items():
            merits = _merits(answers)
            if origin == "ranking":  # 1 is best
                merits = {response: -value for (response, name), value in answers.items() if name == RANK}
            for first, second in combinations(sorted(merits), 2):
                derived[first, second][kind].append(float(np.sign(round(merits[second] - merits[first], 9))))
        for pair, by_kind in sorted(derived.items()):
            kind = next(kind for kind in KINDS if kind in by_kind)
            yield pair, kind, origin, by_kind[kind]
        if derived:
            return


def _latest_scores(
    judgments: Iterable[dict[str, Any]], bounds: dict[str, tuple[float, float]]
) -> dict[tuple[str, str], dict[tuple[int, str], float]]:
    """Map (kind, annotator) to their last score per (response, attribute): in [0, 1], ranks as given."""
    scores: dict[tuple[str, str], dict[tuple[int, str], float]] = defaultdict(dict)
    for judgment in judgments:
        annotator = (judgment.get("kind", "human"), str(judgment.get("annotator", "")))
        for row in judgment.get("scores") or []:
            name, value = str(row["attribute"]), float(row["value"])
            if name != RANK:
                value = _unit(value, row.get("scale"), bounds[name], name)
            scores[annotator][int(row["response"]), name] = value
    return scores


def _merits(answers: dict[tuple[int, str], float]) -> dict[int, float]:
    """Return one annotator's primary rating per response, over attributes that all their rows share."""
    by_name: dict[str, dict[int, float]] = defaultdict(dict)
    for (response, name), value in answers.items():
        if name != RANK:
            by_name[name][response] = value
    for name in PRIMARY_ATTRIBUTES:
        if name in by_name:
            return by_name[name]
    if not by_name:
        return {}
    complete = set.intersection(*(set(values) for values in by_name.values()))
    return {r: float(np.mean([values[r] for values in by_name.values()])) for r in complete}


def _observed_bounds(items: Iterable[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Return the least and greatest value of every attribute, for scales with a null bound."""
    bounds: dict[str, tuple[float, float]] = {}
    for item in items:
        with _naming(item):
            for row in (row for judgment in usable_judgments(item) for row in judgment.get("scores") or []):
                name, value = str(row["attribute"]), float(row["value"])
                low, high = bounds.get(name, (value, value))
                bounds[name] = (min(low, value), max(high, value))
    return bounds


def _unit(
    value: float,
    scale: Sequence[float | None] | None,
    observed: tuple[float, float],
    name: str,
) -> float:
    low, high = scale or ((0, 1) if name == "thumb" else (None, None))
    low = observed[0] if low is None else float(low)
    high = observed[1] if high is None else float(high)
    if not low <= value <= high:
        raise ValueError(f"{name} {value:g} lies outside its scale {low:g}..{high:g}")
    return (value - low) / (high - low) if high > low else 0.5


def _collect(table: type[_Table], rows: list[dict[str, Any]]) -> _Table:
    """Turn row dicts into columns: arrays for the numeric ones, lists for text."""
    columns: dict[str, Any] = {}
    for field in fields(table):  # type: ignore[arg-type]
        values = [row[field.name] for row in rows]
        dtype = _NUMERIC.get(field.name)
        columns[field.name] = values if dtype is None else np.array(values, dtype=dtype)
    if "votes" in columns:
        columns["votes"] = columns["votes"].reshape(-1, 3)
    return table(**columns)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


@contextmanager
def _naming(item: dict[str, Any]) -> Iterator[None]:
    """Turn errors of shape and type inside the block into a ValueError that names the item."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"item {item.get('id', 'without id')}: missing {error.args[0]!r}") from error
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"item {item.get('id', 'without id')}: {error}") from error
