"""HelpSteer2 in its three files, and HelpSteer3's preferences, under the keys of their public releases.

nvidia/HelpSteer2 (`train`, `validation`, `disagreements/`, `preference/`) and nvidia/HelpSteer3 (`preference`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from annotations.analysis.similar import places_of_most_similar
from annotations.items.readers.helpsteer import ATTRIBUTES, SCALE, flat_prompt

from ..aggregate import WIDEST_SPREAD, half_away
from .base import (
    JUDGED_BY,
    MESSAGES,
    PACKED_FIRST,
    Conversion,
    Format,
    Holds,
    Row,
    Table,
    messages_of,
    plain_prompt,
)
from .ratings import RATING_METHODS, judged_in, whole_rating

NOT_VALID = -100
STRENGTHS = 3
SPLIT_WORDS = {"train": "train", "validation": "val", "holdout": "holdout"}
SENTENCE = re.compile(r"(?<=[.!?…])\s+")
OVERALL = "overall"


# --- Ratings -----------------------------------------------------------------------------------------------
def rating_rows(item: Row, conversion: Conversion) -> Iterator[Row]:
    """One row per response with one whole number per attribute; an item's rows stand together."""
    method = conversion.options["ratings"]
    for prompt, response, ratings in _rated(item, conversion, note=True):
        values = {name: whole_rating([one[name] for one in ratings], method) for name in ATTRIBUTES}
        yield {"prompt": prompt, "response": response, **values}


def disagreement_rows(item: Row, conversion: Conversion) -> Iterator[Row]:
    """The same rows with everybody's ratings as lists, in the order they were given."""
    for prompt, response, ratings in _rated(item, conversion):
        values = {name: [int(one[name]) for one in ratings] for name in ATTRIBUTES}
        yield {"prompt": prompt, "response": response, **values}


def _rated(
    item: Row, conversion: Conversion, note: bool = False
) -> Iterator[tuple[str, str, list[dict[str, float]]]]:
    """(prompt, response, complete ratings) of each response that somebody rated on all five attributes."""
    given: dict[int, list[dict[str, float]]] = {}
    drop = conversion.dropped if note else {}
    for judgment in judged_in(item, conversion.options["judged_by"]):
        own: dict[int, dict[str, float]] = {}
        for row in judgment["scores"]:
            if row["attribute"] in ATTRIBUTES:
                if list(row["scale"]) == list(SCALE) and row["value"] == int(row["value"]):
                    own.setdefault(row["response"], {})[row["attribute"]] = row["value"]
                elif note:
                    drop["ratings on another scale than 0 to 4"] += 1
        for response, ratings in own.items():
            if len(ratings) == len(ATTRIBUTES):
                given.setdefault(response, []).append(ratings)
            elif note:
                drop["ratings without all five attributes"] += 1
    if not given:
        if note:
            drop["items without ratings on the five attributes"] += 1
        return
    prompt = flat(item)
    if prompt is None:
        if note:
            drop["items whose prompt is not user and assistant in turn"] += 1
        return
    for index in sorted(given):
        yield prompt, item["responses"][index]["text"], given[index]


def flat(item: Row) -> str | None:
    """The prompt as HelpSteer2 writes it, None where it cannot."""
    try:
        return flat_prompt(plain_prompt(item) if isinstance(item["prompt"], str) else messages_of(item))
    except ValueError:
        return None


# --- Preferences -------------------------------------------------------------------------------------------
def votes_of_pair(item: Row, judged_by: str) -> list[tuple[int | None, Row]]:
    """(strength, judgment) of everybody who compared the item's two responses overall, in steps of three.

    0 for a tie, −100 for "neither response is valid", None for a preference on another scale.
    """
    found: list[tuple[int | None, Row]] = []
    superseded = {judgment["supersedes"] for judgment in item["judgments"]}
    for judgment in item["judgments"]:
        if judgment["id"] in superseded or judgment["kind"] == "reward_model":
            continue
        if judgment["outcome"] == "cannot_judge" and judgment["answers"].get("cannot_judge") == "not_valid":
            found.append((NOT_VALID, judgment))
        if judgment["outcome"] != "answered":
            continue
        for row in judgment["comparisons"]:
            if row["aspect"] == OVERALL:
                on_scale = row["preference"] if row["scale_max"] == STRENGTHS else None
                found.append((0 if row["tie"] is not None else on_scale, judgment))
    found.sort(key=lambda vote: (vote[1]["created_at"], vote[1]["id"]))
    kinds = ("human", "lm") if judged_by == "final" else (judged_by,)
    for kind in kinds:
        own = [vote for vote in found if vote[1]["kind"] == kind]
        if any(strength != NOT_VALID for strength, _ in own):
            return own
    return found if kinds == ("human", "lm") else [vote for vote in found if vote[1]["kind"] == judged_by]


def words_of(judgment: Row) -> tuple[str, str]:
    """(statement, elaboration): as they were asked for, else the first sentence and the rest of the reason."""
    answers = judgment["answers"]
    reason = judgment["reason"] or ""
    if isinstance(answers.get("statement"), str) or isinstance(answers.get("elaboration"), str):
        return answers.get("statement") or "", answers.get("elaboration") or reason
    first, *rest = SENTENCE.split(reason, maxsplit=1)
    return first, rest[0] if rest else ""


def justification(judgment: Row) -> str:
    """Everything a person wrote about a pair, as one text."""
    answers = judgment["answers"]
    if isinstance(answers.get("statement"), str) or isinstance(answers.get("elaboration"), str):
        return "\n".join(part for part in words_of(judgment) if part)
    return judgment["reason"] or ""


def pair_of(item: Row, conversion: Conversion) -> tuple[list[tuple[int, Row]], list[int], int] | None:
    """(all votes, places of the three most similar, their rounded mean), or None after noting why there is no row."""
    drop = conversion.dropped
    if len(item["responses"]) != 2:
        drop["items that do not have two responses"] += 1
        return None
    votes = votes_of_pair(item, conversion.options["judged_by"])
    if any(strength is None for strength, _ in votes):
        drop["pairs compared on another scale than −3 to 3"] += 1
        return None
    valid = [place for place, (strength, _) in enumerate(votes) if strength != NOT_VALID]
    if not valid:
        drop["pairs that nobody found valid" if votes else "items that nobody compared overall"] += 1
        return None
    strengths = [votes[place][0] for place in valid]
    kept = [valid[place] for place in places_of_most_similar(strengths)]
    chosen = [votes[place][0] for place in kept]
    if max(chosen) - min(chosen) > WIDEST_SPREAD:
        drop["pairs without agreement"] += 1
        return None
    return votes, kept, half_away(sum(chosen) / len(chosen))


def preference_rows(item: Row, conversion: Conversion) -> Iterator[Row]:
    """One row per pair; its words are those of the earliest of the three whose strength is the final one."""
    found = pair_of(item, conversion)
    if found is None:
        return
    votes, kept, strength = found
    prompt = flat(item)
    if prompt is None:
        conversion.dropped["pairs whose prompt is not user and assistant in turn"] += 1
        return
    similar = []
    for place in kept:
        statement, elaboration = words_of(votes[place][1])
        similar.append({"statement": statement, "elaboration": elaboration, "strength": votes[place][0]})
    said = next((one for one in similar if one["strength"] == strength), None)
    yield {
        "split": SPLIT_WORDS[item["plumbline"]["split"]],
        "prompt": prompt,
        "response_1": item["responses"][0]["text"],
        "response_2": item["responses"][1]["text"],
        "preference_strength": strength,
        "preference_statement": said["statement"] if said else "",
        "preference_elaboration": said["elaboration"] if said else "",
        "three_most_similar_preferences": similar,
        "all_preferences_unprocessed": [
            {"strength": one, "justification": justification(judgment)} for one, judgment in votes
        ],
    }


def rating_schema(kind: pa.DataType) -> pa.Schema:
    return pa.schema(
        [("prompt", pa.string()), ("response", pa.string()), *((name, kind) for name in ATTRIBUTES)]
    )


def preference_schema(options: dict[str, str]) -> pa.Schema:
    similar = pa.struct([("statement", pa.string()), ("elaboration", pa.string()), ("strength", pa.int32())])
    raw = pa.struct([("strength", pa.int32()), ("justification", pa.string())])
    return pa.schema(
        [("split", pa.string()), ("prompt", pa.string()), ("response_1", pa.string()), ("response_2", pa.string()),
         ("preference_strength", pa.int32()), ("preference_statement", pa.string()),
         ("preference_elaboration", pa.string()), ("three_most_similar_preferences", pa.list_(similar)),
         ("all_preferences_unprocessed", pa.list_(raw))]
    )  # fmt: skip


# --- HelpSteer3 --------------------------------------------------------------------------------------------
def helpsteer3_rows(item: Row, conversion: Conversion) -> Iterator[Row]:
    """One row per pair with up to three individual preferences, the most similar ones."""
    found = pair_of(item, conversion)
    if found is None:
        return
    votes, kept, strength = found
    if len(votes) > len(kept):
        conversion.left_out["preferences beyond the three most similar"] += len(votes) - len(kept)
    meta = item["meta"]
    yield {
        "domain": _text(meta.get("domain")),
        "language": _text(meta.get("language")),
        "context": messages_of(item),
        "response1": item["responses"][0]["text"],
        "response2": item["responses"][1]["text"],
        "overall_preference": strength,
        "individual_preference": [_individual(*votes[place]) for place in kept],
    }


def _individual(score: int, judgment: Row) -> Row:
    said = judgment["answers"].get("feedback")
    feedback = [text if isinstance(text, str) else "" for text in said] if isinstance(said, list) else []
    first, second = feedback if len(feedback) == 2 else ("", "")
    return {"score": score, "reasoning": justification(judgment), "feedback1": first, "feedback2": second}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def helpsteer3_schema(options: dict[str, str]) -> pa.Schema:
    individual = pa.struct(
        [
            ("score", pa.int32()),
            ("reasoning", pa.string()),
            ("feedback1", pa.string()),
            ("feedback2", pa.string()),
        ]
    )
    return pa.schema(
        [("domain", pa.string()), ("language", pa.string()), ("context", MESSAGES), ("response1", pa.string()),
         ("response2", pa.string()), ("overall_preference", pa.int32()),
         ("individual_preference", pa.list_(individual))]
    )  # fmt: skip


HELPSTEER2 = Format(
    label="HelpSteer2",
    description="Three files: ratings 0 to 4 of five attributes, everybody's ratings, strengths −3 to 3 with reasons.",
    family="Public data sets",
    containers=PACKED_FIRST,
    options={"ratings": RATING_METHODS, "judged_by": JUDGED_BY},
    tables=(
        Table(rating_rows, lambda options: rating_schema(pa.int32()), path="{split}.{container}"),
        Table(
            disagreement_rows,
            lambda options: rating_schema(pa.list_(pa.int32())),
            name="disagreements",
            path="disagreements/disagreements.{container}",
        ),
        Table(
            preference_rows,
            preference_schema,
            name="preference",
            path="preference/preference.{container}",
        ),
    ),
    holds=lambda options: Holds(
        frozenset((OVERALL,)), frozenset(ATTRIBUTES), frozenset(("statement", "elaboration")), True, True
    ),
    columns="""\
The keys of nvidia/HelpSteer2. Ratings: one response a row, an item's rows together, whole numbers from 0 to 4 (by
default the mean of the three most similar). `disagreements`: the same rows with everybody's ratings, in the order
they were given; a place in the list is no stable person. `preference`: a negative strength means that `response_1` is
better; −100 in the raw list, that neither response is valid; pairs whose three most similar strengths spread over more
than 2 are left out. The preference file holds every split, named in its column `split`: keep `holdout` apart. A
statement is the first sentence of a reason and the elaboration its rest, unless people were asked for both.""",
)
HELPSTEER3 = Format(
    label="HelpSteer3 preference",
    description="Conversations with two responses, an overall strength and up to three individual ones.",
    family="Public data sets",
    containers=PACKED_FIRST,
    options={"judged_by": JUDGED_BY},
    tables=(Table(helpsteer3_rows, helpsteer3_schema, path="preference/{split}.{container}"),),
    holds=lambda options: Holds(
        frozenset((OVERALL,)), frozenset(), frozenset(("statement", "elaboration", "feedback")), True
    ),
    columns="""\
The keys of nvidia/HelpSteer3, `preference`. A negative preference means that `response1` is better, from −3 to 3; 0 is
a tie. `individual_preference` holds the three most similar. `domain` and `language` come from the item's own details
and are null where it has none.""",
)
