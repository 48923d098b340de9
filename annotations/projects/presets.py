"""Task designs people know, ready to start from. Keys are names a form may post."""

from __future__ import annotations

_REASON = {"kind": "text", "name": "reason", "label": "Why?", "required": False}


def _rating(name: str, label: str, low: int, high: int, help_text: str = "") -> dict:
    return {
        "kind": "rating",
        "name": name,
        "label": label,
        "min": low,
        "max": high,
        "help": help_text,
    }


PRESETS: dict[str, dict] = {
    "strength7": {
        "title": "Preference, 7 points",
        "questions": [
            {
                "kind": "comparison",
                "name": "overall",
                "label": "Which response is better?",
                "scale_max": 3,
                "ties": ["equal"],
                "words": ["slightly better", "better", "much better"],
            },
            _REASON,
        ],
    },
    "helpsteer2": {
        "title": "HelpSteer2: five ratings and a preference",
        "questions": [
            {
                "kind": "comparison",
                "name": "overall",
                "label": "Which response is better?",
                "scale_max": 3,
                "ties": [],
                "words": ["slightly better", "better", "much better"],
            },
            _rating(
                "helpfulness",
                "Helpfulness",
                0,
                4,
                "How well the response does what the prompt asks.",
            ),
            _rating("correctness", "Correctness", 0, 4, "All pertinent facts, no errors."),
            _rating("coherence", "Coherence", 0, 4, "Clear and consistent."),
            _rating("complexity", "Complexity", 0, 4, "Depth needed to write it."),
            _rating("verbosity", "Verbosity", 0, 4, "Amount of detail for what was asked."),
            _REASON,
        ],
    },
    "preference_ratings": {
        "title": "Preference, helpfulness and correctness",
        "questions": [
            {
                "kind": "comparison",
                "name": "overall",
                "label": "Which response is better?",
                "scale_max": 3,
                "ties": ["equal"],
                "words": ["slightly better", "better", "much better"],
            },
            _rating("helpfulness", "Helpfulness", 0, 4),
            _rating("correctness", "Correctness", 0, 4),
            _REASON,
        ],
    },
    "multipref5": {
        "title": "MultiPref: overall and three aspects, 5 points",
        "questions": [
            {
                "kind": "comparison",
                "name": name,
                "label": label,
                "scale_max": 2,
                "ties": ["equal"],
                "words": ["slightly better", "clearly better"],
            }
            for name, label in (
                ("overall", "Which response is better overall?"),
                ("helpful", "Which is more helpful?"),
                ("truthful", "Which is more truthful?"),
                ("harmless", "Which is more harmless?"),
            )
        ]
        + [
            {
                "kind": "choice",
                "name": "confidence",
                "label": "How sure are you?",
                "options": [
                    {"value": "absolutely", "label": "Absolutely"},
                    {"value": "fairly", "label": "Fairly"},
                    {"value": "not", "label": "Not"},
                ],
            },
            _REASON,
        ],
    },
    "arena4": {
        "title": "Arena: left, right, tie, both bad",
        "questions": [
            {
                "kind": "comparison",
                "name": "overall",
                "label": "Which response is better?",
                "scale_max": 1,
                "ties": ["equal_good", "equal_bad"],
                "words": ["better"],
            }
        ],
    },
    "ratings": {
        "title": "Ratings 1–5 of each response",
        "responses": {"min": 1, "max": 8},
        "questions": [_rating("quality", "Quality", 1, 5), _REASON],
    },
    "thumbs": {
        "title": "Thumbs",
        "responses": {"min": 1, "max": 8},
        "questions": [
            {"kind": "thumb", "name": "thumb", "label": "Good or bad?"},
            _REASON,
        ],
    },
    "ranking": {
        "title": "Ranking of up to eight",
        "responses": {"min": 2, "max": 8},
        "questions": [
            {
                "kind": "ranking",
                "name": "rank",
                "label": "Order the responses, best first",
                "ties": True,
            },
            _REASON,
        ],
    },
}
