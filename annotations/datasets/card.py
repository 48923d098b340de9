"""The README.md of an export: a dataset card whose YAML head tells loaders which file is which split."""

from __future__ import annotations

import json

from annotations.items.pii import KINDS

from .formats import CONTAINERS, FORMATS
from .licences import LICENCES

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(manifest: dict) -> str:
    """The dataset card of an export's manifest."""
    files = [entry for entry in manifest["files"] if entry["split"]]
    head = ["---"]
    if licence := manifest["options"].get("licence"):
        head += [f"license: {licence}"]
    if files:
        head += ["configs:"]
        for config in dict.fromkeys(entry["config"] for entry in files):
            head += [f"- config_name: {config}", "  data_files:"]
            for entry in files:
                if entry["config"] == config:
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
        FORMATS[manifest["format"]].columns,
        "",
        "## Splits",
        "",
        "| configuration | split | rows | file | sha256 |",
        "|---|---|---|---|---|",
        *(
            f"| {e['config']} | {e['split']} | {e['rows']:,} | `{e['path']}` | `{e['sha256']}` |"
            for e in files
        ),
        "",
        "Prompts that belong together (`group`) are never divided between splits; a group's split never changes.",
        "",
        "## Left out",
        "",
        *_left_out(manifest),
        "",
        "## How it was made",
        "",
        f"- sha256 of the frozen rows: `{manifest['snapshot_sha256']}`",
        *_licence(manifest),
        f"- Options: `{_json(manifest['options'])}`",
        *_personal(manifest),
        *_aggregation(manifest),
        f"- Filters: `{_json(frozen['query'])}`",
        f"- Judgments by kind: `{_json(frozen['counts']['judgments_by_kind'])}`",
        f"- Versions: `{_json(frozen['versions'])}`",
        f"- People: {'under the names they have in the project' if named(manifest) else 'under pseudonyms'}",
        "",
    ]
    return "\n".join(lines)


def _left_out(manifest: dict) -> list[str]:
    """What gave no row, and what of judgments has no place in these columns."""
    lines = [f"- {_plain(reason)}: {n:,}" for reason, n in manifest["dropped"].items()]
    if manifest["left_out"]:
        lines += ["", "Of the judgments, these columns have no place for:", ""] if lines else [
            "Every item gave its rows. Of the judgments, these columns have no place for:", "",
        ]  # fmt: skip
        lines += [f"- {_plain(what)}: {n:,}" for what, n in manifest["left_out"].items()]
    return lines or ["Nothing."]


def _licence(manifest: dict) -> list[str]:
    known = LICENCES.get(manifest["options"].get("licence", ""))
    return [f"- Licence: {known.label}"] if known else []


def _personal(manifest: dict) -> list[str]:
    """What seems to be personal data, where that was looked for."""
    if "pii" not in manifest:
        return []
    found = [
        f"what looks like {KINDS[kind]}: {told['items']:,} items" for kind, told in manifest["pii"].items()
    ]
    return [f"- Personal data, looked for and left as it is: {'; '.join(found) or 'none found'}"]


def _aggregation(manifest: dict) -> list[str]:
    """How Dawid and Skene's model was fitted, where it was asked for."""
    told = manifest.get("aggregation")
    if told is None:
        return []
    n = len(told.get("annotators", []))
    return [
        f"- Aggregation: Dawid and Skene (1979) over {told['votes']:,} votes of {n:,} on {told['pairs']:,} pairs, "
        f"{told.get('iterations', 0)} steps of EM. `posteriors.jsonl.gz` holds every pair's probabilities; the "
        "manifest says how often each annotator is right by the model. Where rows have `posterior`, it is the "
        "pair's, and `soft_label` the probability of the chosen response and half of a tie's."
    ]


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
