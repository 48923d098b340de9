"""The native short forms: pairs, ratings, chosen/rejected."""

from collections.abc import Callable
from datetime import timedelta

from .checks import (
    Bad,
    entries,
    identifier,
    meta_object,
    milliseconds,
    moment,
    name,
    number,
    one_turn,
    optional_text,
    plain,
    printable,
    prompt_of,
    responses_of,
    scale,
    shown,
    text,
    uuid,
    with_extras,
)
from .labels import label_of, labelled, model_judgment
from .records import MAX_NAME, CallRecord, JudgmentRecord, Problem, Record, ScoreRecord

COMMON = "id prompt context group source meta"
PAIR_KEYS = frozenset(f"{COMMON} response_a response_b model_a model_b human lm".split())
RATING_KEYS = frozenset(f"{COMMON} response ratings system model".split())
CHOSEN_KEYS = frozenset(f"{COMMON} chosen rejected margin".split())
HUMAN_KEYS = frozenset(
    "id annotator label reason accepted_at submitted_at created_at active_ms wall_ms answers".split()
)
LM_KEYS = frozenset("model strategy label order reason raw".split())
RATER_KEYS = frozenset("rater attribute value scale".split())
MILLISECOND = timedelta(milliseconds=1)
FILE_ANNOTATOR = "chosen/rejected file"


def each(row: dict, field: str, parse: Callable, line: int, problems: list[Problem]) -> tuple:
    """Parse a row's list of judgments; a bad one becomes a Problem and the others stay."""
    try:
        found = entries(row.get(field), field)
    except Bad as bad:
        problems.append(Problem(line, bad.field, bad.message))
        return ()
    parsed = []
    for index, entry in enumerate(found):
        try:
            parsed.append(parse(entry))
        except Bad as bad:
            complaint = bad.within(f"{field}[{index}]")
            problems.append(Problem(line, complaint.field, complaint.message))
    return tuple(parsed)


def head_of(row: dict, line: int, meta: dict, responses: tuple, judgments: tuple) -> Record:
    """The record of a row whose judgments and responses are known."""
    context = optional_text(row.get("context"), "context")
    prompt = row.get("prompt")
    if prompt is None and context is not None:
        prompt, context = context, None
    return Record(
        line=line,
        external_id=identifier(row.get("id"), "id"),
        source=optional_text(row.get("source"), "source", MAX_NAME) or "",
        prompt=prompt_of(prompt),
        context=context,
        group=optional_text(row.get("group"), "group"),
        responses=responses,
        meta=meta,
        judgments=judgments,
    )


def parse_pair(row: dict, line: int, problems: list[Problem]) -> Record:
    meta = with_extras(meta_object(row.get("meta"), "meta"), row, PAIR_KEYS)
    people = each(row, "human", parse_human, line, problems)
    return head_of(
        row,
        line,
        meta,
        responses=responses_of(
            [("response_a", row.get("response_a")), ("response_b", row.get("response_b"))],
            models_of(row, meta),
        ),
        judgments=people + parse_models(row, line, problems),
    )


def models_of(row: dict, meta: dict) -> tuple[str, str]:
    """Who wrote the two responses: `model_a` and `model_b`, else `meta.model_pair` as `A_B`."""
    pair = meta.get("model_pair")
    named = pair.split("_") if type(pair) is str and len(pair) <= MAX_NAME else ()
    guess = named if len(named) == 2 else ("", "")
    found = (optional_text(row.get(key), key, MAX_NAME) for key in ("model_a", "model_b"))
    return tuple(given or guessed for given, guessed in zip(found, guess, strict=True))


def parse_human(entry) -> JudgmentRecord:
    """One person's label; times become created_at and wall_ms, unknown keys `answers.source_meta`."""
    if type(entry) is not dict:
        raise Bad("", f"expected an object, found {shown(entry)}")
    get = entry.get
    if "label" not in entry:
        raise Bad("label", "expected a, b, tie or null, found no label")
    submitted = moment(get("submitted_at"), "submitted_at")
    accepted = moment(get("accepted_at"), "accepted_at")
    wall_ms = milliseconds(get("wall_ms"), "wall_ms")
    if wall_ms is None and submitted and accepted and submitted >= accepted:
        wall_ms = milliseconds((submitted - accepted) // MILLISECOND, "submitted_at")
    answers = dict(meta_object(get("answers"), "answers"))
    extras = {}
    for key in entry:
        if key not in HUMAN_KEYS:
            extras[key] = plain(entry[key], printable(text(key, printable(key))))
    if accepted and (not submitted or submitted < accepted):
        extras["accepted_at"] = entry["accepted_at"]
    if extras:
        answers["source_meta"] = extras
    return labelled(
        label_of(entry["label"]),
        name(get("annotator"), "annotator"),
        optional_text(get("reason"), "reason") or "",
        id=uuid(get("id"), "id"),
        answers=answers,
        created_at=moment(get("created_at"), "created_at") or submitted,
        active_ms=milliseconds(get("active_ms"), "active_ms"),
        wall_ms=wall_ms,
    )


def parse_models(row: dict, line: int, problems: list[Problem]) -> tuple[JudgmentRecord, ...]:
    """The `lm` entries as one judgment per (model, strategy); one bad call drops that judgment."""
    calls: dict[str, list[CallRecord]] = {}
    spoilt = set()

    def collect(entry):
        if type(entry) is not dict:
            raise Bad("", f"expected an object, found {shown(entry)}")
        annotator = name(entry.get("model"), "model")
        if entry.get("strategy"):
            annotator = name(f"{annotator} · {name(entry['strategy'], 'strategy')}", "strategy")
        try:
            calls.setdefault(annotator, []).append(parse_call(entry))
        except Bad:
            spoilt.add(annotator)
            raise

    each(row, "lm", collect, line, problems)
    return tuple(
        model_judgment(annotator, found) for annotator, found in calls.items() if annotator not in spoilt
    )


def parse_call(entry: dict) -> CallRecord:
    if "label" not in entry:
        raise Bad("label", "expected a, b, tie or null, found no label")
    order = entry.get("order") or ""
    if order not in ("ab", "ba", ""):
        raise Bad("order", f"expected ab or ba, found {shown(order)}")
    return CallRecord(
        order,
        label_of(entry["label"]),
        optional_text(entry.get("raw"), "raw") or "",
        optional_text(entry.get("reason"), "reason") or "",
        with_extras({}, entry, LM_KEYS),
    )


def parse_chosen(row: dict, line: int, problems: list[Problem]) -> Record:
    if isinstance(row.get("chosen"), list):  # conversational: a prompt of one turn is its text
        row = {**row, "prompt": one_turn(prompt_of(row.get("prompt")))}
    meta = with_extras(meta_object(row.get("meta"), "meta"), row, CHOSEN_KEYS)
    if row.get("margin") is not None:
        meta = {**meta, "vote_margin": number(row["margin"], "margin")}
    return head_of(
        row,
        line,
        meta,
        responses=responses_of([(key, last_turn(row.get(key))) for key in ("chosen", "rejected")]),
        judgments=(labelled("a", FILE_ANNOTATOR),),
    )


def last_turn(value):
    """The text of a response given as one chat message, as TRL's conversational files do."""
    if isinstance(value, list) and len(value) == 1 and type(value[0]) is dict:
        return value[0].get("content")
    return value


def parse_ratings(row: dict, line: int, problems: list[Problem]) -> Record:
    meta = with_extras(meta_object(row.get("meta"), "meta"), row, RATING_KEYS)
    model = optional_text(row.get("model") or row.get("system"), "model", MAX_NAME) or ""
    if row.get("model") and row.get("system"):
        meta = {**meta, "system": plain(row["system"], "system")}
    raters: dict[str, dict[str, ScoreRecord]] = {}
    extras: dict[str, list] = {}
    spoilt = set()

    def collect(entry):
        if type(entry) is not dict:
            raise Bad("", f"expected an object, found {shown(entry)}")
        rater = name(entry.get("rater"), "rater")
        try:
            score = parse_rating(entry)
            if score.attribute in raters.setdefault(rater, {}):
                raise Bad("attribute", f"expected one rating of {shown(score.attribute)}, found another")
            more = with_extras({}, entry, RATER_KEYS)
        except Bad:
            spoilt.add(rater)
            raise
        raters[rater][score.attribute] = score
        if more:
            extras.setdefault(rater, []).append({"attribute": score.attribute, **more})

    each(row, "ratings", collect, line, problems)
    kept = [rater for rater in raters if rater not in spoilt]
    meta, spans = spans_of(meta, kept)
    return head_of(
        row,
        line,
        meta,
        responses=responses_of([("response", row.get("response"))], (model,)),
        judgments=tuple(
            JudgmentRecord(
                rater,
                scores=tuple(raters[rater].values()),
                answers=spans.get(rater, {})
                | ({"source_meta": {"ratings": extras[rater]}} if rater in extras else {}),
            )
            for rater in kept
        ),
    )


def parse_rating(entry: dict) -> ScoreRecord:
    low, high = scale(entry.get("scale"), "scale")
    return ScoreRecord(
        0,
        name(entry.get("attribute"), "attribute"),
        number(entry.get("value"), "value", low, high),
        low,
        high,
    )


def spans_of(meta: dict, raters: list[str]) -> tuple[dict, dict[str, dict]]:
    """Error spans moved from the row to the raters who marked them; the rest stays in meta."""
    marked = meta.get("spans")
    if not isinstance(marked, list):
        return meta, {}
    meta = {key: value for key, value in meta.items() if key != "spans"}
    known, spans, rest = set(raters), {}, []
    for span in marked:
        rater = span.get("rater") if type(span) is dict else None
        if type(rater) is str and rater in known:
            own = spans.setdefault(rater, {"spans": []})["spans"]
            own.append({key: value for key, value in span.items() if key != "rater"})
        else:
            rest.append(span)
    if rest:
        meta["spans"] = rest
    return meta, spans
