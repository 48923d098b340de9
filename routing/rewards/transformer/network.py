"""A trunk without its language-model head, a tokenizer with a padding token of its own, and reward heads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging

logging.disable_progress_bar()
PAD = "<|pad|>"
TEMPLATE = "{prompt}\n\n### Response:\n{response}"


class BaseRefused(ValueError):
    """This base cannot carry a reward model; the text says why and what helps."""


class RewardNetwork(nn.Module):
    """Trunk and heads: one output per rated attribute, and last the preference.

    The state that is read is that of the last attended token, by the attention mask and not by token ids, so
    a text may contain any token. Heads are kept and computed in float32.
    """

    def __init__(self, trunk: nn.Module, attributes: Sequence[str]) -> None:
        super().__init__()
        self.trunk = trunk
        self.attributes = list(attributes)
        self.head = nn.Linear(trunk.config.hidden_size, len(self.attributes) + 1)
        nn.init.normal_(self.head.weight, std=1.0 / (trunk.config.hidden_size + 1) ** 0.5)
        nn.init.zeros_(self.head.bias)
        self.ties = nn.Parameter(torch.tensor(-0.43))  # ν = softplus of it, 0.5 at first

    @property
    def nu(self) -> Tensor:
        return nn.functional.softplus(self.ties) + 1e-6

    def pooled(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The last attended state of each row; ids and mask (n, length), padded on the right."""
        states = self.trunk(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        last = mask.sum(dim=1) - 1
        return states[torch.arange(len(ids), device=ids.device), last].float()

    def heads(self, pooled: Tensor) -> Tensor:
        """Outputs (n, attributes + 1) of pooled states, in float32 whatever surrounds them."""
        with torch.autocast(pooled.device.type, enabled=False):
            return self.head(pooled.float())

    def start_preference(self) -> None:
        """Start the preference head where the ratings ended: at overall or helpfulness, else at their mean."""
        lower = [name.lower() for name in self.attributes]
        chosen = next((lower.index(name) for name in ("overall", "helpfulness") if name in lower), None)
        with torch.no_grad():
            rated = slice(0, len(lower)) if chosen is None else slice(chosen, chosen + 1)
            if lower:
                self.head.weight[-1] = self.head.weight[rated].mean(dim=0)
                self.head.bias[-1] = self.head.bias[rated].mean()


class LowRank(nn.Module):
    """A linear layer and a low-rank update of it (Hu et al. 2021, arXiv:2106.09685); α is twice the rank."""

    def __init__(self, inner: nn.Linear, rank: int) -> None:
        super().__init__()
        self.inner = inner.requires_grad_(False)
        like = {"dtype": torch.float32, "device": inner.weight.device}
        self.down = nn.Parameter(torch.randn(rank, inner.in_features, **like) / inner.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(inner.out_features, rank, **like))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + 2.0 * (x @ self.down.T.to(x.dtype)) @ self.up.T.to(x.dtype)

    def merged(self) -> nn.Linear:
        with torch.no_grad():
            self.inner.weight += (2.0 * self.up @ self.down).to(self.inner.weight.dtype)
        return self.inner


def add_low_rank(trunk: nn.Module, rank: int) -> int:
    """Freeze the trunk and give each attention projection a low-rank update; returns how many there are."""
    trunk.requires_grad_(False)
    found = [
        (parent, name, layer)
        for parent in trunk.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, nn.Linear)
        and name in ("q_proj", "k_proj", "v_proj", "o_proj", "query", "key", "value")
    ]
    for parent, name, layer in found:
        setattr(parent, name, LowRank(layer, rank))
    if not found:
        raise BaseRefused("option 'lora': this base has no attention projections that are known by name")
    return len(found)


def merge_low_rank(trunk: nn.Module) -> None:
    """Put every low-rank update into its layer."""
    for parent in list(trunk.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, LowRank):
                setattr(parent, name, layer.merged())


def load_base(
    base: str, revision: str = "", *, add_pad: bool = False, device: str = "cpu"
) -> tuple[nn.Module, Any, str]:
    """Return (trunk, tokenizer, template) of a folder or hub id. Runs no code of the base; safetensors only.

    Raises BaseRefused where the padding token is the end token or missing (unless `add_pad`), and where the
    base cannot be read.
    """
    where = {"revision": revision} if revision else {}
    if not Path(base).exists() and (os.sep in base and base.startswith((".", os.sep))):
        raise BaseRefused(f"option 'base': there is no folder {base}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False, **where)
        config = AutoConfig.from_pretrained(base, trust_remote_code=False, **where)
        attention = "flash_attention_2" if device.startswith("cuda") and find_spec("flash_attn") else "sdpa"
        trunk = AutoModel.from_pretrained(
            base, config=config, trust_remote_code=False, use_safetensors=True, dtype=torch.float32,
            attn_implementation=attention, **where,
        )  # fmt: skip
    except (OSError, ValueError, ImportError) as error:
        raise BaseRefused(f"option 'base': {base} cannot be read: {error}") from error
    pad, eos = tokenizer.pad_token_id, tokenizer.eos_token_id
    if pad is None or pad == eos:
        if not add_pad:
            what = "no padding token" if pad is None else "its end token as padding token"
            raise BaseRefused(
                f"option 'base': the tokenizer of {base} has {what}. Padding must be told from the end of a text; "
                "set add_pad to add a token for it."
            )
        tokenizer.add_special_tokens({"pad_token": PAD})
        if len(tokenizer) > trunk.get_input_embeddings().num_embeddings:
            trunk.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    trunk.config.pad_token_id = tokenizer.pad_token_id
    without_dropout(trunk)
    chat = getattr(tokenizer, "chat_template", None)
    # A template that writes today's date into the prompt would make rewards change from day to day.
    usable = isinstance(chat, str) and "strftime_now" not in chat and "date_string" not in chat
    return trunk, tokenizer, chat if usable else ""


def without_dropout(trunk: nn.Module) -> None:
    """Turn dropout off: two responses of a pair must be seen by the same network."""
    for module in trunk.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name in ("attention_dropout", "dropout_p"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
