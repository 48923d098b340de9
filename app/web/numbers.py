"""Numbers in words for people."""

from __future__ import annotations

from django.utils.formats import number_format


def grouped(number: int) -> str:
    """A whole number with the thousands set apart as the page's language does: 12,345 or 12.345."""
    return number_format(number, use_l10n=True, force_grouping=True)
