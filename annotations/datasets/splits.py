"""Which side of a split a group of prompts falls on: fixed by its key alone, for ever."""

from __future__ import annotations

import hashlib

SALT = "plumbline-1"
SHARES = (0.8, 0.1, 0.1)
SPLITS = ("train", "validation", "holdout")


def split_of(group: str, salt: str = SALT, *, shares: tuple[float, float, float] = SHARES) -> str:
    """Return the split of a group, a function of its key alone: 'train', 'validation' or 'holdout'.

    u = first 64 bits of sha256(salt, NUL, group) / 2^64, cut at the cumulated shares. The same group falls
    in the same split for ever; a new salt draws anew. Raises ValueError unless the shares sum to 1.
    """
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1.0) > 1e-9:
        raise ValueError("split shares must be three non-negative numbers that sum to 1")
    digest = hashlib.sha256(f"{salt}\0{group}".encode("utf-8", "surrogatepass")).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < shares[0]:
        return SPLITS[0]
    return SPLITS[1] if position < shares[0] + shares[1] else SPLITS[2]
