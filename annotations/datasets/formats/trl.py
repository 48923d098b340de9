"""TRL's dataset types (docs/source/dataset_formats.md) and OpenRLHF's, which reads the same keys.

Preference with an explicit or an implicit prompt, unpaired preference, prompt-completion; conversational or standard.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from .. import truth
from .base import (
    EXPORT_METHODS,
    JSON_AND_PARQUET,
    JUDGED_BY,
    ORIGIN,
    STYLES,
    Conversion,
    Format,
    Holds,
    Row,
    Table,
    is_rewrite,
    origin_of,
    pair_name,
    prompt_of,
    read_votes,
    reply,
    text_or_messages,
)
from .pairs import NEAR, labels_of, merits_of, reward_margin, similarity

LABEL_OPTIONS = {"style": STYLES, "aspect": (), "method": EXPORT_METHODS, "judged_by": JUDGED_BY}
PAIR_OPTIONS = {
    **LABEL_OPTIONS,
    "prompt": ("explicit", "implicit"),
    "ties": ("drop", "soft"),
    "near_duplicates": ("keep", "drop"),
    "columns": ("usual", "schema", "full"),
}
VOTES = pa.struct([("chosen", pa.int32()), ("tie", pa.int32()), ("rejected", pa.int32())])
POSTERIOR = pa.struct([(name, pa.float64()) for name in ("chosen", "tie", "rejected")])
BETWEEN = "\n\n"
"""Stands between prompt and response where both are one plain text."""
FULL = (
    ("soft_label", pa.float64()), ("chosen_chars", pa.int64()), ("rejected_chars", pa.int64()),
    ("similarity", pa.float64()), ("reward_margin", pa.float64()),
    ("chosen_model", pa.string()), ("rejected_model", pa.string()),
)  # fmt: skip


def preference_rows(item: Row, conversion: Conversion) -> Iterator[Row]:
    """One row per decided pair, and who decided how."""
    options = conversion.options
    labels = labels_of(item, options)
    if not labels:
        conversion.dropped["items without a judged pair"] += 1
        return
    standard, columns = options["style"] == "standard", options["columns"]
    implicit = options["prompt"] == "implicit"
    prompt = prompt_of(item, standard)
    reserved = item["plumbline"]
    for label in labels:
        undecided = label.verdict == "tie" or label.verdict == "disagreement"
        if undecided and options["ties"] == "drop":
            conversion.dropped["ties" if label.verdict == "tie" else "pairs without agreement"] += 1
            continue
        first, tie, second = label.votes
        first_wins = label.verdict != "second"
        better, worse = (label.first, label.second) if first_wins else (label.second, label.first)
        chosen, rejected = item["responses"][better]["text"], item["responses"][worse]["text"]
        if chosen == rejected:
            conversion.dropped["pairs of equal texts"] += 1
            continue
        if options["near_duplicates"] == "drop" and similarity(chosen, rejected) >= NEAR:
            conversion.dropped["pairs of nearly equal texts"] += 1
            continue
        margin = label.margin()
        if implicit:
            row = {"chosen": whole(prompt, chosen, standard), "rejected": whole(prompt, rejected, standard)}
        else:
            row = {
                "prompt": prompt,
                "chosen": chosen if standard else [{"role": "assistant", "content": chosen}],
                "rejected": rejected if standard else [{"role": "assistant", "content": rejected}],
            }
        row["margin"] = margin
        if columns == "schema":
            yield row
            continue
        row["id"] = pair_name(item, label.first, label.second)
        row["group"] = reserved["group"]
        row["split"] = reserved["split"]
        row["strength"] = 0 if undecided else max(1, int(margin + 0.5))
        row["votes"] = {
            "chosen": first if first_wins else second,
            "tie": tie,
            "rejected": second if first_wins else first,
        }
        row["annotator_kind"] = label.kind
        if label.posterior is not None:
            first, tie, second = label.posterior
            row["posterior"] = {
                "chosen": first if first_wins else second,
                "tie": tie,
                "rejected": second if first_wins else first,
            }
        if columns == "full":
            row |= {
                "soft_label": round(1 - label.soft if first_wins else label.soft, 6),
                "chosen_chars": len(chosen),
                "rejected_chars": len(rejected),
                "similarity": similarity(chosen, rejected),
                "reward_margin": reward_margin(item, better, worse),
                "chosen_model": item["responses"][better]["model"],
                "rejected_model": item["responses"][worse]["model"],
            }
        yield row


def whole(prompt: str | list[dict[str, str]], response: str, standard: bool) -> str | list[dict[str, str]]:
    """Prompt and response as one text or one conversation."""
    return (
        f"{prompt}{BETWEEN}{response}" if standard else [*prompt, {"role": "assistant", "content": response}]
    )


def preference_schema(options: dict[str, str]) -> pa.Schema:
    text = text_or_messages(options)
    columns = [] if options["prompt"] == "implicit" else [("prompt", text)]
    columns += [("chosen", text), ("rejected", text), ("margin", pa.float64())]
    if options["columns"] != "schema":
        columns += [*ORIGIN, ("strength", pa.int8()), ("votes", VOTES), ("annotator_kind", pa.string())]
        if options["method"] == truth.METHOD:
            columns.append(("posterior", POSTERIOR))
    if options["columns"] == "full":
        columns += FULL
    return pa.schema(columns)


def _pairs_hold(options: dict[str, str]) -> Holds:
    return Holds(frozenset((options["aspect"],)), None)


def unpaired_rows(item: Row, conversion: Conversion) -> Iterator[Row]:
    """One row per response that is good or bad: by thumbs where there are any, else by wins and losses."""
    options = conversion.options
    balance, kinds = merits_of(item, options)
    standard = options["style"] == "standard"
    prompt = prompt_of(item, standard)
    for index, response in enumerate(item["responses"]):
        if not balance.get(index):
            conversion.dropped["responses neither good nor bad"] += 1
            continue
        row = {
            "prompt": prompt,
            "completion": reply(response["text"], standard),
            "label": balance[index] > 0,
        }
        if options["columns"] == "usual":
            origin = origin_of(item)
            row |= {
                "id": origin["id"],
                "response": index,
                "group": origin["group"],
                "split": origin["split"],
                "annotator_kind": kinds[index],
            }
        yield row


def unpaired_schema(options: dict[str, str]) -> pa.Schema:
    text = text_or_messages(options)
    columns = [("prompt", text), ("completion", text), ("label", pa.bool_())]
    if options["columns"] == "usual":
        columns += [("id", pa.string()), ("response", pa.int8()), ("group", pa.string()), ("split", pa.string()),
                    ("annotator_kind", pa.string())]  # fmt: skip
    return pa.schema(columns)


def completion_rows(item: Row, conversion: Conversion) -> Iterator[Row]:
    """A better text that somebody wrote, or the one response that stands above the others."""
    options = conversion.options
    standard, take = options["style"] == "standard", options["take"]
    prompt = prompt_of(item, standard)

    def row(text: str, origin: str, response: int | None) -> Row:
        made = {"prompt": prompt, "completion": reply(text, standard)}
        if options["columns"] == "usual":
            made |= {**origin_of(item), "origin": origin, "response": response}
        return made

    found = list(rewrites_of(item, options["judged_by"])) if take != "best" else []
    if not found and take == "rewrites":
        conversion.dropped["items that nobody rewrote"] += 1
    for text, response in found:
        yield row(text, "rewrite", response)
    if found or take == "rewrites":
        return
    best = best_of(item, options)
    if best is None:
        conversion.dropped["items without one best response"] += 1
        return
    yield row(item["responses"][best]["text"], "best", best)


def rewrites_of(item: Row, judged_by: str) -> Iterator[tuple[str, int | None]]:
    """(text, response it started from) of every rewrite in the item's current judgments."""
    superseded = {judgment["supersedes"] for judgment in item["judgments"]}
    kinds = ("human", "lm") if judged_by == "final" else (judged_by,)
    for judgment in item["judgments"]:
        if judgment["outcome"] != "answered" or judgment["id"] in superseded or judgment["kind"] not in kinds:
            continue
        for answer in judgment["answers"].values():
            if is_rewrite(answer) and answer["text"]:
                yield answer["text"], answer["response"]


def best_of(item: Row, options: dict[str, str]) -> int | None:
    """The one response that most speaks for; None where there is none or more than one."""
    balance, _ = merits_of(item, options)
    most = max(balance.values(), default=0)
    best = [index for index, merit in balance.items() if merit == most]
    return best[0] if most > 0 and len(best) == 1 else None


def completion_schema(options: dict[str, str]) -> pa.Schema:
    text = text_or_messages(options)
    columns = [("prompt", text), ("completion", text)]
    if options["columns"] == "usual":
        columns += [*ORIGIN, ("origin", pa.string()), ("response", pa.int8())]
    return pa.schema(columns)


OPENRLHF_FIXED = {"style": "conversational", "prompt": "implicit", "columns": "schema"}


def openrlhf_rows(item: Row, conversion: Conversion) -> Iterator[Row]:
    """TRL's implicit conversational preferences with a margin, which `train_rm.py` reads."""
    inner = Conversion({**conversion.options, **OPENRLHF_FIXED}, conversion.names, conversion.dropped)
    yield from preference_rows(item, inner)


TRL_PREFERENCE = Format(
    label="TRL preference",
    description="prompt, chosen, rejected: one row per pair with a decision. Ties are left out and counted.",
    family="Training",
    containers=JSON_AND_PARQUET,
    options=PAIR_OPTIONS,
    tables=(Table(preference_rows, preference_schema),),
    holds=_pairs_hold,
    columns="""\
One row is one pair of responses with a decision. `margin` is the mean preference towards the chosen response, in
steps of the scale (0 where the mean does not support the majority); `strength` is the same as a level from 1, and 0
for a tie (ties stand here only with `ties` `soft`, the first response as chosen). `votes` counts who chose the
chosen, a tie, the rejected. `annotator_kind` says whose votes: people's where people judged the item, else a
language model's. What accompanies a prompt (`context`) opens the first user message. With an implicit prompt,
`chosen` and `rejected` are whole conversations; as plain texts a blank line stands between prompt and response. With
`columns` `full`, `soft_label` is the share of votes for the chosen response (ties half), `similarity` the overlap of
the two texts' runs of three words, `reward_margin` the reward models' difference, where one scored both.""",
    read=read_votes,
)
TRL_UNPAIRED = Format(
    label="TRL unpaired preference",
    description="prompt, completion, label: one row per response that was found good or bad.",
    family="Training",
    containers=JSON_AND_PARQUET,
    options={**LABEL_OPTIONS, "columns": ("usual", "schema")},
    tables=(Table(unpaired_rows, unpaired_schema),),
    holds=_pairs_hold,
    columns="""\
One row is one response that was found good (`label` true) or bad: by thumbs where there are any, else by its wins
against the item's other responses.""",
    read=read_votes,
)
PROMPT_COMPLETION = Format(
    label="Prompt and completion",
    description="prompt, completion: what people rewrote, else the one best response. For supervised fine-tuning.",
    family="Training",
    containers=JSON_AND_PARQUET,
    options={**LABEL_OPTIONS, "take": ("both", "rewrites", "best"), "columns": ("usual", "schema")},
    tables=(Table(completion_rows, completion_schema),),
    holds=lambda options: Holds(frozenset((options["aspect"],)), None, rewrites=True),
    columns="""\
One row is one text worth learning: a person's rewrite (`origin` `rewrite`, `response` the one it started from), or,
where nobody rewrote the item, the one response that stands above the others (`best`).""",
    read=read_votes,
)
OPENRLHF = Format(
    label="OpenRLHF preference",
    description="chosen, rejected as whole conversations, with a margin.",
    family="Training",
    containers=JSON_AND_PARQUET,
    options={
        "aspect": (),
        "method": EXPORT_METHODS,
        "judged_by": JUDGED_BY,
        "ties": ("drop",),
        "near_duplicates": ("keep", "drop"),
    },
    tables=(Table(openrlhf_rows, lambda options: preference_schema({**options, **OPENRLHF_FIXED})),),
    holds=_pairs_hold,
    columns="""\
One row is one pair of responses with a decision: two whole conversations, and `margin`, the mean preference towards
the chosen one in steps of the scale. For `--data.apply_chat_template`.""",
    read=read_votes,
)
