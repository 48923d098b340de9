"""A plot as a file of its own: the page's styles put inside, colours of the light theme as plain RGB."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from pathlib import Path

from django.conf import settings

FONT = "system-ui, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"


def standalone(svg: str) -> str:
    """The SVG with its styles, a white ground and its size, for a paper or an image."""
    box = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg)
    width, height = box.groups() if box else ("720", "380")
    start, rest = svg.split(">", 1)
    ground = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    return f'{start} width="{width}" height="{height}"><style>{_styles()}</style>{ground}{rest}'


@lru_cache(maxsize=1)
def _styles() -> str:
    folder = Path(settings.BASE_DIR) / "static" / "css"
    tokens = (folder / "tokens.css").read_text(encoding="utf-8")
    values: dict[str, str] = {}
    for name, value in re.findall(r"--([\w-]+):\s*([^;]+);", tokens):
        values.setdefault(name, value)  # the light theme comes first
    rules = re.findall(r"(\.plot[^{}]*)\{([^{}]*)\}", (folder / "plots.css").read_text(encoding="utf-8"))
    made = []
    for selector, body in rules:
        if ".plot-" in selector or selector.strip() == ".plot":
            continue
        body = re.sub(r"var\(--(\w[\w-]*)\)", lambda found: _value(found[1], values), body)
        names = ",".join(part.strip().removeprefix(".plot ") for part in selector.split(","))
        made.append(f"{names}{{{' '.join(body.split())}}}")
    return f"svg{{font:13px {FONT};font-variant-numeric:tabular-nums}}" + "".join(made)


def _value(name: str, values: dict[str, str]) -> str:
    """A token's value, colours as #rrggbb; the series' own variable stays a variable."""
    if name == "series":
        return "var(--series)"
    value = values.get(name, "#000")
    colour = re.fullmatch(r"oklch\(([\d.]+)% ([\d.]+) ([\d.]+)\)", value.strip())
    return rgb(*(float(part) for part in colour.groups())) if colour else value


def rgb(lightness: float, chroma: float, hue: float) -> str:
    """OKLCH (percent, chroma, degrees) as #rrggbb (Ottosson 2020), clipped to sRGB."""
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    light = lightness / 100
    long = (light + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (light - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (light - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    parts = (12.92 * x if x <= 0.0031308 else 1.055 * x ** (1 / 2.4) - 0.055 for x in linear)
    return "#" + "".join(f"{round(255 * min(1.0, max(0.0, x))):02x}" for x in parts)
