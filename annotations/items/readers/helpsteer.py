"""HelpSteer2's rating, disagreement and preference files, and HelpSteer3's preferences (nvidia, CC-BY-4.0).

No place in a list is a stable person: `rater n` and `annotator n` are the n-th of one item's ratings and preferences.
"""

from collections.abc import Iterator
from dataclasses import replace

from .checks import (
    Bad,
    entries,
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
from .files import json_rows
from .files import records as parse_records
from .labels import strength
from .records import MAX_RESPONSES, JudgmentRecord, Problem, Record, ResponseRecord, ScoreRecord

ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
SCALE = (0, 4)
RATING_KEYS = frozenset(("prompt", "response", *ATTRIBUTES))
PREFERENCE_KEYS = frozenset(
    "prompt response_1 response_2 preference_strength all_preferences_unprocessed".split()
)
TURN = "\n<extra_id_1>"
ROLES = {"Assistant": "assistant", "User": "user"}
CONSENSUS = "helpsteer2 consensus"
PREFERENCE_CONSENSUS = "helpsteer2 preference consensus"
SOURCE = "helpsteer2"
HELPSTEER3_KEYS = frozenset("context response1 response2 overall_preference individual_preference".split())
SOURCE3 = "helpsteer3"


def is_ratings(row: dict) -> bool:
    return row.keys() >= RATING_KEYS


def is_preference(row: dict) -> bool:
    return row.keys() >= {"prompt", "response_1", "response_2"} and (
        "preference_strength" in row or "all_preferences_unprocessed" in row
    )


def prompt_messages(flat: str) -> str | list[dict]:
    """A flattened conversation as messages; a single turn stays text.

    The files write later turns as `\\n<extra_id_1>Assistant\\n…` and `\\n<extra_id_1>User\\n…`.
    """
    first, *turns = flat.split(TURN)
    if not turns:
        return flat
    messages = [{"role": "user", "content": first}]
    for turn in turns:
        who, newline, content = turn.partition("\n")
        if who not in ROLES or not newline:
            return flat
        messages.append({"role": ROLES[who], "content": content})
    return messages


def flat_prompt(prompt: str | list[dict]) -> str:
    """The way back from `prompt_messages`. Raises ValueError for messages the format cannot hold."""
    if isinstance(prompt, str):
        return prompt
    words = {role: word for word, role in ROLES.items()}
    if not prompt or prompt[0]["role"] != "user" or any(turn["role"] not in words for turn in prompt):
        raise ValueError("expected messages of user and assistant, the first by the user")
    later = "".join(f"{TURN}{words[turn['role']]}\n{turn['content']}" for turn in prompt[1:])
    return prompt[0]["content"] + later


def read_ratings(path, mapping=None) -> Iterator[Record | Problem]:
    """Rows of one response each; neighbours with the same prompt become one item."""
    held: list[RatedResponse] = []
    for found in parse_records(json_rows(path), RatedResponse):
        if isinstance(found, Problem):
            yield found
            continue
        if held and (held[0].prompt != found.prompt or len(held) == MAX_RESPONSES):
            yield rated_item(held)
            held = []
        held.append(found)
    if held:
        yield rated_item(held)


class RatedResponse:
    """One rating row, checked, until its item is complete."""

    def __init__(self, row: dict, line: int, problems: list[Problem]):
        self.line = line
        self.prompt = text(row.get("prompt"), "prompt")
        self.response = text(row.get("response"), "response")
        self.meta = with_extras({}, row, RATING_KEYS)
        self.consensus: dict[str, float] = {}
        self.lists: dict[str, list[float]] = {}
        for attribute in ATTRIBUTES:
            value = row.get(attribute)
            if value is None:
                continue
            try:
                if isinstance(value, list):
                    self.lists[attribute] = [number(one, attribute, *SCALE) for one in value]
                else:
                    self.consensus[attribute] = number(value, attribute, *SCALE)
            except Bad as bad:
                problems.append(Problem(line, bad.field, bad.message))


def rated_item(rows: list[RatedResponse]) -> Record:
    people: dict[str, list[ScoreRecord]] = {}
    for index, row in enumerate(rows):
        for attribute, value in row.consensus.items():
            people.setdefault(CONSENSUS, []).append(ScoreRecord(index, attribute, value, *SCALE))
        for attribute, values in row.lists.items():
            for place, value in enumerate(values, 1):
                score = ScoreRecord(index, attribute, value, *SCALE)
                people.setdefault(f"rater {place}", []).append(score)
    prompt = rows[0].prompt
    return Record(
        line=rows[0].line,
        external_id=None,
        source=SOURCE,
        prompt=prompt_messages(prompt),
        group=prompt,
        responses=tuple(ResponseRecord(row.response, "", row.meta) for row in rows),
        judgments=tuple(JudgmentRecord(who, scores=tuple(scores)) for who, scores in people.items()),
    )


def read_preferences(path, mapping=None) -> Iterator[Record | Problem]:
    return parse_records(json_rows(path), parse_preference)


def parse_preference(row: dict, line: int, problems: list[Problem]) -> Record:
    prompt = text(row.get("prompt"), "prompt")
    meta = with_extras({}, row, PREFERENCE_KEYS)
    overall = row.get("preference_strength")
    raw = row.get("all_preferences_unprocessed")
    judgments = []
    try:
        if overall is not None:
            overall = strength_of(overall, "preference_strength")
        if raw is None and overall is not None:
            reason = optional_text(row.get("preference_elaboration"), "preference_elaboration") or ""
            judgments.append(strength(overall, PREFERENCE_CONSENSUS, reason))
        elif overall is not None:
            meta = {**meta, "preference_strength": overall}
        raw = entries(raw, "all_preferences_unprocessed")
    except Bad as bad:
        problems.append(Problem(line, bad.field, bad.message))
        raw = []
    parts = parts_of(row.get("three_most_similar_preferences"))
    for index, entry in enumerate(raw):
        try:
            judgments.append(parse_strength(entry, f"annotator {index + 1}", parts))
        except Bad as bad:
            complaint = bad.within(f"all_preferences_unprocessed[{index}]")
            problems.append(Problem(line, complaint.field, complaint.message))
    return Record(
        line=line,
        external_id=None,
        source=SOURCE,
        prompt=prompt_messages(prompt),
        group=prompt,
        responses=responses_of([(key, row.get(key)) for key in ("response_1", "response_2")]),
        meta=meta,
        judgments=tuple(judgments),
    )


def parts_of(similar) -> dict[tuple[int, str], tuple[str, str]]:
    """{(strength, whole justification): (statement, elaboration)} of preferences whose words came in two parts."""
    found = {}
    for entry in similar if isinstance(similar, list) else ():
        if type(entry) is not dict:
            continue
        words = entry.get("statement"), entry.get("elaboration")
        if type(entry.get("strength")) is int and all(type(word) is str and word for word in words):
            found[entry["strength"], "\n".join(words)] = words
    return found


def parse_strength(
    entry, annotator: str, parts: dict[tuple[int, str], tuple[str, str]] | None = None
) -> JudgmentRecord:
    if type(entry) is not dict:
        raise Bad("", f"expected strength and justification, found {shown(entry)}")
    value = strength_of(entry.get("strength"), "strength")
    words = optional_text(entry.get("justification"), "justification") or ""
    judgment = strength(value, annotator, words)
    if parts and (value, words) in parts:
        statement, elaboration = parts[value, words]
        answers = {**judgment.answers, "statement": statement, "elaboration": elaboration}
        judgment = replace(judgment, answers=answers, reason="")
    return judgment


def strength_of(value, field: str) -> int:
    value = whole(value, field)
    if value != -100 and not -3 <= value <= 3:
        raise Bad(field, f"expected -3 to 3, or -100 for not valid, found {shown(value)}")
    return value


# --- HelpSteer3 --------------------------------------------------------------------------------------------
def is_helpsteer3(row: dict) -> bool:
    return row.keys() >= {"context", "response1", "response2", "overall_preference"}


def read_helpsteer3(path, mapping=None) -> Iterator[Record | Problem]:
    """Rows of two responses with an overall strength and up to three individual ones."""
    return parse_records(json_rows(path), parse_helpsteer3)


def parse_helpsteer3(row: dict, line: int, problems: list[Problem]) -> Record:
    prompt = one_turn(prompt_of(row.get("context"), "context"))
    meta = with_extras({}, row, HELPSTEER3_KEYS)
    judgments = []
    try:
        overall = score3(row.get("overall_preference"), "overall_preference")
        given = entries(row.get("individual_preference"), "individual_preference")
        if given:
            meta = {**meta, "overall_preference": overall}
        else:
            judgments.append(strength(overall, f"{SOURCE3} consensus"))
    except Bad as bad:
        problems.append(Problem(line, bad.field, bad.message))
        given = []
    for index, entry in enumerate(given):
        try:
            judgments.append(parse_individual(entry, f"annotator {index + 1}"))
        except Bad as bad:
            complaint = bad.within(f"individual_preference[{index}]")
            problems.append(Problem(line, complaint.field, complaint.message))
    return Record(
        line=line,
        external_id=None,
        source=SOURCE3,
        prompt=prompt,
        responses=responses_of([(key, row.get(key)) for key in ("response1", "response2")]),
        meta=meta,
        judgments=tuple(judgments),
    )


def parse_individual(entry, annotator: str) -> JudgmentRecord:
    if type(entry) is not dict:
        raise Bad("", f"expected score, reasoning and feedback, found {shown(entry)}")
    judgment = strength(
        score3(entry.get("score"), "score"),
        annotator,
        optional_text(entry.get("reasoning"), "reasoning") or "",
    )
    feedback = [optional_text(entry.get(key), key) or "" for key in ("feedback1", "feedback2")]
    return replace(judgment, answers={"feedback": feedback}) if any(feedback) else judgment


def score3(value, field: str) -> int:
    value = whole(value, field)
    if not -3 <= value <= 3:
        raise Bad(field, f"expected -3 to 3, found {shown(value)}")
    return value
