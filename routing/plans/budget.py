"""A budget as people write it: a share of items, or money with its currency."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

_MONEY = re.compile(r"^(?:([A-Za-z]{3})\s*(\d+(?:\.\d{1,4})?)|(\d+(?:\.\d{1,4})?)\s*([A-Za-z]{3}))$")
LARGEST = Decimal(10) ** 9


class BadBudget(ValueError):
    """The text is no budget; it says what was expected."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Exactly one of `share` (of items, in (0, 1]) and `money` is set."""

    share: float | None = None
    money: Decimal | None = None
    currency: str = ""


def parse_share(text: str, *, allow_zero: bool = False) -> float:
    """`0.25` or `25 %` as a share. Raises BadBudget outside (0, 1], or [0, 1] if `allow_zero`."""
    raw = text.strip()
    try:
        value = Decimal(raw.removesuffix("%").strip()) / (100 if raw.endswith("%") else 1)
    except InvalidOperation:
        raise BadBudget(f"{text!r}: expected a share such as 0.25 or 25 %.")
    if not value.is_finite() or not 0 <= value <= 1 or (value == 0 and not allow_zero):
        raise BadBudget(f"{text!r}: expected a share {'from 0' if allow_zero else 'above 0'} up to 1.")
    return float(value)


def parse_budget(text: str, *, currency: str) -> Budget:
    """`0.25`, `25 %`, `25EUR` or `EUR 25` as a budget. Raises BadBudget; money must be in `currency`."""
    raw = text.strip()
    found = _MONEY.match(raw)
    if not found:
        try:
            return Budget(share=parse_share(raw))
        except BadBudget:
            raise BadBudget(
                f"{text!r}: expected a share of items above 0 and up to 1 (0.25, 25 %), or money with its currency "
                f"(25 {currency})."
            )
    given = (found[1] or found[4]).upper()
    amount = Decimal(found[2] or found[3])
    if given != currency:
        raise BadBudget(f"{text!r}: this project's money is in {currency}.")
    if not 0 < amount <= LARGEST:
        raise BadBudget(f"{text!r}: expected an amount above 0 and up to {LARGEST:,}.")
    return Budget(money=amount, currency=currency)


def in_words(amount: Decimal, currency: str) -> str:
    """An amount with two decimals, or as many as it has: `56.50 EUR`."""
    exact = amount.quantize(Decimal("0.01"))
    return f"{exact if exact == amount else amount.normalize():f} {currency}".strip()
