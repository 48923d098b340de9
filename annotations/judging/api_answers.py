"""Between the API's bodies and an Answer, through the very fields the judging page posts.

What a person sends and reads about their own work stands in displayed order: `response` is a place in the list they
were shown, and a negative preference says that the one further left is better.
"""

from __future__ import annotations

from annotations.projects import schemas
from annotations.projects.models import Acknowledgement, Annotator, TaskSchema
from annotations.projects.schemas import Definition
from app.web.rendering import message_text

from . import arms, forms, free_answers, pages
from .answers import Answer, FieldError, InvalidAnswer
from .models import Assignment, Judgment
from .submit import Conflict, Submitted, submit

REASONS = forms.REASON_KEY


def submit_body(annotator: Annotator, body: dict) -> Submitted:
    """Store the judgment that a checked body (`serializers.NewJudgment`) says, as the judging page would.

    Raises InvalidAnswer naming what is wrong, or Conflict.
    """
    assignment = correcting = None
    if body.get("supersedes") is not None:
        correcting = _own_judgment(annotator, body)
        item, order, schema_id = correcting.item, shown_order(correcting), correcting.schema_id
        _check_window(correcting, annotator, body)
    else:
        assignment = _own_assignment(annotator, body)
        item, order = assignment.item, assignment.presented_order
        schema_id = _schema_id(annotator, body)
    _, definition = schemas.load(schema_id)
    answer = forms.to_answer(definition, to_values(definition, body, order), order, item.n_responses)
    refuse_unasked(body, answer)
    return submit(
        annotator=annotator,
        item_id=item.pk,
        schema_id=schema_id,
        uuid=body["id"],
        answer=answer,
        origin=Judgment.Origin.API,
        assignment_id=assignment.pk if assignment else None,
        guideline_id=_guideline_id(annotator, body),
        supersedes=correcting.uuid if correcting else None,
    )


def refuse_unasked(body: dict, answer: Answer) -> None:
    """Raise InvalidAnswer where the body answers a question that its other answers leave out; a page only hides it."""
    if answer.outcome != Judgment.Outcome.ANSWERED:
        return
    kept = {c.aspect for c in answer.comparisons} | {s.attribute for s in answer.scores} | set(answer.answers)
    said = [c["aspect"] for c in body.get("comparisons") or ()]
    said += [s["attribute"] for s in body.get("scores") or ()]
    said += [name for name, value in (body.get("answers") or {}).items() if free_answers.is_given(value)]
    said += ["reason"] if body.get("reason", "").strip() and not answer.reason else []
    unasked = [name for name in dict.fromkeys(said) if name not in kept]
    if unasked:
        raise InvalidAnswer(
            [FieldError(name, "this question is not asked after the answers before it") for name in unasked]
        )


def _own_assignment(annotator: Annotator, body: dict) -> Assignment:
    found = (
        Assignment.objects.select_related("item").filter(pk=body["assignment"], annotator=annotator).first()
    )
    if found is None:
        raise InvalidAnswer(
            [FieldError("assignment", "This item is not assigned to you; ask for the next one.")]
        )
    return found


def _own_judgment(annotator: Annotator, body: dict) -> Judgment:
    found = (
        Judgment.objects.select_related("item").filter(uuid=body["supersedes"], annotator=annotator).first()
    )
    if found is None:
        raise InvalidAnswer([FieldError("supersedes", "There is no such judgment of yours to correct.")])
    return found


def _check_window(before: Judgment, annotator: Annotator, body: dict) -> None:
    """Raise Conflict for a correction that comes too late; a retry of one that is stored is none."""
    project = annotator.project
    if pages.may_correct(before, project) or Judgment.objects.filter(uuid=body["id"]).exists():
        return
    if pages.is_latest(before):
        raise Conflict(f"Judgments can be changed for {project.edit_minutes} minutes; that is over.")
    raise Conflict("A later answer of yours replaced this one already.")


def _schema_id(annotator: Annotator, body: dict) -> int:
    """The version the body answers, else the one in force."""
    label = body.get("schema_version")
    if not label:
        schema_id = arms.schema_id_for(annotator)
        if schema_id is None:
            raise Conflict("The project asks nothing yet.")
        return schema_id
    number = label.removeprefix("imported-").removeprefix("v")
    if number.isascii() and number.isdigit() and len(number) < 10:
        schema = TaskSchema.objects.filter(project=annotator.project_id, number=int(number)).first()
        if schema is not None and schema.label == label:
            return schema.pk
    raise InvalidAnswer(
        [FieldError("schema_version", f"{label[:40]!r}: this project asks no such questions.")]
    )


def _guideline_id(annotator: Annotator, body: dict) -> int | None:
    """The version the answer was given under: the named one if the person acknowledged it, else their latest."""
    seen = Acknowledgement.objects.filter(annotator=annotator).order_by("-guideline__number")
    if body.get("guideline_version") is not None:
        seen = seen.filter(guideline__number=body["guideline_version"])
    return seen.values_list("guideline_id", flat=True).first()


def to_values(definition: Definition, body: dict, order: str) -> dict[str, list[str]]:
    """The body as the page's form fields. Raises InvalidAnswer for places and names the item does not have."""
    errors: list[FieldError] = []
    outcome = body.get("outcome", Judgment.Outcome.ANSWERED)
    answers = dict(body.get("answers") or {})
    values: dict[str, list[str]] = {}
    for key in ("active_ms", "wall_ms"):
        if body.get(key) is not None:
            values[key] = [str(body[key])]
    reason = body.get("reason", "")
    if outcome in REASONS:
        code = answers.pop(REASONS[outcome], "")
        values["outcome"] = [f"{outcome}:{code if isinstance(code, str) else ''}"]
        values[f"note-{outcome}"] = [reason]
        if body.get("comparisons") or body.get("scores"):
            errors.append(FieldError("outcome", "only an answered judgment carries preferences or scores"))
        errors += [FieldError(name, "only an answered judgment carries answers") for name in answers]
    else:
        _answered(definition, body, order, answers, reason, values, errors)
    if errors:
        raise InvalidAnswer(errors)
    return values


def _answered(
    definition: Definition, body: dict, order: str, answers: dict, reason: str, values: dict, errors: list
) -> None:
    questions = {question.name: question for question in definition.questions}
    kinds = {name: question.kind for name, question in questions.items()}
    for c in body.get("comparisons") or ():
        compared = forms.compared_places(order) if len(order) > 1 else (0, 0)
        if (c.get("first", compared[0]), c.get("second", compared[1])) != compared:
            errors.append(
                FieldError(c["aspect"], f"the responses compared are {compared[0]} and {compared[1]}")
            )
        given = [str(c[key]) for key in ("preference", "tie") if c.get(key) is not None]
        if kinds.get(c["aspect"]) != "comparison":
            errors.append(FieldError(c["aspect"], "this project asks no such comparison"))
        elif len(given) != 1:
            errors.append(FieldError(c["aspect"], "expected a preference or a tie, and not both"))
        values.setdefault(f"c-{c['aspect']}", []).extend(given)
    for s in body.get("scores") or ():
        kind = kinds.get(s["attribute"])
        if kind not in forms.PER_RESPONSE:
            errors.append(FieldError(s["attribute"], "this project asks for no such attribute"))
        elif not 0 <= s["response"] < len(order):
            errors.append(FieldError(s["attribute"], f"response {s['response']}: the item has {len(order)}"))
        else:
            key = f"{forms.PREFIX[kind]}-{s['attribute']}-{s['response']}"
            values.setdefault(key, []).append(f"{s['value']:.15g}")
    for name, value in answers.items():
        if kinds.get(name) not in free_answers.KINDS or name == "reason":
            errors.append(FieldError(name, "this project asks no such question"))
            continue
        wrong = free_answers.problems(questions[name], value, len(order))
        if wrong and free_answers.is_given(value):
            errors += [FieldError(name, words) for words in wrong]
        elif free_answers.is_given(value):
            values |= forms.write_free(questions[name], value)
    if reason and kinds.get("reason") != "text":
        errors.append(FieldError("reason", "this project asks no such question"))
    elif reason:
        values["x-reason"] = [reason]


def shown_order(judgment: Judgment) -> str:
    """The order the person saw, as canonical indices; the stored order where none was recorded."""
    return judgment.presented_order or "".join(str(i) for i in range(judgment.item.n_responses))


def answers_as_displayed(judgment: Judgment) -> dict:
    """The judgment's other answers with responses named by the place the person saw them at."""
    order = [int(index) for index in shown_order(judgment)]
    _, definition = schemas.load(judgment.schema_id)
    shown = dict(judgment.answers)
    for question in definition.questions:
        value = shown.get(question.name)
        if value is None or question.kind not in free_answers.KINDS:
            continue
        if not free_answers.problems(question, value, len(order)):
            shown[question.name] = free_answers.rearranged(question, value, order)
    return shown


def as_displayed(judgment: Judgment) -> tuple[list[dict], list[dict]]:
    """The judgment's comparisons and scores in the order the person saw; the inverse of what they sent."""
    place = {int(index): at for at, index in enumerate(shown_order(judgment))}
    comparisons = []
    for c in judgment.comparisons.all():
        first, second = place[c.first], place[c.second]
        sign = 1 if first < second else -1
        comparisons.append(
            {
                "first": min(first, second),
                "second": max(first, second),
                "aspect": c.aspect,
                "preference": None if c.preference is None else sign * c.preference,
                "scale_max": c.scale_max,
                "tie": c.tie,
            }
        )
    scores = [
        {
            "response": place[s.response],
            "attribute": s.attribute,
            "value": s.value,
            "scale": [s.scale_min, s.scale_max],
        }
        for s in judgment.scores.all()
    ]
    return comparisons, sorted(scores, key=lambda score: (score["attribute"], score["response"]))


def blind_view(assignment: Assignment) -> dict:
    """What a person may know of an item before they answer: texts only, in the order they are shown."""
    item, order = assignment.item, assignment.presented_order
    rows = item.responses.values_list("index", "text", "redacted")
    texts = {index: redacted or text for index, text, redacted in rows}
    schema, _ = schemas.load(arms.schema_id_for(assignment.annotator))
    return {
        "assignment": str(assignment.pk),
        "expires_at": assignment.expires_at,
        "prompt": _messages(item.prompt),
        "context": item.context,
        "responses": [{"text": texts.get(int(index), "")} for index in order],
        "compared": list(forms.compared_places(order)) if len(order) > 1 else None,
        "schema_version": schema.label,
        "definition": schema.definition,
    }


def _messages(prompt: str | list) -> list[dict]:
    """The prompt as messages with a role and a text each, and nothing else that a file may have put there."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    messages = [m if isinstance(m, dict) else {"content": str(m)} for m in prompt]
    return [{"role": str(m.get("role") or "user"), "content": message_text(m)} for m in messages]
