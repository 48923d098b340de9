"""What changed between two wordings, word by word. Pure."""

from __future__ import annotations

import difflib
import re

_TOKEN = re.compile(r"\s*\S+|\s+$")
LONGEST = 300  # words compared with each other; beyond, words that stand often are no anchors
MOST = 1_500  # words beyond which only the beginning and the end that are alike are kept


def wording_diff(old: str, new: str) -> list[tuple[str, str]]:
    """Words kept, taken out and put in, in order; spaces before a change are kept: [(`same` | `out` | `in`, text)]."""
    a, b = _TOKEN.findall(old), _TOKEN.findall(new)
    found: list[tuple[str, str]] = []
    for tag, i1, i2, j1, j2 in _opcodes(a, b):
        if tag == "equal":
            found.append(("same", "".join(a[i1:i2])))
            continue
        for change, text in (("out", "".join(a[i1:i2])), ("in", "".join(b[j1:j2]))):
            words = text.lstrip()
            if text:
                found += [("same", text[: len(text) - len(words)]), (change, words)]
    return found


def _opcodes(a: list[str], b: list[str]) -> list[tuple[str, int, int, int, int]]:
    """As difflib's; the words may be a model's, and difflib takes minutes for a few thousand that are all alike."""
    longest = max(len(a), len(b))
    if longest <= MOST:
        return difflib.SequenceMatcher(a=a, b=b, autojunk=longest > LONGEST).get_opcodes()
    shorter = min(len(a), len(b))
    first = next((i for i in range(shorter) if a[i] != b[i]), shorter)
    last = next((i for i in range(shorter - first) if a[-1 - i] != b[-1 - i]), shorter - first)
    x, y = len(a) - last, len(b) - last
    return [
        ("equal", 0, first, 0, first),
        ("replace", first, x, first, y),
        ("equal", x, len(a), y, len(b)),
    ]
