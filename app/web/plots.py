"""Server-rendered SVG plots: one idea each, intervals drawn, hues by class, the numbers beside.

Pure functions: numbers in, a :class:`Plot` out. No inline styles, so a strict CSP holds; every text is
escaped. ``kind`` is one of ``human lm model accent baseline`` and gives the hue and the dash.
"""

import math
import textwrap
from collections.abc import Sequence
from html import escape

from .drawing import (
    NARROW,
    WIDTH,
    Area,
    Plot,
    Point,
    Row,
    Scale,
    Series,
    counted,
    cut,
    empty,
    fixed,
    frame,
    hue,
    line,
    mark,
    number,
    spread,
    svg_of,
    text,
    x_axis,
)


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
    newest: bool = False,
) -> Plot:
    """Draw lines with interval bands; ``reference`` is a dashed level, percent axes take shares in [0, 1], `newest`: see `Plot`."""
    drawn = [Series(each.label, _finite(each.points), each.kind) for each in series]
    drawn = [each for each in drawn if each.points]
    table = _line_table(drawn, x_label, y_label, x_percent, y_percent)
    if not drawn:
        return Plot(empty(title), title, caption, *table)
    points = [point for each in drawn for point in each.points]
    longest = max(len(each.label) for each in drawn)
    area = Area(62, 30, WIDTH - 24 - min(190, 20 + round(7.2 * longest)), height - 56)
    x = Scale([point.x for point in points], area.left, area.right, x_percent)
    levels = [v for p in points for v in (p.y, p.lo, p.hi) if v is not None]
    if reference is not None:
        levels.append(reference)
    y = Scale(list(y_range or levels), area.bottom, area.top, y_percent)
    parts = [frame(area, x, y, x_label, y_label)]
    if reference is not None:
        parts.append(line(area.left, y(reference), area.right, y(reference), "reference"))
    ends = []
    for each in drawn:
        ordered = sorted(each.points, key=lambda point: point.x)
        parts.append(f'<g class="series-{hue(each.kind)}">')
        banded = [p for p in ordered if p.lo is not None and p.hi is not None]
        if len(banded) > 1:
            upper = " ".join(f"{x(p.x):.1f},{y(p.hi):.1f}" for p in banded)
            lower = " ".join(f"{x(p.x):.1f},{y(p.lo):.1f}" for p in reversed(banded))
            parts.append(f'<polygon class="band" points="{upper} {lower}"/>')
        for p in banded if len(banded) == 1 else ():
            parts.append(line(x(p.x), y(p.lo), x(p.x), y(p.hi), "interval"))
        if len(ordered) > 1:
            path = " ".join(f"{x(p.x):.1f},{y(p.y):.1f}" for p in ordered)
            parts.append(f'<polyline class="line" points="{path}"/>')
        parts.extend(mark(x(p.x), y(p.y), each.kind) for p in ordered)
        parts.append("</g>")
        ends.append((y(ordered[-1].y), each))
    for at, each in spread(ends, 17, area.top, area.bottom):
        parts.append(
            f'<g class="series-{hue(each.kind)}">'
            f"{text(area.right + 12, at + 4, each.label, 'label-series')}</g>"
        )
    svg = svg_of(parts, height, title, description or caption)
    return Plot(svg, title, caption, *table, newest=newest)


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
        [label, *(counted(round(values[i])) for _, _, values in series)] for i, label in enumerate(labels)
    ]
    totals = [sum(values[i] for _, _, values in series) for i in range(len(labels))]
    if not any(totals):
        return Plot(empty(title), title, caption, columns, table[::-1])
    longest = max(len(label) for label, _, _ in series)
    area = Area(62, 30, WIDTH - 24 - min(190, 20 + round(7.2 * longest)), height - 56)
    y = Scale([0, max(4, *totals)], area.bottom, area.top, False)
    parts = [line(area.left, area.bottom, area.right, area.bottom, "axis")]
    for value, words in y.ticks():
        parts.append(line(area.left, y(value), area.right, y(value), "grid"))
        parts.append(text(area.left - 8, y(value) + 4, words, "tick", "end"))
    parts.append(text(area.left - 54, area.top - 14, y_label, "label-axis"))
    parts.append(text((area.left + area.right) / 2, area.bottom + 42, x_label, "label-axis", "middle"))
    step = (area.right - area.left) / len(labels)
    every = max(1, math.ceil(len(labels) / 6))
    for i in range(len(labels) - 1, -1, -every):
        at = area.left + step * (i + 0.5)
        parts.append(text(at, area.bottom + 18, labels[i], "tick", "middle"))
    base, ends = [0.0] * len(labels), []
    for label, kind, values in series:
        parts.append(f'<g class="series-{hue(kind)} stacked">')
        for i, value in enumerate(values):
            if value > 0:
                top = y(base[i] + value)
                left, width = area.left + step * (i + 0.14), step * 0.72
                words = escape(f"{labels[i]}: {counted(round(value))} {label}")
                parts.append(
                    f'<rect class="bar" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
                    f'height="{y(base[i]) - top:.1f}"><title>{words}</title></rect>'
                )
                base[i] += value
        parts.append("</g>")
        middle = base[-1] - values[-1] / 2
        ends.append((y(middle), Series(label, (), kind)))
    for at, each in spread(ends, 17, area.top, area.bottom):
        parts.append(
            f'<g class="series-{hue(each.kind)}">'
            f"{text(area.right + 12, at + 4, each.label, 'label-series')}</g>"
        )
    svg = svg_of(parts, height, title, description or caption)
    return Plot(svg, title, caption, columns, table[::-1], newest=True)


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
    rows = [[number(p.x), number(p.y), number(p.lo), number(p.hi), counted(p.n)] for p in drawn]
    if not drawn:
        return Plot(empty(title), title, caption, columns, rows)
    area = Area(62, 30, size - 24, size - 56)
    x, y = Scale([0, 1], area.left, area.right, False), Scale([0, 1], area.bottom, area.top, False)
    parts = [frame(area, x, y, x_label, y_label), line(x(0), y(0), x(1), y(1), "reference")]
    most = max((p.n or 0 for p in drawn), default=0)
    parts.append(f'<g class="series-{hue(kind)}">')
    for p in drawn:
        if p.lo is not None and p.hi is not None:
            parts.append(line(x(p.x), y(p.lo), x(p.x), y(p.hi), "interval"))
    for p in drawn:
        radius = 3 + 4 * math.sqrt((p.n or 0) / most) if most else 4.5
        parts.append(f'<circle class="mark" cx="{x(p.x):.1f}" cy="{y(p.y):.1f}" r="{radius:.1f}"/>')
    parts.append("</g>")
    svg = svg_of(parts, size, title, description or caption, width=size, extra="plot-square")
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
        return number(value, percent)

    table = [[r.label, words(r.value), words(r.lo), words(r.hi), counted(r.n)] for r in drawn]
    if not drawn:
        return Plot(empty(title), title, caption, columns, table)
    notes = _notes(drawn, percent)
    step, top = 30, 8
    left = min(230, 24 + round(7.2 * max(len(cut(r.label)) for r in drawn)))
    area = Area(left, top, WIDTH - 24 - round(7.2 * max(map(len, notes))), top + step * len(drawn))
    levels = [v for r in drawn for v in (r.value, r.lo, r.hi) if v is not None and math.isfinite(v)]
    levels += [0.0] if bars else []
    levels += [1.0] if whole else []
    levels += [] if reference is None else [reference]
    x = Scale(levels, area.left, area.right, percent)
    parts = [x_axis(area, x, value_label)]
    if reference is not None:
        parts.append(line(x(reference), area.top, x(reference), area.bottom, "reference"))
    for i, (row, note) in enumerate(zip(drawn, notes, strict=True)):
        at = area.top + step * (i + 0.5)
        parts.append(
            text(
                area.left - 12, at + 4, cut(row.label), "label-row", "end", _whole(row.label, cut(row.label))
            )
        )
        parts.append(_row(row, x, at, bars))
        parts.append(text(WIDTH - 8, at + 4, note, "value", "end"))
    svg = svg_of(parts, area.bottom + 50, title, description or caption, extra="plot-rows")
    narrow = _narrow(
        drawn, notes, levels, title, value_label, description or caption, percent, reference, bars
    )
    return Plot(svg, title, caption, columns, table, narrow)


def _narrow(
    drawn: Sequence[Row],
    notes: Sequence[str],
    levels: Sequence[float],
    title: str,
    value_label: str,
    description: str,
    percent: bool,
    reference: float | None,
    bars: bool,
) -> str:
    """The same rows for a phone: each label and its value on a line, the bar or interval beneath, nothing to scroll."""
    step, top = 46, 6
    area = Area(22, top, NARROW - 22, top + step * len(drawn))
    x = Scale(levels, area.left, area.right, percent, most=4)
    lines = textwrap.wrap(value_label, 50) or [""]
    parts = [x_axis(area, x, lines[0])]
    parts += [
        text(NARROW / 2, area.bottom + 42 + 17 * n, words, "label-axis", "middle")
        for n, words in enumerate(lines[1:], 1)
    ]
    if reference is not None:
        parts.append(line(x(reference), area.top, x(reference), area.bottom, "reference"))
    for i, (row, note) in enumerate(zip(drawn, notes, strict=True)):
        at = area.top + step * i
        label = cut(row.label, max(8, round((NARROW - 24) / 7.2) - len(note)))
        parts.append(text(4, at + 15, label, "label-row ground", "start", _whole(row.label, label)))
        parts.append(text(NARROW - 4, at + 15, note, "value ground", "end"))
        parts.append(_row(row, x, at + 31, bars))
    height = area.bottom + 33 + 17 * len(lines)
    return svg_of(parts, height, title, description, width=NARROW, extra="plot-narrow")


def _row(row: Row, x: Scale, at: float, bars: bool) -> str:
    """A row's bar or mark and its interval, about the height `at`."""
    parts = [f'<g class="series-{hue(row.kind)}">']
    if bars:
        begin, end = sorted((x(0), x(row.value)))
        parts.append(
            f'<rect class="bar" x="{begin:.1f}" y="{at - 8:.1f}" width="{end - begin:.1f}" height="16"/>'
        )
    if _has(row):
        css = "bar-interval" if bars else "interval"
        lo, hi = x(row.lo), x(row.hi)
        parts.append(line(lo, at, hi, at, css))
        parts.extend(line(end, at - 4, end, at + 4, css) for end in (lo, hi))
    if not bars:
        parts.append(mark(x(row.value), at, row.kind))
    return "".join([*parts, "</g>"])


def _whole(label: str, shown: str) -> str:
    """The whole label on hover where it is cut."""
    return f"<title>{escape(label)}</title>" if shown != label else ""


def _notes(drawn: Sequence[Row], percent: bool) -> list[str]:
    """Each row's value in words, all with as many digits: 93.1 % [91.2, 95.0]."""
    values = [v for r in drawn for v in (r.value, r.lo, r.hi) if v is not None and math.isfinite(v)]
    most = max(map(abs, values))
    digits = (
        0 if most >= 100 or all(v == round(v) for v in values) else 1 if most >= 10 else 2 if most >= 3 else 3
    )

    def words(value: float | None) -> str:
        return number(value, percent, False) if percent else fixed(value or 0.0, digits)

    suffix = " %" if percent else ""
    return [
        f"{words(r.value)}{suffix}" + (f" [{words(r.lo)}, {words(r.hi)}]" if _has(r) else "") for r in drawn
    ]


def _line_table(drawn: Sequence[Series], x_label: str, y_label: str, xp: bool, yp: bool) -> tuple[list, list]:
    names = ["Series", x_label, y_label, "low", "high", "n"]
    columns = [{"label": name, "numeric": i > 0} for i, name in enumerate(names)]
    rows = [
        [s.label, number(p.x, xp), number(p.y, yp), number(p.lo, yp), number(p.hi, yp), counted(p.n)]
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
