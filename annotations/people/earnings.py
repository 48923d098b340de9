"""What judgments are worth: pure arithmetic over rows, in whole millionths of the currency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

MICROS = 1_000_000
HOUR_MS = 3_600_000
ANSWERED = frozenset({"answered", "cannot_judge"})


@dataclass(frozen=True, slots=True)
class Tariff:
    """How work is paid. `rate` is money an hour of active time or an item; `longest_ms` caps one item's time."""

    unit: str
    """`hour`, `item` or `none`."""
    rate: Decimal
    longest_ms: int

    @property
    def rate_micros(self) -> int:
        return int((self.rate * MICROS).to_integral_value(rounding=ROUND_CEILING))

    @property
    def most_micros(self) -> int:
        """The most that one judgment can be worth."""
        if self.unit == "hour":
            return _ceil(self.rate_micros * self.longest_ms, HOUR_MS)
        return self.rate_micros if self.unit == "item" else 0


@dataclass(frozen=True, slots=True)
class Work:
    """One judgment, as pay sees it. `item` identifies the item and which time it was judged."""

    item: tuple[int, int]
    outcome: str
    active_ms: int


@dataclass(frozen=True, slots=True)
class Earned:
    """What a run of judgments is worth."""

    micros: int = 0
    items: int = 0
    """Items answered for the first time."""
    active_ms: int = 0
    """Active time, each item's capped."""


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def earn(
    work: Iterable[Work],
    tariff: Tariff,
    *,
    spent_ms: Mapping[tuple[int, int], int],
    answered: Iterable[tuple[int, int]],
) -> Earned:
    """What judgments in the order they were given are worth.

    `spent_ms` is the active time reckoned before on their items, `answered` the items paid for before. By the
    hour, every minute counts until the item's cap, corrections and skips too. By the item, the first answer counts.
    """
    spent, seen = dict(spent_ms), set(answered)
    micros = items = active = 0
    for each in work:
        room = max(0, tariff.longest_ms - spent.get(each.item, 0))
        counted = min(max(0, each.active_ms), room)
        spent[each.item] = spent.get(each.item, 0) + counted
        active += counted
        first = each.outcome in ANSWERED and each.item not in seen
        if first:
            seen.add(each.item)
            items += 1
        if tariff.unit == "hour":
            micros += _ceil(tariff.rate_micros * counted, HOUR_MS)
        elif tariff.unit == "item" and first:
            micros += tariff.rate_micros
    return Earned(micros, items, active)
