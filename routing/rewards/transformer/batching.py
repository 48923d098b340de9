"""Texts as tokens, and steps of similar lengths under a budget of padded tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from routing.rewards.transformer.network import TEMPLATE

MEGA = 32


class Encoder:
    """Turns (prompt, response) into token ids that end with the end token; keeps what it has encoded."""

    def __init__(self, tokenizer: Any, template: str, max_length: int) -> None:
        self.tokenizer, self.template, self.max_length = tokenizer, template, max_length
        self._known: dict[tuple[str, str], list[int]] = {}

    def __call__(self, prompt: str, response: str) -> list[int]:
        """The ids, of any length; `fits` says whether they may be used as they are."""
        key = (prompt, response)
        if key not in self._known:
            self._known[key] = self._ids(prompt, response)
        return self._known[key]

    def fits(self, ids: Sequence[int]) -> bool:
        return len(ids) <= self.max_length

    def cut(self, ids: list[int]) -> list[int]:
        """The ids, shortened from the left (the prompt) where they are too long."""
        return ids[-self.max_length :]

    def _ids(self, prompt: str, response: str) -> list[int]:
        if self.template:
            messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, chat_template=self.template)
        else:
            text = TEMPLATE.format(prompt=prompt, response=response)
        ids = self.tokenizer(text, add_special_tokens=not self.template)["input_ids"]
        end = self.tokenizer.eos_token_id
        if end is not None and (not ids or ids[-1] != end):
            ids = [*ids, end]
        return ids


def steps_of_epoch(lengths: np.ndarray, batch: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Deal rows into optimiser steps of `batch` rows of similar length, in a seeded order.

    Rows are shuffled, sorted by length within runs of 32 steps, cut, and the steps shuffled again: lengths
    within a step are close, and which rows meet changes from epoch to epoch.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    steps: list[np.ndarray] = []
    for start in range(0, len(order), batch * MEGA):
        run = order[start : start + batch * MEGA]
        run = run[np.argsort(lengths[run], kind="stable")]
        steps += [run[at : at + batch] for at in range(0, len(run), batch)]
    return [steps[k] for k in rng.permutation(len(steps))]


def within_budget(
    rows: np.ndarray, lengths: np.ndarray, sizes: np.ndarray, budget: int
) -> Iterator[np.ndarray]:
    """Cut a step's rows into passes of at most `budget` padded tokens; a row is never divided.

    `lengths` is each row's longest sequence, `sizes` how many sequences it has. A single row over the budget
    is passed alone.
    """
    rows = rows[np.argsort(lengths[rows], kind="stable")]
    begin, count = 0, 0
    for at, row in enumerate(rows):
        if at > begin and (count + sizes[row]) * lengths[row] > budget:
            yield rows[begin:at]
            begin, count = at, 0
        count += sizes[row]
    if begin < len(rows):
        yield rows[begin:]


def padded(sequences: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (ids, mask), int64 (n, longest), padded on the right."""
    longest = max(map(len, sequences))
    ids = torch.full((len(sequences), longest), pad, dtype=torch.long)
    mask = torch.zeros((len(sequences), longest), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence, dtype=torch.long)
        mask[row, : len(sequence)] = 1
    return ids, mask
