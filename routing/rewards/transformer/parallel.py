"""One training in several processes, each on a device of its own: passes are dealt out, gradients summed.

`accelerate launch` starts the processes and tells each its number. All of them hold the same rows and take the same
steps; each runs its share of a step's passes. The weights are the same in all (data parallel, as DDP), or with
`shard` each holds a part of the trunk's (FSDP2, Zhao et al. 2023, arXiv:2304.11277). Checkpoints hold whole tensors,
so a training may go on in another number of processes. Alone, nothing here does anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.tensor import DTensor, distribute_tensor

BUCKET = 2**24


class Group:
    """The processes of this training; `rank` 0 leads: it alone writes and speaks.

    Attributes:
        rank, size: this process's number, and how many there are.
        device: of this process.
        sharded: whether the trunk's weights are divided among the processes.
    """

    def __init__(self, device: str | None = None, *, shard: bool = False) -> None:
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.rank, self.size, self.sharded = 0, 1, False
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import PartialState

            state = PartialState(cpu=self.device == "cpu")
            self.rank, self.size = state.process_index, state.num_processes
            self.device = "cpu" if self.device == "cpu" else str(state.device)
            self.sharded = shard
            self._talk = dist.new_group(backend="gloo")

    @property
    def leads(self) -> bool:
        return self.rank == 0

    @property
    def factor(self) -> int:
        """What a loss is multiplied by before its gradients are made: sharded ones are averaged, not summed."""
        return self.size if self.sharded else 1

    def finer(self, budget: int, tokens: int) -> int:
        """The budget of a pass of a step of `tokens` padded tokens, so small that every process gets some."""
        return budget if self.size == 1 else max(1, min(budget, -(-tokens // self.size)))

    def dealt(self, passes: Sequence[Any]) -> list[tuple[Any, bool]]:
        """This process's passes, each with whether it counts.

        Where weights are sharded all processes run equally many: one that has none left repeats its first, or the
        step's, for nothing.
        """
        mine = [(one, True) for one in passes[self.rank :: self.size]]
        if self.sharded and len(mine) < -(-len(passes) // self.size):
            mine.append((passes[0], False))
        return mine

    def gather(self, mine: Any) -> list[Any]:
        """What every process found, by rank."""
        if self.size == 1:
            return [mine]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, mine, group=self._talk)
        return found

    def any(self, flag: bool) -> bool:
        return any(self.gather(flag))

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of weights that every process holds whole; sharded ones are summed as they are made.

        Those of losses that were multiplied by `factor`.
        """
        if self.size == 1:
            return
        for bucket in _buckets([p for p in parameters if not isinstance(p, DTensor)]):
            parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
            flat = torch.cat([part.reshape(-1) for part in parts])
            dist.all_reduce(flat)
            flat /= self.factor
            for p, part in zip(bucket, flat.split([p.numel() for p in bucket]), strict=True):
                p.grad = part.view_as(p)

    def clip(self, parameters: Sequence[nn.Parameter], limit: float) -> None:
        """Scale all gradients together so that their norm is at most `limit`."""
        if not self.sharded:
            nn.utils.clip_grad_norm_(parameters, limit)
            return
        kinds = [[p for p in parameters if isinstance(p, DTensor) is split] for split in (True, False)]
        norms = [whole(nn.utils.get_total_norm([p.grad for p in kind])) for kind in kinds if kind]
        norm = torch.linalg.vector_norm(torch.stack(norms))
        for kind in kinds:
            nn.utils.clip_grads_with_norm_(kind, limit, norm)

    def shard(self, trunk: nn.Module) -> None:
        """Divide the trunk's weights among the processes, layer by layer."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        kind = self.device.split(":")[0]
        how: dict[str, Any] = {"mesh": init_device_mesh(kind, (self.size,))}
        if kind == "cuda":
            how["mp_policy"] = MixedPrecisionPolicy(torch.bfloat16, torch.float32)
        lists = [module for module in trunk.modules() if isinstance(module, nn.ModuleList)]
        for layer in max(lists, key=_size, default=[]):
            fully_shard(layer, **how)
        fully_shard(trunk, **how)

    def part(self) -> None:
        """End the group: this process is alone from here on, and does not lead unless it did."""
        self.size, self.sharded = 1, False

    def wait(self) -> None:
        if self.size > 1:
            dist.barrier(group=self._talk)


def whole(tensor: Tensor) -> Tensor:
    """The tensor with all its parts; where it is sharded, every process must ask at once."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(given: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor, divided as the parameter is."""
    if isinstance(parameter, DTensor) and given.shape == parameter.shape:
        given = given.to(device=parameter.device, dtype=parameter.dtype)
        return distribute_tensor(given, parameter.device_mesh, parameter.placements, src_data_rank=None)
    return given


def speaking(group: Group, tell: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """`tell` of the process that leads, silence of the others."""
    return tell if group.leads else (lambda event: None)


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _buckets(parameters: Sequence[nn.Parameter]) -> Iterable[list[nn.Parameter]]:
    """The parameters in order, cut after about `BUCKET` numbers."""
    bucket: list[nn.Parameter] = []
    for parameter in parameters:
        bucket.append(parameter)
        if sum(p.numel() for p in bucket) >= BUCKET:
            yield bucket
            bucket = []
    if bucket:
        yield bucket
