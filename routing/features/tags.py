"""HyPER's ninety tags (arXiv:2410.19133, appendix F), with the faults of the released implementation put right.

27 textual tags: nine scores of a prompt with two responses, each cut into three equal bins of [0, 1]; 63 descriptive
tags of the prompt, from a tagging model's answers or metadata. Put right here:

- the four length scores are percentile ranks over the whole pool, never over the items that were sent to people;
- bins are half open, [0, 1/3) [1/3, 2/3) [2/3, 1], the same in training and use, so every known score has one tag;
- the union of two entity sets counts both sets, and articles are dropped as words, not inside words;
- one subject of the tagging models' taxonomy ("Journalism, media studies and communication") sets both its tags.

A score or an answer that is missing sets no tag. Scores that need a model that is not at hand stay missing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

SCORES = (
    "bertscore",
    "bertscore_length",
    "cosine_sim",
    "entity_sim",
    "rouge",
    "prompt_len",
    "len_shorter",
    "len_longer",
    "token_len_diff",
)
RANKED = ("prompt_len", "len_shorter", "len_longer", "token_len_diff")
_EDGES = ("0.0", "0.33", "0.67", "1.0")  # as they are written in names; the cuts are exact thirds
SUBJECTS = tuple(
    """Agriculture; Anthropology; Architecture and design; Biology; Business; Chemical engineering; Chemistry;
    Civil engineering; Computer sciences; Culinary arts; Divinity; Earth sciences; Economics; Education;
    Electrical engineering; Environmental studies and forestry; Family and consumer science; Geography; History;
    Human physical performance and recreation; Journalism; Law; Library and museum studies;
    Linguistics and language; Literature; Logic; Materials science and engineering; Mathematics;
    Mechanical engineering; Media studies and communication; Medicine and health; Military sciences; Others;
    Performing arts; Philosophy; Physics; Political science; Psychology; Public administration; Religion;
    Social work; Sociology; Space sciences; System science; Transportation; Visual arts""".replace(
        "\n", " "
    ).split(";")
)
SUBJECTS = tuple(" ".join(name.split()) for name in SUBJECTS)
JOINT = {"journalism, media studies and communication": ("journalism", "media studies and communication")}
SCALARS = {
    "expertise_level": ("general public", "basic domain knowledge", "expert domain knowledge"),
    "open_endedness": ("no", "low", "moderate", "high"),
    "safety_concern": ("safe", "low", "moderate", "high"),
    "complexity_of_intents": ("simple", "moderate", "complex"),
}
CLOSED = {"subject_of_expertise": SUBJECTS, "languages": ("English",)}
OPEN = ("type_of_in_context_material", "format_constraints")
DIMENSIONS = (*CLOSED, *SCALARS, *OPEN)

TEXTUAL_NAMES = tuple(
    f"{score}::min_val={_EDGES[k]}|max_val={_EDGES[k + 1]}" for score in SCORES for k in range(3)
)
DESCRIPTIVE_NAMES = (
    *(
        f"analyzer_closed_set::feature_name={name}|constraints={value}"
        for name in CLOSED
        for value in CLOSED[name]
    ),
    *(f"analyzer_scalar::feature_name={name}|value={value}" for name in SCALARS for value in SCALARS[name]),
    *(f"analyzer_open_set::feature_name={name}|check_for_existence=1" for name in OPEN),
)
NAMES = TEXTUAL_NAMES + DESCRIPTIVE_NAMES

_WORD = re.compile(r"\w+")
_ENTITY = re.compile(r"(?<![.!?]\s)(?<!^)\b(?:[A-Z][\w’'-]+(?:\s+[A-Z][\w’'-]+)*|\d[\d.,]*\d|\d)\b")
_ARTICLES = frozenset({"the", "a", "an"})


def bins(values: np.ndarray) -> np.ndarray:
    """Bin 0, 1 or 2 of values in [0, 1], int8; -1 where NaN. Raises ValueError outside [0, 1]."""
    values = np.asarray(values, dtype=float)
    known = ~np.isnan(values)
    if ((values[known] < 0) | (values[known] > 1)).any():
        raise ValueError("scores to be binned: expected numbers from 0 to 1")
    result = np.full(len(values), -1, dtype=np.int8)
    result[known] = np.minimum((values[known] * 3).astype(np.int64), 2)
    return result


def ranks(values: np.ndarray) -> np.ndarray:
    """Percentile ranks in (0, 1] over the whole pool, ties sharing their mean; NaN stays NaN."""
    values = np.asarray(values, dtype=float)
    known = ~np.isnan(values)
    result = np.full(len(values), np.nan)
    if known.any():
        result[known] = rankdata(values[known]) / known.sum()
    return result


def textual(scores: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """The 27 textual tags of n items, uint8[n, 27]. `scores`: any of `SCORES`; lengths raw, the rest in [0, 1]."""
    unknown = set(scores) - set(SCORES)
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))}: no such score. There are: {', '.join(SCORES)}.")
    result = np.zeros((n, len(TEXTUAL_NAMES)), dtype=np.uint8)
    for position, name in enumerate(SCORES):
        if name in scores:
            values = np.asarray(scores[name], dtype=float)
            bin_ = bins(ranks(values) if name in RANKED else values)
            known = np.flatnonzero(bin_ >= 0)
            result[known, 3 * position + bin_[known]] = 1
    return result


def descriptive(answers: Sequence[Mapping[str, object] | None]) -> np.ndarray:
    """The 63 descriptive tags of n items, uint8[n, 63].

    Each answer maps dimensions to a word, a list of words, or None; matching ignores case. A value outside the
    taxonomy sets nothing, save that an open set only asks whether there is any.
    """
    place = {name.lower(): i for i, name in enumerate(DESCRIPTIVE_NAMES)}
    result = np.zeros((len(answers), len(DESCRIPTIVE_NAMES)), dtype=np.uint8)
    for row, answer in zip(result, answers, strict=True):
        for dimension, given in (answer or {}).items():
            values = [given] if isinstance(given, str) else list(given or ())
            values = [" ".join(str(value).split()).lower() for value in values]
            values = [part for value in values if value for part in JOINT.get(value, (value,))]
            if dimension in OPEN:
                names = (
                    [f"analyzer_open_set::feature_name={dimension}|check_for_existence=1"] if values else []
                )
            elif dimension in SCALARS:
                names = [f"analyzer_scalar::feature_name={dimension}|value={value}" for value in values]
            else:
                names = [f"analyzer_closed_set::feature_name={dimension}|constraints={v}" for v in values]
            for name in names:
                if name.lower() in place:
                    row[place[name.lower()]] = 1
    return result


def text_scores(
    prompts: Sequence[str],
    first: Sequence[str],
    second: Sequence[str],
    *,
    cosine: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """The scores that need no model: ROUGE-1 F1, entity overlap, four lengths in words; and the cosine if given.

    cosine float[n] in [0, 1]: of both responses by an encoder (`encoders.cosine`). Entities are found by a rule (capitalised runs inside
    sentences, and numbers), not by a model. BERTScore is never computed here; give it to `textual` where known.
    """
    n = len(prompts)
    found = {name: np.full(n, np.nan) for name in ("entity_sim", "rouge", *RANKED)}
    for i, (prompt, a, b) in enumerate(zip(prompts, first, second, strict=True)):
        words = _WORD.findall(a.lower()), _WORD.findall(b.lower())
        short, long = sorted(map(len, words))
        found["prompt_len"][i] = len(_WORD.findall(prompt))
        found["len_shorter"][i], found["len_longer"][i] = short, long
        found["token_len_diff"][i] = long - short
        found["rouge"][i] = rouge1(*words)
        found["entity_sim"][i] = overlap(entities(a), entities(b))
    if cosine is not None:
        found["cosine_sim"] = cosine
    return found


def rouge1(a: Sequence[str], b: Sequence[str]) -> float:
    """F1 of the words two texts share, counted with multiplicity; 1 for two empty texts."""
    if not a and not b:
        return 1.0
    shared = sum((Counter(a) & Counter(b)).values())
    return 2 * shared / (len(a) + len(b))


def entities(text: str) -> set[str]:
    """Names and numbers of a text, lower-cased, without articles and punctuation."""
    found = set()
    for match in _ENTITY.findall(text):
        words = [w for w in re.sub(r"[^\w\s]", "", match.lower()).split() if w not in _ARTICLES]
        if words:
            found.add(" ".join(words))
    return found


def overlap(a: set[str], b: set[str]) -> float:
    """|a ∩ b| / (|a| + |b| - |a ∩ b|); 1 where neither has any."""
    union = len(a | b)
    return len(a & b) / union if union else 1.0
