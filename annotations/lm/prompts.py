"""Versions of prompts, and what an annotator is asked made from one: questions, guidelines, criteria."""

from __future__ import annotations

import hashlib

from django.db import IntegrityError, transaction
from django.db.models import Max

from annotations.items.models import Item
from annotations.projects import schemas
from annotations.projects.models import CriteriaRelease, Guideline, Project
from app.accounts import audit

from . import asking
from .asking import Asked, Material, Question
from .models import LMAnnotator, Prompt

MAX_INSTRUCTIONS = 40_000
COMPARISONS, SCORES, BOTH = "comparisons", "scores", "both"
ASKS = {
    COMPARISONS: "The comparisons: which response is better",
    SCORES: "The ratings, thumbs and rankings of each response",
    BOTH: "Both, in one call",
}
KINDS = {
    COMPARISONS: {"comparison"},
    SCORES: {"rating", "thumb", "ranking"},
    BOTH: {"comparison", "rating", "thumb", "ranking"},
}
CANNOT_JUDGE = [
    {"value": "unparsed", "label": "No verdict could be read"},
    {"value": "refused", "label": "The model refused"},
]


class NothingToAsk(ValueError):
    """The project's task holds no question of this kind that a model can be asked."""


def add_prompt(
    *,
    project: Project,
    name: str,
    instructions: str,
    with_guidelines: bool = True,
    with_criteria: bool = True,
    with_reason: bool = True,
    actor=None,
) -> Prompt:
    """The prompt's version with exactly this content, made if it is new. Versions never change."""
    name = name.strip()
    content = [instructions, with_guidelines, with_criteria, with_reason]
    digest = hashlib.sha256(schemas.canonical_json(content).encode()).hexdigest()
    for _ in range(5):
        known = Prompt.objects.filter(project=project, name=name, sha256=digest).first()
        if known is not None:
            return known
        try:
            with transaction.atomic():
                last = Prompt.objects.filter(project=project, name=name).aggregate(n=Max("number"))["n"] or 0
                made = Prompt.objects.create(
                    project=project,
                    name=name,
                    number=last + 1,
                    instructions=instructions,
                    with_guidelines=with_guidelines,
                    with_criteria=with_criteria,
                    with_reason=with_reason,
                    sha256=digest,
                    created_by=actor,
                )
                audit.record(actor=actor, action="prompt.added", scope=project.slug, target=str(made))
                return made
        except IntegrityError:
            continue  # somebody else took the number: look again
    raise RuntimeError("could not number the prompt after five tries")


def definition_for(project: Project, asks: str) -> dict:
    """The task a model judges under: the project's questions of these kinds, unconditional ones only.

    Every comparison allows the tie `equal`, which two contradicting orders become; the reason is optional. Raises
    NothingToAsk.
    """
    if project.schema_id is None:
        raise NothingToAsk("This project asks nothing yet.")
    _, definition = schemas.load(project.schema_id)
    chosen = [q for q in definition.questions if q.kind in KINDS[asks] and q.when is None]
    if not chosen:
        raise NothingToAsk(f"This project's task has none of these: {ASKS[asks].lower()}.")
    if asks == BOTH and definition.responses.max > 2 and any(q.kind == "comparison" for q in chosen):
        raise NothingToAsk(
            "Comparisons show two responses and scores all of them: with more than two, use an annotator for each."
        )
    questions = []
    for q in chosen:
        dumped = q.model_dump(mode="json")
        dumped["required"] = True
        if q.kind == "comparison" and "equal" not in q.ties:
            dumped["ties"] = [*dumped["ties"], "equal"]
        questions.append(dumped)
    questions.append(
        {"kind": "text", "name": "reason", "label": "Why?", "required": False, "max_chars": 100_000}
    )
    return {
        "title": "Asked of language models",
        "responses": definition.responses.model_dump(mode="json"),
        "questions": questions,
        "cannot_judge": CANNOT_JUDGE,
    }


def offered_ties(project: Project, asks: str) -> dict[str, list[str]]:
    """By comparison, the ties the model may choose: the project's own, not the one kept for contradictions."""
    _, definition = schemas.load(project.schema_id)
    return {q.name: list(q.ties) for q in definition.questions if q.kind == "comparison" and asks != SCORES}


def asked_of(detail: LMAnnotator) -> Asked:
    """Everything this annotator is asked, whatever the item; all parts are versions that never change."""
    prompt = detail.prompt
    return asked(
        definition=schemas.load(detail.schema_id)[1],
        ties=detail.parameters.get("ties", {}),
        prompt=prompt,
        guideline=detail.guideline,
        criteria=detail.criteria_release,
    )


def asked(
    *,
    definition: schemas.Definition,
    ties: dict[str, list[str]],
    prompt: Prompt,
    guideline: Guideline | None,
    criteria: CriteriaRelease | None,
) -> Asked:
    """The questions of a model's definition with a prompt's words."""
    wording = tuple(
        (str(c.get("name", "")), str(c.get("wording", ""))) for c in (criteria.criteria if criteria else [])
    )
    return Asked(
        questions=tuple(_question(q, ties) for q in definition.questions if q.kind != "text"),
        instructions=prompt.instructions,
        guidelines=guideline.text if guideline is not None and prompt.with_guidelines else "",
        criteria=wording if prompt.with_criteria else (),
        reason=prompt.with_reason,
    )


def draft(
    *,
    project: Project,
    asks: str,
    instructions: str,
    with_guidelines: bool,
    with_criteria: bool,
    with_reason: bool,
) -> Asked:
    """What an annotator made now in these words would be asked; writes nothing. Raises NothingToAsk."""
    prompt = Prompt(
        project=project,
        instructions=instructions,
        with_guidelines=with_guidelines,
        with_criteria=with_criteria,
        with_reason=with_reason,
    )
    return asked(
        definition=schemas.Definition.model_validate(definition_for(project, asks)),
        ties=offered_ties(project, asks),
        prompt=prompt,
        guideline=latest_guideline(project),
        criteria=latest_criteria(project),
    )


def _question(q, ties: dict[str, list[str]]) -> Question:
    common = {"kind": q.kind, "name": q.name, "label": q.label, "help": q.help}
    if q.kind == "comparison":
        return Question(
            **common, low=1, high=q.scale_max, words=q.words, ties=tuple(ties.get(q.name, q.ties))
        )
    if q.kind == "rating":
        return Question(**common, low=q.min, high=q.max, words=q.words)
    if q.kind == "ranking":
        return Question(**common, low=1, high=8, ties=("equal",) if q.ties else ())
    return Question(**common, low=0, high=1)


def material_of(item: Item, texts: list[str]) -> Material:
    """The item as a model sees it; never who wrote a response."""
    return Material(prompt=item.prompt, context=item.context, responses=tuple(texts))


def compares_only(asked: Asked) -> bool:
    return all(q.kind == "comparison" for q in asked.questions)


def latest_guideline(project: Project) -> Guideline | None:
    return Guideline.objects.filter(project=project).order_by("-number").first()


def latest_criteria(project: Project) -> CriteriaRelease | None:
    return CriteriaRelease.objects.filter(project=project).order_by("-number").first()


def hash_of(asked: Asked) -> str:
    """The prompt hash every call of the annotator carries (as for two responses)."""
    return asking.prompt_hash(asked, 2)
