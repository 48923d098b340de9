"""Making items gates: their purpose, and what they are expected to be answered."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Count, F, Q

from annotations.items.models import Item
from annotations.items.routes import slots_expressions
from annotations.projects import schemas
from annotations.projects.models import Project
from annotations.projects.schemas import Definition
from app.accounts import audit
from app.accounts.models import User

from . import gates, locks, queue
from .answers import Answer, ComparisonAnswer, FieldError, InvalidAnswer, check_shape
from .expected import from_json, to_json
from .intervals import wilson
from .models import Assignment, Check, Expectation, Judgment
from .stored import answer_of

PURPOSES = [value for value in Item.Purpose.values if value != Item.Purpose.DATA]
COLUMNS = ("item", "purpose", "expected", "explanation")
MOST_ROWS = 5000


def check_expected(definition: Definition, answer: Answer, n_responses: int) -> Answer:
    """The expected answer, its scales filled in from the questions. Raises InvalidAnswer naming what is not asked."""
    asked = {question.name: question for question in definition.questions}
    errors: list[FieldError] = []
    comparisons = []
    for c in answer.comparisons:
        question = asked.get(c.aspect)
        if question is None or question.kind != "comparison":
            errors.append(FieldError(c.aspect, "this project asks no such comparison"))
            continue
        if c.tie is not None and c.tie not in question.ties:
            errors.append(FieldError(c.aspect, f"{c.tie!r}: this question has no such answer"))
        if c.preference is not None and abs(c.preference) > question.scale_max:
            errors.append(FieldError(c.aspect, f"{c.preference}: at most {question.scale_max}"))
        scale = question.scale_max if c.preference is not None else None
        comparisons.append(ComparisonAnswer(c.first, c.second, c.aspect, c.preference, scale, c.tie))
    for s in answer.scores:
        if s.attribute not in asked or asked[s.attribute].kind not in {"rating", "ranking", "thumb"}:
            errors.append(FieldError(s.attribute, "this project asks for no such attribute"))
    for name in answer.answers:
        if answer.outcome == "answered" and (name not in asked or asked[name].kind != "choice"):
            errors.append(FieldError(name, "only choices can be expected here"))
    made = Answer(
        outcome=answer.outcome,
        comparisons=tuple(comparisons),
        scores=answer.scores,
        answers=answer.answers if answer.outcome == "answered" else {},
    )
    errors = errors or check_shape(made, n_responses)
    if errors:
        raise InvalidAnswer(errors)
    return made


def expectable(definition: Definition, answer: Answer) -> Answer:
    """The part of a full answer that can be expected of others: comparisons, scores and choices."""
    choices = {question.name for question in definition.of_kind("choice")}
    answers = {name: value for name, value in answer.answers.items() if name in choices}
    return Answer(
        outcome=answer.outcome,
        comparisons=answer.comparisons,
        scores=answer.scores,
        answers=answers if answer.outcome == "answered" else {},
    )


def set_gate(
    *,
    item: Item,
    purpose: str,
    answer: Answer,
    actor: User,
    accepted: tuple[Answer, ...] = (),
    strength_within: int | None = None,
    score_within: int = 1,
    explanation: str = "",
) -> Expectation:
    """Make the item a gate of this purpose, or change what it expects; answers given before are checked again.

    The item leaves the queue; its judgments stay, outside the data. Takes the item's lock. Raises ValueError for
    an unknown purpose, InvalidAnswer where the answer does not fit the project's questions.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"purpose {purpose!r}: expected one of {', '.join(PURPOSES)}")
    project = item.project
    if project.schema_id is None:
        raise InvalidAnswer([FieldError("answer", "the project asks nothing yet")])
    definition = schemas.load(project.schema_id)[1]
    wanted, *further = (check_expected(definition, a, item.n_responses) for a in (answer, *accepted))
    with transaction.atomic():
        item = locks.lock_item(item.pk)
        before = item.purpose
        _set_purpose(item, purpose)
        expectation, _ = Expectation.objects.update_or_create(
            item=item,
            defaults={
                "answer": to_json(wanted),
                "accepted": [to_json(each) for each in further],
                "strength_within": strength_within,
                "score_within": score_within,
                "explanation": explanation,
                "created_by": actor,
            },
        )
        _check_again(expectation)
        audit.record(
            actor=actor,
            action="item.made_gate",
            scope=project.slug,
            target=str(item),
            item=item.pk,
            before=before,
            after=purpose,
        )
    _end_leases(item)
    return expectation


def clear_gate(*, item: Item, actor: User) -> Item:
    """Make a gate item data again; what it expected is forgotten, answers given to the gate stay aside."""
    with transaction.atomic():
        item = locks.lock_item(item.pk)
        if item.purpose == Item.Purpose.DATA:
            return item
        before = item.purpose
        _set_purpose(item, Item.Purpose.DATA)
        Expectation.objects.filter(item=item).delete()
        audit.record(
            actor=actor,
            action="item.made_data",
            scope=item.project.slug,
            target=str(item),
            item=item.pk,
            before=before,
        )
    return item


def _set_purpose(item: Item, purpose: str) -> None:
    if item.purpose == purpose:
        return
    Item.objects.filter(pk=item.pk).update(purpose=purpose)
    Item.objects.filter(pk=item.pk).update(**slots_expressions())
    Project.objects.filter(pk=item.project_id).update(queue_epoch=F("queue_epoch") + 1)
    item.purpose = purpose


def _end_leases(item: Item) -> None:
    """Give back live leases from before the item was a gate; it has no open slot, so nobody leases it meanwhile."""
    held = [Assignment.State.LEASED, Assignment.State.RESERVED]
    leases = Assignment.objects.filter(item=item, state__in=held, purpose=Assignment.Purpose.DATA)
    for lease in leases.select_related("annotator"):
        queue.release(assignment_id=lease.pk, annotator=lease.annotator, for_good=True)


def _check_again(expectation: Expectation) -> None:
    """Bring the checks of answers given to the item in line with what is expected now."""
    given = Judgment.objects.filter(gate_check__isnull=False, item=expectation.item_id).exclude(
        aside=Judgment.Aside.REPEAT
    )
    for judgment in given.prefetch_related("comparisons", "scores"):
        passed = gates.fits_expectation(expectation, answer_of(judgment), judgment.schema_id)
        Check.objects.filter(judgment=judgment).update(passed=passed)


def answer_from_judgment(judgment: Judgment) -> Answer:
    """What a judgment said, as an expectation."""
    return expectable(schemas.load(judgment.schema_id)[1], answer_of(judgment))


# --- From a file --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class GateFile:
    """What a file of gates asks for: (line, item, purpose, expected answer, explanation); and what is wrong."""

    rows: list[tuple[int, Item, str, Answer, str]] = field(default_factory=list)
    errors: list[tuple[int, str, str]] = field(default_factory=list)
    """(line, column, what was expected)."""


def read_gates(project: Project, text: str) -> GateFile:
    """Read CSV with the columns item (id), purpose, expected (`a`, `b`, a tie's name, a signed strength, or JSON)
    and, if wanted, explanation. Every row that cannot be used is an error with its line."""
    found = GateFile()
    definition = schemas.load(project.schema_id)[1] if project.schema_id else None
    reader = csv.DictReader(io.StringIO(text))
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    missing = [name for name in COLUMNS[:3] if name not in names]
    if missing or definition is None:
        found.errors.append((1, ", ".join(missing) or "expected", "this column is missing"))
        return found
    reader.fieldnames = names
    for row in reader:
        line = reader.line_num
        if len(found.rows) + len(found.errors) >= MOST_ROWS:
            found.errors.append((line, "item", f"more than {MOST_ROWS:,} rows; split the file"))
            return found
        value = {name: (row.get(name) or "").strip() for name in COLUMNS}
        item = _item_named(project, value["item"])
        if item is None:
            found.errors.append((line, "item", f"{value['item'][:60]!r}: the project has no such item"))
            continue
        if value["purpose"].lower() not in PURPOSES:
            found.errors.append((line, "purpose", f"expected one of {', '.join(PURPOSES)}"))
            continue
        try:
            answer = check_expected(definition, _expected(definition, value["expected"]), item.n_responses)
        except InvalidAnswer as error:
            found.errors += [(line, "expected", f"{e.field}: {e.message}") for e in error.errors]
            continue
        found.rows.append((line, item, value["purpose"].lower(), answer, value["explanation"]))
    return found


def apply_gates(*, found: GateFile, actor: User) -> int:
    """Make the items of the file gates; returns how many."""
    for _, item, purpose, answer, explanation in found.rows:
        set_gate(item=item, purpose=purpose, answer=answer, explanation=explanation, actor=actor)
    return len(found.rows)


def _item_named(project: Project, name: str) -> Item | None:
    if not name:
        return None
    items = Item.objects.filter(project=project).select_related("project")
    named = items.filter(external_id=name).order_by("pk").first()
    if named is None and name.isascii() and name.isdigit() and len(name) <= 18:
        named = items.filter(pk=int(name)).first()
    return named


def _expected(definition: Definition, text: str) -> Answer:
    """A short or JSON expectation. Raises InvalidAnswer."""
    if text.startswith("{"):
        try:
            return from_json(json.loads(text))
        except json.JSONDecodeError as error:
            raise InvalidAnswer([FieldError("expected", f"not JSON: {error.msg}")]) from None
    comparisons = definition.of_kind("comparison")
    if not comparisons:
        raise InvalidAnswer([FieldError("expected", "this project compares nothing; give JSON")])
    aspect, ties = comparisons[0].name, comparisons[0].ties
    word = text.lower()
    if word in {"a", "b"}:
        return Answer(comparisons=(ComparisonAnswer(0, 1, aspect, -1 if word == "a" else 1, 1),))
    if word in {"tie", "equal", "equal_good", "equal_bad"}:
        tie = word if word in ties else next((t for t in ties if t == "equal"), next(iter(ties), word))
        return Answer(
            comparisons=(ComparisonAnswer(0, 1, aspect, tie=tie if word != "tie" or ties else word),)
        )
    try:
        strength = int(word)
    except ValueError:
        strength = 0
    if not strength:
        raise InvalidAnswer(
            [FieldError("expected", f"{text[:40]!r}: expected a, b, a tie, a strength other than 0, or JSON")]
        )
    return Answer(comparisons=(ComparisonAnswer(0, 1, aspect, strength, None),))


# --- Looking at them ----------------------------------------------------------------------------------------


def some_answer(answer: Answer) -> Answer:
    """The answer, if it says anything. Raises InvalidAnswer."""
    if answer.outcome == "answered" and not (answer.comparisons or answer.scores or answer.answers):
        raise InvalidAnswer([FieldError("", "say at least one answer that is expected")])
    return answer


def count_gates(project: Project) -> dict[str, int]:
    """How many items of each purpose the project has that people can be given."""
    rows = Item.objects.filter(project=project, withdrawn_at__isnull=True, expectation__isnull=False)
    rows = rows.exclude(purpose=Item.Purpose.DATA).order_by().values_list("purpose")
    return dict.fromkeys(PURPOSES, 0) | dict(rows.annotate(n=Count("pk")))


def gold_passed(project: Project) -> dict | None:
    """The share of the answers to gold that were as expected; None where nobody answered any."""
    checks = Check.objects.filter(annotator__project=project, kind=Judgment.Aside.GOLD)
    found = checks.aggregate(n=Count("pk"), right=Count("pk", filter=Q(passed=True)))
    return wilson(found["right"], found["n"])


def with_results(items: list[Item]) -> list[tuple[Item, dict | None]]:
    """Each gate item with the share of answers that passed it."""
    rows = Check.objects.filter(judgment__item__in=[item.pk for item in items]).exclude(
        kind=Judgment.Aside.REPEAT
    )
    rows = rows.order_by().values_list("judgment__item")
    found = {
        pk: wilson(right, n)
        for pk, n, right in rows.annotate(n=Count("pk"), right=Count("pk", filter=Q(passed=True)))
    }
    return [(item, found.get(item.pk)) for item in items]
