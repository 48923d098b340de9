"""Judgments for the golden files: per preset who answers what about which item."""

from __future__ import annotations

from annotations.judging.answers import Answer, ComparisonAnswer, ScoreAnswer

NAMES, SOUND, RHYME, LIFE, RAG = "pandalm-643", "pandalm-86", "pandalm-216", "pandalm-632+633", "rag"
RAG_CONTEXT = "[1] The character 好 means good. [2] It is read hǎo in Mandarin."


def better(preference: int, scale: int = 3, aspect: str = "overall") -> ComparisonAnswer:
    return ComparisonAnswer(0, 1, aspect, preference, scale)


def equal(aspect: str = "overall", tie: str = "equal") -> ComparisonAnswer:
    return ComparisonAnswer(0, 1, aspect, tie=tie)


def rated(low: int, high: int | None, **values: tuple[int, ...]) -> tuple[ScoreAnswer, ...]:
    return tuple(
        ScoreAnswer(response, attribute, value, low, high)
        for attribute, row in values.items()
        for response, value in enumerate(row)
    )


def five(*rows: tuple[int, ...]) -> tuple[ScoreAnswer, ...]:
    names = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
    return rated(0, 4, **dict(zip(names, rows, strict=True)))


def choose(*comparisons: ComparisonAnswer, **fields) -> Answer:
    return Answer(comparisons=comparisons, **fields)


def sure(overall: str, helpful: str, truthful: str, harmless: str, **more) -> dict:
    names = ("overall", "helpful", "truthful", "harmless")
    said = dict(zip(names, (overall, helpful, truthful, harmless), strict=True))
    return {f"{name}_confidence": value for name, value in said.items()} | more


def aspects(*preferences: int) -> tuple[ComparisonAnswer, ...]:
    names = ("overall", "helpful", "truthful", "harmless")
    return tuple(
        better(value, 2, name) if value else equal(name)
        for name, value in zip(names, preferences, strict=True)
    )


WRITTEN = {
    "statement": "Response 2 is much better than Response 1.",
    "elaboration": "It says how the character is read, which is what was asked.",
}
SLIGHTLY = {
    "statement": "Response 2 is better than Response 1.",
    "elaboration": "It names the sound, though not its tone; the first answer is about a bell.",
}
NOT_VALID = Answer(
    outcome="cannot_judge", answers={"cannot_judge": "not_valid"}, reason="Both repeat the word."
)

ANSWERS: dict[str, list[tuple[str, str, Answer]]] = {
    "strength7": [
        (SOUND, "Bea", choose(better(3), reason="It says how it is read. The other is about a bell.")),
        (SOUND, "Cem", choose(better(2), reason="Right sound.")),
        (NAMES, "Bea", choose(better(-1), reason="A name, “not” a label.")),
        (RHYME, "Dana", choose(equal(), reason="Neither rhymes.")),
    ],
    "preference_ratings": [
        (SOUND, "Bea", choose(better(3), scores=rated(0, 4, helpfulness=(0, 3), correctness=(0, 4)), reason="It reads it.")),
        (RHYME, "Cem", choose(equal(), scores=rated(0, 4, helpfulness=(1, 1), correctness=(1, 1)))),
    ],
    "helpsteer2": [
        (SOUND, "Bea", Answer(scores=five((0, 3), (0, 4), (3, 4), (0, 1), (1, 1)))),
        (SOUND, "Cem", Answer(scores=five((1, 4), (0, 4), (2, 4), (0, 0), (1, 2)))),
        (SOUND, "Dana", Answer(scores=five((0, 4), (1, 3), (3, 3), (0, 1), (1, 1)))),
        (NAMES, "Bea", Answer(scores=five((1, 2), (2, 2), (2, 3), (0, 0), (0, 1)))),
    ],
    "helpsteer2_preference": [
        (SOUND, "Bea", choose(better(3), scores=five((0, 3), (0, 4), (3, 4), (0, 1), (1, 1)), answers=WRITTEN)),
        (SOUND, "Cem", choose(better(2), scores=five((1, 4), (0, 4), (2, 4), (0, 0), (1, 2)), answers=SLIGHTLY)),
        (SOUND, "Dana", NOT_VALID),
        (RHYME, "Bea", NOT_VALID),
    ],
    "multipref5": [
        (
            SOUND,
            "Bea",
            choose(
                *aspects(2, 2, 1, 0),
                answers=sure(
                    "absolutely", "absolutely", "fairly", "not",
                    helpful_checked_reasons=["correct", "concise"],
                    helpful_own_reason="It gives the sound.",
                    truthful_checked_reasons=["factual"],
                ),
                wall_ms=61_500,
            ),
        ),
        (SOUND, "Xia", choose(*aspects(1, 2, 2, 0), answers=sure("fairly", "fairly", "not", "absolutely"))),
        (RHYME, "Cem", choose(*aspects(0, 0, 0, 0), answers=sure("not", "not", "not", "not"), wall_ms=9_000)),
    ],
    "llama2": [
        (SOUND, "Bea", choose(better(4, 4))),
        (SOUND, "Cem", choose(better(2, 4))),
        (NAMES, "Dana", choose(better(-1, 4))),
    ],
    "llama2_safety": [
        (SOUND, "Bea", choose(better(1, 4, "safety"), answers={"safety_label": "both_safe"})),
        (NAMES, "Cem", choose(better(-3, 4, "safety"), answers={"safety_label": "preferred_safe"})),
    ],
    "arena4": [
        (SOUND, "Bea", choose(better(1, 1))),
        (SOUND, "Cem", choose(equal(tie="equal_bad"))),
        (NAMES, "Bea", choose(better(-1, 1))),
        (RHYME, "Dana", choose(equal())),
    ],
    "ratings": [
        (LIFE, "Bea", Answer(scores=rated(1, 5, quality=(2, 4, 3)), reason="More detail.")),
        (LIFE, "Cem", Answer(scores=rated(1, 5, quality=(1, 5, 3)))),
    ],
    "thumbs": [
        (SOUND, "Bea", Answer(scores=rated(0, 1, thumb=(0, 1)))),
        (LIFE, "Bea", Answer(scores=rated(0, 1, thumb=(0, 1, 1)))),
        (LIFE, "Cem", Answer(scores=rated(0, 1, thumb=(0, 1, 1)), reason="Not the first.")),
    ],
    "ranking": [
        (LIFE, "Bea", Answer(scores=rated(1, None, rank=(3, 1, 2)))),
        (LIFE, "Cem", Answer(scores=rated(1, None, rank=(3, 1, 1)), reason="Two are fine.")),
        (SOUND, "Bea", Answer(scores=rated(1, None, rank=(2, 1)))),
    ],
    "mm_rlhf": [
        (
            LIFE,
            "Bea",
            Answer(
                scores=rated(1, 5, helpfulness=(2, 4, 3), faithfulness=(5, 5, 5), ethics=(5, 5, 5))
                + rated(1, None, rank=(3, 1, 2)),
                reason="The second adds depth.",
            ),
        ),
    ],
    "rag": [
        (
            RAG,
            "Bea",
            choose(
                better(3),
                better(2, 2, "citation"),
                answers={
                    "scenario": ["citation"],
                    "unsupported_parts": [
                        {
                            "response": 0, "start": 0, "end": 20, "quote": "The sound of a bell.",
                            "label": "unsupported", "note": "No passage speaks of a bell.",
                        }
                    ],
                },
                reason="Only the second follows passage 2.",
            ),
        ),
    ],
    "false_parts": [
        (
            SOUND,
            "Bea",
            Answer(
                answers={
                    "factual": ["no", "yes"],
                    "false_parts": [
                        {
                            "response": 0, "start": 0, "end": 20, "quote": "The sound of a bell.",
                            "label": "false", "note": "It is a word, not a bell.",
                        }
                    ],
                }
            ),
        ),
    ],
    "rewrite": [
        (
            SOUND,
            "Bea",
            choose(
                better(2),
                answers={"rewrite": {"response": 1, "text": "好 is read “hǎo”, in the third tone."}},
                reason="Added the tone.",
            ),
        ),
        (
            NAMES,
            "Cem",
            choose(better(-1), answers={"rewrite": {"response": 0, "text": "Good Company"}}),
        ),
    ],
}  # fmt: skip
