"""Why people disagree about an item: ten causes in four classes (Zhang et al. 2024, arXiv:2410.14632)."""

from __future__ import annotations

CLASSES = (
    ("Task underspecification", (("underspecified", "The prompt can be read in several ways"),)),
    (
        "Response style",
        (
            ("verbosity", "Length and detail"),
            ("format", "Format"),
            ("complexity", "Complexity"),
            ("taste", "Aesthetic taste"),
        ),
    ),
    (
        "Refusals",
        (
            ("comply_or_refuse", "One complies, one refuses"),
            ("refuse_both", "Both refuse, in different ways"),
        ),
    ),
    (
        "Errors",
        (
            ("hallucination", "A false statement that some overlooked"),
            ("degenerate", "A broken response"),
            ("annotator_error", "A mistake of a person who judged"),
        ),
    ),
)
CAUSES = {value: words for _, causes in CLASSES for value, words in causes}
