"""Pairs that people decided, with their reasons and their split; what they agree among themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from annotations.analysis import means
from annotations.analysis.majority import FIRST, SECOND, of_counts, votes
from annotations.items.models import Item
from annotations.judging.models import Judgment
from annotations.lm import verdicts
from annotations.lm.annotate import texts_shown
from annotations.projects.models import Annotator, Project

from .evidence import share
from .models import GroupSplit

SHARES = {"train": 0.5, "select": 0.25, "audit": 0.25}
WITHOUT_AUDIT = {"train": 2 / 3, "select": 1 / 3, "audit": 0.0}
LEAST_FOR_AUDIT = 60
LEAST_AUDITED = 30
LEAST_GROUPS = 8
READ = 500


class NoMaterial(Exception):
    """People have not decided enough pairs here; the text says what is needed."""


@dataclass(frozen=True)
class Pair:
    """One decided pair. truth: FIRST or SECOND; counts: people's votes for first, tie, second."""

    item_id: int
    prompt: str
    raw_prompt: object
    context: str
    first: str
    second: str
    truth: int
    counts: tuple[int, int, int]
    group: str
    split: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Material:
    """The pairs of a round and, one per pair, what arrays are needed of them. undecided: ties among people, left out."""

    pairs: list[Pair]
    undecided: int
    decided: int
    truth: np.ndarray = field(init=False)
    group: np.ndarray = field(init=False)
    split: np.ndarray = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "truth", np.array([p.truth for p in self.pairs], dtype=np.int8))
        object.__setattr__(self, "group", np.array([p.group for p in self.pairs]))
        object.__setattr__(self, "split", np.array([p.split for p in self.pairs]))

    def of(self, *splits: str) -> np.ndarray:
        """Which pairs stand in these splits: bool[n]."""
        return np.isin(self.split, splits)

    @property
    def has_audit(self) -> bool:
        return int(self.of("audit").sum()) >= LEAST_AUDITED

    def ceiling(self, where: np.ndarray) -> dict | None:
        """One person against the majority of the others on these pairs, clustered by item; None without two people."""
        points, item = [], []
        for k in np.flatnonzero(where):
            counts = np.array(self.pairs[k].counts)
            for vote in range(3):
                for _ in range(counts[vote]):
                    rest = counts - np.eye(3, dtype=int)[vote]
                    other = int(of_counts(rest[None, :])[0])
                    if other in (FIRST, SECOND):
                        points.append(1.0 if vote - 1 == other else 0.5 if vote == 1 else 0.0)
                        item.append(k)
        return means.mean(np.array(points), item=np.unique(item, return_inverse=True)[1]) if points else None


def read(project: Project, *, limit: int | None, seed: int = 0, reasons: bool = True) -> Material:
    """Up to `limit` decided pairs by a seeded draw, every group in its split for ever. Raises NoMaterial below ten."""
    aspect = verdicts.main_aspect(project)
    if aspect is None:
        raise NoMaterial("This project asks for no comparison. Criteria grow out of judged pairs.")
    found: list[tuple[int, int, tuple[int, int, int]]] = []
    undecided = 0
    for batch in verdicts.iter_verdicts(project, aspect=aspect, annotators=[]):
        counts = votes(batch.place[batch.human], batch.verdict[batch.human], len(batch.item_ids))
        truth = of_counts(counts)
        undecided += int(((counts.sum(axis=1) > 0) & (truth == 0)).sum())
        found += [
            (int(batch.item_ids[p]), int(truth[p]), tuple(int(c) for c in counts[p]))
            for p in np.flatnonzero(np.isin(truth, (FIRST, SECOND)))
        ]
    if len(found) < 10:
        raise NoMaterial(f"People decided {len(found)} pairs here; at least 10 are needed, 60 for an audit.")
    decided = len(found)
    found.sort(key=lambda row: hashlib.sha256(f"{seed}:pair:{row[0]}".encode()).digest())
    chosen = {row[0]: row for row in (found if limit is None else found[:limit])}
    pairs = _pairs(project, chosen, _splits(project, chosen, seed), reasons)
    return Material(pairs, undecided, decided)


def group_key(item: Item) -> str:
    return hashlib.sha256((item.group or item.content_hash).encode()).hexdigest()


def _splits(project: Project, chosen: dict, seed: int) -> dict[int, tuple[str, str]]:
    """(group, split) of each item. A new group goes where its split lags most behind its share of the group's source, so
    that no split is of another mixture; known ones stay."""
    groups: dict[str, list[int]] = {}
    source: dict[str, str] = {}
    for part in _parts(sorted(chosen)):
        for item in Item.objects.filter(pk__in=part).only("pk", "group", "content_hash", "source"):
            groups.setdefault(group_key(item), []).append(item.pk)
            source.setdefault(group_key(item), item.source)
    known = dict(GroupSplit.objects.filter(project=project).values_list("group", "split"))
    shares = SHARES if len(chosen) >= LEAST_FOR_AUDIT else WITHOUT_AUDIT
    have = {name: dict.fromkeys(SHARES, 0) for name in source.values()}
    for g, ids in groups.items():
        if g in known:
            have[source[g]][known[g]] += len(ids)
    new = sorted(
        (g for g in groups if g not in known),
        key=lambda g: (
            -(len(groups[g]) > len(chosen) // 10),
            hashlib.sha256(f"{seed}:{g}".encode()).digest(),
        ),
    )
    made = []
    for g in new:
        mine = have[source[g]]
        total = sum(mine.values()) + len(groups[g])
        split = max((s for s in shares if shares[s] > 0), key=lambda s: shares[s] * total - mine[s])
        mine[split] += len(groups[g])
        made.append(GroupSplit(project=project, group=g, split=split))
    GroupSplit.objects.bulk_create(made, ignore_conflicts=True, batch_size=READ)
    if made:  # somebody else may have placed a group meanwhile: theirs stands
        known = dict(GroupSplit.objects.filter(project=project).values_list("group", "split"))
    return {pk: (g, known[g]) for g, ids in groups.items() for pk in ids}


def _pairs(project: Project, chosen: dict, splits: dict, with_reasons: bool) -> list[Pair]:
    said: dict[int, list[str]] = {}
    found = []
    for part in _parts(sorted(chosen)):
        if with_reasons:
            train = [pk for pk in part if splits[pk][1] == "train"]
            rows = Judgment.objects.filter(
                item_id__in=train, is_current=True, annotator__kind=Annotator.Kind.HUMAN
            ).exclude(reason="")
            for item_id, reason in rows.order_by("pk").values_list("item_id", "reason"):
                said.setdefault(item_id, []).append(reason)
        texts = texts_shown(part)
        for item in Item.objects.filter(pk__in=part).only("pk", "prompt", "context").order_by("pk"):
            _, truth, counts = chosen[item.pk]
            first, second = texts[item.pk][:2]
            found.append(
                Pair(
                    item.pk,
                    prompt_text(item.prompt),
                    item.prompt,
                    item.context,
                    first,
                    second,
                    truth,
                    counts,
                    *splits[item.pk],
                    tuple(said.get(item.pk, ())),
                )
            )
    return found


def prompt_text(prompt: object) -> str:
    """The prompt as plain text: a conversation's turns one after another."""
    if isinstance(prompt, str):
        return prompt
    return "\n".join(str(turn.get("content", "")) for turn in prompt if isinstance(turn, dict))


def estimate(points: np.ndarray, groups: np.ndarray) -> dict | None:
    """The mean of half points, over prompt groups where there are enough of them, else over pairs (Wilson)."""
    codes = np.unique(groups, return_inverse=True)[1]
    if len(points) and LEAST_GROUPS <= codes.max() + 1 < len(points):
        return means.mean(points, item=codes)
    return share(float(np.sum(points)), len(points))


def _parts(ids: Sequence[int]):
    for start in range(0, len(ids), READ):
        yield ids[start : start + READ]
