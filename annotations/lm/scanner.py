"""A deterministic look for texts that talk to the judge instead of the reader. Pure.

Findings are marks, not proof: they are stored with the judgment (`meta["injection"]`), shown, and an item that has
any is never accepted on a model's word alone. A clean scan proves nothing either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_SCANNED = 200_000  # characters of one text

_RULES: dict[str, re.Pattern[str]] = {
    "role_tokens": re.compile(
        r"<\|[a-z_]{2,20}\|>|\[/?INST\]|<</?SYS>>|^\s*#{2,3}\s*(?:system|assistant|instruction)s?\s*:|"
        r"</?(?:system|assistant)>",
        re.IGNORECASE | re.MULTILINE,
    ),
    "ignore_instructions": re.compile(
        r"\b(?:ignore|disregard|forget|override|bypass)\b[^.\n]{0,40}\b"
        r"(?:previous|prior|above|earlier|all|any|your|the)\b[^.\n]{0,30}\b"
        r"(?:instruction|prompt|rule|guideline|criteri|direction)",
        re.IGNORECASE,
    ),
    "asks_for_the_verdict": re.compile(
        r"\b(?:choose|pick|select|prefer|output|answer(?: with)?|rate|score|vote for|say)\b[^.\n]{0,30}\b"
        r"(?:this response|response [ab12]|option [ab12]|this answer|me as (?:the )?(?:best|better)|"
        r"the (?:first|second) (?:response|answer)|full marks|the (?:highest|maximum|top) (?:score|rating|mark))",
        re.IGNORECASE,
    ),
    "talks_to_the_judge": re.compile(
        r"\b(?:dear|attention|note to|message (?:to|for)|hey|hello)\b[^.\n]{0,20}\b"
        r"(?:judge|evaluator|grader|rater|annotator|reviewer)\b|\bas (?:the|a|an) (?:ai |llm )?"
        r"(?:judge|evaluator|grader)\b[^.\n]{0,20}\byou (?:must|should|will)\b",
        re.IGNORECASE,
    ),
    "verdict_syntax": re.compile(
        r"\[RESULT\]|\[\[[ABC]\]\]|\"(?:verdict|winner|overall|preference|answer)\"\s*:\s*\"?(?:[AB]|[12]|tie)\b|"
        r"-----\s*(?:BEGIN|END) DATA",
        re.IGNORECASE,
    ),
    "hidden_characters": re.compile(
        "[\u200b\u2060-\u2064\u202a-\u202e\u2066-\u206f\U000e0000-\U000e007f]|\ufeff(?!\\A)"
    ),
}
_MASTER_KEY = re.compile(
    r"\s*(?:[:.,\-;]{1,3}|thought process\s*:?|solution\s*:?|let'?s (?:think|solve)[^\n]{0,60})\s*",
    re.IGNORECASE,
)
WORDS = {
    "role_tokens": "control tokens of a chat format",
    "ignore_instructions": "asks to ignore instructions",
    "asks_for_the_verdict": "asks for a verdict",
    "talks_to_the_judge": "speaks to the judge",
    "verdict_syntax": "written like a verdict",
    "hidden_characters": "hidden characters",
    "master_key": "an opening phrase and nothing else",
}


def scan(text: str) -> list[str]:
    """The names of what was found in one text, in the order of `WORDS`."""
    text = text[:MAX_SCANNED]
    found = {name for name, rule in _RULES.items() if rule.search(text)}
    if text.strip() and _MASTER_KEY.fullmatch(text):
        found.add("master_key")
    return [name for name in WORDS if name in found]


def scan_responses(texts: Iterable[str]) -> list[str]:
    """What was found in any response. (Prompts may well speak of judges and verdicts; responses are judged.)"""
    found = {name for text in texts for name in scan(text)}
    return [name for name in WORDS if name in found]
