"""A project with gates for tests: items of every purpose, and a person who answers as told."""

from __future__ import annotations

import uuid

from annotations.judging import gate_items, queue
from annotations.judging.answers import Answer, ComparisonAnswer, ScoreAnswer
from annotations.judging.submit import submit
from annotations.projects import rules


def says(preference: int | str, **fields) -> Answer:
    """A full answer of the fixture project's questions; a text is a tie."""
    tie = preference if isinstance(preference, str) else None
    strength = None if tie else preference
    return Answer(
        comparisons=(ComparisonAnswer(0, 1, "overall", strength, None if tie else 3, tie),),
        scores=tuple(
            ScoreAnswer(place, name, 3, 0, 4) for name in ("helpfulness", "correctness") for place in (0, 1)
        ),
        **fields,
    )


def prefers(preference: int) -> Answer:
    """Only the comparison, as an expectation."""
    return Answer(comparisons=(ComparisonAnswer(0, 1, "overall", preference, None),))


def set_gates(project, **gates) -> None:
    rules.change(project=project, gates=rules.Gates(**gates))


def make_gates(make_item, actor, purpose: str, n: int, *, preference: int = 2, **fields) -> list:
    items = [make_item(prompt=f"{purpose} {k}") for k in range(n)]
    for item in items:
        gate_items.set_gate(item=item, purpose=purpose, answer=prefers(preference), actor=actor, **fields)
    return items


def give(annotator, assignment, answer, **fields):
    fields.setdefault("uuid", uuid.uuid4())
    return submit(
        annotator=annotator,
        item_id=assignment.item_id,
        schema_id=annotator.project.schema_id,
        answer=answer,
        origin="page",
        assignment_id=assignment.pk,
        **fields,
    ).judgment


def work(annotator, n: int, answer=lambda assignment: says(2)) -> list:
    """The person's next `n` judgments, fewer where nothing is left."""
    done = []
    for _ in range(n):
        assignment = queue.next_assignment(annotator)
        if assignment is None:
            break
        done.append(give(annotator, assignment, answer(assignment)))
    return done
