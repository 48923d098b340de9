"""Peer scoring: pay for agreeing with others where agreeing is not what everybody says anyway. Pure.

The correlated-agreement mechanism (Dasgupta & Ghosh 2013; Shnayder, Agarwal, Frongillo & Parkes 2016): 1 for agreeing with
somebody on the same unit, minus 1 for agreeing with somebody's answer to another unit. Whoever answers without looking scores
0 on average, whatever the others' favourite is. Averaged over all peers and other units instead of drawing one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import means
from .patterns import Labels

FEWEST = 10  # units shared with others, below which a score says nothing


def scores(labels: Labels, n_annotators: int, codes: Sequence[int] | None = None) -> dict[int, dict | None]:
    """{annotator: mean score in [-1, 1] with a 95 % interval over items}; of all, or of `codes`. n counts votes beside others'.

    None with fewer than `FEWEST` such votes, or where nobody else answered another unit.
    """
    k = max(1, len(labels.levels))
    who, value = labels.annotator.astype(np.int64), labels.value.astype(np.int64)
    unit = labels.unit.astype(np.int64)
    place = unit * k + value
    of_unit = np.bincount(unit, minlength=labels.n_units)
    of_value = np.bincount(place, minlength=labels.n_units * k)
    peers = of_unit[unit] - 1
    agreeing = of_value[place] - 1
    own = np.bincount(who * k + value, minlength=n_annotators * k)
    votes = np.bincount(who, minlength=n_annotators)
    all_values = np.bincount(value, minlength=k)
    # Others' votes on other units, and how many of them say the same.
    elsewhere = len(labels) - votes[who] - peers
    alike = all_values[value] - own[who * k + value] - agreeing
    usable = (peers > 0) & (elsewhere > 0)
    reward = np.zeros(len(labels))
    reward[usable] = agreeing[usable] / peers[usable] - alike[usable] / elsewhere[usable]
    order = np.flatnonzero(usable)[np.argsort(who[usable], kind="stable")]
    bounds = np.searchsorted(who[order], np.arange(n_annotators + 1))
    found: dict[int, dict | None] = {}
    for code in range(n_annotators) if codes is None else codes:
        mine = order[bounds[code] : bounds[code + 1]]
        _, item = np.unique(labels.item[labels.unit[mine]], return_inverse=True)
        found[int(code)] = (
            means.mean(reward[mine], item=item, bounds=(-1.0, 1.0)) if len(mine) >= FEWEST else None
        )
    return found
