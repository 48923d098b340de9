"""Exports of other annotation tools: Label Studio's JSON and Argilla's records.

Both name fields and questions as their users like. The prompt and the responses are found by name
(`prompt`, `instruction`, …; `response1`, `answer_a`, `text1`, …); verdicts become comparisons and
ratings where they name a side or a response, and everything else is kept in `answers`.
"""

import re
from collections.abc import Iterator

from .checks import (
    Bad,
    count,
    entries,
    identifier,
    meta_object,
    moment,
    name,
    number,
    plain,
    printable,
    prompt_of,
    shown,
    text,
    with_extras,
)
from .files import json_rows, records
from .labels import VERDICTS
from .records import MAX_NAME, JudgmentRecord, Problem, Record, ResponseRecord, ScoreRecord

PROMPTS = ("prompt", "instruction", "question", "input", "query", "conversation", "messages", "chat")
RESPONSE = re.compile(r"(?:response|answer|completion|output|text|option|model|candidate)[ _-]?([1-8]|[a-h])")
PLAIN_RESPONSES = ("response", "answer", "completion", "output")
FIRST = frozenset("a 1 left first response_1 response1 response_a answer_1 answer1 answer_a model_a".split())
SECOND = frozenset(
    "b 2 right second response_2 response2 response_b answer_2 answer2 answer_b model_b".split()
)
TIES = frozenset(("tie", "equal", "same", "both", "neither better", "about the same"))
REASONS = frozenset(("reason", "comment", "why", "justification", "explanation", "feedback"))


# --- What both share ---------------------------------------------------------------------------------------
class Task:
    """The texts of a task by the names of its fields."""

    def __init__(self, fields: dict):
        self.prompt_key = next((key for key in PROMPTS if fields.get(key) not in (None, "")), None)
        if self.prompt_key is None:
            raise Bad("", f"expected a prompt in one of {', '.join(PROMPTS)}")
        numbered = {
            key: side_of(key) for key in fields if isinstance(fields[key], str) and key != self.prompt_key
        }
        keys = sorted(
            (key for key, side in numbered.items() if side is not None), key=lambda key: numbered[key]
        )
        self.keys = keys or [key for key in PLAIN_RESPONSES if isinstance(fields.get(key), str)][:1]
        count(len(self.keys), "responses")
        self.prompt = prompt_of(fields[self.prompt_key], self.prompt_key)
        self.responses = tuple(ResponseRecord(text(fields[key], printable(key))) for key in self.keys)
        self.rest = {
            key: value
            for key, value in fields.items()
            if key not in (*self.keys, self.prompt_key) and value is not None
        }
        self.places = {key: place for place, key in enumerate(self.keys)}

    def verdict(self, value: str) -> str | None:
        """a, b or tie for a value that names a side, None for any other."""
        word = value.strip().lower().replace("-", "_")
        if len(self.keys) != 2:
            return None
        if value in self.places:
            return "ab"[self.places[value]]
        if word in FIRST:
            return "a"
        if word in SECOND:
            return "b"
        return "tie" if word in TIES else None


def side_of(key: str) -> int | None:
    """The place a field's name gives a response: 1 to 8, a to h."""
    found = RESPONSE.fullmatch(key.lower())
    if not found:
        return None
    mark = found.group(1)
    return int(mark) - 1 if mark.isdigit() else ord(mark) - ord("a")


class Said:
    """One person's answers to one task, collected question by question."""

    def __init__(self, task: Task):
        self.task = task
        self.verdict: str | None = None
        self.scores: dict[tuple[int, str], ScoreRecord] = {}
        self.answers: dict = {}
        self.reason = ""

    def choose(self, question: str, value) -> None:
        """A choice: the side it names, once, else an answer under the question's name."""
        label = self.task.verdict(value) if isinstance(value, str) and self.verdict is None else None
        if label is None:
            self.keep(question, value)
        else:
            self.verdict = label

    def rate(self, question: str, value, place: int | None) -> None:
        """A rating of one response; of a task's only response where none is named."""
        if place is None and len(self.task.keys) == 1:
            place = 0
        if place is None:
            self.keep(question, value)
            return
        low = 0 if value == 0 else 1
        self.scores[place, question] = ScoreRecord(place, question, number(value, question), low, None)

    def write(self, question: str, value) -> None:
        """A text: the reason where the question asks for one, else an answer."""
        words = "\n".join(text(part, question) for part in (value if isinstance(value, list) else [value]))
        if question.lower() in REASONS and not self.reason:
            self.reason = words
        else:
            self.keep(question, words)

    def keep(self, question: str, value) -> None:
        self.answers[question] = plain(value, question)

    def judgment(self, annotator: str, **more) -> JudgmentRecord:
        return JudgmentRecord(
            annotator,
            comparisons=VERDICTS[self.verdict] if self.verdict else (),
            scores=tuple(self.scores.values()),
            answers=self.answers,
            reason=self.reason,
            **more,
        )


# --- Label Studio ------------------------------------------------------------------------------------------
TASK_KEYS = frozenset(
    """id data annotations predictions drafts meta created_at updated_at project inner_id total_annotations
    cancelled_annotations total_predictions comment_count unresolved_comment_count last_comment_updated_at updated_by
    comment_authors file_upload allow_skip""".split()
)


def is_label_studio(row: dict) -> bool:
    return isinstance(row.get("data"), dict) and isinstance(row.get("annotations"), list)


def read_label_studio(path, mapping=None) -> Iterator[Record | Problem]:
    """Tasks of the full JSON export with their annotations; a cancelled one is a skip."""
    return records(json_rows(path), parse_task)


def parse_task(row: dict, line: int, problems: list[Problem]) -> Record:
    task = Task(row["data"] if type(row.get("data")) is dict else {})
    judgments = []
    for index, entry in enumerate(entries(row.get("annotations"), "annotations")):
        try:
            judgments.append(parse_annotation(entry, task))
        except Bad as bad:
            complaint = bad.within(f"annotations[{index}]")
            problems.append(Problem(line, complaint.field, complaint.message))
    return Record(
        line=line,
        external_id=identifier(row.get("id"), "id"),
        source="label_studio",
        prompt=task.prompt,
        responses=task.responses,
        meta=with_extras(plain(task.rest, "data"), row, TASK_KEYS),
        judgments=tuple(judgments),
    )


def parse_annotation(entry, task: Task) -> JudgmentRecord:
    if type(entry) is not dict:
        raise Bad("", f"expected an annotation, found {shown(entry)}")
    who = entry.get("completed_by")
    if type(who) is dict:
        who = who.get("email") or who.get("id")
    who = name(str(who) if type(who) is int else who, "completed_by")
    created = moment(entry.get("created_at"), "created_at")
    seconds = entry.get("lead_time")
    wall = None if seconds is None else round(number(seconds, "lead_time", 0, 1e8) * 1000)
    if entry.get("was_cancelled") is True:
        return JudgmentRecord(
            who, outcome="skipped", answers={"skip": "not_now"}, created_at=created, wall_ms=wall
        )
    said = Said(task)
    for index, result in enumerate(entries(entry.get("result"), "result")):
        at = f"result[{index}]"
        if type(result) is not dict or type(result.get("value")) is not dict:
            raise Bad(at, "expected a result with a value")
        question = name(result.get("from_name"), f"{at}.from_name", MAX_NAME)
        value, kind = result["value"], result.get("type")
        place = task.places.get(result.get("to_name"))
        try:
            if kind == "pairwise":
                said.choose(question, value.get("selected"))
            elif kind == "choices":
                chosen = entries(value.get("choices"), "choices")
                said.choose(question, chosen[0]) if len(chosen) == 1 else said.keep(question, chosen)
            elif kind == "rating":
                said.rate(question, value.get("rating"), place)
            elif kind == "textarea":
                said.write(question, value.get("text") or "")
            else:
                said.answers.setdefault(question, []).append(plain(value, "value"))
        except Bad as bad:
            raise bad.within(f"{at}.value") from None
    return said.judgment(who, created_at=created, wall_ms=wall)


# --- Argilla -----------------------------------------------------------------------------------------------
RECORD_KEYS = frozenset(
    "id external_id fields responses suggestions metadata vectors status inserted_at updated_at _server_id".split()
)


def is_argilla(row: dict) -> bool:
    return isinstance(row.get("fields"), dict) and isinstance(row.get("responses"), (dict, list))


def read_argilla(path, mapping=None) -> Iterator[Record | Problem]:
    """Records of `to_dict`/`to_json` (answers by question) and of Argilla 1 (answers by person)."""
    return records(json_rows(path), parse_record)


def parse_record(row: dict, line: int, problems: list[Problem]) -> Record:
    task = Task(row["fields"] if type(row.get("fields")) is dict else {})
    judgments = []
    try:
        people, skipped = by_person(row.get("responses"))
    except Bad as bad:
        problems.append(Problem(line, bad.field, bad.message))
        people, skipped = {}, set()
    for who, given in people.items():
        if who in skipped:
            judgments.append(JudgmentRecord(who, outcome="skipped", answers={"skip": "not_now"}))
            continue
        try:
            judgments.append(answered(who, given, task))
        except Bad as bad:
            complaint = bad.within("responses")
            problems.append(Problem(line, complaint.field, complaint.message))
    meta = {**plain(task.rest, "fields"), **meta_object(row.get("metadata"), "metadata")}
    if row.get("suggestions"):
        meta["suggestions"] = plain(row["suggestions"], "suggestions")
    return Record(
        line=line,
        external_id=identifier(row.get("external_id") or row.get("id"), "id"),
        source="argilla",
        prompt=task.prompt,
        responses=task.responses,
        meta=with_extras(meta, row, RECORD_KEYS),
        judgments=tuple(judgments),
    )


def by_person(responses) -> tuple[dict[str, dict], set[str]]:
    """({person: {question: value}}, those who discarded the record)."""
    people: dict[str, dict] = {}
    skipped = set()
    if isinstance(responses, dict):
        for question, given in responses.items():
            for index, entry in enumerate(entries(given, printable(question))):
                if type(entry) is not dict:
                    raise Bad(f"responses.{printable(question)}[{index}]", "expected value and user_id")
                who = name(str(entry.get("user_id") or f"annotator {index + 1}"), "user_id")
                people.setdefault(who, {})[name(question, "question")] = entry.get("value")
                if entry.get("status") == "discarded":
                    skipped.add(who)
        return people, skipped
    for index, entry in enumerate(entries(responses, "responses")):
        if type(entry) is not dict or not isinstance(entry.get("values"), (dict, type(None))):
            raise Bad(f"responses[{index}]", "expected user_id, status and values")
        who = name(str(entry.get("user_id") or f"annotator {index + 1}"), "user_id")
        people[who] = {
            name(question, "question"): value.get("value") if type(value) is dict else value
            for question, value in (entry.get("values") or {}).items()
        }
        if entry.get("status") == "discarded":
            skipped.add(who)
    return people, skipped


def answered(who: str, given: dict, task: Task) -> JudgmentRecord:
    said = Said(task)
    for question, value in given.items():
        if isinstance(value, list) and value and all(type(one) is dict and "rank" in one for one in value):
            rank(said, question, value)
        elif type(value) in (int, float):
            said.rate(*rated_side(question, len(task.keys), value))
        elif isinstance(value, str) and said.verdict is None and task.verdict(value):
            said.choose(question, value)
        elif isinstance(value, str):
            said.write(question, value)
        elif value is not None:
            said.keep(question, value)
    return said.judgment(who)


def rated_side(question: str, responses: int, value: float) -> tuple[str, float, int | None]:
    """(attribute, value, response) where a question's name ends in a response's number: `helpfulness_2`."""
    found = re.fullmatch(r"(.+)[ _-]([1-8])", question)
    if found and int(found.group(2)) <= responses:
        return found.group(1), value, int(found.group(2)) - 1
    return question, value, None


def rank(said: Said, question: str, value: list[dict]) -> None:
    """A ranking of all responses becomes ranks; any other one is kept as it is."""
    ranks = {said.task.places.get(one.get("value")): one["rank"] for one in value}
    if ranks.keys() != set(said.task.places.values()) or not all(type(one) is int for one in ranks.values()):
        said.keep(question, value)
        return
    for place in sorted(ranks):
        best = 1 + sum(other < ranks[place] for other in ranks.values())
        said.scores[place, "rank"] = ScoreRecord(place, "rank", best, 1, None)
