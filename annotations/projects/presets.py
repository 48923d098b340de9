"""Task designs people know, ready to start from. Keys are names a form may post.

Sources: HelpSteer2 and HelpSteer2-Preference (dataset cards; people first rate, then prefer); MultiPref (field names of
the released data); Llama 2, section 3.2.1; LMArena (its four votes); MM-RLHF (scores, then ranking, then reason);
RAG-RewardBench (its four scenarios). What a source does not say is ours, and `docs/papers.md` says so.
"""

from __future__ import annotations

_REASON = {"kind": "text", "name": "reason", "label": "Why?", "required": False}
_SEVEN = ["slightly better", "better", "much better"]
_WHICH = "Which response is better?"
_NEITHER = [{"value": "not_valid", "label": "Neither response is valid"}]
_PREFERS = ["first", "second"]


def _options(**labels: str) -> list[dict]:
    return [{"value": value, "label": label} for value, label in labels.items()]


def _comparison(name: str, label: str, words: list[str], ties: list[str], **fields) -> dict:
    return {
        "kind": "comparison",
        "name": name,
        "label": label,
        "scale_max": len(words),
        "ties": ties,
        "words": words,
        **fields,
    }


def _rating(name: str, label: str, low: int, high: int, help_text: str = "") -> dict:
    return {
        "kind": "rating",
        "name": name,
        "label": label,
        "min": low,
        "max": high,
        "help": help_text,
    }


_HELPSTEER2 = [
    _rating("helpfulness", "Helpfulness", 0, 4, "Overall helpfulness of the response to the prompt."),
    _rating("correctness", "Correctness", 0, 4, "Inclusion of all pertinent facts without errors."),
    _rating("coherence", "Coherence", 0, 4, "Consistency and clarity of expression."),
    _rating(
        "complexity",
        "Complexity",
        0,
        4,
        "Intellectual depth required to write it: 0 = basic language competency, 4 = deep domain expertise.",
    ),
    _rating("verbosity", "Verbosity", 0, 4, "Amount of detail, relative to what the prompt asks for."),
]


def _multipref_aspect(name: str, label: str, what: str, reasons: list[dict]) -> list[dict]:
    """An aspect of MultiPref: the preference, how sure, and where one is preferred, why."""
    preferred = {"question": name, "op": "is", "values": _PREFERS}
    questions = [
        _comparison(name, label, ["slightly better", "clearly better"], ["equal"]),
        {
            "kind": "choice",
            "name": f"{name}_confidence",
            "label": f"How sure are you{what}?",
            "options": _options(absolutely="Absolutely", fairly="Fairly", **{"not": "Not"}),
        },
    ]
    if reasons:
        questions += [
            {
                "kind": "choice",
                "name": f"{name}_checked_reasons",
                "label": f"What makes it more {name}?",
                "options": reasons,
                "multiple": True,
                "required": False,
                "when": preferred,
            },
            {
                "kind": "text",
                "name": f"{name}_own_reason",
                "label": f"Another reason why it is more {name}",
                "when": preferred,
            },
        ]
    return questions


def _rag_scenario(value: str, label: str) -> dict:
    """A comparison that is asked where the item is of this scenario."""
    return _comparison(
        value,
        label,
        ["slightly better", "clearly better"],
        ["equal"],
        when={"question": "scenario", "op": "is", "values": [value]},
    )


PRESETS: dict[str, dict] = {
    "strength7": {
        "title": "Preference, 7 points",
        "questions": [_comparison("overall", _WHICH, _SEVEN, ["equal"]), _REASON],
    },
    "preference_ratings": {
        "title": "Preference, helpfulness and correctness",
        "questions": [
            _comparison("overall", _WHICH, _SEVEN, ["equal"]),
            _rating("helpfulness", "Helpfulness", 0, 4),
            _rating("correctness", "Correctness", 0, 4),
            _REASON,
        ],
    },
    "helpsteer2": {
        "title": "HelpSteer2: five ratings from 0 to 4",
        "responses": {"min": 1, "max": 8},
        "questions": _HELPSTEER2,
    },
    "helpsteer2_preference": {
        "title": "HelpSteer2-Preference: five ratings, then a preference without a tie",
        "questions": [
            *_HELPSTEER2,
            _comparison(
                "overall",
                _WHICH,
                _SEVEN,
                [],
                help="There is no tie. If neither response is valid, say “cannot judge”.",
            ),
            {
                "kind": "text",
                "name": "statement",
                "label": "Say your preference in one sentence",
                "help": "Such as: Response A is slightly better than Response B.",
                "required": True,
                "max_chars": 500,
            },
            {
                "kind": "text",
                "name": "elaboration",
                "label": "Explain it in one or two sentences",
                "required": True,
                "min_chars": 20,
            },
        ],
        "cannot_judge": _NEITHER,
    },
    "multipref5": {
        "title": "MultiPref: overall and three aspects, 5 points, with reasons",
        "questions": [
            *_multipref_aspect("overall", "Which response is better overall?", " overall", []),
            *_multipref_aspect(
                "helpful",
                "Which is more helpful?",
                " which is more helpful",
                _options(
                    correct="It is correct",
                    informative="It is informative",
                    concise="It is concise",
                    well_formatted="It is well formatted",
                    coherent="It is coherent",
                    creative="It is creative",
                    understandable="It is easy to understand",
                    better_tone="It has a better tone",
                ),
            ),
            *_multipref_aspect(
                "truthful",
                "Which is more truthful?",
                " which is more truthful",
                _options(
                    factual="It is factual",
                    faithful="It is faithful to what was given",
                    aware_of_time="It is aware of the time",
                    aware_of_confusion="It is aware of confusion",
                    aware_of_falsehood="It is aware of falsehood",
                    aware_of_incapabilities="It is aware of what it cannot do",
                ),
            ),
            *_multipref_aspect(
                "harmless",
                "Which is more harmless?",
                " which is more harmless",
                _options(
                    not_offensive="It is not offensive",
                    not_dangerous="It is not dangerous",
                    avoids_restricted="It avoids restricted content",
                    respects_privacy="It respects privacy",
                ),
            ),
        ],
    },
    "llama2": {
        "title": "Llama 2: forced choice in four degrees",
        "questions": [
            _comparison(
                "overall",
                "Which response is more helpful?",
                ["negligibly better or unsure", "slightly better", "better", "significantly better"],
                [],
            )
        ],
    },
    "llama2_safety": {
        "title": "Llama 2: forced choice on safety, with a safety label",
        "questions": [
            _comparison(
                "safety",
                "Which response is safer?",
                ["negligibly better or unsure", "slightly better", "better", "significantly better"],
                [],
            ),
            {
                "kind": "choice",
                "name": "safety_label",
                "label": "How safe are they?",
                "options": _options(
                    preferred_safe="The safer one is safe, the other is not",
                    both_safe="Both are safe",
                    both_unsafe="Neither is safe",
                ),
            },
        ],
    },
    "arena4": {
        "title": "Arena: left, right, tie, both bad",
        "questions": [_comparison("overall", _WHICH, ["better"], ["equal", "equal_bad"])],
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
    "mm_rlhf": {
        "title": "MM-RLHF: scores, then a ranking, then the reason",
        "responses": {"min": 2, "max": 8},
        "questions": [
            _rating("helpfulness", "Helpfulness", 1, 5, "Does it do what was asked?"),
            _rating("faithfulness", "Faithfulness", 1, 5, "Does it say only what the material shows?"),
            _rating("ethics", "Ethical considerations", 1, 5, "Is it safe, private and fair?"),
            {
                "kind": "ranking",
                "name": "rank",
                "label": "Order the responses, best first",
                "ties": True,
            },
            {**_REASON, "label": "Why in this order?", "required": True},
        ],
    },
    "rag": {
        "title": "RAG: answers from given passages",
        "questions": [
            _comparison("overall", _WHICH, _SEVEN, ["equal", "equal_bad"]),
            {
                "kind": "choice",
                "name": "scenario",
                "label": "What does the question need?",
                "help": "Choose all that apply.",
                "options": _options(
                    multi_hop="Several passages taken together",
                    citation="Citations of passages",
                    abstention="Saying that the passages do not answer it",
                    conflict="Dealing with passages that contradict each other",
                ),
                "multiple": True,
                "required": False,
            },
            _rag_scenario("multi_hop", "Which puts the passages together better?"),
            _rag_scenario("citation", "Which cites better, passage by passage?"),
            _rag_scenario("abstention", "Which is more right to answer or to abstain?"),
            _rag_scenario("conflict", "Which deals better with the contradiction?"),
            {
                "kind": "span",
                "name": "unsupported_parts",
                "label": "Mark what the passages do not support",
                "options": _options(
                    unsupported="Not in the passages",
                    contradicted="The passages say otherwise",
                    wrong_citation="Cites the wrong passage",
                ),
            },
            _REASON,
        ],
    },
    "false_parts": {
        "title": "Mark what is false, and say why",
        "responses": {"min": 1, "max": 8},
        "questions": [
            {
                "kind": "choice",
                "name": "factual",
                "label": "Is everything in it true?",
                "options": _options(yes="Yes", no="No", unsure="I cannot tell"),
                "per_response": True,
            },
            {
                "kind": "span",
                "name": "false_parts",
                "label": "Mark every false sentence",
                "help": "Select a part of a response, choose a label, and say what is wrong.",
                "options": _options(
                    false="This is false",
                    misleading="This is misleading",
                    unverifiable="This cannot be checked",
                ),
                "required": True,
                "when": {"question": "factual", "op": "is", "values": ["no"]},
            },
        ],
    },
    "rewrite": {
        "title": "Preference, and a rewrite of the best response",
        "questions": [
            _comparison("overall", _WHICH, _SEVEN, ["equal"]),
            {
                "kind": "rewrite",
                "name": "rewrite",
                "label": "Rewrite the best response as you would want it",
                "of": "best",
                "required": True,
            },
            {**_REASON, "label": "What did you change, and why?"},
        ],
    },
}
