"""Numbers in words for people."""

from __future__ import annotations

from decimal import Decimal

from django.utils.formats import number_format


def grouped(number: int) -> str:
    """A whole number with the thousands set apart as the page's language does: 12,345 or 12.345."""
    return number_format(number, use_l10n=True, force_grouping=True)


def money(amount: Decimal | str | float) -> str:
    """An amount as a person reads it: hundredths, and below a tenth two digits that say something (0.0034)."""
    value = Decimal(str(amount))
    places = 2 if not value or abs(value) >= Decimal("0.1") else 1 - value.adjusted()
    return number_format(round(value, places), decimal_pos=places, use_l10n=True, force_grouping=True)
