"""A trained transformer reward model as files, and as a scorer."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy.special import expit
from transformers import AutoConfig, AutoModel, AutoTokenizer

from routing.rewards import artefacts
from routing.rewards.transformer import network
from routing.rewards.transformer.batching import Encoder, padded, within_budget

FORMAT = "plumbline-transformer"
HEADS = "heads.safetensors"
SCORE_BUDGET = 16_384


@dataclass
class TransformerModel:
    """A reward network with its tokenizer; scores are preferences in calibrated logits."""

    network: network.RewardNetwork
    tokenizer: Any
    template: str
    max_length: int
    temperature: float
    offset: float
    info: dict[str, Any]

    def outputs(self, prompts: Sequence[str], responses: Sequence[str]) -> np.ndarray:
        """Return every head's output, float64 (n, attributes + 1). Too long a prompt loses its beginning."""
        if len(prompts) != len(responses):
            raise ValueError(f"{len(prompts)} prompts but {len(responses)} responses")
        encode = Encoder(self.tokenizer, self.template, self.max_length)
        sequences = [encode.cut(encode(p, r)) for p, r in zip(prompts, responses, strict=True)]
        found = np.zeros((len(sequences), len(self.network.attributes) + 1))
        lengths, sizes = (
            np.array([len(ids) for ids in sequences], dtype=int),
            np.ones(len(sequences), dtype=int),
        )
        device = next(self.network.parameters()).device
        self.network.eval()
        with torch.no_grad():
            for chosen in within_budget(np.arange(len(sequences)), lengths, sizes, SCORE_BUDGET):
                ids, mask = padded([sequences[i] for i in chosen], self.tokenizer.pad_token_id)
                with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                    states = self.network.pooled(ids.to(device), mask.to(device))
                found[chosen] = self.network.heads(states).double().cpu().numpy()
        return found

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], sources: Sequence[str] | None = None
    ) -> np.ndarray:
        """Return a reward per response in calibrated logits, float64 (n,)."""
        return (self.outputs(prompts, responses)[:, -1] - self.offset) / self.temperature

    def probability(self, prompts: Sequence[str], first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        """Return P(second better than first), float64 (n,)."""
        return expit(self.score(prompts, second) - self.score(prompts, first))

    def save(self, directory: str | Path) -> dict[str, Any]:
        """Write trunk, heads, tokenizer, and last `model.json`; return {file name: {"sha256", "bytes"}}."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.network.trunk.save_pretrained(directory, safe_serialization=True, max_shard_size="100GB")
        self.tokenizer.save_pretrained(directory)
        heads = {
            "weight": self.network.head.weight,
            "bias": self.network.head.bias,
            "ties": self.network.ties,
        }
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in heads.items()}, directory / HEADS
        )
        files = {}
        for path in sorted(directory.iterdir()):
            if path.is_file() and path.name != artefacts.HEADER:
                with path.open("rb") as handle:
                    sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
                    os.fsync(handle.fileno())
                files[path.name] = {"sha256": sha256, "bytes": path.stat().st_size}
        header = {
            "format": FORMAT, "version": 1, "attributes": self.network.attributes, "template": self.template,
            "max_length": self.max_length, "temperature": self.temperature, "offset": self.offset,
            "info": self.info, "files": files,
        }  # fmt: skip
        document = (json.dumps(header, sort_keys=True, indent=1, allow_nan=False) + "\n").encode("utf-8")
        return {**files, artefacts.HEADER: artefacts.write_file(directory / artefacts.HEADER, document)}


def load(directory: str | Path, device: str | None = None) -> TransformerModel:
    """Read a saved model; raise `artefacts.ArtefactError` when files are missing, altered or foreign."""
    directory = Path(directory)
    try:
        header = json.loads((directory / artefacts.HEADER).read_bytes())
        if header.get("format") != FORMAT or header.get("version") != 1:
            raise artefacts.ArtefactError(f"{directory} does not hold a transformer model of version 1")
        for name, facts in header["files"].items():
            with (directory / name).open("rb") as handle:
                if hashlib.file_digest(handle, "sha256").hexdigest() != facts["sha256"]:
                    raise artefacts.ArtefactError(
                        f"{directory / name} does not match the checksum in model.json"
                    )
        config = AutoConfig.from_pretrained(directory, trust_remote_code=False)
        trunk = AutoModel.from_pretrained(
            directory, config=config, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
        found = network.RewardNetwork(trunk, header["attributes"])
        heads = load_file(directory / HEADS)
        with torch.no_grad():
            found.head.weight.copy_(heads["weight"])
            found.head.bias.copy_(heads["bias"])
            found.ties.copy_(heads["ties"])
    except (OSError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise artefacts.ArtefactError(f"{directory} holds no readable model: {error}") from error
    found.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()
    return TransformerModel(
        found, tokenizer, header["template"], int(header["max_length"]), float(header["temperature"]),
        float(header["offset"]), header["info"],
    )  # fmt: skip
