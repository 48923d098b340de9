"""The order of a project's queue by what the models' ranking, or finding the best of them, needs most: an optional rule.

Every so many judgments of people the next items are chosen by `active` and put at the front. Only the place in the
queue changes: who may judge an item, how many do, what they see and with which probability it is judged at all stay.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable

import numpy as np
from django.core.cache import cache
from django.db.models import Q

from annotations.items import routes
from annotations.items.models import Item, Response
from annotations.projects import rules
from annotations.projects.models import Project

from . import active, bradley_terry, rankings, stored
from .votes import HUMAN, Votes

EVERY = 50  # judgments, or a twentieth of all, whichever is more
MOST_OPEN = 50_000  # items looked at
ORDERS: dict[str, Callable[..., np.ndarray]] = {  # by `limits.order`
    "ranking": lambda *args, **options: active.next_pairs(*args, **options)[0],
    "best": active.best_pairs,
}
BEGUN, CHOSEN = 2, 1  # priorities: begun items are completed first, then come the chosen ones


def tick() -> int:
    """Order the queues of the projects that ask for it and got enough judgments since; returns how many."""
    n = 0
    for project in Project.objects.filter(
        status=Project.Status.ACTIVE, rules__limits__order__in=list(ORDERS)
    ):
        judged, key = stored.n_judged(project), f"analysis:ordered:{project.pk}"
        last = cache.get(key)
        if last is None or judged - last >= max(EVERY, judged // 20):
            reorder(project)
            cache.set(key, judged, None)
            n += 1
    return n


def reorder(project: Project) -> int:
    """Put at the front of the queue what the project's order asks for; returns how many items moved.

    Items that a plan or a person put in place keep it, and so do items with other than two responses of known models.
    """
    order = rules.of(project).limits.order
    if order not in ORDERS:
        return 0
    votes = stored.votes_of(project)
    players, open_items = _open(project, votes)
    wanted: dict[int, int] = {}
    if len(players) > 1:
        n = max(EVERY, stored.n_judged(project) // 20)
        for pair in _pairs(
            votes, players, set(open_items), n, order, seed=abs(project.seed) + stored.n_judged(project)
        ):
            if open_items[pair]:
                wanted[open_items[pair].popleft()] = CHOSEN
    changed = {}
    rows = _ours(project).values_list("pk", "priority", "n_human")
    for pk, priority, n_human in rows[:MOST_OPEN].iterator():
        want = BEGUN if n_human else wanted.get(pk, 0)
        if want != priority:
            changed[pk] = want
    return routes.set_priorities(project=project, priorities=changed) if changed else 0


def _ours(project: Project):
    """Open items of two responses that nobody else put in place."""
    return Item.objects.filter(
        Q(open_slots__gt=0) | Q(expert_slots__gt=0), project=project, route_ref="", n_responses=2
    ).order_by("order_key")


def _open(project: Project, votes: Votes) -> tuple[list[str], dict[tuple[str, str], deque[int]]]:
    """(models that play, {two of them: items not begun, in the queue's order})."""
    ids = list(_ours(project).filter(n_human=0).values_list("pk", flat=True)[:MOST_OPEN])
    names: dict[int, list[str]] = defaultdict(list)
    for start in range(0, len(ids), 1000):
        rows = Response.objects.filter(item__in=ids[start : start + 1000]).order_by("item_id", "index")
        for item, name in rows.values_list("item_id", "model"):
            names[item].append(name)
    found: dict[tuple[str, str], deque[int]] = defaultdict(deque)
    for pk in ids:
        pair = tuple(sorted(names[pk]))
        if all(pair) and len(set(pair)) == 2:
            found[pair].append(pk)
    return sorted({*votes.models, *(name for pair in found for name in pair)}), found


def _pairs(votes: Votes, players: list[str], there: set, n: int, order: str, *, seed: int):
    """The `n` comparisons asked for next, as pairs of names; only pairs of which there are items."""
    place = {name: i for i, name in enumerate(players)}
    fitted = _fit(votes, place)
    covariance = bradley_terry.bread(fitted)[: len(players), : len(players)]
    allowed = np.zeros((len(players), len(players)), dtype=bool)
    for a, b in there:
        allowed[place[a], place[b]] = allowed[place[b], place[a]] = True
    pairs = ORDERS[order](fitted.theta, covariance, n, seed=seed, allowed=allowed)
    return [(players[i], players[j]) for i, j in pairs.tolist()]


def _fit(votes: Votes, place: dict[str, int]) -> bradley_terry.Fit:
    """People's ratings on the first aspect, every two models with half a tie beside, so that all are in."""
    m = len(place)
    c = votes.comparisons
    game = rankings.games(votes, (c.aspect == 0) & (votes.kinds[c.annotator] == HUMAN))
    code = np.array([place[name] for name in votes.models], dtype=np.int64)
    table = np.zeros((m, m, 3))
    if len(game):
        np.add.at(table, (code[game.first], code[game.second], game.verdict.astype(int) + 1), 1)
    table[:, :, 1] += 0.25 * (1 - np.eye(m))
    return bradley_terry.fit(bradley_terry.of_table(table))
