"""What a training learns from and is judged on: rows read, split, cleaned, counted, and refused when too few.

The hold-out is fixed before anything else is looked at. A row that shares its prompt group or its pair of
texts with the hold-out never reaches the fit, whatever split it was given.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from routing.features.text import MAX_CHARS
from routing.rewards import losses
from routing.rewards.data import Pairs, Ratings, group_items, pairs_from_items, ratings_from_items, split_of
from routing.rewards.lists import Lists, join_singles, lists_from_items

HUMAN_ONLY = "human"
HUMAN_FIRST = "human_first"
JUDGMENTS = (HUMAN_ONLY, HUMAN_FIRST)
HOLDOUT = "holdout"
HOLDOUT_SHARE = 0.1
MIN_TRAIN = 20
MIN_RATED = 40
RESERVED = "plumbline"
_TICK = 256
_JUDGMENT_KEYS = (
    "id", "annotator", "kind", "outcome", "comparisons", "scores", "supersedes", "created_at",
)  # fmt: skip


class TooLittle(ValueError):
    """There is not enough to learn from; its text says what was found and what is needed."""

    def __init__(self, message: str, report: dict[str, Any]) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class Spec:
    """What a training was asked for.

    Attributes:
        loss: one of `linear.LOSSES`.
        seed: of the folds, the sides and the intervals.
        judgments: `human` learns from people alone; `human_first` takes the language models' label where no
            person judged.
        aspect: which comparisons count as the preference.
        lm_weight: weight of a label by language models; people's is 1.
        backend: one of `backends.NAMES`.
        strength_map: which of `losses.STRENGTH_MAPS` turns a strength into a weight (`scaled_bt`).
        use_ratings: ratings come first and give the preferences their start; False leaves them out.
        extrapolate: go on beyond the second stage along the way from the first, as far as validation says.
        propensity: weigh people's labels by the inverse of the propensity of having been asked.
        options: what the backend alone understands (`transformer.Options`).
    """

    loss: str = "scaled_bt"
    seed: int = 0
    judgments: str = HUMAN_FIRST
    aspect: str = "overall"
    lm_weight: float = 1.0
    backend: str = "linear"
    strength_map: str = "1-2-3"
    use_ratings: bool = True
    extrapolate: bool = False
    propensity: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Material:
    """Rows ready to learn from.

    Attributes:
        fit: pairs of the splits train and validation.
        ratings: rated responses of the same items.
        lists: their rankings.
        holdout: pairs that only the evaluation sees.
        report: the pre-flight: counts, shares, what was dropped and why; JSON values.
        held_ratings: ratings of the held-out items, where there are any.
        views: the hold-out by the labels of experts and of others alone, where both judged it.
    """

    fit: Pairs
    ratings: Ratings
    lists: Lists
    holdout: Pairs
    report: dict[str, Any]
    views: dict[str, Pairs] = field(default_factory=dict)
    held_ratings: Ratings | None = None


def prepare(
    rows: Iterable[dict[str, Any]],
    spec: Spec,
    *,
    evaluation: Iterable[dict[str, Any]] | None = None,
    keep_holdout: bool = True,
    by_source: bool = False,
    crossfit: bool = False,
    tick: Callable[[int], None] | None = None,
) -> Material:
    """Read native rows into `Material`.

    With `crossfit`, files whose rows carry no split have no hold-out: `train.crossfit` measures on all of them.

    A row's split is its reserved `plumbline.split`, else `split_of` its group, or with `by_source` (for files,
    whose groups may be few) `deal_holdout`. With `evaluation` those rows are the hold-out instead;
    `keep_holdout=False` then lets the rows' own hold-out into the fit. `tick` gets the number of rows read,
    every 256 rows, and may raise to stop. Raises ValueError naming a malformed item.
    """
    items = join_singles([_slim(row, spec) for row in _ticking(rows, tick)])
    others = None
    if evaluation is not None:
        others = join_singles([_slim(row, spec) for row in _ticking(evaluation, tick)])
    everything = items + (others or [])
    for item, group in zip(everything, group_items(everything), strict=True):
        item["group"] = group
    if crossfit and evaluation is None and not any((item.get(RESERVED) or {}).get("split") for item in items):
        dealt = dict.fromkeys((item["group"] for item in items), "train")
    else:
        dealt = deal_holdout(items) if by_source else {}
    splits = [
        (item.get(RESERVED) or {}).get("split") or dealt.get(item["group"]) or split_of(item["group"])
        for item in items
    ]
    own_holdout = [item for item, split in zip(items, splits, strict=True) if split == HOLDOUT]
    held = own_holdout if others is None else others
    barred = {item["group"] for item in held}
    open_items = [
        item
        for item, split in zip(items, splits, strict=True)
        if split != HOLDOUT or (others is not None and not keep_holdout)
    ]
    learnt = [item for item in open_items if item["group"] not in barred]
    dropped: Counter[str] = Counter({"prompt also in the hold-out (items)": len(open_items) - len(learnt)})
    holdout, _ = _clean(pairs_from_items(held, aspect=spec.aspect, lm_weight=spec.lm_weight), frozenset())
    pairs = pairs_from_items(learnt, aspect=spec.aspect, lm_weight=spec.lm_weight)
    stored = float(np.mean(pairs.sign[pairs.decided] > 0)) if np.any(pairs.decided) else None
    fit, reasons = _clean(pairs, frozenset(_keys(holdout)))
    dropped.update(reasons)
    fit, holdout = deal_sides(fit, spec.seed), deal_sides(holdout, spec.seed)
    ratings = ratings_from_items(learnt, lm_weight=spec.lm_weight)
    lists = lists_from_items(learnt, lm_weight=spec.lm_weight)
    labelled = set(fit.item_ids) | set(ratings.item_ids)
    dropped["no usable label (items)"] = sum(str(item.get("id", "")) not in labelled for item in learnt)
    report = _report(fit, ratings, holdout, stored) | {"lists": len(lists)}
    counts = Counter(splits)
    report["items"] = {"read": len(items), **{name: counts[name] for name in sorted(counts)}}
    report["dropped"] = {reason: n for reason, n in dropped.items() if n}
    held_ratings = ratings_from_items(held, lm_weight=spec.lm_weight)
    return Material(fit, ratings, lists, holdout, report, _views(held, spec), held_ratings)


def _views(held: list[dict[str, Any]], spec: Spec) -> dict[str, Pairs]:
    """The hold-out as experts judged it, and as other people did; empty where no expert did."""
    views: dict[str, Pairs] = {}
    for name, wanted in (("experts", True), ("others", False)):
        items = []
        for item in held:
            experts = set((item.get(RESERVED) or {}).get("experts") or [])
            own = [
                judgment
                for judgment in item["judgments"]
                if judgment.get("kind", "human") == "human"
                and (judgment.get("annotator") in experts) == wanted
            ]
            items.append({**item, "judgments": own})
        pairs, _ = _clean(pairs_from_items(items, aspect=spec.aspect), frozenset())
        if len(pairs):
            views[name] = deal_sides(pairs, spec.seed)
    return views if len(views) == 2 else {}


def unseen_pairs(rows: Iterable[dict[str, Any]], evaluation: Iterable[dict[str, Any]], spec: Spec) -> Pairs:
    """Return the evaluation's pairs whose prompt group a model trained on `rows` has not learnt from."""
    items = join_singles([_slim(row, spec) for row in rows])
    others = join_singles([_slim(row, spec) for row in evaluation])
    groups = group_items(items + others)
    own = [
        (item.get(RESERVED) or {}).get("split") or split_of(group)
        for item, group in zip(items, groups, strict=False)
    ]
    learnt = {group for group, split in zip(groups, own, strict=False) if split != HOLDOUT}
    fresh = [item for item, group in zip(others, groups[len(items) :], strict=True) if group not in learnt]
    pairs, _ = _clean(pairs_from_items(fresh, aspect=spec.aspect, lm_weight=spec.lm_weight), frozenset())
    return deal_sides(pairs, spec.seed)


def deal_holdout(items: Sequence[dict[str, Any]], share: float = HOLDOUT_SHARE) -> dict[str, str]:
    """Return {group: "train" or "holdout"} with about `share` of every source's items held out.

    Within a source, groups are taken in the order of their hash as long as the hold-out stays within 1.5
    times its share, failing that the smallest group; a source of one group stays in the training. A function
    of the items alone, for files; a project's split must not move as it grows and is `split_of`.
    """
    sizes: dict[str, Counter[str]] = {}
    home: dict[str, str] = {}
    for item in items:
        source = home.setdefault(item["group"], str(item.get("source") or ""))
        sizes.setdefault(source, Counter())[item["group"]] += 1
    splits = dict.fromkeys(home, "train")
    for groups in sizes.values():
        wanted = share * groups.total()
        order = sorted(
            groups,
            key=lambda group: hashlib.sha256(f"holdout\0{group}".encode("utf-8", "surrogatepass")).digest(),
        )
        held = 0
        for group in order if len(order) > 1 else []:
            if held < wanted and held + groups[group] <= 1.5 * wanted:
                splits[group] = HOLDOUT
                held += groups[group]
        if not held and len(order) > 1:
            splits[min(order, key=lambda group: groups[group])] = HOLDOUT
    return splits


def refuse_if_too_little(material: Material) -> None:
    """Raise `TooLittle` below `MIN_TRAIN` decided pairs, unless `MIN_RATED` responses were rated."""
    decided, rated = material.report["decided"], material.report["rated_responses"]
    if decided < MIN_TRAIN and rated < MIN_RATED:
        raise TooLittle(
            f"Too little to learn from: {decided} decided pairs and {rated} rated responses outside the "
            f"hold-out; a training needs {MIN_TRAIN} decided pairs or {MIN_RATED} rated responses.",
            material.report,
        )


def notes(report: dict[str, Any]) -> list[str]:
    """Say what the pre-flight found worth knowing, one sentence each."""
    lines = [
        f"{report['decided']:,} decided pairs, {report['ties']:,} ties and {report['rated_responses']:,} rated "
        f"responses in {report['groups']:,} prompt groups; {report['holdout_decided']:,} decided pairs held out."
    ]
    lines += [f"Left out: {n:,}: {reason}." for reason, n in report["dropped"].items()]
    if report["duplicate_share"]:
        lines.append(f"{100 * report['duplicate_share']:.1f} % of the pairs repeat the texts of another.")
    if report["contradiction_share"]:
        lines.append(
            f"{100 * report['contradiction_share']:.1f} % of the pairs are contradicted by another label."
        )
    if report["over_long_share"]:
        limit = f"{report['max_chars']:,} characters: their middle is not read"
        lines.append(f"{100 * report['over_long_share']:.1f} % of the texts are longer than {limit}.")
    stored = report["second_better_as_stored"]
    if stored is not None and not 0.2 <= stored <= 0.8:
        lines.append(
            f"As stored, the second response is better in {100 * stored:.0f} % of the pairs; the sides were dealt anew, "
            f"so it is {100 * report['second_better']:.0f} % now."
        )
    if report["holdout_decided"] < 50:
        lines.append(
            f"The hold-out has only {report['holdout_decided']:,} decided pairs: its intervals will be wide."
        )
    return lines


def deal_sides(pairs: Pairs, seed: int) -> Pairs:
    """Turn about half of the pairs round, by a seeded hash of item and texts that no label enters.

    Files of chosen and rejected responses hold the better one first; after this the order says nothing.
    """
    swap = np.zeros(len(pairs), dtype=bool)
    for row, ((a, b), item) in enumerate(zip(_texts(pairs), pairs.item_ids, strict=True)):
        key = "\0".join((str(seed), item, *sorted((a, b)))).encode("utf-8", "surrogatepass")
        lower_first = hashlib.sha256(key).digest()[0] & 1 == 0
        swap[row] = (a > b) == lower_first
    first = [b if s else a for (a, b), s in zip(_texts(pairs), swap, strict=True)]
    second = [a if s else b for (a, b), s in zip(_texts(pairs), swap, strict=True)]
    return replace(
        pairs,
        first_texts=first,
        second_texts=second,
        target=np.where(swap, 1.0 - pairs.target, pairs.target),
        votes=np.where(swap[:, None], pairs.votes[:, ::-1], pairs.votes),
    )


def _texts(pairs: Pairs) -> list[tuple[str, str]]:
    return list(zip(pairs.first_texts, pairs.second_texts, strict=True))


def _keys(pairs: Pairs) -> list[tuple[str, str]]:
    """Return the two texts of each pair, whichever stands first."""
    return [(a, b) if a <= b else (b, a) for a, b in _texts(pairs)]


def _clean(pairs: Pairs, barred: frozenset[tuple[str, str]]) -> tuple[Pairs, Counter[str]]:
    """Leave out pairs that teach nothing or would leak; return the rest and {reason: n}."""
    same = np.array([a == b for a, b in _texts(pairs)], dtype=bool)
    leak = np.array([key in barred for key in _keys(pairs)], dtype=bool) & ~same
    reasons = Counter(
        {"both responses identical": int(same.sum()), "same two texts in the hold-out": int(leak.sum())}
    )
    return pairs.take(~(same | leak)), reasons


def _report(fit: Pairs, ratings: Ratings, holdout: Pairs, stored: float | None) -> dict[str, Any]:
    decided = fit.decided
    keys = _keys(fit)
    seen = Counter(keys)
    winners: dict[tuple[str, str], set[str]] = {}
    for (a, b), sign, key in zip(_texts(fit), fit.sign.tolist(), keys, strict=True):
        if sign:
            winners.setdefault(key, set()).add(b if sign > 0 else a)
    contradictory = {key for key, won in winners.items() if len(won) > 1}
    texts = {*fit.first_texts, *fit.second_texts, *ratings.texts}
    n = len(fit)
    return {
        "pairs": n,
        "decided": int(decided.sum()),
        "ties": int(n - decided.sum()),
        "rated_responses": len(ratings.primary()) if len(ratings) else 0,
        "groups": len(set(fit.group)),
        "sources": dict(sorted(Counter(fit.source).items())),
        "origins": dict(sorted(Counter(fit.origin).items())),
        "strengths": {str(k): v for k, v in sorted(Counter(fit.strength[decided].tolist()).items())},
        "second_better_as_stored": stored,
        "second_better": float(np.mean(fit.sign[decided] > 0)) if decided.any() else None,
        "duplicate_share": (n - len(seen)) / n if n else 0.0,
        "contradiction_share": sum(seen[key] for key in contradictory) / n if n else 0.0,
        "over_long_share": sum(len(text) > MAX_CHARS for text in texts) / len(texts) if texts else 0.0,
        "max_chars": MAX_CHARS,
        "holdout_pairs": len(holdout),
        "holdout_decided": int(holdout.decided.sum()),
        "holdout_sources": dict(sorted(Counter(holdout.source).items())),
    }


def _slim(row: dict[str, Any], spec: Spec) -> dict[str, Any]:
    """Keep of a row what training reads, so that reasons and raw answers do not fill the memory."""
    own = row.get(RESERVED) or {}
    kept = {key: row[key] for key in ("source", "prompt", "context", RESERVED) if row.get(key) is not None}
    kept["id"] = row.get("id") or (f"item {own['item']}" if "item" in own else "")
    kept["group"] = own.get("group") or row.get("group")
    kept["responses"] = [{"text": response["text"]} for response in row.get("responses") or []]
    kept["judgments"] = [
        {key: judgment[key] for key in _JUDGMENT_KEYS if key in judgment}
        for judgment in row.get("judgments") or []
        if spec.judgments == HUMAN_FIRST or judgment.get("kind", "human") == "human"
    ]
    if spec.propensity:
        given = [float(judgment.get("propensity") or 1.0) for judgment in row.get("judgments") or []
                 if judgment.get("kind", "human") == "human"]  # fmt: skip
        kept["label_weight"] = float(losses.row_weights([""], {}, np.array([min(given, default=1.0)]))[0])
    return kept


def _ticking(rows: Iterable[dict[str, Any]], tick: Callable[[int], None] | None) -> Iterable[dict[str, Any]]:
    for number, row in enumerate(rows):
        if tick is not None and number % _TICK == 0:
            tick(number)
        yield row
