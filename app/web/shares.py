"""Shares in words. Pure: no Django."""

from __future__ import annotations


def percent(share: float, digits: int = 0) -> str:
    """A share as everywhere on the pages: 93 %, with a minus sign that is one."""
    value = round(100 * share, digits) + 0.0
    return f"{value:.{digits}f} %".replace("-", "−")
