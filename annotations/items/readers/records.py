"""What a reader hands on: one Record an item, or one Problem for what could not go in."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

MAX_TEXT = 2_000_000  # characters of one text
MAX_NAME = 200  # characters of an annotator's, model's, attribute's or aspect's name, or of a source
MAX_ID = 500  # characters of an item's own id
MAX_RESPONSES = 8
MAX_LINE = 64 * 1024 * 1024  # bytes of one line, one list element or one table row

KINDS = ("human", "lm", "reward_model")
OUTCOMES = ("answered", "cannot_judge", "skipped", "flagged")
SPANS = "spans"
"""The answer under which spans stand that another tool marked in texts of its own."""
TIES = ("equal", "equal_good", "equal_bad")


class UnknownFormat(ValueError):
    """A file that no reader takes, or that cannot be opened at all."""

    def __init__(self, path, message: str):
        super().__init__(f"{Path(path).name}: {message}")
        self.path = path
        self.message = message


@dataclass(frozen=True, slots=True)
class Problem:
    """A row, or a judgment in it, that could not go in."""

    line: int
    """1-based line of the file, or number of the list element or XML element."""
    field: str
    """Where in the row, such as `human[2].label`; empty when it is the whole row."""
    message: str
    """What was expected and what was found, shortened."""


@dataclass(frozen=True, slots=True)
class ResponseRecord:
    text: str
    model: str = ""
    meta: dict = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ComparisonRecord:
    """Two responses compared; `first < second`, negative preference = first better."""

    first: int
    second: int
    aspect: str
    preference: int | None
    scale_max: int | None
    tie: str | None


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    response: int
    attribute: str
    value: float
    scale_min: float | None = None
    scale_max: float | None = None


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call of a language model; the label is canonical (`a` = first response) whatever the order."""

    order: str
    """`ab`, `ba`, or empty when the file does not say."""
    label: str | None
    """`a`, `b`, `tie`, or None when the answer could not be parsed."""
    raw: str = ""
    reason: str = ""
    meta: dict = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JudgmentRecord:
    annotator: str
    kind: str = "human"
    outcome: str = "answered"
    id: str | None = None
    comparisons: tuple[ComparisonRecord, ...] = ()
    scores: tuple[ScoreRecord, ...] = ()
    answers: dict = field(default_factory=dict)
    reason: str = ""
    probability: float | None = None
    """P(second response of the first comparison better), ties counted half."""
    order_consistent: bool | None = None
    presented_order: tuple[int, ...] | None = None
    schema_version: str | None = None
    guideline_version: str | None = None
    supersedes: str | None = None
    propensity: float | None = None
    created_at: datetime | None = None
    """Aware, UTC."""
    active_ms: int | None = None
    wall_ms: int | None = None
    calls: tuple[CallRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """One item with whatever judgments the file holds of it."""

    line: int
    external_id: str | None
    source: str
    prompt: str | list[dict]
    responses: tuple[ResponseRecord, ...]
    context: str | None = None
    group: str | None = None
    meta: dict = field(default_factory=dict)
    judgments: tuple[JudgmentRecord, ...] = ()
