"""The graders of a wording: made once, checked and approved, never changed."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone

from annotations.lm.models import EndpointModel
from app.accounts import audit

from . import sandbox
from .lab import BadCriterion, digest_of, lab_of
from .models import Criterion, CriterionVersion, Grader


def grader_for(
    version: CriterionVersion, kind: str, *, model: EndpointModel | None = None, body: dict | None = None
):
    """The grader of this implementation, made if it is new: an unchanged one keeps all its verdicts."""
    body = body or {}
    words = [version.sha256, version.criterion.name]
    digest = digest_of(kind, [model.endpoint.base_url, model.name] if model else None, body, words)
    grader, _ = Grader.objects.get_or_create(
        version=version, sha256=digest, defaults={"kind": kind, "model": model, "body": body}
    )
    return grader


def add_code(*, criterion: Criterion, code: str, actor=None) -> Grader:
    """An assertion for the wording in force; it is checked, not run. Raises BadCriterion."""
    if criterion.kind != Criterion.Kind.BINARY:
        raise BadCriterion("code", "Assertions belong to criteria that pass or fail a response.")
    try:
        code = sandbox.check(code.replace("\r\n", "\n"))
    except sandbox.BadCode as error:
        raise BadCriterion("code", str(error)) from None
    grader = grader_for(criterion.current, Grader.Kind.CODE, body={"code": code})
    audit.record(
        actor=actor, action="criterion_code.added", scope=criterion.project.slug, target=criterion.name,
        sha256=grader.sha256,
    )  # fmt: skip
    return grader


def add_model_grader(
    *, criterion: Criterion, kind: str, examples: Sequence | None = None, actor=None
) -> Grader:
    """Let the lab's judge grade single responses by the wording in force: yes or no, or by its rubric. Raises
    BadCriterion.

    examples: as `offers.pick_examples` gives them, one response that people said meets the criterion and one that does not.
    """
    judge = lab_of(criterion.project).judge
    if judge is None:
        raise BadCriterion("model", "Choose a model as judge under “Models and cap” first.")
    if criterion.kind == Criterion.Kind.PAIRWISE:
        raise BadCriterion("kind", "This criterion compares responses: a round lets the judge compare by it.")
    if kind not in {Grader.Kind.LM_YESNO, Grader.Kind.LM_RUBRIC}:
        raise BadCriterion("kind", "Expected yes or no, or a rubric.")
    if kind == Grader.Kind.LM_RUBRIC and len(criterion.current.anchors) != 5:
        raise BadCriterion(
            "kind", "A rubric says what each of the scores 1 to 5 means; this wording does not."
        )
    if examples is not None and len(examples) != 2:
        raise BadCriterion(
            "few_shot",
            "Examples are taken from train items: one response there that meets it and one that does not have to be "
            "graded first.",
        )
    body = {"examples": list(examples)} if examples else {}
    grader = grader_for(criterion.current, kind, model=judge, body=body)
    audit.record(
        actor=actor, action="criterion_grader.added", scope=criterion.project.slug, target=criterion.name,
        kind=kind, model=str(judge), examples=len(body.get("examples", [])),
    )  # fmt: skip
    return grader


def approve_code(*, grader: Grader, actor) -> Grader:
    """A person has read the code and lets it run."""
    if grader.kind != Grader.Kind.CODE:
        raise BadCriterion("grader", "Only code needs approval.")
    Grader.objects.filter(pk=grader.pk, approved_at=None).update(
        approved_by=actor, approved_at=timezone.now()
    )
    grader.refresh_from_db()
    audit.record(
        actor=actor, action="criterion_code.approved", scope=grader.version.criterion.project.slug,
        target=str(grader.version), sha256=grader.sha256,
    )  # fmt: skip
    return grader
