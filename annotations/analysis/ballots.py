"""What votes say of candidates for a selection: points of people for responses or items, and the choice in words. Pure."""

from __future__ import annotations

import numpy as np

from .agreement import agrees_with_rest
from .patterns import dense, of_comparisons
from .subset import Ballots, choose
from .votes import HUMAN, Votes

OF = ("responses", "items")
GROUPS = ("source", "batch", "model")
NOT_KNOWN = "not known"


def select(
    votes: Votes, *, of: str, k: int, group: str = "source", at_least: int = 0, rule: str = "borda"
) -> dict:
    """{chosen: [{item, response, group, score, votes, only_by_bound}], groups: [{name, candidates, chosen, unbounded, score}], value,
    unbounded_value, candidates, points}: the k responses or items that people's votes like best.

    `at_least` of each group, or all of it where it is smaller. Raises `subset.Impossible`.
    """
    ballots, item, response, points = _ballots(votes, of, group)
    size = np.bincount(ballots.group, minlength=len(ballots.groups))
    bounds = {g: min(at_least, int(size[g])) for g in np.flatnonzero(size).tolist()} if at_least else {}
    found = choose(ballots, k, at_least=bounds, rule=rule)
    score, n = ballots.score, np.bincount(ballots.candidate, minlength=ballots.n_candidates)
    free = set(found.free.tolist())
    chosen = [
        {
            "item": str(votes.items.ids[item[c]]),
            "response": None if response is None else int(response[c]) + 1,
            "group": ballots.groups[ballots.group[c]] or NOT_KNOWN,
            "score": float(score[c]),
            "votes": int(n[c]),
            "only_by_bound": c not in free,
        }
        for c in found.chosen.tolist()
    ]
    counts = [np.bincount(ballots.group[each], minlength=len(size)) for each in (found.chosen, found.free)]
    mean = np.bincount(ballots.group, score, len(size)) / np.maximum(size, 1)
    groups = [
        {
            "name": ballots.groups[g] or NOT_KNOWN,
            "candidates": int(size[g]),
            "chosen": int(counts[0][g]),
            "unbounded": int(counts[1][g]),
            "score": float(mean[g]),
        }
        for g in np.flatnonzero(size).tolist()
    ]
    return {
        "chosen": chosen,
        "groups": groups,
        "value": found.value,
        "unbounded_value": found.free_value,
        "candidates": ballots.n_candidates,
        "points": points,
    }


def _ballots(votes: Votes, of: str, group: str):
    """(ballots, item of each candidate, response of each or None, what gave the points)."""
    if of not in OF:
        raise ValueError(f"of={of!r}: expected one of {', '.join(OF)}")
    if group not in GROUPS or (of == "items" and group == "model"):
        raise ValueError(f"group={group!r}: items go by source or batch, responses also by model")
    make = _of_responses if of == "responses" else _of_items
    voter, key, points, words = make(votes)
    found, candidate = dense(key)
    item, response = (found // 8).astype(np.int64), found % 8
    if group == "model":
        code = votes.items.model[votes.responses(item, response)] if len(item) else np.zeros(0, dtype=int)
        code, names = np.where(code < 0, len(votes.models), code), (*votes.models, "")
    else:
        table = {"source": votes.items.source, "batch": votes.items.batch}[group]
        code, names = np.asarray(table)[item], votes.sources if group == "source" else votes.batches
        if len(names) == 1:  # the votes of one source, whose items keep their codes
            code = np.zeros(len(item), dtype=np.int64)
    ballots = Ballots(voter, candidate, points, len(found), code.astype(np.int64), tuple(names))
    return ballots, item, response if of == "responses" else None, words


def _of_responses(votes: Votes):
    """Points of people for responses: won comparisons of the first aspect, else ratings of the first attribute."""
    c = votes.comparisons
    mine = (c.aspect == 0) & (votes.kinds[c.annotator] == HUMAN) if len(c) else np.zeros(0, dtype=bool)
    if mine.any():
        item, who = c.item[mine].astype(np.int64), c.annotator[mine].astype(np.int64)
        won = (1 - c.verdict[mine].astype(float)) / 2
        key = np.concatenate([item * 8 + c.first[mine], item * 8 + c.second[mine]])
        return np.concatenate([who, who]), key, np.concatenate([won, 1 - won]), "comparisons"
    s = votes.scores
    mine = (s.attribute == 0) & (votes.kinds[s.annotator] == HUMAN)
    who = s.annotator[mine].astype(np.int64)
    key = s.item[mine].astype(np.int64) * 8 + s.response[mine]
    return who, key, _places(who, s.value[mine]), "ratings"


def _of_items(votes: Votes):
    """Points of people for items: how they rate its responses, else whether others say what they say of it (clear items)."""
    s = votes.scores
    mine = (s.attribute == 0) & (votes.kinds[s.annotator] == HUMAN) if len(s) else np.zeros(0, dtype=bool)
    if mine.any():
        who = s.annotator[mine].astype(np.int64)
        pair, place = np.unique(who * len(votes.items) + s.item[mine], return_inverse=True)
        value = np.bincount(place, s.value[mine]) / np.bincount(place)
        who, item = pair // len(votes.items), pair % len(votes.items)
        return who, item * 8, _places(who, value), "ratings"
    labels = of_comparisons(votes, 0)
    labels = labels.only(votes.kinds[labels.annotator] == HUMAN)
    same, known = agrees_with_rest(labels)
    item = labels.item[labels.unit[known]].astype(np.int64)
    return labels.annotator[known].astype(np.int64), item * 8, same[known].astype(float), "agreement"


def _places(who: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Borda's points scaled: the share of a voter's other candidates below each, those level counted half; ½ for a single one."""
    order = np.lexsort((value, who))
    w, v = who[order], value[order]
    new_voter = np.r_[True, w[1:] != w[:-1]] if len(w) else np.zeros(0, dtype=bool)
    new_value = new_voter | np.r_[True, v[1:] != v[:-1]] if len(w) else new_voter
    start = np.maximum.accumulate(np.where(new_voter, np.arange(len(w)), 0))
    n = np.bincount(np.cumsum(new_voter) - 1)[np.cumsum(new_voter) - 1] if len(w) else np.zeros(0)
    run = np.cumsum(new_value) - 1
    size = np.bincount(run)[run] if len(w) else np.zeros(0)
    first = np.maximum.accumulate(np.where(new_value, np.arange(len(w)), 0))
    below = first - start
    points = np.where(n > 1, (below + (size - 1) / 2) / np.maximum(n - 1, 1), 0.5)
    found = np.empty(len(w))
    found[order] = points
    return found
