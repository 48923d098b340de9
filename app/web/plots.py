"""Server-rendered SVG plots: one idea each, intervals drawn, hues by class, the numbers beside.

Pure functions: numbers in, a :class:`Plot` out. No inline styles, so a strict CSP holds; every text is
escaped. ``kind`` is one of ``human lm model accent baseline`` and gives the hue and the dash.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH = 720
KINDS = ("human", "lm", "model", "accent", "baseline")


@dataclass(frozen=True)
class Plot:
    """A drawn plot and the table behind it."""

    svg: str
    title: str
    caption: str = ""
    columns: list[dict] = field(default_factory=list)  # [{"label", "numeric"}]
    rows: list[list[str]] = field(default_factory=list)


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


def line_plot(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    description: str = "",
    caption: str = "",
    x_percent: bool = False,
    y_percent: bool = False,
    reference: float | None = None,
    y_range: tuple[float, float] | None = None,
    height: int = 380,
) -> Plot:
    """Draw lines with interval bands; ``reference`` is a dashed level, percent axes take shares in [0, 1]."""
    drawn = [Series(each.label, _finite(each.points), each.kind) for each in series]
    drawn = [each for each in drawn if each.points]
    table = _line_table(drawn, x_label, y_label, x_percent, y_percent)
    if not drawn:
        return Plot(_empty(title), title, caption, *table)
    points = [point for each in drawn for point in each.points]
    longest = max(len(each.label) for each in drawn)
    area = _Area(62, 30, WIDTH - 24 - min(190, 20 + round(7.2 * longest)), height - 56)
    x = _Scale([point.x for point in points], area.left, area.right, x_percent)
    levels = [v for p in points for v in (p.y, p.lo, p.hi) if v is not None]
    if reference is not None:
        levels.append(reference)
    y = _Scale(list(y_range or levels), area.bottom, area.top, y_percent)
    parts = [_frame(area, x, y, x_label, y_label)]
    if reference is not None:
        parts.append(_line(area.left, y(reference), area.right, y(reference), "reference"))
    ends = []
    for each in drawn:
        ordered = sorted(each.points, key=lambda point: point.x)
        parts.append(f'<g class="series-{_kind(each.kind)}">')
        banded = [p for p in ordered if p.lo is not None and p.hi is not None]
        if len(banded) > 1:
            upper = " ".join(f"{x(p.x):.1f},{y(p.hi):.1f}" for p in banded)
            lower = " ".join(f"{x(p.x):.1f},{y(p.lo):.1f}" for p in reversed(banded))
            parts.append(f'<polygon class="band" points="{upper} {lower}"/>')
        for p in banded if len(banded) == 1 else ():
            parts.append(_line(x(p.x), y(p.lo), x(p.x), y(p.hi), "interval"))
        if len(ordered) > 1:
            path = " ".join(f"{x(p.x):.1f},{y(p.y):.1f}" for p in ordered)
            parts.append(f'<polyline class="line" points="{path}"/>')
        parts.extend(_mark(x(p.x), y(p.y), each.kind) for p in ordered)
        parts.append("</g>")
        ends.append((y(ordered[-1].y), each))
    for at, each in _spread(ends, 17, area.top, area.bottom):
        parts.append(
            f'<g class="series-{_kind(each.kind)}">'
            f"{_text(area.right + 12, at + 4, each.label, 'label-series')}</g>"
        )
    return Plot(_svg(parts, height, title, description or caption), title, caption, *table)


def bar_plot(
    rows: Sequence[Row],
    *,
    title: str,
    value_label: str,
    description: str = "",
    caption: str = "",
    percent: bool = False,
    whole: bool = False,
) -> Plot:
    """Draw horizontal bars from zero, each with its interval and its value in words; ``whole``: the axis goes to 1."""
    return _row_plot(rows, title, value_label, description, caption, percent, None, True, whole)


def stacked_plot(
    labels: Sequence[str],
    series: Sequence[tuple[str, str, Sequence[float]]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    description: str = "",
    caption: str = "",
    height: int = 260,
) -> Plot:
    """Draw stacked columns, one for each of ``labels``; ``series`` are (label, kind, values), the lowest first."""
    columns = [{"label": x_label, "numeric": False}]
    columns += [{"label": label, "numeric": True} for label, _, _ in series]
    table = [
        [label, *(_count(round(values[i])) for _, _, values in series)] for i, label in enumerate(labels)
    ]
    totals = [sum(values[i] for _, _, values in series) for i in range(len(labels))]
    if not any(totals):
        return Plot(_empty(title), title, caption, columns, table[::-1])
    longest = max(len(label) for label, _, _ in series)
    area = _Area(62, 30, WIDTH - 24 - min(190, 20 + round(7.2 * longest)), height - 56)
    y = _Scale([0, max(4, *totals)], area.bottom, area.top, False)
    parts = [_line(area.left, area.bottom, area.right, area.bottom, "axis")]
    for value, words in y.ticks():
        parts.append(_line(area.left, y(value), area.right, y(value), "grid"))
        parts.append(_text(area.left - 8, y(value) + 4, words, "tick", "end"))
    parts.append(_text(area.left - 54, area.top - 14, y_label, "label-axis"))
    parts.append(_text((area.left + area.right) / 2, area.bottom + 42, x_label, "label-axis", "middle"))
    step = (area.right - area.left) / len(labels)
    every = max(1, math.ceil(len(labels) / 6))
    for i in range(len(labels) - 1, -1, -every):
        at = area.left + step * (i + 0.5)
        parts.append(_text(at, area.bottom + 18, labels[i], "tick", "middle"))
    base, ends = [0.0] * len(labels), []
    for label, kind, values in series:
        parts.append(f'<g class="series-{_kind(kind)} stacked">')
        for i, value in enumerate(values):
            if value > 0:
                top = y(base[i] + value)
                left, width = area.left + step * (i + 0.14), step * 0.72
                words = escape(f"{labels[i]}: {_count(round(value))} {label}")
                parts.append(
                    f'<rect class="bar" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
                    f'height="{y(base[i]) - top:.1f}"><title>{words}</title></rect>'
                )
                base[i] += value
        parts.append("</g>")
        middle = base[-1] - values[-1] / 2
        ends.append((y(middle), Series(label, (), kind)))
    for at, each in _spread(ends, 17, area.top, area.bottom):
        parts.append(
            f'<g class="series-{_kind(each.kind)}">'
            f"{_text(area.right + 12, at + 4, each.label, 'label-series')}</g>"
        )
    return Plot(_svg(parts, height, title, description or caption), title, caption, columns, table[::-1])


def interval_plot(
    rows: Sequence[Row],
    *,
    title: str,
    value_label: str,
    description: str = "",
    caption: str = "",
    percent: bool = False,
    reference: float | None = None,
) -> Plot:
    """Draw a forest plot: a mark and an interval per row, and a dashed ``reference`` (no effect, chance)."""
    return _row_plot(rows, title, value_label, description, caption, percent, reference, False)


def calibration_plot(
    points: Sequence[Point],
    *,
    title: str = "Calibration",
    x_label: str = "Predicted probability",
    y_label: str = "Observed share",
    kind: str = "model",
    description: str = "",
    caption: str = "",
    size: int = 440,
) -> Plot:
    """Draw predicted against observed shares in [0, 1] with intervals; the diagonal is perfect calibration."""
    drawn = _finite(points)
    numeric = [x_label, y_label, "low", "high", "n"]
    columns = [{"label": label, "numeric": True} for label in numeric]
    rows = [[_num(p.x), _num(p.y), _num(p.lo), _num(p.hi), _count(p.n)] for p in drawn]
    if not drawn:
        return Plot(_empty(title), title, caption, columns, rows)
    area = _Area(62, 30, size - 24, size - 56)
    x, y = _Scale([0, 1], area.left, area.right, False), _Scale([0, 1], area.bottom, area.top, False)
    parts = [_frame(area, x, y, x_label, y_label), _line(x(0), y(0), x(1), y(1), "reference")]
    most = max((p.n or 0 for p in drawn), default=0)
    parts.append(f'<g class="series-{_kind(kind)}">')
    for p in drawn:
        if p.lo is not None and p.hi is not None:
            parts.append(_line(x(p.x), y(p.lo), x(p.x), y(p.hi), "interval"))
    for p in drawn:
        radius = 3 + 4 * math.sqrt((p.n or 0) / most) if most else 4.5
        parts.append(f'<circle class="mark" cx="{x(p.x):.1f}" cy="{y(p.y):.1f}" r="{radius:.1f}"/>')
    parts.append("</g>")
    svg = _svg(parts, size, title, description or caption, width=size, square=True)
    return Plot(svg, title, caption, columns, rows)


def _row_plot(
    rows: Sequence[Row],
    title: str,
    value_label: str,
    description: str,
    caption: str,
    percent: bool,
    reference: float | None,
    bars: bool,
    whole: bool = False,
) -> Plot:
    drawn = [row for row in rows if math.isfinite(row.value)]
    names = ["", value_label, "low", "high", "n"]
    columns = [{"label": name, "numeric": i > 0} for i, name in enumerate(names)]

    def words(value: float | None) -> str:
        return _num(value, percent)

    table = [[r.label, words(r.value), words(r.lo), words(r.hi), _count(r.n)] for r in drawn]
    if not drawn:
        return Plot(_empty(title), title, caption, columns, table)
    notes = [f"{words(r.value)}{f' [{words(r.lo)}, {words(r.hi)}]' if _has(r) else ''}" for r in drawn]
    step, top = 30, 8
    left = min(230, 24 + round(7.2 * max(len(_cut(r.label)) for r in drawn)))
    area = _Area(left, top, WIDTH - 24 - round(7.2 * max(map(len, notes))), top + step * len(drawn))
    levels = [v for r in drawn for v in (r.value, r.lo, r.hi) if v is not None and math.isfinite(v)]
    levels += [0.0] if bars else []
    levels += [1.0] if whole else []
    levels += [] if reference is None else [reference]
    x = _Scale(levels, area.left, area.right, percent)
    parts = [_x_axis(area, x, value_label)]
    if reference is not None:
        parts.append(_line(x(reference), area.top, x(reference), area.bottom, "reference"))
    for i, (row, note) in enumerate(zip(drawn, notes, strict=True)):
        at = area.top + step * (i + 0.5)
        title_tag = f"<title>{escape(row.label)}</title>" if _cut(row.label) != row.label else ""
        parts.append(_text(area.left - 12, at + 4, _cut(row.label), "label-row", "end", title_tag))
        parts.append(f'<g class="series-{_kind(row.kind)}">')
        if bars:
            begin, end = sorted((x(0), x(row.value)))
            parts.append(
                f'<rect class="bar" x="{begin:.1f}" y="{at - 8:.1f}" width="{end - begin:.1f}" height="16"/>'
            )
        if _has(row):
            css = "bar-interval" if bars else "interval"
            lo, hi = x(row.lo), x(row.hi)
            parts.append(_line(lo, at, hi, at, css))
            parts.extend(_line(end, at - 4, end, at + 4, css) for end in (lo, hi))
        if not bars:
            parts.append(_mark(x(row.value), at, row.kind))
        parts.append("</g>")
        parts.append(_text(WIDTH - 8, at + 4, note, "value", "end"))
    height = area.bottom + 50
    return Plot(_svg(parts, height, title, description or caption), title, caption, columns, table)


@dataclass(frozen=True)
class _Area:
    left: int
    top: int
    right: int
    bottom: int


class _Scale:
    """Maps values to pixels over a range widened to round ticks."""

    def __init__(self, values: Sequence[float], start: float, end: float, percent: bool) -> None:
        finite = [value for value in values if math.isfinite(value)]
        lo, hi = min(finite), max(finite)
        if hi - lo < 1e-12:
            pad = abs(lo) * 0.1 or 0.5
            lo, hi = lo - pad, hi + pad
        self.step = _nice((hi - lo) / 5)
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
        return [(v, f"{v * shown + 0.0:.{digits}f}{suffix}".replace("-", "−")) for v in values]


def _nice(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if step <= m * power * (1 + 1e-9))


def _frame(area: _Area, x: _Scale, y: _Scale, x_label: str, y_label: str) -> str:
    parts = [_x_axis(area, x, x_label)]
    for value, words in y.ticks():
        parts.append(_line(area.left, y(value), area.right, y(value), "grid"))
        parts.append(_text(area.left - 8, y(value) + 4, words, "tick", "end"))
    parts.append(_text(area.left - 54, area.top - 14, y_label, "label-axis"))
    return "".join(parts)


def _x_axis(area: _Area, x: _Scale, label: str) -> str:
    parts = []
    for value, words in x.ticks():
        parts.append(_line(x(value), area.top, x(value), area.bottom, "grid"))
        parts.append(_text(x(value), area.bottom + 18, words, "tick", "middle"))
    parts.append(_line(area.left, area.bottom, area.right, area.bottom, "axis"))
    parts.append(_text((area.left + area.right) / 2, area.bottom + 42, label, "label-axis", "middle"))
    return "".join(parts)


def _line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, words: str, css: str, anchor: str = "start", before: str = "") -> str:
    return (
        f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{before}{escape(words)}</text>'
    )


def _mark(x: float, y: float, kind: str) -> str:
    """Draw a mark whose shape, not hue alone, tells the kind."""
    if kind == "lm":
        return f'<rect class="mark" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
    if kind == "model":
        corners = f"{x:.1f},{y - 5.5:.1f} {x + 5.5:.1f},{y:.1f} {x:.1f},{y + 5.5:.1f} {x - 5.5:.1f},{y:.1f}"
        return f'<polygon class="mark" points="{corners}"/>'
    return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'


def _spread(ends: list[tuple[float, Series]], gap: float, top: float, bottom: float) -> list:
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


def _svg(
    parts: Sequence[str], height: int, title: str, description: str, width: int = WIDTH, square: bool = False
) -> str:
    css = "plot plot-square" if square else "plot"
    return (
        f'<svg class="{css}" viewBox="0 0 {width} {height}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title><desc>{escape(description or title)}</desc>{''.join(parts)}</svg>"
    )


def _empty(title: str) -> str:
    return _svg([_text(WIDTH / 2, 60, "No data yet", "label-axis", "middle")], 120, title, "No data yet")


def _line_table(drawn: Sequence[Series], x_label: str, y_label: str, xp: bool, yp: bool) -> tuple[list, list]:
    names = ["Series", x_label, y_label, "low", "high", "n"]
    columns = [{"label": name, "numeric": i > 0} for i, name in enumerate(names)]
    rows = [
        [s.label, _num(p.x, xp), _num(p.y, yp), _num(p.lo, yp), _num(p.hi, yp), _count(p.n)]
        for s in drawn
        for p in s.points
    ]
    return columns, rows


def _finite(points: Sequence[Point]) -> list[Point]:
    """Keep the points that can be drawn; a bound that is not finite is dropped with its interval."""
    kept = []
    for p in points:
        if not (math.isfinite(p.x) and math.isfinite(p.y)):
            continue
        bounded = p.lo is not None and p.hi is not None and math.isfinite(p.lo) and math.isfinite(p.hi)
        kept.append(p if bounded else Point(p.x, p.y, None, None, p.n))
    return kept


def _has(row: Row) -> bool:
    return row.lo is not None and row.hi is not None and math.isfinite(row.lo) and math.isfinite(row.hi)


def _num(value: float | None, percent: bool = False) -> str:
    """Say a number with three significant digits, or a share as a percentage."""
    if value is None or not math.isfinite(value):
        return ""
    words = f"{100 * value:.1f} %" if percent else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return words.replace("-", "−")


def _count(n: int | None) -> str:
    return "" if n is None else f"{n:,}"


def _kind(kind: str) -> str:
    return kind if kind in KINDS else "accent"


def _cut(label: str) -> str:
    return label if len(label) <= 28 else label[:27] + "…"
