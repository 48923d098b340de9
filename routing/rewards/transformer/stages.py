"""What a training learns from: its material as rows of tokens, in stages, and the rows kept back for validation.

One stage on ratings (masked squared error per attribute), then one on preferences that starts from its heads,
as in HelpSteer2-Preference (Wang et al. 2024, arXiv:2410.01257); "joint" is one stage on both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from routing.rewards import losses
from routing.rewards.prepare import Material, Spec
from routing.rewards.transformer import rows
from routing.rewards.transformer.batching import Encoder
from routing.rewards.transformer.options import Options

VALIDATION_SHARE = 0.1

Tell = Callable[[dict[str, Any]], None]


class CannotTrain(ValueError):
    """The training cannot go on; the text says why and what helps."""


@dataclass(frozen=True)
class Stage:
    """Rows of one or more kinds that are learnt from together."""

    name: str
    parts: list[rows.Rows]
    epochs: int
    lr: float


@dataclass(frozen=True)
class Stages:
    """What `stages_of` made of a material.

    Attributes:
        stages: one or two, in the order they are learnt.
        validation: pairs of the groups that no stage learns from.
        left_out: rows longer than fits, by kind.
    """

    stages: list[Stage]
    validation: rows.Rows
    left_out: dict[str, int]


def stages_of(material: Material, spec: Spec, options: Options, encode: Encoder, *, rated: bool) -> Stages:
    """Read the material; `rated` says whether its ratings are learnt from. Raises CannotTrain where nothing is left."""
    left_out: dict[str, int] = {}

    def kept(given: rows.Rows, what: str) -> rows.Rows:
        found, left = _fitting(given, encode, lambda group: group not in held)
        if left:
            left_out[what] = left
        return found

    pairs = rows.pair_rows(material.fit, encode, spec.loss, losses.STRENGTH_MAPS[spec.strength_map])
    if spec.loss in ("plackett_luce", "lipo"):
        learnt = rows.list_rows(material.lists, material.fit, encode)
    elif spec.loss == "bco":
        learnt = rows.thumb_rows(material.ratings, material.fit, encode)
    else:
        learnt = pairs
    ratings = rows.rating_rows(material.ratings, encode) if rated else None
    held = validation_groups([*pairs.group, *(ratings.group if ratings else [])], spec.seed)
    validation, _ = _fitting(pairs, encode, lambda group: group in held)
    learnt = kept(learnt, learnt.kind)
    ratings = kept(ratings, "rating") if ratings else None
    if spec.loss == "joint":
        if ratings is None or not len(ratings) or not len(learnt):
            raise CannotTrain("loss 'joint' needs both ratings and decided pairs.")
        return Stages([Stage("joint", [ratings, learnt], options.epochs, options.lr)], validation, left_out)
    stages = []
    if ratings is not None and len(ratings):
        stages.append(Stage("ratings", [ratings], options.ratings_epochs, options.ratings_lr))
    if spec.loss != "mse" and len(learnt):
        stages.append(Stage("preferences", [learnt], options.epochs, options.lr))
    if not stages:
        raise CannotTrain(
            f"No training row fits in {options.max_length} tokens; raise max_length (and token_budget)."
        )
    return Stages(stages, validation, left_out)


def _fitting(given: rows.Rows, encode: Encoder, wanted: Callable[[str], bool]) -> tuple[rows.Rows, int]:
    """(rows of the wanted groups whose sequences all fit, how many did not)."""
    keep, long = [], 0
    for i, row in enumerate(given.sequences):
        if not wanted(given.group[i]):
            continue
        if all(encode.fits(ids) for ids in row):
            keep.append(i)
        else:
            long += 1
    return given.take(np.array(keep, dtype=int)), long


def validation_groups(groups: list[str], seed: int) -> set[str]:
    """About a tenth of the prompt groups, by a seeded hash; none where there are fewer than ten."""
    names = sorted(set(groups))
    if len(names) < 10:
        return set()

    def place(name: str) -> float:
        digest = hashlib.sha256(f"validation\0{seed}\0{name}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    return {name for name in names if place(name) < VALIDATION_SHARE}
