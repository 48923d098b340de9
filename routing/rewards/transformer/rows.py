"""Training rows of each kind as sequences and targets, and their losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from routing.rewards import list_losses, losses, losses_torch
from routing.rewards.data import Pairs, Ratings
from routing.rewards.lists import Lists, with_pairs
from routing.rewards.transformer.batching import Encoder

THUMB = "thumb"


@dataclass(frozen=True)
class Rows:
    """Rows of one kind.

    Attributes:
        kind: "pair" (first, second), "list", "thumb" or "rating" (one sequence each).
        sequences: token ids of each row's sequences.
        targets: arrays by name, one entry a row; lists hold ragged ranks.
        weight: float (n,).
        source: of the labels, for MORE.
        group: prompt group of each row.
    """

    kind: str
    sequences: list[list[list[int]]]
    targets: dict[str, Any]
    weight: np.ndarray
    source: list[str]
    group: list[str]

    def __len__(self) -> int:
        return len(self.sequences)

    def take(self, index: np.ndarray) -> Rows:
        def pick(values):
            return values[index] if isinstance(values, np.ndarray) else [values[i] for i in index]

        return Rows(
            self.kind, pick(self.sequences), {k: pick(v) for k, v in self.targets.items()},
            self.weight[index], pick(self.source), pick(self.group),
        )  # fmt: skip

    @property
    def lengths(self) -> np.ndarray:
        return np.array([max(map(len, row)) for row in self.sequences], dtype=int)

    @property
    def sizes(self) -> np.ndarray:
        return np.array([len(row) for row in self.sequences], dtype=int)


def pair_rows(pairs: Pairs, encode: Encoder, loss: str, strength_map: dict[int, float]) -> Rows:
    """Pairs with the probability that the second is better, and weights as the loss wants them."""
    sign = pairs.sign
    target = losses.soft_labels(pairs.votes) if loss == "soft_bt" else (sign + 1) / 2
    weight = pairs.weight.copy()
    if loss in ("scaled_bt", "joint"):
        weight = weight * losses.strength_weights(pairs.strength, strength_map)
    sequences = [
        [encode(p, a), encode(p, b)]
        for p, a, b in zip(pairs.prompts, pairs.first_texts, pairs.second_texts, strict=True)
    ]
    targets = {"target": target, "sign": sign, "strength": pairs.strength.astype(float)}
    return Rows("pair", sequences, targets, weight, list(pairs.source), list(pairs.group))


def list_rows(lists: Lists, pairs: Pairs, encode: Encoder) -> Rows:
    """Rankings, and every directly judged pair as a list of two."""
    lists = with_pairs(lists, pairs)
    sequences = [[encode(p, t) for t in texts] for p, texts in zip(lists.prompts, lists.texts, strict=True)]
    return Rows("list", sequences, {"ranks": lists.ranks}, lists.weight, lists.source, lists.group)


def thumb_rows(ratings: Ratings | None, pairs: Pairs, encode: Encoder) -> Rows:
    """Thumbs, and every decided pair as one thumb up and one down."""
    prompts, texts, up, weight, source, group = [], [], [], [], [], []
    for i in np.flatnonzero(pairs.decided):
        for text, good in (
            (pairs.first_texts[i], pairs.sign[i] < 0),
            (pairs.second_texts[i], pairs.sign[i] > 0),
        ):
            prompts.append(pairs.prompts[i])
            texts.append(text)
            up.append(bool(good))
            weight.append(float(pairs.weight[i]))
            source.append(pairs.source[i])
            group.append(pairs.group[i])
    if ratings is not None:
        for i, name in enumerate(ratings.attribute):
            if name.lower() == THUMB:
                prompts.append(ratings.prompts[i])
                texts.append(ratings.texts[i])
                up.append(bool(ratings.value[i] >= 0.5))
                weight.append(float(ratings.weight[i]))
                source.append(ratings.source[i])
                group.append(ratings.group[i])
    sequences = [[encode(p, t)] for p, t in zip(prompts, texts, strict=True)]
    return Rows("thumb", sequences, {"up": np.array(up, dtype=bool)}, np.array(weight), source, group)


def attributes_of(ratings: Ratings | None) -> list[str]:
    """The attributes a rating head is made for: all but thumbs, sorted."""
    return sorted({n for n in ratings.attribute if n.lower() != THUMB}) if ratings is not None else []


def rating_rows(ratings: Ratings, encode: Encoder) -> Rows:
    """Each response's ratings as one row over all attributes, missing ones masked."""
    names = attributes_of(ratings)
    place: dict[tuple[str, int, str], int] = {}
    sequences, value, mask, weight, source, group = [], [], [], [], [], []
    for i, name in enumerate(ratings.attribute):
        if name not in names:
            continue
        key = (ratings.item_ids[i], int(ratings.response[i]), ratings.texts[i])
        if key not in place:
            place[key] = len(sequences)
            sequences.append([encode(ratings.prompts[i], ratings.texts[i])])
            value.append(np.zeros(len(names)))
            mask.append(np.zeros(len(names), dtype=bool))
            weight.append(float(ratings.weight[i]))
            source.append(ratings.source[i])
            group.append(ratings.group[i])
        row = place[key]
        value[row][names.index(name)], mask[row][names.index(name)] = ratings.value[i], True
    shape = (len(sequences), len(names))
    targets = {"value": np.array(value).reshape(shape), "mask": np.array(mask, dtype=bool).reshape(shape)}
    return Rows("rating", sequences, targets, np.array(weight), source, group)


def loss_of(
    rows: Rows, outputs: Tensor, loss: str, *, weight: np.ndarray, nu: Tensor, shift: float, center: float
) -> Tensor:
    """The mean loss of some rows; `outputs` (sequences, heads) in the order of the rows' sequences.

    `weight` (n,) are the rows' weights; `shift` is BCO's δ.
    """

    def tensor(values) -> Tensor:
        return torch.as_tensor(np.asarray(values), device=outputs.device)

    if rows.kind == "rating":
        value, mask = tensor(rows.targets["value"]).float(), tensor(rows.targets["mask"])
        error = torch.where(mask, outputs[:, :-1] - value, 0.0) ** 2
        each = mask * tensor(weight)[:, None].float()
        return (each * error).sum() / each.sum().clamp(min=1e-12)
    reward, w = outputs[:, -1], tensor(weight).float()
    if rows.kind == "thumb":
        return losses_torch.bco(reward, tensor(rows.targets["up"]), shift, w)
    if rows.kind == "list":
        ranks = rows.targets["ranks"]
        width = max(map(len, ranks))
        rank, mask = np.zeros((len(rows), width), int), np.zeros((len(rows), width), bool)
        for i, given in enumerate(ranks):
            rank[i, : len(given)], mask[i, : len(given)] = given, True
        scores = reward.new_zeros(len(rows), width)
        scores = scores.masked_scatter(tensor(mask), reward)
        if loss == "lipo":
            gain = tensor(list_losses.list_gains(rank, mask)).float()
            return losses_torch.lipo_lambda(scores, gain, tensor(mask), w)
        return losses_torch.plackett_luce(scores, tensor(rank), tensor(mask), w)
    first, second = reward[0::2], reward[1::2]
    delta = second - first
    target, sign = tensor(rows.targets["target"]).float(), tensor(rows.targets["sign"])
    if loss == "rao_kupper":
        value = losses_torch.rao_kupper(delta, sign, nu, w)
    elif loss == "margin_bt":
        strength = tensor(rows.targets["strength"]).float()
        lead = torch.nn.functional.softplus(strength - sign * delta)
        even = torch.nn.functional.softplus(delta) - target * delta
        value = (w * torch.where(sign != 0, lead, even)).sum() / w.sum()
    else:
        value = losses_torch.soft_bradley_terry(delta, target, w)
    return value + center * losses_torch.centring(first, second) if center else value
