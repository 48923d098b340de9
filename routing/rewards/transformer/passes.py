"""Passes over a step's rows within the memory: rewards, gradients, weights of sources.

A step's rows are cut into passes under a budget of padded tokens; where the memory does not hold one, the budget is
halved. With several processes each runs its share of the passes (`parallel`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from routing.rewards import list_losses
from routing.rewards.prepare import Spec
from routing.rewards.transformer import parallel, rows
from routing.rewards.transformer.batching import padded, within_budget
from routing.rewards.transformer.network import RewardNetwork
from routing.rewards.transformer.options import Options
from routing.rewards.transformer.stages import CannotTrain, Tell


@dataclass(frozen=True)
class Found:
    """What a step's passes gave, of all processes together.

    Attributes:
        loss: mean of the rows.
        margin: mean |r(second) - r(first)| of its pairs; inf without pairs.
        accuracy: of its decided pairs; None without.
        tokens: read, without padding.
    """

    loss: float
    margin: float
    accuracy: float | None
    tokens: int


class Passes:
    """Runs the network on rows; holds what the memory allows and what the losses remember from step to step.

    Attributes:
        budget: padded tokens of a pass.
        shift: BCO's reference point; more: the weights of sources; both are part of a checkpoint.
        cache: states of a frozen trunk by token ids.
    """

    def __init__(
        self,
        network: RewardNetwork,
        pad: int,
        spec: Spec,
        options: Options,
        group: parallel.Group,
        tell: Tell,
    ) -> None:
        self.network, self.pad, self.spec, self.options = network, pad, spec, options
        self.group, self.tell = group, tell
        self.budget = options.token_budget
        self.shift, self.more = list_losses.RunningMean(), list_losses.MoreWeights()
        self.cache: dict[tuple[int, ...], torch.Tensor] = {}

    def gradients(self, part: rows.Rows, chosen: np.ndarray) -> Found:
        """Leave the gradients of a step's mean loss in the network, summed over all processes."""
        while True:
            self.network.zero_grad(set_to_none=True)
            try:
                found = self._accumulate(part, chosen)
                break
            except torch.OutOfMemoryError as error:
                self._less_memory(error, part, chosen)
        self.group.sum_gradients(p for p in self.network.parameters() if p.requires_grad)
        return found

    def margins(self, given: rows.Rows) -> np.ndarray:
        """r(second) - r(first) of pairs, without gradients."""
        out = np.zeros(len(given))
        if not len(given):
            return out
        mine = []
        with torch.no_grad():
            for chosen, counts in self._passes(given, np.arange(len(given))):
                reward = self._outputs(_flat(given.take(chosen)))[:, -1].float().cpu().numpy()
                if counts:
                    mine.append((chosen, reward[1::2] - reward[0::2]))
        for chosen, delta in (one for found in self.group.gather(mine) for one in found):
            out[chosen] = delta
        return out

    def _passes(self, part: rows.Rows, chosen: np.ndarray) -> list[tuple[np.ndarray, bool]]:
        lengths, sizes = part.lengths, part.sizes
        budget = self.group.finer(self.budget, int(lengths[chosen] @ sizes[chosen]))
        return self.group.dealt(list(within_budget(chosen, lengths, sizes, budget)))

    def _accumulate(self, part: rows.Rows, chosen: np.ndarray) -> Found:
        weight = self._weights(part, chosen)
        whole, value, tokens = float(weight.sum()), 0.0, 0
        rewards, deltas, signs = [], [], []
        at = {int(row): w for row, w in zip(chosen, weight, strict=True)}
        for rows_in, counts in self._passes(part, chosen):
            some = part.take(rows_in)
            w = np.array([at[int(row)] for row in rows_in])
            counts = counts and w.sum() > 0
            if not counts and not self.group.sharded:
                continue
            outputs = self._outputs(_flat(some))
            if not counts:  # the other processes wait for this one's part of the weights
                (0.0 * outputs.sum()).backward()
                continue
            loss = rows.loss_of(
                some, outputs, self.spec.loss, weight=w, nu=self.network.nu, shift=self.shift.mean,
                center=self.options.center,
            )  # fmt: skip
            share = float(w.sum()) / whole
            (loss * (share * self.group.factor)).backward()
            value += float(loss.detach()) * share
            tokens += sum(map(len, _flat(some)))
            reward = outputs[:, -1].detach().float().cpu().numpy()
            if some.kind != "rating":
                rewards.append(reward)
            if some.kind == "pair":
                deltas.append(reward[1::2] - reward[0::2])
                signs.append(some.targets["sign"])
        together = self.group.gather((value, tokens, _joined(rewards), _joined(deltas), _joined(signs)))
        values, read, rewards, deltas, signs = zip(*together, strict=True)
        self.shift.update(_joined(rewards))
        delta, sign = _joined(deltas), _joined(signs)
        decided = sign != 0
        right = float(np.mean(np.sign(delta[decided]) == sign[decided])) if decided.any() else None
        margin = float(np.abs(delta).mean()) if len(delta) else math.inf
        return Found(sum(values), margin, right, sum(read))

    def _weights(self, part: rows.Rows, chosen: np.ndarray) -> np.ndarray:
        """The rows' weights; with `more`, times the weight of their source that works against no other."""
        weight = part.weight[chosen]
        sources = sorted({part.source[i] for i in chosen})
        if not self.options.more or len(sources) < 2 or part.kind == "rating":
            return weight
        gradients = {}
        for source in sources:
            some = part.take(np.array([i for i in chosen if part.source[i] == source]))
            with torch.no_grad():
                pooled = self._pooled(_flat(some))
            loss = rows.loss_of(
                some, self.network.heads(pooled.detach()), self.spec.loss, weight=some.weight,
                nu=self.network.nu, shift=self.shift.mean, center=0.0,
            )  # fmt: skip
            (slope,) = torch.autograd.grad(loss, [self.network.head.weight])
            gradients[source] = slope[-1].cpu().numpy()
        factor = self.more.update(gradients)
        return weight * np.array([factor[part.source[i]] for i in chosen])

    def _outputs(self, sequences: list[list[int]]) -> torch.Tensor:
        return self.network.heads(self._pooled(sequences))

    def _pooled(self, sequences: list[list[int]]) -> torch.Tensor:
        if not self.options.frozen:
            return self._states(sequences)
        missing = [ids for ids in sequences if tuple(ids) not in self.cache]
        if missing:
            with torch.no_grad():
                for ids, state in zip(missing, self._states(missing), strict=True):
                    self.cache[tuple(ids)] = state
        return torch.stack([self.cache[tuple(ids)] for ids in sequences])

    def _states(self, sequences: list[list[int]]) -> torch.Tensor:
        ids, mask = padded(sequences, self.pad)
        device = self.group.device
        cuda = device.startswith("cuda")
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=cuda):
            return self.network.pooled(ids.to(device), mask.to(device))

    def _less_memory(self, error: BaseException, part: rows.Rows, chosen: np.ndarray) -> None:
        """Halve the token budget; below one row, compute activations again instead of keeping them."""
        if self.group.size > 1:  # the others wait in the middle of the step
            raise CannotTrain(
                f"Out of memory in one of {self.group.size} processes: lower token_budget (now {self.budget:,})."
            ) from error
        if self.group.device.startswith("cuda"):
            torch.cuda.empty_cache()
        least = int(max(part.lengths[chosen] * part.sizes[chosen]))
        if self.budget > least:
            self.budget = max(self.budget // 2, least)
            self.tell({"note": f"Out of memory: the token budget is {self.budget:,} from here on."})
        elif not getattr(self.network.trunk, "is_gradient_checkpointing", False) and not self.options.frozen:
            self.network.trunk.gradient_checkpointing_enable(
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )
            self.network.trunk.train()
            self.tell(
                {"note": "Out of memory with one row at a time: activations are computed twice from here on."}
            )
        else:
            raise CannotTrain(
                f"The memory of {self.group.device} does not hold one row of {least:,} tokens. Lower "
                "max_length, use lora or frozen, or a smaller base."
            ) from error


def _flat(some: rows.Rows) -> list[list[int]]:
    return [ids for row in some.sequences for ids in row]


def _joined(parts) -> np.ndarray:
    return np.concatenate(parts) if len(parts) else np.zeros(0)
