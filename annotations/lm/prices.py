"""What a call may cost at most, and what it did cost. Pure; money in whole millionths.

A price of p per million tokens is p millionths per token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

PER_MESSAGE = 32  # tokens a chat format may add around one message
CHARS_PER_TOKEN = 4  # for estimates shown before a run, never for what is held


@dataclass(frozen=True)
class Price:
    """Per million tokens, in the account's currency."""

    input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)

    def micros(self, tokens_in: int, tokens_out: int) -> int:
        """The cost in millionths, rounded up."""
        exact = self.input * tokens_in + self.output * tokens_out
        return int(exact.to_integral_value(rounding=ROUND_CEILING))

    @property
    def is_free(self) -> bool:
        return not self.input and not self.output


def most_tokens_in(messages: Sequence[dict], schema_bytes: int = 0) -> int:
    """No byte-level tokenizer makes more tokens than bytes: an upper bound that needs no tokenizer."""
    return sum(len(m["content"].encode()) + PER_MESSAGE for m in messages) + schema_bytes


def likely_tokens_in(messages: Sequence[dict]) -> int:
    return sum(len(m["content"]) // CHARS_PER_TOKEN + 4 for m in messages)


def worst_case(price: Price, messages: Sequence[dict], schema_bytes: int, max_tokens: int) -> int:
    """Millionths that are held before a call."""
    return price.micros(most_tokens_in(messages, schema_bytes), max_tokens)


def actual(price: Price, tokens_in: int | None, tokens_out: int | None, held: int) -> int:
    """Millionths a call is settled at: by the tokens the server reports, all that was held where it reports none.

    Never above what was held; a server that reports more than a prompt can have is not believed.
    """
    if tokens_in is None or tokens_out is None:
        return held
    return min(held, price.micros(tokens_in, tokens_out))
