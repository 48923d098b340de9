"""A model whose weights lie on the worker: `transformers`, an optional dependency (requirements-train.txt).

Weights are safetensors in a folder below `settings.LM_LOCAL_DIR`; no code that comes with weights is ever run.
"""

from __future__ import annotations

import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from .client import MAX_RAW, TOP, Call, CallFailed, Completion
from .parsing import clean

LONGEST_PROMPT = 32_000  # tokens


class CannotLoad(Exception):
    """The weights cannot be used here; the text says why."""


def folder_of(name: str) -> Path:
    """The folder of these weights. Raises CannotLoad if it is not one below `LM_LOCAL_DIR`."""
    root = Path(settings.LM_LOCAL_DIR).resolve()
    found = (root / name).resolve()
    if not name or root not in found.parents:
        raise CannotLoad(f"{name!r}: expected the name of a folder in LM_LOCAL_DIR on the worker.")
    if not (found / "config.json").is_file():
        raise CannotLoad(f"{name}: no such weights in LM_LOCAL_DIR on this worker.")
    return found


def loaded(name: str) -> LocalModel:
    """The model of these weights, kept in memory while it is the last one used. Raises CannotLoad."""
    return _load(folder_of(name))


@lru_cache(maxsize=1)
def _load(folder: Path) -> LocalModel:
    try:
        import torch
        import transformers
    except ImportError:
        raise CannotLoad(
            "This worker has no torch and transformers: install requirements-train.txt there."
        ) from None
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype="auto"
        )
    except (OSError, ValueError) as error:
        raise CannotLoad(f"{folder.name}: {' '.join(str(error).split())[:300]}") from None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return LocalModel(tokenizer, model.to(device).eval(), device)


class LocalModel:
    """Weights in memory; answers one call at a time, like `client.complete`."""

    def __init__(self, tokenizer: Any, model: Any, device: str):
        self.tokenizer, self.model, self.device = tokenizer, model, device
        self._lock = threading.Lock()

    def complete(self, call: Call) -> Completion:
        """Generate the reply. Raises CallFailed where the prompt is too long for the model."""
        import torch

        started = time.monotonic()
        ids = self._prompt(call)
        room = getattr(self.model.config, "max_position_embeddings", None) or LONGEST_PROMPT
        if ids.shape[1] + call.max_tokens > min(room, LONGEST_PROMPT):
            raise CallFailed(
                "item",
                f"The prompt has {ids.shape[1]:,} tokens; with {call.max_tokens} to come it does not fit.",
            )
        sampling: dict[str, Any] = {"do_sample": False}
        if call.temperature > 0:
            sampling = {"do_sample": True, "temperature": call.temperature, "top_k": 0, "top_p": 1.0}
        with self._lock, torch.inference_mode():
            if call.seed is not None:
                torch.manual_seed(call.seed)
            made = self.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=call.max_tokens,
                return_dict_in_generate=True,
                output_scores=call.logprobs,
                pad_token_id=self._padding(),
                **sampling,
            )
        new = made.sequences[0, ids.shape[1] :].tolist()
        ends = self._ends()
        stopped = bool(new) and new[-1] in ends
        pieces = self._pieces(new[:-1] if stopped else new)
        text = "".join(pieces)
        tokens = self._probabilities(made.scores, pieces) if call.logprobs else ()
        return Completion(
            text=clean(text)[:MAX_RAW],
            finish="stop" if stopped else "length",
            refusal=False,
            tokens_in=int(ids.shape[1]),
            tokens_out=len(new),
            tokens=tokens,
            latency_ms=round((time.monotonic() - started) * 1000),
        )

    def _prompt(self, call: Call):
        import torch

        messages = list(call.messages)
        if self.tokenizer.chat_template:
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        else:
            text = "\n\n".join(m["content"] for m in messages) + "\n\nAnswer:\n"
            ids = self.tokenizer(text)["input_ids"]
        return torch.tensor([ids], device=self.device)

    def _ends(self) -> set[int]:
        ends = self.model.generation_config.eos_token_id
        return set(ends if isinstance(ends, list) else [ends]) - {None}

    def _padding(self) -> int:
        ends = self._ends()
        pad = self.tokenizer.pad_token_id
        return pad if pad is not None else min(ends, default=0)

    def _pieces(self, ids: list[int]) -> list[str]:
        """The text each token added; their concatenation is the reply."""
        pieces, before = [], ""
        for end in range(1, len(ids) + 1):
            whole = self.tokenizer.decode(
                ids[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
            if whole.endswith("\ufffd") and end < len(ids):
                pieces.append("")  # half a character: its text comes with the next token
                continue
            pieces.append(whole[len(before) :])
            before = whole
        return pieces

    def _probabilities(self, scores: tuple, pieces: list[str]) -> tuple[dict, ...]:
        """Each token with its most probable alternatives, as chat completions give them."""
        import torch

        found = []
        for step, piece in zip(scores, pieces, strict=False):
            log = torch.log_softmax(step[0].float(), dim=-1)
            best = torch.topk(log, min(TOP, log.shape[0]))
            alternatives = [
                {
                    "token": self.tokenizer.decode([int(i)], clean_up_tokenization_spaces=False),
                    "logprob": float(p),
                }
                for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            ]
            found.append({"token": piece, "logprob": float(best.values[0]), "top_logprobs": alternatives})
        return tuple(found)
