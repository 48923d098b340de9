"""The README.md of an export: a dataset card whose YAML head tells loaders which file is which split."""

from __future__ import annotations

import json

from .formats import CONTAINERS, FORMATS

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
COLUMNS = {
    "native": """\
One row is one item: its prompt, its responses in canonical order, and every judgment. In a comparison a negative
`preference` means that the first response is better, in steps up to `scale_max`; exactly one of `preference` and
`tie` is set. A judgment named by another's `supersedes` was corrected. `plumbline` holds the item's number, route,
audit mark, the probability that a person was to judge it, its group and split. In Parquet, free-form objects
(`meta`, `answers`) are JSON text, and `prompt_json` holds prompts that were messages.""",
    "trl_preference": """\
One row is one pair of responses with a decision. `margin` is the mean preference towards the chosen response, in
steps of the scale (0 where the mean does not support the majority); `strength` is the same as a level from 1.
`votes` counts who chose the chosen, a tie, the rejected. `annotator_kind` says whose votes: people's where people
judged the item, else a language model's. What accompanies a prompt (`context`) opens the first user message.""",
    "trl_unpaired": """\
One row is one response that was found good (`label` true) or bad: by thumbs where there are any, else by its wins
against the item's other responses.""",
    "csv": """\
One line is one comparison or one score of a judgment. Texts that a spreadsheet would run as a formula begin with
an apostrophe.""",
}


def card(manifest: dict) -> str:
    """The dataset card of an export's manifest."""
    files = [entry for entry in manifest["files"] if entry["split"]]
    head = ["---"]
    if files:
        head += ["configs:", "- config_name: default", "  data_files:"]
        for entry in files:
            head += [f"  - split: {entry['split']}", f"    path: {entry['path']}"]
    head += [
        "size_categories:",
        f"- {_size(manifest['rows'])}",
        "tags:",
        "- preference",
        "- plumbline",
        "---",
    ]
    frozen = manifest["frozen"]
    lines = [
        *head,
        "",
        f"# {_plain(frozen['title'])}",
        "",
        f"{manifest['rows']:,} rows as {FORMATS[manifest['format']].label} ({CONTAINERS[manifest['container']]}), "
        f"from snapshot `{manifest['snapshot']}` of {frozen['items']:,} items and {frozen['judgments']:,} judgments, "
        f"frozen {frozen['created_at']}.",
        "",
        COLUMNS[manifest["format"]],
        "",
        "## Splits",
        "",
        "| split | rows | file | sha256 |",
        "|---|---|---|---|",
        *(f"| {e['split']} | {e['rows']:,} | `{e['path']}` | `{e['sha256']}` |" for e in files),
        "",
        "Prompts that belong together (`group`) are never divided between splits; a group's split never changes.",
        "",
        "## Left out",
        "",
        *([f"- {reason}: {n:,}" for reason, n in manifest["dropped"].items()] or ["Nothing."]),
        "",
        "## How it was made",
        "",
        f"- sha256 of the frozen rows: `{manifest['snapshot_sha256']}`",
        f"- Options: `{_json(manifest['options'])}`",
        f"- Filters: `{_json(frozen['query'])}`",
        f"- Judgments by kind: `{_json(frozen['counts']['judgments_by_kind'])}`",
        f"- Versions: `{_json(frozen['versions'])}`",
        f"- People: {'under the names they have in the project' if named(manifest) else 'under pseudonyms'}",
        "",
    ]
    return "\n".join(lines)


def named(manifest: dict) -> bool:
    """Whether the export names people."""
    return manifest["options"].get("annotators") == "name"


def _size(rows: int) -> str:
    return next((words for limit, words in SIZES if rows < limit), "n>1M")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).replace("`", "'")


def _plain(text: str) -> str:
    """A title on one line, without what Markdown or HTML would act on."""
    return " ".join("".join(c for c in text if c not in "<>[]`*_#|").split())
