"""What plots are made of and drawn with: points and rows, scales, axes, marks and numbers in words, as pieces of SVG text. Every text is escaped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH = 720
NARROW = 360  # on a phone
KINDS = ("human", "lm", "model", "accent", "baseline")


@dataclass(frozen=True)
class Plot:
    """A drawn plot and the table behind it."""

    svg: str
    title: str
    caption: str = ""
    columns: list[dict] = field(default_factory=list)  # [{"label", "numeric"}]
    rows: list[list[str]] = field(default_factory=list)
    narrow: str = ""
    """The same for a phone, where there is one; a page shows one of the two."""
    newest: bool = False
    """Whether a phone opens it at its right end: days, of which the last matter."""


@dataclass(frozen=True)
class Point:
    """One estimate on a line: ``lo`` and ``hi`` bound its interval where there is one."""

    x: float
    y: float
    lo: float | None = None
    hi: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Series:
    """A named line, labelled at its right end."""

    label: str
    points: Sequence[Point]
    kind: str = "accent"


@dataclass(frozen=True)
class Row:
    """A named estimate: a bar, or a line of a forest plot."""

    label: str
    value: float
    lo: float | None = None
    hi: float | None = None
    n: int | None = None
    kind: str = "accent"


@dataclass(frozen=True)
class Area:
    left: int
    top: int
    right: int
    bottom: int


class Scale:
    """Maps values to pixels over a range widened to round ticks."""

    def __init__(
        self, values: Sequence[float], start: float, end: float, percent: bool, most: int = 5
    ) -> None:
        finite = [value for value in values if math.isfinite(value)]
        lo, hi = min(finite), max(finite)
        if hi - lo < 1e-12:
            pad = abs(lo) * 0.1 if abs(lo) > 1e-9 else 0.5
            lo, hi = lo - pad, hi + pad
        self.step = nice((hi - lo) / most)
        self.lo = math.floor(lo / self.step + 1e-9) * self.step
        self.hi = math.ceil(hi / self.step - 1e-9) * self.step
        self._start, self._end, self._percent = start, end, percent

    def __call__(self, value: float | None) -> float:
        share = ((value or 0.0) - self.lo) / (self.hi - self.lo)
        return self._start + min(1.0, max(0.0, share)) * (self._end - self._start)

    def ticks(self) -> list[tuple[float, str]]:
        total = round((self.hi - self.lo) / self.step)
        shown = 100 if self._percent else 1
        step = self.step * shown
        places = -math.floor(math.log10(step) + 1e-9)
        quarter = round(step * 10.0**places, 6) == 2.5  # 2.5, 5, 7.5, 10
        digits = max(0, places + quarter)
        values = [self.lo + i * self.step for i in range(total + 1)]
        suffix = " %" if self._percent else ""
        return [(v, f"{fixed(v * shown + 0.0, digits)}{suffix}") for v in values]


def nice(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if step <= m * power * (1 + 1e-9))


def frame(area: Area, x: Scale, y: Scale, x_label: str, y_label: str) -> str:
    parts = [x_axis(area, x, x_label)]
    for value, words in y.ticks():
        parts.append(line(area.left, y(value), area.right, y(value), "grid"))
        parts.append(text(area.left - 8, y(value) + 4, words, "tick", "end"))
    parts.append(text(area.left - 54, area.top - 14, y_label, "label-axis"))
    return "".join(parts)


def x_axis(area: Area, x: Scale, label: str) -> str:
    parts = []
    for value, words in x.ticks():
        parts.append(line(x(value), area.top, x(value), area.bottom, "grid"))
        parts.append(text(x(value), area.bottom + 18, words, "tick", "middle"))
    parts.append(line(area.left, area.bottom, area.right, area.bottom, "axis"))
    parts.append(text((area.left + area.right) / 2, area.bottom + 42, label, "label-axis", "middle"))
    return "".join(parts)


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x: float, y: float, words: str, css: str, anchor: str = "start", before: str = "") -> str:
    return (
        f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{before}{escape(words)}</text>'
    )


def mark(x: float, y: float, kind: str) -> str:
    """Draw a mark whose shape, not hue alone, tells the kind."""
    if kind == "lm":
        return f'<rect class="mark" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
    if kind == "model":
        corners = f"{x:.1f},{y - 5.5:.1f} {x + 5.5:.1f},{y:.1f} {x:.1f},{y + 5.5:.1f} {x - 5.5:.1f},{y:.1f}"
        return f'<polygon class="mark" points="{corners}"/>'
    return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'


def spread(ends: list[tuple[float, Series]], gap: float, top: float, bottom: float) -> list:
    """Move labels apart by at least ``gap`` pixels, keeping their order and staying in the plot."""
    ends = sorted(ends, key=lambda end: end[0])
    places = [at for at, _ in ends]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + gap)
    if places and places[-1] > bottom:
        places[-1] = bottom
        for i in range(len(places) - 2, -1, -1):
            places[i] = min(places[i], places[i + 1] - gap)
    return [(place, each) for place, (_, each) in zip(places, ends, strict=True)]


def svg_of(
    parts: Sequence[str], height: int, title: str, description: str, width: int = WIDTH, extra: str = ""
) -> str:
    css = f"plot {extra}".rstrip()
    return (
        f'<svg class="{css}" viewBox="0 0 {width} {height}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title><desc>{escape(description or title)}</desc>{''.join(parts)}</svg>"
    )


def empty(title: str) -> str:
    return svg_of([text(WIDTH / 2, 60, "No data yet", "label-axis", "middle")], 120, title, "No data yet")


def number(value: float | None, percent: bool = False, unit: bool = True) -> str:
    """Say a number with three significant digits, or a share as a percentage."""
    if value is None or not math.isfinite(value):
        return ""
    if percent:
        return fixed(100 * value, 1) + (" %" if unit else "")
    return f"{value:.3g}".replace("-", "−") if abs(value) < 1000 else fixed(value, 0)


def fixed(value: float, digits: int) -> str:
    """A number with so many digits behind the point, its thousands apart, a minus sign that is one, and never −0."""
    words = f"{value:,.{digits}f}"
    return words[1:] if not float(words.replace(",", "")) and words[0] == "-" else words.replace("-", "−")


def counted(n: int | None) -> str:
    return "" if n is None else f"{n:,}"


def hue(kind: str) -> str:
    return kind if kind in KINDS else "accent"


def cut(label: str, most: int = 28) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"
