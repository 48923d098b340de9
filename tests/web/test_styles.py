"""The two themes name the same tokens, and what must be read can be read."""

import math
import re
from hashlib import sha256
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parents[2] / "static"
CSS = (STATIC / "css" / "tokens.css").read_text()


def tokens(selector: str) -> dict[str, str]:
    block = re.search(re.escape(selector) + r"\s*\{(.*?)\}", CSS, re.S)[1]
    return dict(re.findall(r"--([\w-]+):\s*([^;]+);", block))


LIGHT = tokens(':root[data-theme="light"]')
DARK = tokens(':root[data-theme="dark"]')


def luminance(color: str) -> float:
    """Relative luminance of an oklch() colour (Ottosson's OKLab matrices, WCAG 2's weights)."""
    light, chroma, hue = (float(part.rstrip("%")) for part in re.match(r"oklch\(([^/)]+)", color)[1].split())
    light /= 100
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    lo = (light + 0.3963377774 * a + 0.2158037573 * b) ** 3
    me = (light - 0.1055613458 * a - 0.0638541728 * b) ** 3
    sh = (light - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * lo - 3.3077115913 * me + 0.2309699292 * sh
    green = -1.2684380046 * lo + 2.6097574011 * me - 0.3413193965 * sh
    blue = -0.0041960863 * lo - 0.7034186147 * me + 1.7076147010 * sh
    red, green, blue = (min(1.0, max(0.0, part)) for part in (red, green, blue))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_both_themes_name_the_same_tokens():
    assert set(LIGHT) == set(DARK)
    assert tokens(":root:not([data-theme])") == DARK


PAIRS = [
    *[("ink", ground, 7) for ground in ("paper", "raised", "sunk", "hover")],
    *[(ink, ground, 4.5) for ink in ("ink-2", "ink-3", "accent") for ground in ("paper", "raised", "sunk")],
    *[("ink-2", ground, 4.5) for ground in ("hover", "amber-soft", "red-soft", "green-soft")],
    *[(hue, "paper", 4.5) for hue in ("human", "lm", "model", "amber", "red", "green")],
    *[(hue, f"{hue}-soft", 4.5) for hue in ("human", "lm", "model", "amber", "red", "green", "accent")],
    *[(f"code-{part}", "sunk", 4.5) for part in ("keyword", "string", "number", "name", "comment")],
    ("on-accent", "accent", 4.5),
    ("on-accent", "accent-hover", 4.5),
    ("on-red", "red", 4.5),
    ("on-red", "red-hover", 4.5),
    ("line-strong", "paper", 3),
]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground", "least"), PAIRS, ids=lambda part: str(part))
def test_ink_stands_out_from_its_ground(theme, ink, ground, least):
    assert contrast(theme[ink], theme[ground]) >= least


def test_vendored_files_are_the_ones_written_down():
    vendor = STATIC / "vendor"
    stated = dict(
        re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (vendor / "VENDOR.md").read_text(), re.M)
    )
    found = {
        str(path.relative_to(vendor)): sha256(path.read_bytes()).hexdigest()
        for path in vendor.rglob("*")
        if path.is_file() and path.name not in ("VENDOR.md", "LICENSE")
    }
    assert stated == found
