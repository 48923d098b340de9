"""The formats a snapshot can be written in: what a row looks like, what is left out and why. One module per family."""

from __future__ import annotations

from ..licences import LICENCES
from .arena import ARENA
from .base import ANNOTATORS, STYLES, BadOption, Conversion, Format, Table, note_left_out
from .benchmarks import REWARDBENCH, REWARDBENCH2, RM_BENCH
from .goals import GOALS
from .helpsteer import HELPSTEER2, HELPSTEER3
from .multipref import MULTIPREF, MULTIPREF_BINARIZED
from .native import NATIVE
from .ranking import NEMO_RANKING
from .table import CSV
from .trl import OPENRLHF, PROMPT_COMPLETION, TRL_PREFERENCE, TRL_UNPAIRED

__all__ = [
    "ANNOTATORS",
    "CONTAINERS",
    "DEFAULT_ASPECT",
    "EVERYWHERE",
    "FAMILIES",
    "FORMATS",
    "STYLES",
    "BadOption",
    "Conversion",
    "Format",
    "Table",
    "check_options",
    "note_left_out",
]

FORMATS: dict[str, Format] = {
    "native": NATIVE,
    "trl_preference": TRL_PREFERENCE,
    "trl_unpaired": TRL_UNPAIRED,
    "prompt_completion": PROMPT_COMPLETION,
    "nemo_ranking": NEMO_RANKING,
    "openrlhf": OPENRLHF,
    "goal_conditioned": GOALS,
    "helpsteer2": HELPSTEER2,
    "helpsteer3": HELPSTEER3,
    "multipref": MULTIPREF,
    "multipref_binarized": MULTIPREF_BINARIZED,
    "lmarena": ARENA,
    "rewardbench": REWARDBENCH,
    "rewardbench2": REWARDBENCH2,
    "rm_bench": RM_BENCH,
    "csv": CSV,
}
FAMILIES = tuple(dict.fromkeys(found.family for found in FORMATS.values()))
CONTAINERS = {
    "jsonl": "JSON lines",
    "jsonl.gz": "JSON lines, gzip",
    "parquet": "Parquet",
    "csv": "CSV",
    "csv.gz": "CSV, gzip",
}
DEFAULT_ASPECT = "overall"
EVERYWHERE = {"pii": ("off", "report"), "licence": ("none", *LICENCES)}
"""Options of every format; what is off is not stored, so that the same export stays the same."""


def check_options(format: str, container: str | None, options: dict[str, str]) -> tuple[str, dict[str, str]]:
    """(container, every option with its value), defaults filled in. Raises BadOption saying what was expected."""
    if format not in FORMATS:
        raise BadOption(f"format {format!r} is not known; expected one of {', '.join(FORMATS)}")
    known = FORMATS[format]
    container = container or known.containers[0]
    if container not in known.containers:
        raise BadOption(f"{format} is written as {', '.join(known.containers)}, not as {container!r}")
    for key in options:
        if key not in known.options and key not in EVERYWHERE:
            raise BadOption(f"{format} has no option {key!r}; it has {', '.join(known.options)}")
    checked = {}
    for key, choices in known.options.items():
        value = options.get(key) or (choices[0] if choices else DEFAULT_ASPECT)
        if not isinstance(value, str) or (choices and value not in choices) or len(value) > 64:
            expected = f"one of {', '.join(choices)}" if choices else "at most 64 characters"
            raise BadOption(f"{key} {value!r}: expected {expected}")
        checked[key] = value
    for key, choices in EVERYWHERE.items():
        value = options.get(key) or choices[0]
        if value not in choices:
            raise BadOption(f"{key} {value!r}: expected one of {', '.join(choices)}")
        if value != choices[0]:
            checked[key] = value
    if checked.get("ties") == "soft" and checked["columns"] != "full":
        raise BadOption("ties 'soft': expected columns 'full', which say how sure a choice is")
    return container, checked
