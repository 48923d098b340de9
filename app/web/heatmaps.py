"""Heat maps: a square of shares or coefficients, the number written in each cell, shade by value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from . import drawing
from .drawing import NARROW, WIDTH, cut, empty, svg_of, text
from .plots import Plot

TOP = 28  # room for the columns' numbers
STEPS = 8  # shades, as classes `heat-0` to `heat-7`


def heat_plot(
    names: Sequence[str],
    values: Sequence[Sequence[float | None]],
    *,
    title: str,
    low: float = 0.0,
    high: float = 1.0,
    caption: str = "",
    description: str = "",
) -> Plot:
    """Draw values[row][column] between `names`; None is an empty cell. Shades run from `low` to `high`."""
    columns = [{"label": "", "numeric": False}, *({"label": name, "numeric": True} for name in names)]
    table = [
        [name, *("" if v is None else drawing.number(v) for v in row)]
        for name, row in zip(names, values, strict=True)
    ]
    if not names:
        return Plot(empty(title), title, caption, columns, table)
    left = min(252, 44 + round(7.2 * max(len(cut(name)) for name in names)))
    size = min(64, (WIDTH - left - 16) / len(names))
    # Labels over the columns stand upright; a number per column ties them to the rows.
    parts = _cells(names, values, low, high, left, size)
    for place, name in enumerate(names):
        parts.append(text(left - 10, _middle(place, size), f"{place + 1} {cut(name)}", "label-row", "end"))
    height = round(TOP + size * len(names) + 12)
    svg = svg_of(parts, height, title, description or caption, extra="plot-rows")
    narrow = _narrow(names, values, low, high, title, description or caption)
    return Plot(svg, title, caption, columns, table, narrow)


def _narrow(names, values, low: float, high: float, title: str, description: str) -> str:
    """The same for a phone: rows have their numbers, the names stand beneath, nothing to scroll."""
    left = 30
    size = min(64, (NARROW - left - 8) / len(names))
    parts = _cells(names, values, low, high, left, size)
    for place in range(len(names)):
        parts.append(text(left - 8, _middle(place, size), str(place + 1), "tick", "end"))
    beneath = round(TOP + size * len(names))
    for place, name in enumerate(names):
        label = cut(name, 46)
        parts.append(text(4, beneath + 24 + 18 * place, f"{place + 1} {label}", "label-row"))
    height = beneath + 16 + 18 * len(names)
    return svg_of(parts, height, title, description, width=NARROW, extra="plot-narrow")


def _middle(place: int, size: float) -> float:
    """Where the words of a row stand."""
    return TOP + size * (place + 0.5) + 4


def _cells(names, values, low: float, high: float, left: float, size: float) -> list[str]:
    """The columns' numbers and the square of cells, of `size` pixels each, from `left` on."""
    parts = [
        text(left + size * (place + 0.5), TOP - 10, str(place + 1), "tick", "middle")
        for place in range(len(names))
    ]
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            if value is None or not math.isfinite(value):
                continue
            share = (value - low) / ((high - low) or 1)
            step = min(STEPS - 1, max(0, int(share * STEPS)))
            words = escape(f"{names[y]}, {names[x]}: {drawing.number(value)}")
            parts.append(
                f'<rect class="heat heat-{step}" x="{left + size * x + 1:.1f}" y="{TOP + size * y + 1:.1f}" '
                f'width="{size - 2:.1f}" height="{size - 2:.1f}" rx="2"><title>{words}</title></rect>'
            )
            if size >= 30:
                css = "heat-number heat-number-strong" if step >= STEPS / 2 else "heat-number"
                near = round(value, 2) + 0.0  # no minus before zero
                number = f"{near:.2f}".replace("0.", ".", 1) if abs(near) < 1 else f"{near:.1f}"
                number = number.replace("-", "−")
                parts.append(text(left + size * (x + 0.5), TOP + size * (y + 0.5) + 4, number, css, "middle"))
    return parts
