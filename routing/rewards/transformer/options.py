"""What the transformer backend can be told, checked before anything is loaded. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

# Where a training runs; it may go on elsewhere from the same checkpoint.
PLACEMENT = ("processes", "shard")


@dataclass(frozen=True)
class Options:
    """How to train; the defaults suit full fine-tuning of models up to two billion parameters on one GPU.

    Attributes:
        base: folder of a pretrained model, or an id of the hub (then `revision` should be a commit).
        revision: of a hub id.
        max_length: tokens of prompt and response; longer training rows are left out and counted.
        token_budget: padded tokens of one forward pass.
        batch: rows (pairs, lists, responses) of one optimiser step.
        epochs: of preferences; ratings_epochs: of the stage before.
        lr: of preferences; ratings_lr: of the stage before; constant after `warmup` steps.
        weight_decay, clip, beta2: of AdamW and the gradient norm.
        center: coefficient of the centring loss on pairs.
        frozen: train the heads alone, on states of the trunk that are computed once.
        lora: rank of low-rank updates of the attention projections; 0 trains all weights.
        more: weigh the sources so that no head gradient is worked against (MORE).
        add_pad: add a padding token where the tokenizer has none of its own.
        checkpoint_every, evaluate_every: optimiser steps. patience: evaluations without a better one.
        processes: how many train together, each on a device of its own; a step's rows are dealt out among them.
        shard: divide the trunk's weights among the processes (FSDP) instead of keeping them whole in each (DDP).
    """

    base: str
    revision: str = ""
    max_length: int = 1024
    token_budget: int = 16_384
    batch: int = 64
    epochs: int = 1
    ratings_epochs: int = 2
    lr: float = 5e-6
    ratings_lr: float = 1e-5
    warmup: int = 10
    weight_decay: float = 0.1
    clip: float = 1.0
    beta2: float = 0.98
    center: float = 0.01
    frozen: bool = False
    lora: int = 0
    more: bool = False
    add_pad: bool = False
    checkpoint_every: int = 50
    evaluate_every: int = 10
    patience: int = 5
    processes: int = 1
    shard: bool = False

    @classmethod
    def read(cls, given: dict[str, Any]) -> Options:
        """Check and complete what was given; raise ValueError naming the option and what was expected."""
        known = {field.name: field for field in fields(cls)}
        if unknown := sorted(set(given) - set(known)):
            raise ValueError(f"option {unknown[0]!r}: expected one of {', '.join(known)}")
        if not str(given.get("base") or "").strip():
            raise ValueError("option 'base': expected the folder or hub id of a pretrained model")
        values: dict[str, Any] = {}
        for name, value in given.items():
            kind = {"str": str, "int": int, "float": float, "bool": bool}[str(known[name].type)]
            if kind is bool and not isinstance(value, bool):
                raise ValueError(f"option {name!r}: expected true or false, not {value!r}")
            try:
                values[name] = kind(value)
            except (TypeError, ValueError):
                raise ValueError(f"option {name!r}: expected a number, not {value!r}") from None
        options = cls(**values)
        for name, least in (("max_length", 8), ("token_budget", 8), ("batch", 1), ("epochs", 1),
                            ("ratings_epochs", 1), ("checkpoint_every", 1), ("evaluate_every", 1),
                            ("patience", 1), ("warmup", 0), ("lora", 0), ("processes", 1)):  # fmt: skip
            if getattr(options, name) < least:
                raise ValueError(f"option {name!r}: expected at least {least}, not {getattr(options, name)}")
        for name in ("lr", "ratings_lr"):
            if not 0 < getattr(options, name) < 1:
                raise ValueError(
                    f"option {name!r}: expected a number between 0 and 1, not {getattr(options, name):g}"
                )
        if options.token_budget < 2 * options.max_length:
            raise ValueError(
                f"option 'token_budget': expected at least {2 * options.max_length}, so that a pair of "
                f"{options.max_length} tokens each fits"
            )
        if options.shard and (options.processes < 2 or options.frozen):
            raise ValueError("option 'shard': expected two processes or more, and a trunk that is trained")
        if options.frozen and options.lora:
            raise ValueError("option 'lora': a frozen trunk has no updates; choose one of frozen and lora")
        return options
