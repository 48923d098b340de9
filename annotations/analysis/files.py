"""Votes of a file, without a database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from annotations.items import readers
from annotations.items.readers import JudgmentRecord, Problem, Record

from . import style
from .votes import Builder, Votes

NAN = float("nan")
PROBLEMS_KEPT = 100
STYLE_BATCH = 2000


@dataclass
class FileVotes:
    """A file's votes, what of it could not be read, and per model the pairs of calls whose two orders differ."""

    votes: Votes
    problems: list[tuple[str, Problem]] = field(default_factory=list)
    n_problems: int = 0
    calls: dict[int, list[dict[str, str | None]]] = field(default_factory=dict)
    """{annotator code: [{"ab": label, "ba": label}]} of judgments that contradict themselves."""


def read(
    paths,
    *,
    format: str | None = None,
    styles: bool = False,
    tick: Callable[[int], None] = lambda n: None,
) -> FileVotes:
    """The votes in these files; `styles` reads the form of the texts too. Raises readers.UnknownFormat, OSError.

    Only answers that stand are read: of judgments that one of the file supersedes, the newest. An item that comes
    twice under one id is one item.
    """
    builder = Builder()
    found = FileVotes(votes=None)  # type: ignore[arg-type]
    seen: dict[tuple[str, str], tuple[int, int]] = {}
    texts: list[str] = []
    for number, (path, row) in enumerate(readers.read_many(paths, format=format), 1):
        if isinstance(row, Problem):
            found.n_problems += 1
            if len(found.problems) < PROBLEMS_KEPT:
                found.problems.append((path.name, row))
            continue
        if number % 2000 == 0:
            tick(number)
        key = (row.source, row.external_id) if row.external_id else None
        known = seen.get(key) if key else None
        if known is not None and known[1] == len(row.responses):
            code = known[0]
        else:
            code = builder.item(
                row.external_id or f"line {row.line}",
                source=row.source,
                models=[response.model for response in row.responses],
            )
            if key:
                seen[key] = (code, len(row.responses))
            if styles:
                texts.extend(response.text for response in row.responses)
                if len(texts) >= STYLE_BATCH:
                    builder.style_parts.append(style.counts(texts))
                    texts = []
        add_judgments(builder, code, row, found.calls)
    if texts or (styles and not builder.style_parts):
        builder.style_parts.append(style.counts(texts))
    found.votes = _latest(builder.build())
    return found


def add_judgments(builder: Builder, code: int, row: Record, calls: dict) -> None:
    """Add what the record's annotators say of the item `code`."""
    superseded = {j.supersedes for j in row.judgments if j.supersedes}
    for judgment in row.judgments:
        if judgment.id is not None and judgment.id in superseded:
            continue
        if judgment.outcome == "cannot_judge":
            builder.unjudged += 1
        if judgment.outcome != "answered":
            continue
        who = builder.annotator(judgment.annotator, judgment.kind)
        add_judgment(builder, code, who, judgment)
        if judgment.order_consistent is False and judgment.calls:
            orders = {call.order: call.label for call in judgment.calls}
            calls.setdefault(who, []).append(orders)


def add_judgment(builder: Builder, code: int, who: int, judgment: JudgmentRecord) -> None:
    """Add one judgment's comparisons and scores."""
    at = int(judgment.created_at.timestamp()) if judgment.created_at else 0
    seconds = NAN if judgment.active_ms is None else judgment.active_ms / 1000
    propensity = 1.0 if judgment.propensity is None else judgment.propensity
    consistent = -1 if judgment.order_consistent is None else int(judgment.order_consistent)
    order = judgment.presented_order
    for c in judgment.comparisons:
        preference = c.preference or 0
        shown = 0
        if order is not None and c.first in order and c.second in order:
            shown = 1 if order.index(c.first) < order.index(c.second) else -1
        builder.comparisons.add(
            (
                code,
                who,
                builder.aspects.code(c.aspect),
                c.first,
                c.second,
                (preference > 0) - (preference < 0),
                preference,
                c.scale_max or 0,
                shown,
                consistent,
                NAN if judgment.probability is None else judgment.probability,
                at,
                seconds,
                propensity,
            )
        )
    for s in judgment.scores:
        attribute = builder.attributes.code(s.attribute)
        builder.scores.add((code, who, attribute, s.response, s.value, at, propensity))


def _latest(votes: Votes) -> Votes:
    """Of several votes of one annotator on the same question, the last in the file."""
    c, s = votes.comparisons, votes.scores
    return replace(
        votes,
        comparisons=c[_last(c.item, c.annotator, c.aspect, c.first, c.second)] if len(c) else c,
        scores=s[_last(s.item, s.annotator, s.attribute, s.response)] if len(s) else s,
    )


def _last(*keys: np.ndarray) -> np.ndarray:
    """Places of the last row of each key, in order."""
    order = np.lexsort((np.arange(len(keys[0])), *keys[::-1]))
    new = np.zeros(len(order), dtype=bool)
    for key in keys:
        sorted_key = key[order]
        new[:-1] |= sorted_key[1:] != sorted_key[:-1]
    new[-1] = True
    return np.sort(order[new])
