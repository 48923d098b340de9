"""Files that trainers read: TRL's implicit, unpaired and prompt-completion types, and NeMo-RL's rankings."""

from collections.abc import Iterator
from dataclasses import replace

from .checks import (
    Bad,
    conversation,
    count,
    entries,
    identifier,
    name,
    number,
    one_turn,
    optional_text,
    prompt_of,
    responses_of,
    shown,
    text,
    whole,
    with_extras,
)
from .files import json_rows, records, stem
from .labels import labelled
from .records import (
    MAX_NAME,
    MAX_RESPONSES,
    JudgmentRecord,
    Problem,
    Record,
    ResponseRecord,
    ScoreRecord,
)
from .short import FILE_ANNOTATOR, last_turn

BETWEEN = "\n\n"
UNPAIRED = "unpaired file"
RANKING = "ranking file"
IMPLICIT_KEYS = frozenset("id group source chosen rejected margin chosen_model rejected_model prompt".split())
UNPAIRED_KEYS = frozenset("id group source prompt completion label response".split())
COMPLETION_KEYS = frozenset("id group source prompt completion".split())
RANKING_KEYS = frozenset("id group source context completions annotator".split())


# --- Implicit prompts --------------------------------------------------------------------------------------
def is_implicit(row: dict) -> bool:
    both = (row.get("chosen"), row.get("rejected"))
    messages = all(isinstance(side, list) and side and type(side[0]) is dict for side in both)
    return messages and ("prompt" not in row or "is_swapped" in row)


def read_implicit(path, mapping=None) -> Iterator[Record | Problem]:
    """Whole conversations, chosen and rejected (also MultiPref's converter); plain texts with a common beginning."""
    return records(json_rows(path), parse_implicit)


def parse_implicit(row: dict, line: int, problems: list[Problem]) -> Record:
    if isinstance(row.get("chosen"), list):
        prompt, chosen, rejected = common_turns(
            *(conversation(row.get(key), key) for key in ("chosen", "rejected"))
        )
    else:
        prompt, chosen, rejected = common_text(*(text(row.get(key), key) for key in ("chosen", "rejected")))
    meta = with_extras({}, {key: value for key, value in row.items() if value is not None}, IMPLICIT_KEYS)
    if row.get("margin") is not None:
        meta = {**meta, "vote_margin": number(row["margin"], "margin")}
    sides = [("chosen", chosen), ("rejected", rejected)]
    models = tuple(
        optional_text(row.get(f"{side}_model"), f"{side}_model", MAX_NAME) or "" for side, _ in sides
    )
    swapped = row.get("is_swapped") is True
    return Record(
        line=line,
        external_id=identifier(row.get("id"), "id"),
        source=optional_text(row.get("source"), "source", MAX_NAME) or "",
        prompt=one_turn(prompt),
        group=optional_text(row.get("group"), "group"),
        responses=responses_of(sides[::-1], models[::-1]) if swapped else responses_of(sides, models),
        meta=meta,
        judgments=(labelled("b" if swapped else "a", FILE_ANNOTATOR),),
    )


def common_turns(chosen: list[dict], rejected: list[dict]) -> tuple[list[dict], str, str]:
    """(common turns, the two last turns). Raises Bad unless they differ in the last turn alone."""
    if len(chosen) != len(rejected) or len(chosen) < 2 or chosen[:-1] != rejected[:-1]:
        raise Bad("rejected", "expected both conversations to differ in their last turn only")
    return chosen[:-1], chosen[-1]["content"], rejected[-1]["content"]


def common_text(chosen: str, rejected: str) -> tuple[str, str, str]:
    """(common beginning, the two rests), cut at the last blank line before they differ, else at the last space."""
    same = next(
        (i for i, (one, other) in enumerate(zip(chosen, rejected, strict=False)) if one != other),
        min(len(chosen), len(rejected)),
    )
    cut = chosen.rfind(BETWEEN, 0, same)
    if cut > 0:
        return chosen[:cut], chosen[cut + len(BETWEEN) :], rejected[cut + len(BETWEEN) :]
    cut = chosen.rfind(" ", 0, same)
    if cut <= 0:
        raise Bad("rejected", "expected both texts to begin with the same prompt")
    return chosen[:cut], chosen[cut + 1 :], rejected[cut + 1 :]


# --- Unpaired ----------------------------------------------------------------------------------------------
def is_unpaired(row: dict) -> bool:
    return row.keys() >= {"prompt", "completion", "label"}


def read_unpaired(path, mapping=None) -> Iterator[Record | Problem]:
    """Rows of one completion that is good or bad; neighbours with one id are responses of one item."""
    held: list[Record] = []
    for found in records(json_rows(path), parse_unpaired):
        if isinstance(found, Problem):
            yield found
            continue
        if held and not (same_item(held[0], found) and len(held) < MAX_RESPONSES):
            yield thumbs_item(held)
            held = []
        held.append(found)
    if held:
        yield thumbs_item(held)


def same_item(one: Record, other: Record) -> bool:
    key = one.external_id, one.source, one.prompt
    return one.external_id is not None and key == (other.external_id, other.source, other.prompt)


def parse_unpaired(row: dict, line: int, problems: list[Problem]) -> Record:
    label = row.get("label")
    if type(label) is not bool:
        raise Bad("label", f"expected true or false, found {shown(label)}")
    found = completion_of(row, line, UNPAIRED_KEYS)
    thumb = ScoreRecord(0, "thumb", int(label), 0, 1)
    response = replace(found.responses[0], meta=found.meta)
    return replace(
        found, responses=(response,), meta={}, judgments=(JudgmentRecord(UNPAIRED, scores=(thumb,)),)
    )


def thumbs_item(rows: list[Record]) -> Record:
    scores = [replace(row.judgments[0].scores[0], response=index) for index, row in enumerate(rows)]
    return replace(
        rows[0],
        responses=tuple(row.responses[0] for row in rows),
        judgments=(JudgmentRecord(UNPAIRED, scores=tuple(scores)),),
    )


# --- Prompt and completion ---------------------------------------------------------------------------------
def is_completion(row: dict) -> bool:
    return row.keys() >= {"prompt", "completion"} and "label" not in row


def read_completions(path, mapping=None) -> Iterator[Record | Problem]:
    """Rows of one text to learn; items with one response and no judgment."""
    return records(json_rows(path), lambda row, line, problems: completion_of(row, line, COMPLETION_KEYS))


def completion_of(row: dict, line: int, known: frozenset) -> Record:
    return Record(
        line=line,
        external_id=identifier(row.get("id"), "id"),
        source=optional_text(row.get("source"), "source", MAX_NAME) or "",
        prompt=one_turn(prompt_of(row.get("prompt"))),
        group=optional_text(row.get("group"), "group"),
        responses=responses_of([("completion", last_turn(row.get("completion")))]),
        meta=with_extras({}, {key: value for key, value in row.items() if value is not None}, known),
    )


# --- Rankings ----------------------------------------------------------------------------------------------
def is_ranking(row: dict) -> bool:
    return row.keys() >= {"context", "completions"}


def read_rankings(path, mapping=None) -> Iterator[Record | Problem]:
    """NeMo-RL's `context` and `completions`, each with a rank (the lower the better)."""
    return records(json_rows(path), lambda row, line, problems: parse_ranking(row, line, stem(path)))


def parse_ranking(row: dict, line: int, file: str) -> Record:
    responses, ranks = [], []
    given = entries(row.get("completions"), "completions")
    count(len(given), "completions")
    for index, entry in enumerate(given):
        at = f"completions[{index}]"
        if type(entry) is not dict:
            raise Bad(at, f"expected rank and completion, found {shown(entry)}")
        ranks.append(whole(entry.get("rank"), f"{at}.rank"))
        turns = entry.get("completion")
        said = turns if isinstance(turns, str) else conversation(turns, f"{at}.completion")[-1]["content"]
        responses.append(ResponseRecord(text(said, f"{at}.completion")))
    places = [1 + sum(other < rank for other in ranks) for rank in ranks]
    scores = tuple(ScoreRecord(i, "rank", place, 1, None) for i, place in enumerate(places))
    return Record(
        line=line,
        external_id=identifier(row.get("id"), "id"),
        source=optional_text(row.get("source"), "source", MAX_NAME) or "",
        prompt=one_turn(prompt_of(row.get("context"), "context")),
        group=optional_text(row.get("group"), "group"),
        responses=tuple(responses),
        meta=with_extras({}, {key: value for key, value in row.items() if value is not None}, RANKING_KEYS),
        judgments=(JudgmentRecord(name(row.get("annotator") or RANKING, "annotator"), scores=scores),),
    )
