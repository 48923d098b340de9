"""Interviews about criteria that pull apart: the manager asks a person up to four times and drafts a card from the answers.

After moral graph elicitation (Klingefjord, Lowe & Edelman 2024, arXiv 2404.10636). Train pairs alone are talked about, as
the manager sees no others; which response a criterion favours is not said, so that nobody is anchored.
"""

from __future__ import annotations

import hashlib

import numpy as np
from django.db import IntegrityError, transaction

from annotations.projects.models import Annotator, Project
from app.jobs import runner

from . import conflicts, lab, material, offers
from .consulting import TEXT, Consultation, clean, object_of
from .judging import CannotJudge, NoMoney
from .models import Card, Criterion, GroupSplit, Interview, Item, Lab

KIND = "conflicts.ask"  # beside the lab's own jobs, which run one at a time
MOST_ANSWERS = 4
MOST_CHARS, CASE_CHARS = 2000, 2500
ROLE = "You interview people about what makes a response better, and you have no opinion of your own."


class BadInterview(ValueError):
    """This cannot be done; the text says why."""


def is_offered(the_lab: Lab) -> bool:
    """Whether people may be interviewed: somebody who may spend the lab's money has switched it on."""
    return the_lab.interviews and the_lab.manager is not None


def open_of(project: Project, person: Annotator) -> Interview | None:
    rows = Interview.objects.filter(project=project, annotator=person, state__in=Interview.OPEN)
    return rows.select_related("criterion__current", "rival__current", "item").first()


def start(*, project: Project, person: Annotator) -> Interview:
    """Open the talk with a question that costs nothing. One that is open already is given back. Raises BadInterview."""
    if not is_offered(lab.lab_of(project)):
        raise BadInterview("No interviews here: they are off, or the lab has no model as manager.")
    if (current := open_of(project, person)) is not None:
        return current
    tension = _tension(project, person)
    if tension is None:
        raise BadInterview("Two criteria have to be in force before they can pull apart.")
    one, other, item_id = tension
    where = "For this prompt," if item_id else "Think of a kind of prompt where"
    question = (
        f"{where} “{one.name}” and “{other.name}” pull apart. Which should count more, and what makes it so?"
    )
    try:
        with transaction.atomic():
            return Interview.objects.create(
                project=project, annotator=person, criterion=one, rival=other, item_id=item_id,
                turns=[{"who": "model", "text": question}],
            )  # fmt: skip
    except IntegrityError:  # two clicks
        return open_of(project, person)


def _tension(project: Project, person: Annotator) -> tuple[Criterion, Criterion, int | None] | None:
    """Two criteria and a train pair on which they say the opposite: first those that nobody was asked about, then any."""
    criteria = offers.asked_criteria(project)
    if len(criteria) < 2:
        return None
    seen = set(Interview.objects.filter(project=project).values_list("item_id", flat=True))
    train = set(GroupSplit.objects.filter(project=project, split="train").values_list("group", flat=True))
    items = Item.objects.in_bulk(offers.pool(project, 2))
    ids = [pk for pk, item in items.items() if pk not in seen and material.group_key(item) in train]
    V = offers.verdicts_of([c.current_id for c in criteria], ids)
    apart = [
        (i, j, k)
        for i in range(len(criteria))
        for j in range(i)
        for k in np.flatnonzero(V[:, i] * V[:, j] < 0)
    ]
    seed = int.from_bytes(
        hashlib.blake2b(f"{project.seed}:{person.pk}:{len(seen)}".encode(), digest_size=4).digest()
    )
    rng = np.random.default_rng(seed)
    if not apart:
        i, j = rng.choice(len(criteria), 2, replace=False)
        return criteria[i], criteria[j], None
    i, j, k = apart[int(rng.integers(len(apart)))]
    return criteria[i], criteria[j], ids[k]


@transaction.atomic
def answer(*, interview: Interview, text: str, actor=None) -> Interview:
    """Store the person's answer and let the model think as a Job. Raises BadInterview. Locks the interview."""
    text = text.strip()[:MOST_CHARS]
    if not text:
        raise BadInterview("Say something, in a sentence or two.")
    current = Interview.objects.select_for_update().get(pk=interview.pk)
    if current.state != Interview.State.ASKED:
        raise BadInterview("This question was answered already.")
    current.turns = [*current.turns, {"who": "person", "text": text}]
    current.state = Interview.State.WAITING
    current.save(update_fields=["turns", "state"])
    runner.start(
        kind=KIND, title="An interview about criteria", args={"interview_id": current.pk},
        scope=current.project.slug, actor=actor,
    )  # fmt: skip
    return current


def drop(interview: Interview) -> None:
    """End it without a card; what was said stays for the record."""
    Interview.objects.filter(pk=interview.pk, state__in=Interview.OPEN).update(state=Interview.State.DROPPED)


def forget_erased(project: Project) -> None:
    """Delete the talks of people who were erased: they are in a person's own words and serve nobody else."""
    gone = Annotator.objects.filter(project=project, status=Annotator.Status.REMOVED, user=None)
    Interview.objects.filter(project=project, annotator__in=gone).delete()


def save_card(*, interview: Interview, criterion_id: int, context: str, text: str) -> Card:
    """The draft as the person edited it becomes their card. Raises conflicts.BadCard."""
    with transaction.atomic():
        current = Interview.objects.select_for_update().get(pk=interview.pk)
        if current.state not in Interview.OPEN:
            raise conflicts.BadCard("This interview is over.")
        current.card = conflicts.add_card(
            project=current.project, person=current.annotator, criterion_id=criterion_id, context=context, text=text,
            item=current.item,
        )  # fmt: skip
        current.state = Interview.State.SAVED
        current.save(update_fields=["card", "state"])
    return current.card


# --- What the model is asked --------------------------------------------------------------------------------------
def think(interview_id: int) -> dict:
    """Ask the manager once: another question, or the draft of a card. Where it cannot be asked, the answers are the draft.

    Makes a model call: outside any transaction. Raises BadInterview where nothing waits for it.
    """
    found = Interview.objects.select_related("project", "criterion__current", "rival__current", "item")
    interview = found.filter(pk=interview_id, state=Interview.State.WAITING).first()
    if interview is None:
        raise BadInterview("Nothing waits for the model here.")
    consulting = Consultation(lab.lab_of(interview.project), None, ROLE)
    reply, stopped = None, ""
    try:
        if not is_offered(consulting.lab):
            raise CannotJudge("Interviews were switched off.")
        reply = _ask(consulting, interview)
        stopped = "" if reply else "The interviewer's reply could not be read."
    except (CannotJudge, NoMoney) as error:
        stopped = str(error)[:300]
    answers = [t["text"] for t in interview.turns if t["who"] == "person"]
    question = clean((reply or {}).get("question"), 500)
    changes: dict = {"stopped": stopped, "cost_micros": interview.cost_micros + consulting.cost_micros}
    if question and reply["enough"] == "no" and len(answers) < MOST_ANSWERS:
        changes |= {
            "turns": [*interview.turns, {"who": "model", "text": question}],
            "state": Interview.State.ASKED,
        }
    else:
        changes |= {"draft": _draft(interview, reply, answers), "state": Interview.State.DRAFTED}
    Interview.objects.filter(pk=interview.pk, state=Interview.State.WAITING).update(**changes)
    return {"cost_micros": consulting.cost_micros, "stopped": stopped}


def _draft(interview: Interview, reply: dict | None, answers: list[str]) -> dict:
    reply = reply or {}
    named = clean(reply.get("criterion"), 120).lower()
    winner = interview.rival if named == interview.rival.name.lower() else interview.criterion
    return {
        "criterion": winner.pk,
        "context": clean(reply.get("context"), 200),
        "text": clean(reply.get("text"), MOST_CHARS) or "\n\n".join(answers),
    }


def _ask(consulting: Consultation, interview: Interview) -> dict | None:
    asked = sum(t["who"] == "person" for t in interview.turns)
    document = {
        "task": "interview",
        "criteria": [
            {"name": c.name, "description": c.current.wording} for c in (interview.criterion, interview.rival)
        ],
        "talk": interview.turns,
        "answers_left": MOST_ANSWERS - asked,
    }
    if interview.item is not None:
        shown = offers.show(interview.item_id, interview.annotator)
        document["prompt"] = material.prompt_text(interview.item.prompt)[:CASE_CHARS]
        document["responses"] = {
            side: shown.texts[k][:CASE_CHARS] for side, k in zip("AB", shown.order, strict=False)
        }
    names = [interview.criterion.name, interview.rival.name]
    schema = object_of(
        {"enough": {"type": "string", "enum": ["yes", "no"]}, "question": TEXT,
         "criterion": {"type": "string", "enum": names}, "context": TEXT, "text": TEXT}
    )  # fmt: skip
    task = (
        "A person says which of two criteria should count more for a kind of prompt. Find out what they attend to, not what "
        "they would accept: ask in `question` one short, open question about what they said last, without praise, "
        "without proposing an answer, without repeating a question. `enough` is yes once the talk says for which kind of "
        "prompt which criterion should win and why, or if `answers_left` is 0. Then write the person's case: "
        "`criterion` the one that should win by what they said, `context` the kind of prompt in a few words, `text` "
        "their reason in two or three sentences, in their own words and from nothing they did not say. Until then leave "
        "`context` and `text` empty."
    )
    return consulting.ask(
        "interview", task, document, schema, [interview.item_id] if interview.item_id else []
    )
