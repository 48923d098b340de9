"""What the judging page shows: the desk's states, and the questions as the template draws them.

Nothing here reads a response's model, an item's meta, or a judgment of anybody but the person themself.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from django.db.models import Exists, OuterRef
from django.template import Context
from django.template.loader import get_template
from django.utils import timezone
from django.utils.safestring import SafeString

from annotations.items.models import Item, Response
from annotations.projects import schemas
from annotations.projects.models import Acknowledgement, Annotator, Guideline, Project
from app.web.prepared import Prepared
from app.web.rendering import message_text, render_many

from . import forms, queue
from .answers import Answer, ComparisonAnswer, FieldError, ScoreAnswer
from .counters import ANSWERS
from .models import Assignment, Judgment

LETTERS = "ABCDEFGH"
TIE_WORDS = {"equal": "about equal", "equal_good": "both good", "equal_bad": "both bad"}
STRENGTH_WORDS = {
    1: ("better",),
    2: ("slightly better", "better"),
    3: ("slightly better", "better", "much better"),
}
WIDEST_ROW = 11  # values of a rating shown as buttons; a longer scale is typed
COUNT_UP_TO = 1000


@dataclass(frozen=True, slots=True)
class GuidelineState:
    """The latest guideline version, if there is one, and whether the person has acknowledged it."""

    pk: int | None
    number: int | None
    acknowledged: bool


@dataclass(frozen=True, slots=True)
class Filled:
    """What the person has entered so far, and what is wrong with it."""

    values: forms.Values
    errors: tuple[FieldError, ...] = ()
    uuid: str = ""


def guideline_state(annotator: Annotator) -> GuidelineState:
    """One query: the latest version and this person's acknowledgement of it."""
    row = _GUIDELINE.first(project=annotator.project_id, annotator=annotator.pk)
    return GuidelineState(row[0], row[1], bool(row[2])) if row else GuidelineState(None, None, True)


_GUIDELINE = Prepared(
    lambda project, annotator: (
        Guideline.objects.filter(project_id=project)
        .order_by("-number")
        .values_list(
            "pk",
            "number",
            Exists(Acknowledgement.objects.filter(guideline=OuterRef("pk"), annotator_id=annotator)),
        )[:1]
    )
)
_RESPONSES = Prepared(
    lambda item: Response.objects.filter(item_id=item).order_by("index").values_list("index", "text")
)
LEASE_OF = Prepared(
    lambda pk, annotator: Assignment.objects.select_related("item").filter(pk=pk, annotator_id=annotator)
)


# --- The desk: one region of the page, swapped after each judgment ------------------------------------------


def next_desk(
    annotator: Annotator,
    *,
    csrf_token: str,
    guideline: GuidelineState,
    day: str,
    stored: Judgment | None = None,
) -> str:
    """The region with the person's next item, or why there is none: paused, new guidelines, nothing left.

    `day` counts today's judgments (see `count_day`). `stored` is the judgment just given, which may be undone.
    """
    project = annotator.project
    common = {
        "project": project,
        "csrf_token": csrf_token,
        "day": day,
        "today": day_count(day),
        "stored": stored,
    }
    if project.status != Project.Status.ACTIVE or annotator.status != Annotator.Status.ACTIVE:
        return _render("judging/desk_rest.html", {**common, "state": "paused"})
    if project.schema_id is None:
        return _render("judging/desk_rest.html", {**common, "state": "no_task"})
    if not guideline.acknowledged:
        text = Guideline.objects.values_list("text", flat=True).get(pk=guideline.pk)
        return _render(
            "judging/desk_gate.html", {**common, "guideline": guideline, "text": render_many([text])[0]}
        )
    assignment = queue.next_assignment(annotator)
    if assignment is None:
        return _render("judging/desk_rest.html", {**common, "state": "empty"})
    filled = Filled(assignment.draft) if isinstance(assignment.draft, dict) else None
    return item_desk(
        project=project,
        item=assignment.item,
        presented_order=assignment.presented_order,
        schema_id=project.schema_id,
        filled=filled,
        assignment=assignment,
        guideline=guideline,
        **{key: common[key] for key in ("csrf_token", "day", "stored")},
    )


def item_desk(
    *,
    project: Project,
    item: Item,
    presented_order: str,
    schema_id: int,
    csrf_token: str,
    day: str,
    filled: Filled | None = None,
    assignment: Assignment | None = None,
    correcting: Judgment | None = None,
    guideline: GuidelineState | None = None,
    stored: Judgment | None = None,
    conflict: str = "",
    read_only: str = "",
) -> str:
    """The region with one item: to judge, to correct (`correcting`), or only to read (`read_only` says why)."""
    prompt, panes = _texts(item, presented_order)
    errors = filled.errors if filled else ()
    if filled and (filled.values or errors):
        questions = questions_html(schema_id, presented_order, filled.values, errors)
    else:
        questions = _blank_questions(schema_id, *_layout(presented_order))
    values = filled.values if filled else {}
    return _render(
        "judging/desk_item.html",
        {
            "project": project,
            "csrf_token": csrf_token,
            "day": day,
            "today": day_count(day),
            "stored": stored,
            "item": item,
            "prompt": prompt,
            "panes": panes,
            "n": len(panes),
            "questions": questions,
            "assignment": assignment,
            "correcting": correcting,
            "conflict": conflict,
            "read_only": read_only,
            "schema_id": schema_id,
            "guideline_id": guideline.pk if guideline else None,
            "uuid": (filled.uuid if filled else "") or str(uuid.uuid4()),
            "fresh": not (filled and filled.uuid),
            "drafted_at": assignment.drafted_at if assignment and values else None,
            "timing": {key: (values.get(key) or ["0"])[0] for key in ("active_ms", "wall_ms", "n_changes")},
        },
    )


@lru_cache(maxsize=16)
def _template(name: str):
    return get_template(name).template


def _render(name: str, context: dict) -> str:
    return _template(name).render(Context(context))


def _texts(item: Item, presented_order: str) -> tuple[dict, list[dict]]:
    """The item's prompt, context and responses, rendered, with at most two queries."""
    responses = dict(_RESPONSES.rows(item=item.pk))
    messages = item.prompt if isinstance(item.prompt, list) else [{"role": "user", "content": item.prompt}]
    messages = [m if isinstance(m, dict) else {"content": str(m)} for m in messages]
    texts = [message_text(message) for message in messages]
    shown = [responses.get(int(index), "") for index in presented_order]
    html = render_many([*texts, item.context, *shown])
    prompt = {
        "turns": [
            {"role": str(message.get("role") or "user").capitalize(), "html": each}
            for message, each in zip(messages, html, strict=False)
        ],
        "context": html[len(texts)] if item.context else "",
        "several": len(messages) > 1,
    }
    panes = [
        {"letter": LETTERS[place], "place": place, "html": each}
        for place, each in enumerate(html[len(texts) + 1 :])
    ]
    return prompt, panes


def refusal_desk(project: Project, message: str) -> str:
    """The region where a form belonged to no item of this person: what happened, and the way on."""
    return _render("judging/desk_rest.html", {"project": project, "state": "refused", "message": message})


def first_words(prompt: str | list, longest: int = 160) -> str:
    """The beginning of a prompt as one line of plain text: of a conversation, its last turn."""
    if isinstance(prompt, list):
        prompt = message_text(prompt[-1]) if prompt and isinstance(prompt[-1], dict) else ""
    line = " ".join(prompt[: 4 * longest].split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


# --- Questions ----------------------------------------------------------------------------------------------


def _layout(presented_order: str) -> tuple[int, int, int]:
    n = len(presented_order)
    left, right = forms.compared_places(presented_order) if n > 1 else (0, 0)
    return n, left, right


@lru_cache(maxsize=512)
def _blank_questions(schema_id: int, n: int, left: int, right: int) -> SafeString:
    """The answer bar with nothing filled in: the same for every item of a schema version, so made once."""
    return _questions(schema_id, n, left, right, {}, ())


def questions_html(
    schema_id: int, presented_order: str, values: forms.Values, errors: tuple[FieldError, ...]
) -> SafeString:
    """The answer bar filled with `values`, each error beside its question."""
    return _questions(schema_id, *_layout(presented_order), values, errors)


def _questions(schema_id: int, n: int, left: int, right: int, values: forms.Values, errors) -> SafeString:
    _, definition = schemas.load(schema_id)
    by_name: dict[str, list[str]] = {}
    for error in errors:
        by_name.setdefault(error.field, []).append(error.message)
    rows = [
        _question(question, n, left, right, values, by_name.pop(question.name, []))
        for question in definition.questions
    ]
    outcomes = [
        {
            "value": value,
            "key": key,
            "word": word,
            "title": title,
            "note": (values.get(f"note-{value}") or [""])[0],
            "options": [
                {"value": option.value, "label": option.label, "key": place}
                for place, option in enumerate(options, start=1)
            ],
        }
        for value, key, word, title, options in (
            ("skipped", "s", "Skip", "Skip this item, because", definition.skip),
            ("flagged", "f", "Flag", "Flag this item as", definition.flag),
            ("cannot_judge", "u", "Cannot judge", "This cannot be judged, because", definition.cannot_judge),
        )
        if options
    ]
    other = [message for messages in by_name.values() for message in messages]
    context = {"questions": rows, "outcomes": outcomes, "other_errors": other}
    return SafeString(_render("judging/questions.html", context))


def _question(question, n: int, left: int, right: int, values: forms.Values, errors: list[str]) -> dict:
    field = f"{forms.PREFIX[question.kind]}-{question.name}"

    def is_given(key: str, value: object) -> bool:
        return str(value) in values.get(key, ())

    row: dict = {
        "kind": question.kind,
        "name": question.name,
        "field": field,
        "label": question.label,
        "help": question.help,
        "required": question.required,
        "error": "; ".join(errors),
    }
    if question.kind == "comparison":
        row["options"] = _strengths(question, LETTERS[left], LETTERS[right])
        for option in row["options"]:
            option["checked"] = is_given(field, option["value"])
    elif question.kind in forms.PER_RESPONSE:
        options = _places(question, n)
        row["typed"] = question.kind == "rating" and len(options) > WIDEST_ROW
        if question.kind == "rating":
            row["low"], row["high"] = question.min, question.max
            if question.words:
                row["ends"] = f"{question.min} = {question.words[0]}, {question.max} = {question.words[-1]}"
        row["rows"] = [
            {
                "letter": LETTERS[place],
                "field": f"{field}-{place}",
                "value": (values.get(f"{field}-{place}") or [""])[0],
                "options": [
                    {**option, "checked": is_given(f"{field}-{place}", option["value"])} for option in options
                ],
            }
            for place in range(n)
        ]
    elif question.kind == "choice":
        row["multiple"] = question.multiple
        row["options"] = [
            {
                "value": o.value,
                "words": o.label,
                "key": place if place < 10 else "",
                "checked": is_given(field, o.value),
            }
            for place, o in enumerate(question.options, start=1)
        ]
    else:
        row["value"] = (values.get(field) or [""])[0]
        row["chips"] = question.chips
        row["max_chars"] = question.max_chars
        row["min_chars"] = question.min_chars
    return row


def _strengths(question, left: str, right: str) -> list[dict]:
    """From "A much better" through the ties to "B much better"; values as the page posts them."""
    words = question.words or STRENGTH_WORDS[question.scale_max]
    options = [
        {"value": -strength, "side": left, "words": words[strength - 1], "part": "left"}
        for strength in range(question.scale_max, 0, -1)
    ]
    options += [{"value": tie, "side": "", "words": TIE_WORDS[tie], "part": "tie"} for tie in question.ties]
    options += [
        {"value": strength, "side": right, "words": words[strength - 1], "part": "right"}
        for strength in range(1, question.scale_max + 1)
    ]
    return [{**option, "key": place} for place, option in enumerate(options, start=1)]


def _places(question, n: int) -> list[dict]:
    if question.kind == "thumb":
        return [{"value": 1, "words": "Good", "key": 1}, {"value": 0, "words": "Bad", "key": 2}]
    if question.kind == "ranking":
        return [{"value": place, "words": str(place), "key": place} for place in range(1, n + 1)]
    values = range(question.min, question.max + 1)
    spoken = question.words or [""] * len(values)
    return [
        {"value": value, "words": str(value), "spoken": word, "key": value if 0 <= value <= 9 else ""}
        for value, word in zip(values, spoken, strict=True)
    ]


# --- Counting -----------------------------------------------------------------------------------------------


def day_now(annotator: Annotator) -> str:
    """Today's date and how many judgments the person gave today, as the page carries them: `2026-01-31:12`."""
    return f"{timezone.now():%Y-%m-%d}:{judged_today(annotator)}"


def day_count(day: str) -> int:
    """The number in a `day` text."""
    return int(day.rpartition(":")[2])


def next_day(day: str) -> str | None:
    """The `day` text after one more judgment, without a query; None where the text is not of today."""
    date, _, count = day.rpartition(":")
    if date != f"{timezone.now():%Y-%m-%d}" or not (count.isascii() and count.isdigit() and len(count) < 6):
        return None
    return f"{date}:{int(count) + 1}"


def judged_today(annotator: Annotator) -> int:
    """Current judgments with an answer that the person gave here since midnight UTC; files may bring more."""
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    today = Judgment.objects.filter(
        annotator=annotator, is_current=True, outcome__in=ANSWERS, created_at__gte=midnight
    )
    return today.exclude(origin=Judgment.Origin.IMPORT).count()


def left_for(annotator: Annotator) -> int:
    """How many items the person could judge now, counted up to 1,000."""
    mine = Judgment.objects.filter(item=OuterRef("pk"), annotator=annotator, is_current=True)
    held = Assignment.objects.filter(annotator=annotator, state=Assignment.State.LEASED).count()
    free = Item.objects.filter(project_id=annotator.project_id, open_slots__gt=0).filter(~Exists(mine))
    leased = Assignment.objects.filter(
        item=OuterRef("pk"), annotator=annotator, state=Assignment.State.LEASED
    )
    return min(COUNT_UP_TO, free.filter(~Exists(leased))[:COUNT_UP_TO].count() + held)


# --- Corrections --------------------------------------------------------------------------------------------


def may_correct(judgment: Judgment, project: Project, now: datetime | None = None) -> bool:
    """Whether the person may still correct this judgment of theirs; one that a file brought stays as it was."""
    now = now or timezone.now()
    given_here = judgment.origin != Judgment.Origin.IMPORT
    return (
        given_here
        and judgment.is_current
        and now - judgment.created_at <= timedelta(minutes=project.edit_minutes)
    )


def answer_of(judgment: Judgment) -> Answer:
    """The stored judgment as an Answer, in canonical order."""
    return Answer(
        outcome=judgment.outcome,
        comparisons=tuple(
            ComparisonAnswer(c.first, c.second, c.aspect, c.preference, c.scale_max, c.tie)
            for c in judgment.comparisons.all()
        ),
        scores=tuple(
            ScoreAnswer(s.response, s.attribute, s.value, s.scale_min, s.scale_max)
            for s in judgment.scores.all()
        ),
        answers=judgment.answers,
        reason=judgment.reason,
        presented_order=judgment.presented_order,
    )


def correction_desk(judgment: Judgment, project: Project, *, csrf_token: str, day: str) -> str:
    """The region with an item the person judged before, their answer filled in, to correct or only to read."""
    order = judgment.presented_order or "".join(str(i) for i in range(judgment.item.n_responses))
    _, definition = schemas.load(judgment.schema_id)
    read_only = ""
    if not may_correct(judgment, project):
        read_only = (
            f"Judgments can be changed for {project.edit_minutes} minutes; this one can only be read."
            if judgment.is_current
            else "A later answer of yours replaced this one; it can only be read."
        )
    return item_desk(
        project=project,
        item=judgment.item,
        presented_order=order,
        schema_id=judgment.schema_id,
        csrf_token=csrf_token,
        day=day,
        filled=Filled(forms.to_values(definition, answer_of(judgment), order)),
        correcting=judgment,
        guideline=GuidelineState(judgment.guideline_id, None, True),
        read_only=read_only,
    )
