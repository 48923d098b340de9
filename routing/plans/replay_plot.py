"""A replay as one SVG file that stands alone: a panel per source and LM annotator, gain over random by budget.

Gains and not errors: the interval that matters is that of the paired difference, and zero is random routing. At most
`MOST` policies are drawn, the default first; the table and the JSON hold all.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from app.web.shares import percent
from routing.plans import policies
from routing.plans.replay import Row

WIDE, HIGH, COLUMNS = 270, 200, 4
LEFT, TOP, INNER_W, INNER_H = 46, 44, 206, 118
HEAD = 74
MOST = 5
_COLOURS = ("#0b6e6e", "#8a5a00", "#5b4fb0", "#a03050", "#4a6a2a")
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 3")
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.t{font-weight:600}.s{fill:#666;font-size:11px}"
    ".a{stroke:#999}.g{stroke:#e6e6e6}.z{stroke:#333;stroke-dasharray:4 3}"
)


def draw(rows: Sequence[Row]) -> str:
    """The SVG of the rows of one mode. Raises ValueError without rows."""
    if not rows:
        raise ValueError("nothing to draw")
    panels: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.gain_over_random is not None:
            panels.setdefault((row.source, row.annotator), []).append(row)
    there = list(dict.fromkeys(row.policy for row in rows if row.policy != "random"))
    first = [policies.DEFAULT, "lm_confidence", "hyper_linear", "hyper_quadratic", "uncertainty"]
    names = [name for name in (*first, *there) if name in there]
    names = list(dict.fromkeys(names))[:MOST]
    values = [
        row.gain_over_random[key]
        for part in panels.values()
        for row in part
        if row.policy in names
        for key in (("value", "lo", "hi") if row.policy == names[0] else ("value",))
    ]
    low, high = min([0.0, *values]), max([0.02, *values])
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.5) if (high - low) / s <= 7)
    low, high = step * (low // step), step * -(-high // step)
    lines = -(-len(panels) // COLUMNS)
    title = f"Gain over random routing by budget, {rows[0].mode}"
    said = (
        f"Fall of residual label error against random routing at the same budget, in points; {rows[0].splits} paired splits. "
        f"Band: 95 % interval by prompt of {names[0] if names else 'no policy'}. Above the dashed line is better than random."
    )
    parts = [_text(16, 24, title, "t"), _text(16, 42, said, "s"), _legend(names)]
    for i, ((source, annotator), part) in enumerate(panels.items()):
        x, y = 16 + WIDE * (i % COLUMNS), HEAD + HIGH * (i // COLUMNS)
        parts.append(
            f'<g transform="translate({x},{y})">{_panel(source, annotator, part, names, low, high, step)}</g>'
        )
    width, height = 32 + WIDE * COLUMNS, HEAD + HIGH * lines + 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
        f"<title>{escape(title)}</title><desc>{escape(said)}</desc><style>{_STYLE}</style>"
        f'<rect width="{width}" height="{height}" fill="#fff"/>{"".join(parts)}</svg>'
    )


def _panel(
    source: str,
    annotator: str,
    rows: Sequence[Row],
    names: Sequence[str],
    low: float,
    high: float,
    step: float,
) -> str:
    def x(budget: float) -> float:
        return LEFT + INNER_W * budget

    def y(gain: float) -> float:
        return TOP + INNER_H * (high - gain) / (high - low)

    n = rows[0].gain_over_random["n"]
    parts = [_text(LEFT, 16, annotator[:34], "t"), _text(LEFT, 32, f"{source or 'file'}, n {n}", "s")]
    tick = low
    while tick <= high + 1e-9:
        parts.append(
            f'<line class="g" x1="{LEFT}" x2="{LEFT + INNER_W}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        )
        parts.append(_text(LEFT - 6, y(tick) + 4, f"{100 * tick:+.0f}".replace("-", "−"), "s", "end"))
        tick += step
    parts.append(f'<line class="z" x1="{LEFT}" x2="{LEFT + INNER_W}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>')
    for budget in sorted({row.budget for row in rows}):
        parts.append(_text(x(budget), TOP + INNER_H + 16, percent(budget), "s", "middle"))
    for k, name in reversed(list(enumerate(names))):
        mine = sorted((row for row in rows if row.policy == name), key=lambda row: row.budget)
        if not mine:
            continue
        if k == 0 and len(mine) > 1:
            top = [f"{x(r.budget):.1f},{y(r.gain_over_random['hi']):.1f}" for r in mine]
            bottom = [f"{x(r.budget):.1f},{y(r.gain_over_random['lo']):.1f}" for r in reversed(mine)]
            parts.append(
                f'<polygon points="{" ".join(top + bottom)}" fill="{_COLOURS[0]}" fill-opacity=".15"/>'
            )
        points = [(x(r.budget), y(r.gain_over_random["value"])) for r in mine]
        parts.append(
            f'<polyline points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}" fill="none" '
            f'stroke="{_COLOURS[k]}" stroke-width="{2.5 if k == 0 else 1.5}" stroke-dasharray="{_DASHES[k]}"/>'
        )
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5" fill="{_COLOURS[k]}"/>' for a, b in points]
    return "".join(parts)


def _legend(names: Sequence[str]) -> str:
    parts, at = [], 16
    for k, name in enumerate(names):
        parts.append(
            f'<line x1="{at}" x2="{at + 26}" y1="58" y2="58" stroke="{_COLOURS[k]}" '
            f'stroke-width="{2.5 if k == 0 else 1.5}" stroke-dasharray="{_DASHES[k]}"/>'
        )
        parts.append(_text(at + 32, 62, name, "s"))
        at += 50 + 7 * len(name)
    return "".join(parts)


def _text(x: float, y: float, words: str, css: str, anchor: str = "start") -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
