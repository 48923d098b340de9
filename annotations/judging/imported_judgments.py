"""One judgment of a file: its place in the stored order of responses, its id, and the answer it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from annotations.items.bulk_insert import json_text
from annotations.items.readers import CallRecord, ComparisonRecord, JudgmentRecord

from .answers import Answer, Call

NAMESPACE = b"plumbline.judgment\n"
MAX_MS = 2_147_483_647  # what the column holds; a longer time is kept in `meta`
OTHER_LABEL = {"a": "b", "b": "a"}
OTHER_ORDER = {"ab": "ba", "ba": "ab"}


def name_uuid(words: str) -> str:
    """A version 5 UUID of these words, as 32 hex digits."""
    digits = hashlib.sha1(NAMESPACE + words.encode(), usedforsecurity=False).hexdigest()
    return f"{digits[:12]}5{digits[13:16]}{'89ab'[int(digits[16], 16) & 3]}{digits[17:32]}"


def judgment_uuid(project_id: int, identity: str, judgment: JudgmentRecord, answers_text: str) -> str:
    """The id of a judgment that brings none: the same content by the same annotator has the same id every time.

    `answers_text` is its free answers as JSON.
    """
    j = judgment
    content = (
        project_id,
        identity,
        j.kind,
        j.annotator,
        j.outcome,
        [(c.first, c.second, c.aspect, c.preference, c.scale_max, c.tie) for c in j.comparisons],
        [(s.response, s.attribute, float(s.value)) for s in j.scores],
        answers_text,
        j.reason,
        j.probability,
        j.presented_order,
        j.created_at and j.created_at.timestamp(),
        j.active_ms,
        j.wall_ms,
        [(c.order, c.label, c.raw, c.reason, json_text(c.meta)) for c in j.calls],
    )
    return name_uuid(repr(content))


def own_uuid(project_id: int, uuid: str) -> str:
    """The id here of a judgment whose own id another project's judgment has."""
    return name_uuid(f"{project_id}:{uuid}")


def answer_of(judgment: JudgmentRecord, source_id: str | None = None) -> Answer:
    """The record as an answer. Versions it was given under in its own project are kept in `meta`."""
    meta = {}
    if judgment.schema_version is not None:
        meta["schema_version"] = judgment.schema_version
    if judgment.guideline_version is not None:
        meta["guideline_version"] = judgment.guideline_version
    if source_id is not None:
        meta["source_id"] = source_id
    active, wall = judgment.active_ms, judgment.wall_ms
    if active is not None and active > MAX_MS:
        meta["active_ms"], active = active, None
    if wall is not None and wall > MAX_MS:
        meta["wall_ms"], wall = wall, None
    order = judgment.presented_order
    return Answer(
        judgment.outcome,
        judgment.comparisons,
        judgment.scores,
        judgment.answers,
        judgment.reason,
        judgment.probability,
        judgment.order_consistent,
        "" if order is None else "".join(map(str, order)),
        active,
        wall,
        meta,
        tuple(Call(c.order, c.label or "", c.raw, c.reason, c.meta) for c in judgment.calls),
    )


def permuted(judgment: JudgmentRecord, places: Sequence[int]) -> JudgmentRecord:
    """The judgment for an item that stores the same responses in another order.

    `places[i]` is the stored place of the record's response i. Signs, probability, calls and the order shown
    turn with it; words in reasons and free answers stay as they were given.
    """
    turned = tuple(_permuted(c, places) for c in judgment.comparisons)
    first_turned = (
        places[judgment.comparisons[0].first] > places[judgment.comparisons[0].second]
        if judgment.comparisons
        else places[0] > places[-1]
    )
    probability = judgment.probability
    swapped = len(places) == 2 and places[0] == 1
    return replace(
        judgment,
        comparisons=turned,
        scores=tuple(replace(s, response=places[s.response]) for s in judgment.scores),
        probability=1 - probability if probability is not None and first_turned else probability,
        presented_order=judgment.presented_order and tuple(places[i] for i in judgment.presented_order),
        calls=tuple(_turned(call) for call in judgment.calls) if swapped else judgment.calls,
    )


def _permuted(c: ComparisonRecord, places: Sequence[int]) -> ComparisonRecord:
    first, second = places[c.first], places[c.second]
    if first < second:
        return replace(c, first=first, second=second)
    preference = None if c.preference is None else -c.preference
    return replace(c, first=second, second=first, preference=preference)


def _turned(call: CallRecord) -> CallRecord:
    return replace(
        call,
        order=OTHER_ORDER.get(call.order, call.order),
        label=OTHER_LABEL.get(call.label, call.label),
    )


def in_order(judgments: Sequence[JudgmentRecord]) -> list[tuple[int, JudgmentRecord]]:
    """(place in the file, judgment), so that of one annotator's judgments the earlier come first.

    Each comes after the one it supersedes; those that name none go by time, where all of them have one.
    """
    placed = list(enumerate(judgments))
    if len({(j.kind, j.annotator) for j in judgments}) == len(judgments):
        return placed
    if all(j.created_at is not None for j in judgments):
        placed.sort(key=lambda entry: entry[1].created_at)
    by_id = {j.id: (place, j) for place, j in placed if j.id}
    ordered: list[tuple[int, JudgmentRecord]] = []
    done: set[int] = set()
    for place, judgment in placed:
        chain = []
        link: tuple[int, JudgmentRecord] | None = (place, judgment)
        while link is not None and link[0] not in done:
            done.add(link[0])
            chain.append(link)
            link = by_id.get(link[1].supersedes) if link[1].supersedes else None
        ordered += reversed(chain)
    return ordered
