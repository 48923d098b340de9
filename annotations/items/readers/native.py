"""The native JSONL: the full form, read and written without loss; short forms are in `short.py`."""

import json
from collections.abc import Iterator

from . import short
from .checks import (
    Bad,
    count,
    entries,
    flag,
    identifier,
    meta_object,
    milliseconds,
    moment,
    name,
    number,
    optional_text,
    printable,
    prompt_of,
    responses_of,
    scale,
    shown,
    text,
    uuid,
    whole,
    with_extras,
)
from .files import json_rows, records
from .labels import label_of
from .records import (
    KINDS,
    MAX_NAME,
    OUTCOMES,
    TIES,
    CallRecord,
    ComparisonRecord,
    JudgmentRecord,
    Problem,
    Record,
    ResponseRecord,
    ScoreRecord,
)

ITEM_KEYS = frozenset("id source prompt context group responses meta judgments".split())
RESPONSE_KEYS = frozenset(("text", "model", "meta"))
CALL_KEYS = frozenset("order label raw reason meta".split())
JUDGMENT_KEYS = frozenset(
    """id annotator kind outcome comparisons scores answers reason probability order_consistent
    presented_order schema_version guideline_version supersedes propensity created_at active_ms
    wall_ms calls""".split()
)


def read(path, mapping=None) -> Iterator[Record | Problem]:
    """Native rows, full or short, line by line."""
    return records(json_rows(path), parse)


def parse(row: dict, line: int, problems: list[Problem]) -> Record:
    """One native row of any form; raises Bad when the item cannot go in."""
    if "prompt_json" in row:
        row = from_columns(row)
    if "responses" in row:
        return parse_item(row, line, problems)
    if "response_a" in row or "response_b" in row:
        return short.parse_pair(row, line, problems)
    if "chosen" in row or "rejected" in row:
        return short.parse_chosen(row, line, problems)
    if "response" in row:
        return short.parse_ratings(row, line, problems)
    raise Bad(
        "", "expected responses, response_a and response_b, chosen and rejected, or response with ratings"
    )


def from_columns(row: dict) -> dict:
    """A row of our own Parquet files: free objects are JSON text there, and what is absent is null."""
    prompt = row.get("prompt_json")
    made = {key: value for key, value in row.items() if key != "prompt_json"}
    if prompt is not None:
        made["prompt"] = json_text(prompt, "prompt_json")
    elif isinstance(row.get("prompt"), list) and len(row["prompt"]) == 1:
        made["prompt"] = row["prompt"][0].get("content")
    made["meta"] = json_text(row.get("meta"), "meta")
    responses, judgments = (
        entries(row.get("responses"), "responses"),
        entries(row.get("judgments"), "judgments"),
    )
    made["responses"] = [{**one, "meta": json_text(one.get("meta"), "meta")} for one in responses]
    made["judgments"] = [
        {
            **one,
            "answers": json_text(one.get("answers"), "answers"),
            "calls": [
                {**given(call), "meta": json_text(call.get("meta"), "meta")}
                for call in one.get("calls") or ()
            ],
        }
        for one in judgments
    ]
    return made


def json_text(value, field: str):
    """The value of a JSON text; nothing is an empty object."""
    if value is None:
        return {}
    try:
        return json.loads(text(value, field))
    except (ValueError, RecursionError):
        raise Bad(field, "expected JSON text") from None


def parse_item(row: dict, line: int, problems: list[Problem]) -> Record:
    responses = tuple(
        parse_response(entry, f"responses[{index}]")
        for index, entry in enumerate(entries(row["responses"], "responses"))
    )
    count(len(responses), "responses")
    return Record(
        line=line,
        external_id=identifier(row.get("id"), "id"),
        source=optional_text(row.get("source"), "source", MAX_NAME) or "",
        prompt=prompt_of(row.get("prompt")),
        responses=responses,
        context=optional_text(row.get("context"), "context"),
        group=optional_text(row.get("group"), "group"),
        meta=with_extras(meta_object(row.get("meta"), "meta"), row, ITEM_KEYS),
        judgments=short.each(
            row, "judgments", lambda entry: parse_judgment(entry, len(responses)), line, problems
        ),
    )


def parse_response(entry, at: str) -> ResponseRecord:
    if type(entry) is str:
        return responses_of([(at, entry)])[0]
    if type(entry) is not dict:
        raise Bad(at, f"expected an object with text, found {shown(entry)}")
    try:
        return ResponseRecord(
            text(entry.get("text"), "text"),
            optional_text(entry.get("model"), "model", MAX_NAME) or "",
            with_extras(meta_object(entry.get("meta"), "meta"), entry, RESPONSE_KEYS),
        )
    except Bad as bad:
        raise bad.within(at) from None


def parse_judgment(entry, n_responses: int) -> JudgmentRecord:
    """One judgment of the full form. Raises Bad with the field seen from the judgment."""
    if type(entry) is not dict:
        raise Bad("", f"expected an object, found {shown(entry)}")
    get = entry.get
    outcome = one_of(get("outcome", "answered"), "outcome", OUTCOMES)
    compared = [
        parse_comparison(comparison, index, n_responses)
        for index, comparison in enumerate(entries(get("comparisons"), "comparisons"))
    ]
    comparisons = tuple(comparison for comparison, _ in compared)
    unique([(c.first, c.second, c.aspect) for c in comparisons], "comparisons")
    if comparisons and outcome in ("cannot_judge", "skipped"):
        raise Bad("comparisons", f"expected none where the outcome is {outcome}")
    scores = tuple(
        parse_score(score, index, n_responses) for index, score in enumerate(entries(get("scores"), "scores"))
    )
    unique([(score.response, score.attribute) for score in scores], "scores")
    probability = get("probability")
    if probability is not None:
        probability = number(probability, "probability", 0, 1)
        if compared and compared[0][1]:
            probability = 1 - probability
    return JudgmentRecord(
        annotator=name(get("annotator"), "annotator"),
        kind=one_of(get("kind", "human"), "kind", KINDS),
        outcome=outcome,
        id=uuid(get("id"), "id"),
        comparisons=comparisons,
        scores=scores,
        answers=with_source_meta(meta_object(get("answers"), "answers"), entry, JUDGMENT_KEYS),
        reason=optional_text(get("reason"), "reason") or "",
        probability=probability,
        order_consistent=flag(get("order_consistent"), "order_consistent"),
        presented_order=permutation(get("presented_order"), n_responses),
        schema_version=optional_text(get("schema_version"), "schema_version", MAX_NAME),
        guideline_version=optional_text(get("guideline_version"), "guideline_version", MAX_NAME),
        supersedes=uuid(get("supersedes"), "supersedes"),
        propensity=None if get("propensity") is None else number(get("propensity"), "propensity", 0, 1),
        created_at=moment(get("created_at"), "created_at"),
        active_ms=milliseconds(get("active_ms"), "active_ms"),
        wall_ms=milliseconds(get("wall_ms"), "wall_ms"),
        calls=tuple(
            parse_call(call, f"calls[{index}]") for index, call in enumerate(entries(get("calls"), "calls"))
        ),
    )


def with_source_meta(answers: dict, entry: dict, known: frozenset) -> dict:
    """Answers plus the entry's unknown keys under `source_meta`."""
    extras = with_extras({}, entry, known)
    if not extras:
        return answers
    earlier = answers.get("source_meta")
    return {**answers, "source_meta": {**(earlier if type(earlier) is dict else {}), **extras}}


def parse_comparison(entry, index: int, n_responses: int) -> tuple[ComparisonRecord, bool]:
    """The comparison with first < second, and whether it had to be turned round."""
    at = f"comparisons[{index}]"
    if type(entry) is not dict:
        raise Bad(at, f"expected an object, found {shown(entry)}")
    try:
        no_others(entry, "first second aspect preference scale_max tie")
        first = whole(entry.get("first", 0), "first", 0, n_responses - 1)
        second = whole(entry.get("second", 1), "second", 0, n_responses - 1)
        if first == second:
            raise Bad("second", "expected two different responses")
        aspect = name(entry.get("aspect", "overall"), "aspect")
        preference, tie = entry.get("preference"), entry.get("tie")
        if (preference is None) == (tie is None):
            raise Bad("preference", "expected exactly one of preference and tie")
        scale_max = entry.get("scale_max")
        if scale_max is not None or tie is None:
            scale_max = whole(scale_max, "scale_max", 1, 4)
        turned = first > second
        if turned:
            first, second = second, first
        if tie is not None:
            return ComparisonRecord(first, second, aspect, None, scale_max, one_of(tie, "tie", TIES)), turned
        preference = whole(preference, "preference", -scale_max, scale_max)
        if preference == 0:
            raise Bad("preference", "expected a number other than 0; equal responses are a tie")
    except Bad as bad:
        raise bad.within(at) from None
    return ComparisonRecord(
        first, second, aspect, -preference if turned else preference, scale_max, None
    ), turned


def parse_score(entry, index: int, n_responses: int) -> ScoreRecord:
    at = f"scores[{index}]"
    if type(entry) is not dict:
        raise Bad(at, f"expected an object, found {shown(entry)}")
    try:
        no_others(entry, "response attribute value scale")
        low, high = scale(entry.get("scale"), "scale")
        return ScoreRecord(
            whole(entry.get("response", 0), "response", 0, n_responses - 1),
            name(entry.get("attribute"), "attribute"),
            number(entry.get("value"), "value", low, high),
            low,
            high,
        )
    except Bad as bad:
        raise bad.within(at) from None


def parse_call(entry, at: str) -> CallRecord:
    """One model call; raises Bad with the field seen from the judgment."""
    if type(entry) is not dict:
        raise Bad(at, f"expected an object, found {shown(entry)}")
    try:
        return CallRecord(
            one_of(entry.get("order") or "", "order", ("ab", "ba", "")),
            label_of(entry.get("label")),
            optional_text(entry.get("raw"), "raw") or "",
            optional_text(entry.get("reason"), "reason") or "",
            with_extras(meta_object(entry.get("meta"), "meta"), entry, CALL_KEYS),
        )
    except Bad as bad:
        raise bad.within(at) from None


def no_others(entry: dict, known: str) -> None:
    """Refuse keys that a row of typed columns has no place for, instead of losing them."""
    others = entry.keys() - known.split()
    if others:
        raise Bad(printable(sorted(others)[0]), f"expected only {known.replace(' ', ', ')}")


def unique(keys: list[tuple], field: str) -> None:
    if len(keys) > 1 and len(set(keys)) < len(keys):
        raise Bad(field, "expected each one once, found one twice")


def one_of(value, field: str, choices: tuple[str, ...]) -> str:
    if type(value) is not str or value not in choices:
        words = ", ".join(choice or "nothing" for choice in choices)
        raise Bad(field, f"expected one of {words}; found {shown(value)}")
    return value


def permutation(value, n_responses: int) -> tuple[int, ...] | None:
    if value is None:
        return None
    order = entries(value, "presented_order")
    if any(type(index) is not int for index in order) or sorted(order) != list(range(n_responses)):
        raise Bad("presented_order", f"expected each response 0 to {n_responses - 1} once")
    return tuple(order)


def to_native(record: Record) -> dict:
    """The record as one native row, ready for `json.dumps`; fields without a value are left out."""
    row = {
        "id": record.external_id,
        "source": record.source or None,
        "prompt": record.prompt,
        "context": record.context,
        "group": record.group,
        "responses": [
            given({"text": response.text, "model": response.model or None, "meta": response.meta or None})
            for response in record.responses
        ],
        "meta": record.meta or None,
    }
    row = given(row)
    if record.judgments:
        row["judgments"] = [native_judgment(judgment) for judgment in record.judgments]
    return row


def native_judgment(judgment: JudgmentRecord) -> dict:
    created = judgment.created_at
    return given(
        {
            "id": judgment.id,
            "annotator": judgment.annotator,
            "kind": judgment.kind,
            "outcome": judgment.outcome,
            "comparisons": [
                {key: getattr(comparison, key) for key in ComparisonRecord.__slots__}
                for comparison in judgment.comparisons
            ]
            or None,
            "scores": [
                {
                    "response": score.response,
                    "attribute": score.attribute,
                    "value": score.value,
                    "scale": [score.scale_min, score.scale_max],
                }
                for score in judgment.scores
            ]
            or None,
            "answers": judgment.answers or None,
            "reason": judgment.reason or None,
            "probability": judgment.probability,
            "order_consistent": judgment.order_consistent,
            "presented_order": list(judgment.presented_order) if judgment.presented_order else None,
            "schema_version": judgment.schema_version,
            "guideline_version": judgment.guideline_version,
            "supersedes": judgment.supersedes,
            "propensity": judgment.propensity,
            "created_at": created.isoformat().replace("+00:00", "Z") if created else None,
            "active_ms": judgment.active_ms,
            "wall_ms": judgment.wall_ms,
            "calls": [{key: getattr(call, key) for key in CallRecord.__slots__} for call in judgment.calls]
            or None,
        }
    )


def given(row: dict) -> dict:
    return {key: value for key, value in row.items() if value is not None}
