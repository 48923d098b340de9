"""Identity of an item: the hash of what is judged, its place in the queue, its group."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

MAX_GROUP = 300


def content_hash(prompt: str | list, context: str, responses: Sequence[str]) -> str:
    """sha256 hex over prompt, context and the responses in canonical order."""
    body = json.dumps(
        [prompt, context or "", list(responses)],
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()


def order_key(seed: int, identity: str) -> int:
    """A seeded random place in the queue, in [0, 2^62)."""
    digest = hashlib.blake2b(f"{seed}:{identity}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2


def prompt_text(prompt: str | Iterable[dict]) -> str:
    """The prompt as one text: itself, or its messages one after another."""
    if isinstance(prompt, str):
        return prompt
    return "\n\n".join(f"{m.get('role', 'user')}: {m.get('content', '')}" for m in prompt)


def group_of(group: str | None, prompt: str | list) -> str:
    """The unit that is never split between train and test: the given group, else the prompt's hash."""
    if group:
        if len(group) <= MAX_GROUP:
            return group
        digest = hashlib.sha256(group.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return f"{group[: MAX_GROUP - 33]}#{digest}"
    return "prompt:" + hashlib.sha256(prompt_text(prompt).encode("utf-8", "surrogatepass")).hexdigest()[:32]
