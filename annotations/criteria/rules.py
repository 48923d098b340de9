"""Offline rules that judge pairs by one measurable quality, and the offline manager. No model, no network; pure.

They stand in for models where there are none, as a baseline and in tests, and are named as rules wherever they show.
A rule compares a measure of the two texts; it abstains where they differ by less than its margin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from .pairs import FIRST, NA, SECOND, TIE, score

MARGINS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5)
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_REASON = re.compile(
    r"\b(?:because|since|therefore|thus|hence|due to|as a result|so that|leads? to|means that)\b", re.I
)
_EXAMPLE = re.compile(r"\b(?:for example|for instance|such as|e\.g\.|like when|imagine|consider)\b", re.I)
_BALANCE = re.compile(
    r"\b(?:however|although|though|on the other hand|while|despite|even if|nevertheless|but)\b", re.I
)
_CONCRETE = re.compile(r"\d+(?:[.,]\d+)?|(?<=[a-z,;] )[A-Z][a-z]+|\"[^\"]{2,}\"|https?://")
_INSULT = re.compile(
    r"\b(?:stupid|idiots?|dumb|moron|shut up|crap|bullshit|damn|hell no|retard\w*|lame)\b", re.I
)
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")
STOP = frozenset(
    "a an the and or but if then of to in on at by for with from as is are was were be been it its this that these "
    "those i you he she we they them his her our your my me not no do does did so than too very can will just what "
    "which who how when where why there here about into out up all any some give write list provide following".split()
)


def words(text: str) -> list[str]:
    return [w.lower() for w in _WORD.findall(text)]


def _length(prompt: str, text: str) -> float:
    return float(len(words(text)))


def _brevity(prompt: str, text: str) -> float:
    return 1.0 / (1 + len(words(text)))


def _concrete(prompt: str, text: str) -> float:
    return float(len(_CONCRETE.findall(text)))


def _on_topic(prompt: str, text: str) -> float:
    asked = {w for w in words(prompt) if w not in STOP and len(w) > 2}
    return len(asked & set(words(text))) / len(asked) if asked else 0.0


def _reasons(prompt: str, text: str) -> float:
    return float(len(_REASON.findall(text)))


def _examples(prompt: str, text: str) -> float:
    return float(len(_EXAMPLE.findall(text)))


def _balance(prompt: str, text: str) -> float:
    return float(len(_BALANCE.findall(text)))


def _fresh(prompt: str, text: str) -> float:
    """Share of distinct word triples: 1 where nothing is said twice; 0 for an empty text."""
    found = words(text)
    if len(found) < 3:
        return 1.0 if found else 0.0
    triples = list(zip(found, found[1:], found[2:], strict=False))
    return len(set(triples)) / len(triples)


def _complete(prompt: str, text: str) -> float:
    return 1.0 if re.search(r"[.!?)\]\"'`}:]\s*$", text.rstrip()) else 0.3 if text.strip() else 0.0


def _calm(prompt: str, text: str) -> float:
    found = words(text)
    loud = text.count("!") + len(_INSULT.findall(text)) * 3
    loud += sum(w.isupper() and len(w) > 3 for w in _WORD.findall(text))
    return len(found) / (len(found) + 5 * loud) if found else 0.0


def _care(prompt: str, text: str) -> float:
    """Share of sentences that begin with a capital or digit."""
    found = [s.strip() for s in _SENTENCE.findall(text) if s.strip()]
    return sum(s[0].isupper() or not s[0].isalpha() for s in found) / len(found) if found else 0.0


def _structure(prompt: str, text: str) -> float:
    return float(sum(bool(line.strip()) for line in text.splitlines()))


def _vocabulary(prompt: str, text: str) -> float:
    return float(len({w for w in words(text) if w not in STOP}))


def _own_words(prompt: str, text: str) -> float:
    """Share of the text that is not copied from the prompt, by word triples."""
    found, asked = words(text), words(prompt)
    if len(found) < 3:
        return 1.0 if found else 0.0
    known = set(zip(asked, asked[1:], asked[2:], strict=False))
    mine = list(zip(found, found[1:], found[2:], strict=False))
    return sum(t not in known for t in mine) / len(mine)


RULES: dict[str, Callable[[str, str], float]] = {
    "length": _length,
    "brevity": _brevity,
    "concrete": _concrete,
    "on_topic": _on_topic,
    "reasons": _reasons,
    "examples": _examples,
    "balance": _balance,
    "fresh": _fresh,
    "complete": _complete,
    "calm": _calm,
    "care": _care,
    "structure": _structure,
    "vocabulary": _vocabulary,
    "own_words": _own_words,
}


@lru_cache(maxsize=200_000)
def measure(rule: str, prompt: str, text: str) -> float:
    return RULES[rule](prompt, text)


def difference(rule: str, prompt: str, first: str, second: str) -> float:
    """How far the second is above the first, from -1 to 1, relative to both."""
    a, b = measure(rule, prompt, first), measure(rule, prompt, second)
    total = abs(a) + abs(b)
    return (b - a) / total if total else 0.0


def judge(rule: str, margin: float, prompt: str, first: str, second: str) -> int:
    """FIRST, SECOND, or NA where the difference is within the margin (and where there is none)."""
    d = difference(rule, prompt, first, second)
    if d == 0 or abs(d) <= margin:
        return NA
    return SECOND if d > 0 else FIRST


def longer(first: str, second: str) -> int:
    """The length baseline."""
    return TIE if len(first) == len(second) else FIRST if len(first) > len(second) else SECOND


# --- The offline manager ------------------------------------------------------------------------------------
def retrieve(entries: Sequence[dict], reasons: Sequence[str], count: int) -> list[dict]:
    """The knowledge base's entries whose words people use most in their reasons, best first; ties as they stand."""
    said: dict[str, int] = {}
    for reason in reasons:
        for w in set(words(reason)):
            said[w] = said.get(w, 0) + 1
    scored = []
    for place, entry in enumerate(entries):
        keys = {*words(" ".join(entry.get("keywords", []))), *words(entry["name"])} - STOP
        scored.append((-sum(said.get(k, 0) for k in keys) / (1 + len(keys)) ** 0.5, place))
    return [entries[place] for _, place in sorted(scored)[:count]]


def better_margin(rule: str, margin: float, cases: Sequence[tuple[str, str, str, int]]) -> float | None:
    """The margin with the highest worth on these cases, (prompt, first, second, truth); None if none beats this one."""
    truth = np.array([c[3] for c in cases])

    def worth(m: float) -> float:
        return score(np.array([judge(rule, m, *c[:3]) for c in cases]), truth).points

    now = worth(margin)
    best = max(MARGINS, key=lambda m: (worth(m), -m))
    return best if worth(best) > now else None


def alike(one: str, other: str, bound: float = 0.6) -> bool:
    """Whether two wordings say nearly the same, by shared content words (Jaccard)."""
    a, b = ({w for w in words(t) if w not in STOP} for t in (one, other))
    return bool(a and b) and len(a & b) / len(a | b) >= bound
