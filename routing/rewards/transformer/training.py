"""The training loop: steps under a token budget, checkpoints, validation, out-of-memory.

What is learnt from, and in which stages, is in `stages.py`. On a CPU a resumed run goes on bit by bit as if it had
not been interrupted.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from routing.rewards import list_losses, losses
from routing.rewards.penalised import fit_temperature
from routing.rewards.prepare import Material, Spec
from routing.rewards.transformer import checkpoint, network, rows
from routing.rewards.transformer.batching import Encoder, padded, steps_of_epoch, within_budget
from routing.rewards.transformer.options import Options
from routing.rewards.transformer.stages import CannotTrain, Stage, stages_of

STUCK_STEPS, STUCK_MARGIN = 20, 1e-6
LN2 = math.log(2.0)

Tell = Callable[[dict[str, Any]], None]


class Stopped(Exception):
    """The training was asked to stop; a checkpoint was written."""


class Trainer:
    """One training; `run` does it all. Holds what a checkpoint must hold."""

    def __init__(
        self,
        material: Material,
        spec: Spec,
        options: Options,
        folder: Path,
        *,
        tell: Tell = lambda event: None,
        should_stop: Callable[[], bool] = lambda: False,
        device: str | None = None,
    ) -> None:
        self.spec, self.options, self.folder, self.tell, self.should_stop = (
            spec,
            options,
            folder,
            tell,
            should_stop,
        )
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        # Before the network exists: its heads are drawn from this seed.
        torch.manual_seed(spec.seed % 2**63)
        trunk, self.tokenizer, self.template = network.load_base(
            options.base, options.revision, add_pad=options.add_pad, device=self.device
        )
        self.encode = Encoder(self.tokenizer, self.template, options.max_length)
        self.attributes = rows.attributes_of(material.ratings if spec.use_ratings else None)
        self.network = network.RewardNetwork(trunk, self.attributes)
        if options.frozen:
            trunk.requires_grad_(False)
        elif options.lora:
            network.add_low_rank(trunk, options.lora)
        self.network.to(self.device)
        self.n_parameters = sum(p.numel() for p in trunk.parameters())
        self.budget = options.token_budget
        self.shift, self.more = list_losses.RunningMean(), list_losses.MoreWeights()
        self.cache: dict[tuple[int, ...], torch.Tensor] = {}
        found = stages_of(material, spec, options, self.encode, rated=bool(self.attributes))
        self.stages, self.validation, self.left_out = found.stages, found.validation, found.left_out
        self.optimiser: torch.optim.Optimizer | None = None
        self.position = {"stage": 0, "epoch": 0, "index": 0, "step": 0, "bad": 0, "best": None, "tokens": 0}
        self.stuck: list[tuple[float, float]] = []

    # --- the loop ----------------------------------------------------------------------------------------
    def run(self) -> None:
        """Train every stage, from the last checkpoint if there is one. Raises Stopped, CannotTrain."""
        resumed = self._resume()
        if self.left_out and not resumed:
            said = ", ".join(f"{n:,} {what} rows" for what, n in self.left_out.items())
            self.tell({"note": f"Left out as longer than {self.options.max_length} tokens: {said}."})
        total = self._total_steps()
        while self.position["stage"] < len(self.stages):
            stage = self.stages[self.position["stage"]]
            if self.optimiser is None:
                self._begin(stage)
            self._train(stage, total)
            self._end_stage()
        network.merge_low_rank(self.network.trunk)

    def _total_steps(self) -> int:
        return sum(
            stage.epochs * sum(math.ceil(len(part) / self.options.batch) for part in stage.parts)
            for stage in self.stages
        )

    def _begin(self, stage: Stage) -> None:
        if stage.name != "ratings":
            self.network.start_preference()
        self.optimiser = self._optimiser(stage)
        self.stuck = []

    def _optimiser(self, stage: Stage) -> torch.optim.Optimizer:
        decayed, plain = [], []
        for parameter in self.network.parameters():
            if parameter.requires_grad:
                (decayed if parameter.ndim > 1 else plain).append(parameter)
        groups = [
            {"params": decayed, "weight_decay": self.options.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(
            groups, lr=stage.lr, betas=(0.9, self.options.beta2), fused=self.device.startswith("cuda")
        )

    def _train(self, stage: Stage, total: int) -> None:
        options, place = self.options, self.position
        began, tokens_before, steps_before = time.monotonic(), place["tokens"], place["step"]
        while place["epoch"] < stage.epochs:
            plan = self._plan(stage, place["epoch"])
            while place["index"] < len(plan):
                part, chosen = plan[place["index"]]
                loss, margin, accuracy = self._step(stage, stage.parts[part], chosen)
                place["index"] += 1
                place["step"] += 1
                self._watch_for_ln2(stage, loss, margin)
                spent = max(time.monotonic() - began, 1e-9)
                speed = (place["tokens"] - tokens_before) / spent
                left = (total - place["step"]) * spent / (place["step"] - steps_before)
                self.tell(
                    {
                        "stage": stage.name, "step": place["step"], "total": total, "loss": loss, "accuracy": accuracy,
                        "lr": self._lr(stage), "tokens_per_second": round(speed, 1), "eta_seconds": round(left),
                        "tokens": place["tokens"], "memory_mib": self._memory(),
                        "flops": 6.0 * self.n_parameters * speed,
                    }
                )  # fmt: skip
                if place["step"] % options.evaluate_every == 0 and self._validate(stage):
                    return
                if self.should_stop():
                    self.save()
                    raise Stopped
                if place["step"] % options.checkpoint_every == 0:
                    self.save()
            place["epoch"] += 1
            place["index"] = 0
        self._validate(stage, last=True)

    def _plan(self, stage: Stage, epoch: int) -> list[tuple[int, np.ndarray]]:
        """The epoch's optimiser steps as (which part, its rows), parts mixed in a seeded order."""
        steps = [
            (number, chosen)
            for number, part in enumerate(stage.parts)
            for chosen in steps_of_epoch(part.lengths, self.options.batch, self.spec.seed + number, epoch)
        ]
        if len(stage.parts) > 1:
            order = np.random.default_rng([self.spec.seed, epoch, 7]).permutation(len(steps))
            steps = [steps[k] for k in order]
        return steps

    def _lr(self, stage: Stage) -> float:
        done = self.position["step"] - self.position.get("stage_began", 0)
        return stage.lr * min(1.0, (done + 1) / max(self.options.warmup, 1))

    def _step(self, stage: Stage, part: rows.Rows, chosen: np.ndarray) -> tuple[float, float, float | None]:
        """One optimiser step; returns (loss, mean |margin| of pairs, accuracy of decided pairs)."""
        assert self.optimiser is not None
        while True:
            self.optimiser.zero_grad(set_to_none=True)
            try:
                found = self._accumulate(part, chosen)
                break
            except torch.OutOfMemoryError as error:
                self._less_memory(error, part, chosen)
        nn.utils.clip_grad_norm_([p for p in self.network.parameters() if p.requires_grad], self.options.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = self._lr(stage)
        self.optimiser.step()
        loss, outputs, tokens = found
        self.position["tokens"] += tokens
        self.shift.update(outputs["reward"])
        return loss, outputs["margin"], outputs["accuracy"]

    def _accumulate(self, part: rows.Rows, chosen: np.ndarray) -> tuple[float, dict[str, Any], int]:
        lengths, sizes = part.lengths, part.sizes
        weight = self._weights(part, chosen)
        whole, value, tokens = float(weight.sum()), 0.0, 0
        rewards, deltas, signs = [], [], []
        at = {int(row): w for row, w in zip(chosen, weight, strict=True)}
        for rows_in in within_budget(chosen, lengths, sizes, self.budget):
            some = part.take(rows_in)
            outputs = self._outputs([ids for row in some.sequences for ids in row])
            w = np.array([at[int(row)] for row in rows_in])
            if not w.sum() > 0:
                continue
            loss = rows.loss_of(
                some, outputs, self.spec.loss, weight=w, nu=self.network.nu, shift=self.shift.mean,
                center=self.options.center,
            )  # fmt: skip
            share = float(w.sum()) / whole
            (loss * share).backward()
            value += float(loss.detach()) * share
            tokens += sum(len(ids) for row in some.sequences for ids in row)
            reward = outputs[:, -1].detach().float().cpu().numpy()
            if some.kind != "rating":
                rewards.append(reward)
            if some.kind == "pair":
                deltas.append(reward[1::2] - reward[0::2])
                signs.append(some.targets["sign"])
        delta = np.concatenate(deltas) if deltas else np.zeros(0)
        sign = np.concatenate(signs) if signs else np.zeros(0)
        decided = sign != 0
        return (
            value,
            {
                "reward": np.concatenate(rewards) if rewards else np.zeros(0),
                "margin": float(np.abs(delta).mean()) if len(delta) else math.inf,
                "accuracy": float(np.mean(np.sign(delta[decided]) == sign[decided]))
                if decided.any()
                else None,
            },
            tokens,
        )

    def _weights(self, part: rows.Rows, chosen: np.ndarray) -> np.ndarray:
        """The rows' weights; with `more`, times the weight of their source that works against no other."""
        weight = part.weight[chosen]
        sources = sorted({part.source[i] for i in chosen})
        if not self.options.more or len(sources) < 2 or part.kind == "rating":
            return weight
        gradients = {}
        for source in sources:
            mine = np.array([i for i in chosen if part.source[i] == source])
            some = part.take(mine)
            with torch.no_grad():
                pooled = self._pooled([ids for row in some.sequences for ids in row])
            outputs = self.network.heads(pooled.detach())
            loss = rows.loss_of(
                some, outputs, self.spec.loss, weight=some.weight, nu=self.network.nu, shift=self.shift.mean,
                center=0.0,
            )  # fmt: skip
            (slope,) = torch.autograd.grad(loss, [self.network.head.weight])
            gradients[source] = slope[-1].cpu().numpy()
        factor = self.more.update(gradients)
        return weight * np.array([factor[part.source[i]] for i in chosen])

    def _pooled(self, sequences: list[list[int]]) -> torch.Tensor:
        if self.options.frozen:
            missing = [ids for ids in sequences if tuple(ids) not in self.cache]
            if missing:
                with torch.no_grad():
                    for ids, state in zip(missing, self._states(missing), strict=True):
                        self.cache[tuple(ids)] = state
            return torch.stack([self.cache[tuple(ids)] for ids in sequences])
        return self._states(sequences)

    def _states(self, sequences: list[list[int]]) -> torch.Tensor:
        ids, mask = padded(sequences, self.tokenizer.pad_token_id)
        with torch.autocast(
            self.device.split(":")[0], torch.bfloat16, enabled=self.device.startswith("cuda")
        ):
            return self.network.pooled(ids.to(self.device), mask.to(self.device))

    def _outputs(self, sequences: list[list[int]]) -> torch.Tensor:
        return self.network.heads(self._pooled(sequences))

    def _less_memory(self, error: BaseException, part: rows.Rows, chosen: np.ndarray) -> None:
        """Halve the token budget; below one row, compute activations again instead of keeping them."""
        if self.device.startswith("cuda"):
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
                f"The memory of {self.device} does not hold one row of {least:,} tokens. Lower max_length, "
                "use lora or frozen, or a smaller base."
            ) from error

    def _watch_for_ln2(self, stage: Stage, loss: float, margin: float) -> None:
        """Abort where pairs get one reward for both sides: the head reads the same token of each."""
        if stage.name != "preferences" or len(self.stuck) >= STUCK_STEPS or math.isinf(margin):
            return
        self.stuck.append((loss, margin))
        if len(self.stuck) == STUCK_STEPS and all(m < STUCK_MARGIN for _, m in self.stuck):
            raise CannotTrain(
                f"After {STUCK_STEPS} steps both responses of every pair still get the same reward (loss "
                f"{loss:.4f}, ln 2 = {LN2:.4f}). The network does not see what tells them apart."
            )

    # --- validation --------------------------------------------------------------------------------------
    def margins(self, given: rows.Rows) -> np.ndarray:
        """r(second) - r(first) of pairs, without gradients."""
        if not len(given):
            return np.zeros(0)
        out = np.zeros(len(given))
        with torch.no_grad():
            for chosen in within_budget(np.arange(len(given)), given.lengths, given.sizes, self.budget):
                some = given.take(chosen)
                reward = (
                    self._outputs([ids for row in some.sequences for ids in row])[:, -1].float().cpu().numpy()
                )
                out[chosen] = reward[1::2] - reward[0::2]
        return out

    def _validate(self, stage: Stage, *, last: bool = False) -> bool:
        """Measure on the validation pairs, keep the best weights; true when there was none better for long."""
        if stage.name == "ratings" or not len(self.validation):
            return False
        delta = self.margins(self.validation)
        nll = float(losses.soft_bradley_terry(delta, self.validation.targets["target"])[0])
        sign = self.validation.targets["sign"]
        right = float(np.mean(np.sign(delta[sign != 0]) == sign[sign != 0])) if np.any(sign) else None
        place = self.position
        self.tell({"validation": {"step": place["step"], "nll": nll, "accuracy": right, "n": len(delta)}})
        if place["best"] is None or nll < place["best"]:
            place["best"], place["bad"] = nll, 0
            self.best = {k: v.detach().cpu().clone() for k, v in self._trained().items()}
            return False
        place["bad"] += 1
        return not last and place["bad"] >= self.options.patience

    def _trained(self) -> dict[str, torch.Tensor]:
        """The weights that training moves."""
        return {name: p for name, p in self.network.named_parameters() if p.requires_grad}

    def _put(self, weights: dict[str, torch.Tensor]) -> None:
        own = self._trained()
        with torch.no_grad():
            for name, value in weights.items():
                own[name].copy_(value)

    def _end_stage(self) -> None:
        if getattr(self, "best", None):
            self._put(self.best)
        start = {k: v.detach().cpu().clone() for k, v in self._trained().items()}
        stage = self.stages[self.position["stage"]]
        if stage.name == "ratings" and self.spec.extrapolate:
            self.first = start
        elif self.spec.extrapolate and getattr(self, "first", None):
            self._extrapolate(start)
        self.best = None
        self.optimiser = None
        self.position |= {
            "stage": self.position["stage"] + 1, "epoch": 0, "index": 0, "bad": 0, "best": None,
            "stage_began": self.position["step"],
        }  # fmt: skip
        self.save()

    def _extrapolate(self, end: dict[str, torch.Tensor]) -> None:
        """Go on beyond the second stage, as far as validation likes it (ExPO)."""
        from routing.rewards.penalised import EXPO_ALPHAS

        tried = {}
        for alpha in EXPO_ALPHAS:
            self._put({k: self.first[k] + alpha * (v - self.first[k]) for k, v in end.items()})
            delta = self.margins(self.validation)
            tried[alpha] = (
                losses.soft_bradley_terry(delta, self.validation.targets["target"])[0] if len(delta) else 0.0
            )
        alpha = min(tried, key=tried.__getitem__)
        self._put({k: self.first[k] + alpha * (v - self.first[k]) for k, v in end.items()})
        self.position["extrapolation"] = alpha
        self.tell({"note": f"Extrapolated by {alpha:g} beyond the ratings' weights."})

    def temperature(self) -> float:
        """Fitted on the validation pairs; 1 where there are fewer than ten."""
        if len(self.validation) < 10:
            return 1.0
        return fit_temperature(self.margins(self.validation), self.validation.targets["target"])

    # --- checkpoints -------------------------------------------------------------------------------------
    def fingerprint(self) -> str:
        """What must be equal for a checkpoint to be of this training: spec, options but the folders, data."""
        digest = hashlib.sha256(repr((asdict(self.options), self.spec.as_dict())).encode())
        for stage in self.stages:
            for part in stage.parts:
                digest.update(
                    repr((stage.name, part.kind, part.weight.tolist(), part.group)).encode("utf-8", "replace")
                )
                for row in part.sequences:
                    digest.update(repr(row).encode())
        return digest.hexdigest()

    def save(self) -> None:
        """Write a checkpoint of everything that the next step depends on."""
        tensors = {f"weight.{k}": v for k, v in self._trained().items()}
        for name in ("best", "first"):
            tensors |= {f"{name}.{k}": v for k, v in (getattr(self, name, None) or {}).items()}
        if self.optimiser is not None:
            tensors |= checkpoint.optimiser_state(self.optimiser)
        tensors["rng.cpu"] = torch.get_rng_state()
        if self.device.startswith("cuda"):
            tensors["rng.cuda"] = torch.cuda.get_rng_state()
        tensors |= {f"more.{k}": torch.from_numpy(v) for k, v in self.more.state.items()}
        state = {
            "fingerprint": self.fingerprint(), "position": self.position, "budget": self.budget,
            "shift": asdict(self.shift), "has_optimiser": self.optimiser is not None, "stuck": self.stuck,
        }  # fmt: skip
        checkpoint.write(self.folder, self.position["step"], tensors, state)

    def _resume(self) -> bool:
        found = checkpoint.latest(self.folder)
        if found is None:
            return False
        tensors, state = found
        if state["fingerprint"] != self.fingerprint():
            self.tell({"note": "The checkpoint there is of another training; starting from the beginning."})
            return False

        def part(name: str) -> dict[str, torch.Tensor]:
            prefix = f"{name}."
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        self._put(part("weight"))
        self.best, self.first = part("best") or None, part("first") or None
        self.position, self.budget = state["position"], state["budget"]
        self.shift = list_losses.RunningMean(**state["shift"])
        self.more.state = {k: v.numpy() for k, v in part("more").items()}
        self.stuck = [tuple(entry) for entry in state["stuck"]]
        if state["has_optimiser"]:
            self.optimiser = self._optimiser(self.stages[self.position["stage"]])
            checkpoint.restore_optimiser(self.optimiser, tensors)
        torch.set_rng_state(tensors["rng.cpu"])
        if self.device.startswith("cuda") and "rng.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["rng.cuda"])
        self.tell({"note": f"Going on from the checkpoint at step {self.position['step']:,}."})
        return True

    def _memory(self) -> int | None:
        return torch.cuda.max_memory_allocated() // 2**20 if self.device.startswith("cuda") else None
