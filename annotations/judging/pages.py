"""What the judging page shows: the desk's states. Its answer bar is made in `questions`.

Nothing here reads a response's model, an item's meta, or a judgment of anybody but the person themself.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from annotations.items import media
from annotations.items.models import Batch, Item, Response
from annotations.projects import schemas
from annotations.projects.models import Acknowledgement, Annotator, CriteriaRelease, Guideline, Project
from app.web.numbers import grouped
from app.web.prepared import Prepared
from app.web.rendering import message_text, render_many

from . import arms, drafts, forms, gates, interface, limits, locks, nothing_left, queue, stops, timing
from .answers import FieldError
from .counters import ANSWERS
from .expected import from_json
from .limits import judged_today
from .models import Assignment, Judgment
from .pools import parts_for
from .questions import LETTERS, blank_questions, questions_html, render
from .said import in_words
from .stored import answer_of

COUNT_UP_TO = 1000
UNDO_MINUTES = 2  # a slip can be taken back and given again even where corrections are off


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
    lambda item: (
        Response.objects.filter(item_id=item).order_by("index").values_list("index", "text", "redacted")
    )
)
_BATCH = Prepared(lambda pk: Batch.objects.filter(pk=pk))
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
    stop = stops.why_not(annotator, "before")
    if stop is not None:
        return render("judging/desk_stop.html", {**common, "stop": stop})
    if stopped := why_stopped(annotator):
        return render("judging/desk_rest.html", {**common, **stopped})
    if project.schema_id is None:
        return render("judging/desk_rest.html", {**common, "state": "no_task"})
    if not guideline.acknowledged:
        text = Guideline.objects.values_list("text", flat=True).get(pk=guideline.pk)
        return render(
            "judging/desk_gate.html", {**common, "guideline": guideline, "text": render_many([text])[0]}
        )
    assignment = queue.next_assignment(annotator)
    if assignment is None:
        if gates.has_gates(project):
            annotator.refresh_from_db(fields=["status", "stage", "note"])
        stop = stops.why_not(annotator, "empty")
        if stop is not None:
            return render("judging/desk_stop.html", {**common, "stop": stop})
        if limit := limits.reached(annotator):
            state: dict = {"state": "limit", "limit": limit}
        else:
            state = {"state": "empty", "why": nothing_left.reason(annotator)}
        return render("judging/desk_rest.html", {**common, **state, **why_stopped(annotator)})
    filled = Filled(assignment.draft) if isinstance(assignment.draft, dict) else None
    return item_desk(
        project=project,
        item=assignment.item,
        presented_order=assignment.presented_order,
        schema_id=arms.schema_id_for(annotator),
        filled=filled,
        assignment=assignment,
        criteria=arms.criteria_for(annotator),
        guideline=guideline,
        **{key: common[key] for key in ("csrf_token", "day", "stored")},
    )


def why_stopped(annotator: Annotator) -> dict:
    """What the resting page says where the project or the person's part in it is stopped, empty where it is not."""
    if annotator.project.status != Project.Status.ACTIVE:
        return {"state": "paused"}
    if annotator.stage == Annotator.Stage.FAILED:
        return {"state": "not_qualified", "message": _note(annotator)}
    if annotator.status != Annotator.Status.ACTIVE:
        return {"state": "person_paused", "message": _note(annotator)}
    return {}


def _note(annotator: Annotator) -> str:
    """Why the person is stopped: a rule's own words in the person's language, a researcher's as they wrote them."""
    return gettext(annotator.note) if annotator.note else ""  # the empty text is the catalogue's head


def explanation_desk(judgment: Judgment, annotator: Annotator, *, csrf_token: str, day: str) -> str:
    """The region after a training item: what is expected, whether the answer fits, and why."""
    answered = answer_of(judgment)
    wanted = gates.expectation_of(judgment.item_id)
    _, definition = schemas.load(judgment.schema_id)
    order = judgment.presented_order
    prompt, panes = item_texts(judgment.item, order, annotator.project.slug)
    return render(
        "judging/desk_explained.html",
        {
            "project": annotator.project,
            "csrf_token": csrf_token,
            "day": day,
            "today": day_count(day),
            "prompt": prompt,
            "panes": panes,
            "n": len(panes),
            "passed": wanted is not None and gates.fits_expectation(wanted, answered, judgment.schema_id),
            "given": in_words(definition, answered, order),
            "expected": in_words(definition, from_json(wanted.answer), order) if wanted else [],
            "explanation": render_many([wanted.explanation])[0] if wanted and wanted.explanation else "",
        },
    )


_ROLES = {
    "user": gettext_lazy("User"),
    "assistant": gettext_lazy("Assistant"),
    "system": gettext_lazy("System"),
}
_STAGE_NOTES = {
    Assignment.Purpose.TRAINING: gettext_lazy(
        "Practice: after your answer you see what this project expects, and why."
    ),
    Assignment.Purpose.QUALIFICATION: gettext_lazy("This item belongs to the qualification test."),
}


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
    criteria: CriteriaRelease | None = None,
) -> str:
    """The region with one item: to judge, to correct (`correcting`), or only to read (`read_only` says why)."""
    definition = schemas.load(schema_id)[1]
    prompt, panes = item_texts(item, presented_order, project.slug)
    errors = filled.errors if filled else ()
    if filled and (filled.values or errors):
        questions = questions_html(schema_id, presented_order, filled.values, errors)
    else:
        questions = blank_questions(schema_id, presented_order)
    values = filled.values if filled else {}
    return render(
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
            "layout": definition.layout,
            "may_skip": bool(definition.skip) and not read_only,
            "warning": _warning(item) if item.batch_id is not None else None,
            "n": len(panes),
            "questions": questions,
            "assignment": assignment,
            "correcting": correcting,
            "conflict": conflict,
            "stage_note": _STAGE_NOTES.get(assignment.purpose, "") if assignment else "",
            "read_only": read_only,
            "schema_id": schema_id,
            "criteria": criteria,
            "guideline_id": guideline.pk if guideline else None,
            "uuid": (filled.uuid if filled else "") or str(uuid.uuid4()),
            "fresh": not (filled and filled.uuid),
            "drafted_ms": drafts.stamp(assignment.drafted_at) if assignment and values else None,
            "timing": timing.fields(values, project),
            "page_version": interface.version(),
        },
    )


def item_texts(item: Item, presented_order: str, slug: str) -> tuple[dict, list[dict]]:
    """The item's prompt and context, and its responses in the order shown: rendered HTML, with at most two queries.

    The prompt is `{"turns": [{"role", "html"}], "context", "several"}`, a response `{"letter", "place", "html"}`.
    `slug` names the project whose media the texts may show.
    """
    responses = {index: redacted or text for index, text, redacted in _RESPONSES.rows(item=item.pk)}
    messages = item.prompt if isinstance(item.prompt, list) else [{"role": "user", "content": item.prompt}]
    messages = [m if isinstance(m, dict) else {"content": str(m)} for m in messages]
    texts = [message_text(message) for message in messages]
    shown = [responses.get(int(index), "") for index in presented_order]
    html = media.shown(slug, render_many([*texts, item.context, *shown]))
    prompt = {
        "turns": [
            {"role": _role(message), "html": each} for message, each in zip(messages, html, strict=False)
        ],
        "context": html[len(texts)] if item.context else "",
        "several": len(messages) > 1,
    }
    panes = [
        {"letter": LETTERS[place], "place": place, "html": each}
        for place, each in enumerate(html[len(texts) + 1 :])
    ]
    return prompt, panes


def stored_texts(item: Item) -> list[str]:
    """The responses' texts as people see them, in stored order: what a rewrite starts from."""
    return [redacted or text for _, text, redacted in _RESPONSES.rows(item=item.pk)]


def _role(message: dict) -> str:
    """Who speaks in a turn of the conversation, as its head says it."""
    role = str(message.get("role") or "user")
    return str(_ROLES.get(role) or role.capitalize())


def _warning(item: Item) -> dict | None:
    """The content warning of the item's batch, where it has one: one query, for items in a batch only."""
    batch = _BATCH.first(pk=item.batch_id)
    if batch is None or not batch.warning.strip():
        return None
    return {"html": render_many([batch.warning])[0], "key": f"plumbline.shown.{batch.pk}"}


def refusal_desk(project: Project, message: str) -> str:
    """The region where a form belonged to no item of this person: what happened, and the way on."""
    return render("judging/desk_rest.html", {"project": project, "state": "refused", "message": message})


def first_words(prompt: str | list, longest: int = 160) -> str:
    """The beginning of a prompt as one line of plain text: of a conversation, its last turn."""
    if isinstance(prompt, list):
        prompt = message_text(prompt[-1]) if prompt and isinstance(prompt[-1], dict) else ""
    line = " ".join(prompt[: 4 * longest].split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


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


def judged_in_all(annotator: Annotator) -> int:
    """How many answers the person gave, as they may know it: gold and repeats included."""
    if not gates.has_gates(annotator.project):
        return annotator.n_judged
    hidden = Judgment.objects.filter(
        annotator=annotator, aside__in=gates.HIDDEN, superseded_by=None, outcome__in=ANSWERS
    )
    return annotator.n_judged + hidden.count()


def left_words(annotator: Annotator, left: int) -> str:
    """The number of items left as the person reads it: in rough steps where gates hide among them, since a number
    that stands still after an answer would show a gate."""
    if left and gates.has_gates(annotator.project):
        return gettext("about {n}").format(n=grouped(max(10, round(left, -1))))
    return f"{grouped(left)}{'+' if left >= COUNT_UP_TO else ''}"


def left_for(annotator: Annotator) -> int:
    """How many items the person could judge now, counted up to 1,000: open to them, given by hand, or held."""
    if limits.reached(annotator) is not None:
        return 0
    n = annotator.n_assigned
    n += Assignment.objects.filter(annotator=annotator, state=Assignment.State.LEASED).count()
    for part in parts_for(annotator):
        if n >= COUNT_UP_TO:
            break
        n += locks.open_items(annotator.pk, annotator.project_id, part)[: COUNT_UP_TO - n].count()
    return min(COUNT_UP_TO, n)


# --- Corrections --------------------------------------------------------------------------------------------


def may_correct(judgment: Judgment, project: Project, now: datetime | None = None) -> bool:
    """Whether the person may still correct this judgment of theirs; one that a file brought stays as it was."""
    now = now or timezone.now()
    given_here = judgment.origin != Judgment.Origin.IMPORT
    return (
        given_here
        and judgment.aside in {Judgment.Aside.NO, *gates.HIDDEN}
        and now - judgment.created_at <= timedelta(minutes=max(project.edit_minutes, UNDO_MINUTES))
        and is_latest(judgment)
    )


def is_latest(judgment: Judgment) -> bool:
    """Whether this is the person's last word on the item: what they may not tell from it is whether it is data."""
    if judgment.aside:
        return not Judgment.objects.filter(supersedes=judgment).exists()
    return judgment.is_current


def correction_desk(judgment: Judgment, project: Project, *, csrf_token: str, day: str) -> str:
    """The region with an item the person judged before, their answer filled in, to correct or only to read."""
    order = judgment.presented_order or "".join(str(i) for i in range(judgment.item.n_responses))
    _, definition = schemas.load(judgment.schema_id)
    answered = answer_of(judgment)
    read_only = ""
    if not may_correct(judgment, project):
        read_only = (
            gettext("Judgments can be changed for {n} minutes; this one can only be read.").format(
                n=project.edit_minutes
            )
            if is_latest(judgment)
            else gettext("A later answer of yours replaced this one; it can only be read.")
        )
        if answered.outcome != "answered":
            said = gettext("Your answer: {words}.").format(words=in_words(definition, answered)[0].lower())
            read_only += f" {said}"
    return item_desk(
        project=project,
        item=judgment.item,
        presented_order=order,
        schema_id=judgment.schema_id,
        csrf_token=csrf_token,
        day=day,
        filled=Filled(forms.to_values(definition, answered, order)),
        correcting=judgment,
        guideline=GuidelineState(judgment.guideline_id, None, True),
        read_only=read_only,
    )
