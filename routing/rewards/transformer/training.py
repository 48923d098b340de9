"""The training loop: stages, optimiser steps, validation, checkpoints.

What is learnt from, and in which stages, is in `stages.py`; how a step's rows go through the network in `passes.py`. On
a CPU a resumed run goes on bit by bit as if it had not been interrupted.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch.distributed.tensor import DTensor

from routing.rewards import list_losses, losses
from routing.rewards.penalised import EXPO_ALPHAS, fit_temperature
from routing.rewards.prepare import Material, Spec
from routing.rewards.transformer import checkpoint, network, parallel, rows
from routing.rewards.transformer.batching import Encoder, steps_of_epoch
from routing.rewards.transformer.options import PLACEMENT, Options
from routing.rewards.transformer.passes import Found, Passes
from routing.rewards.transformer.stages import CannotTrain, Stage, Tell, stages_of

STUCK_STEPS, STUCK_MARGIN = 20, 1e-6
LN2 = math.log(2.0)


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
        self.group = parallel.Group(device, shard=options.shard)
        self.spec, self.options, self.folder, self.should_stop = spec, options, folder, should_stop
        self.tell = parallel.speaking(self.group, tell)
        self.attributes = rows.attributes_of(material.ratings if spec.use_ratings else None)
        made, self.tokenizer, self.template = self._network()
        self.n_parameters = sum(p.numel() for p in made.trunk.parameters())
        if self.group.sharded:
            self.group.shard(made.trunk)
        self.passes = Passes(made, self.tokenizer.pad_token_id, spec, options, self.group, self.tell)
        encode = Encoder(self.tokenizer, self.template, options.max_length)
        found = stages_of(material, spec, options, encode, rated=bool(self.attributes))
        self.stages, self.validation, self.left_out = found.stages, found.validation, found.left_out
        self.optimiser: torch.optim.Optimizer | None = None
        self.position = {"stage": 0, "epoch": 0, "index": 0, "step": 0, "bad": 0, "best": None, "tokens": 0}
        self.stuck: list[tuple[float, float]] = []
        self.best: dict[str, torch.Tensor] | None = None
        self.first: dict[str, torch.Tensor] | None = None

    @property
    def network(self) -> network.RewardNetwork:
        return self.passes.network

    def _network(self) -> tuple[network.RewardNetwork, object, str]:
        """(the network as it begins, tokenizer, template)."""
        options, device = self.options, self.group.device
        # Before the network exists: its heads are drawn from this seed.
        torch.manual_seed(self.spec.seed % 2**63)
        trunk, tokenizer, template = network.load_base(
            options.base, options.revision, add_pad=options.add_pad, device=device
        )
        made = network.RewardNetwork(trunk, self.attributes)
        if options.frozen:
            trunk.requires_grad_(False)
        elif options.lora:
            network.add_low_rank(trunk, options.lora)
        return made.to(device), tokenizer, template

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
        self._gather()
        network.merge_low_rank(self.network.trunk)

    def _gather(self) -> None:
        """Make the trained network whole; from here on each process is alone, and only the leading one goes on."""
        if self.group.sharded:
            state = {name: parallel.whole(tensor).cpu() for name, tensor in self.network.state_dict().items()}
            self.passes.network = self._network()[0]
            self.network.load_state_dict(state)
        self.group.part()

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
        trained = self._trained().values()
        decay = self.options.weight_decay
        groups = [
            {"params": some, "weight_decay": decay if matrices else 0.0}
            for matrices in (True, False)
            for split in (True, False)
            if (some := [p for p in trained if (p.ndim > 1, isinstance(p, DTensor)) == (matrices, split)])
        ]
        fused = self.group.device.startswith("cuda")
        return torch.optim.AdamW(groups, lr=stage.lr, betas=(0.9, self.options.beta2), fused=fused)

    def _train(self, stage: Stage, total: int) -> None:
        options, place = self.options, self.position
        began, tokens_before, steps_before = time.monotonic(), place["tokens"], place["step"]
        while place["epoch"] < stage.epochs:
            plan = self._plan(stage, place["epoch"])
            while place["index"] < len(plan):
                part, chosen = plan[place["index"]]
                found = self._step(stage, stage.parts[part], chosen)
                place["index"] += 1
                place["step"] += 1
                self._watch_for_ln2(stage, found.loss, found.margin)
                spent = max(time.monotonic() - began, 1e-9)
                speed = (place["tokens"] - tokens_before) / spent
                left = (total - place["step"]) * spent / (place["step"] - steps_before)
                self.tell(
                    {
                        "stage": stage.name, "step": place["step"], "total": total, "loss": found.loss,
                        "accuracy": found.accuracy, "lr": self._lr(stage), "tokens_per_second": round(speed, 1), "eta_seconds": round(left),
                        "tokens": place["tokens"], "memory_mib": self._memory(),
                        "flops": 6.0 * self.n_parameters * speed,
                    }
                )  # fmt: skip
                if place["step"] % options.evaluate_every == 0 and self._validate(stage):
                    return
                if self.group.any(self.should_stop()):
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

    def _step(self, stage: Stage, part: rows.Rows, chosen: np.ndarray) -> Found:
        assert self.optimiser is not None
        found = self.passes.gradients(part, chosen)
        self.group.clip([p for p in self.network.parameters() if p.requires_grad], self.options.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = self._lr(stage)
        self.optimiser.step()
        self.position["tokens"] += found.tokens
        return found

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
    def _validate(self, stage: Stage, *, last: bool = False) -> bool:
        """Measure on the validation pairs, keep the best weights; true when there was none better for long."""
        if stage.name == "ratings" or not len(self.validation):
            return False
        delta = self.passes.margins(self.validation)
        nll = float(losses.soft_bradley_terry(delta, self.validation.targets["target"])[0])
        sign = self.validation.targets["sign"]
        right = float(np.mean(np.sign(delta[sign != 0]) == sign[sign != 0])) if np.any(sign) else None
        place = self.position
        self.tell({"validation": {"step": place["step"], "nll": nll, "accuracy": right, "n": len(delta)}})
        if place["best"] is None or nll < place["best"]:
            place["best"], place["bad"] = nll, 0
            self.best = self._kept()
            return False
        place["bad"] += 1
        return not last and place["bad"] >= self.options.patience

    def _trained(self) -> dict[str, torch.Tensor]:
        """The weights that training moves."""
        return {name: p for name, p in self.network.named_parameters() if p.requires_grad}

    def _kept(self) -> dict[str, torch.Tensor]:
        """A whole copy of them in memory."""
        return {name: parallel.whole(p.detach()).cpu().clone() for name, p in self._trained().items()}

    def _put(self, weights: dict[str, torch.Tensor]) -> None:
        own = self._trained()
        with torch.no_grad():
            for name, value in weights.items():
                own[name].copy_(parallel.like(value, own[name]))

    def _end_stage(self) -> None:
        if self.best:
            self._put(self.best)
        start = self._kept()
        stage = self.stages[self.position["stage"]]
        if stage.name == "ratings" and self.spec.extrapolate:
            self.first = start
        elif self.spec.extrapolate and self.first:
            self._extrapolate(self.first, start)
        self.best = None
        self.optimiser = None
        self.position |= {
            "stage": self.position["stage"] + 1, "epoch": 0, "index": 0, "bad": 0, "best": None,
            "stage_began": self.position["step"],
        }  # fmt: skip
        self.save()

    def _extrapolate(self, first: dict[str, torch.Tensor], end: dict[str, torch.Tensor]) -> None:
        """Go on beyond the second stage, as far as validation likes it (ExPO)."""
        tried = {}
        for alpha in EXPO_ALPHAS:
            self._put({k: first[k] + alpha * (v - first[k]) for k, v in end.items()})
            delta = self.passes.margins(self.validation)
            tried[alpha] = (
                losses.soft_bradley_terry(delta, self.validation.targets["target"])[0] if len(delta) else 0.0
            )
        alpha = min(tried, key=tried.__getitem__)
        self._put({k: first[k] + alpha * (v - first[k]) for k, v in end.items()})
        self.position["extrapolation"] = alpha
        self.tell({"note": f"Extrapolated by {alpha:g} beyond the ratings' weights."})

    def temperature(self) -> float:
        """Fitted on the validation pairs; 1 where there are fewer than ten."""
        if len(self.validation) < 10:
            return 1.0
        return fit_temperature(self.passes.margins(self.validation), self.validation.targets["target"])

    # --- checkpoints -------------------------------------------------------------------------------------
    def fingerprint(self) -> str:
        """What must be equal for a checkpoint to be of this training: spec, options but where it runs, data."""
        how = {**self.spec.as_dict(), "options": asdict(self.options)}
        how["options"] = {name: value for name, value in how["options"].items() if name not in PLACEMENT}
        digest = hashlib.sha256(repr(how).encode())
        for stage in self.stages:
            for part in stage.parts:
                digest.update(
                    repr((stage.name, part.kind, part.weight.tolist(), part.group)).encode("utf-8", "replace")
                )
                for row in part.sequences:
                    digest.update(repr(row).encode())
        return digest.hexdigest()

    def save(self) -> None:
        """Write a checkpoint of everything that the next step depends on; every process must call it."""
        tensors = {f"weight.{name}": p for name, p in self._kept().items()}
        for name, kept in (("best", self.best), ("first", self.first)):
            tensors |= {f"{name}.{k}": v for k, v in (kept or {}).items()}
        if self.optimiser is not None:
            tensors |= checkpoint.optimiser_state(self.optimiser, self._trained())
        tensors["rng.cpu"] = torch.get_rng_state()
        if self.group.device.startswith("cuda"):
            tensors["rng.cuda"] = torch.cuda.get_rng_state()
        passes = self.passes
        tensors |= {f"more.{k}": torch.from_numpy(v) for k, v in passes.more.state.items()}
        state = {
            "fingerprint": self.fingerprint(), "position": self.position, "budget": passes.budget,
            "shift": asdict(passes.shift), "has_optimiser": self.optimiser is not None, "stuck": self.stuck,
        }  # fmt: skip
        if self.group.leads:
            checkpoint.write(self.folder, self.position["step"], tensors, state)
        self.group.wait()

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
        self.position, self.passes.budget = state["position"], state["budget"]
        self.passes.shift = list_losses.RunningMean(**state["shift"])
        self.passes.more.state = {k: v.numpy() for k, v in part("more").items()}
        self.stuck = [tuple(entry) for entry in state["stuck"]]
        if state["has_optimiser"]:
            self.optimiser = self._optimiser(self.stages[self.position["stage"]])
            checkpoint.restore_optimiser(self.optimiser, self._trained(), tensors)
        torch.set_rng_state(tensors["rng.cpu"])
        if self.group.device.startswith("cuda") and "rng.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["rng.cuda"])
        self.tell({"note": f"Going on from the checkpoint at step {self.position['step']:,}."})
        return True

    def _memory(self) -> int | None:
        return torch.cuda.max_memory_allocated() // 2**20 if self.group.device.startswith("cuda") else None
