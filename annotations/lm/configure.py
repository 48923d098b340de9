"""Making an LM annotator: an endpoint's model, a prompt version, parameters, and the versions it judges under."""

from __future__ import annotations

from typing import Annotated

from django.db import transaction
from pydantic import BaseModel, ConfigDict, Field

from annotations.projects import schemas
from annotations.projects.models import Annotator, Project, TaskSchema
from app.accounts import audit
from app.ledger.models import Account

from . import endpoints, prompts
from .models import EndpointModel, LMAnnotator, Prompt


class CannotConfigure(ValueError):
    """This does not make an annotator; `field` says why not."""

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field


class Parameters(BaseModel):
    """How a model is asked. `seed` is added per sample, so that samples differ and a rerun finds them again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asks: Annotated[str, Field(pattern="^(comparisons|scores|both)$")] = prompts.COMPARISONS
    both_orders: bool = True
    samples: Annotated[int, Field(ge=1, le=20)] = 1
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    max_tokens: Annotated[int, Field(ge=16, le=32_000)] = 600
    logprobs: bool = True
    structured: bool = True
    ties: dict[str, list[str]] = {}
    path: Annotated[str, Field(max_length=500)] = ""


def parameters_of(detail: LMAnnotator) -> Parameters:
    return Parameters.model_validate(detail.parameters)


@transaction.atomic
def add_annotator(
    *,
    project: Project,
    model: EndpointModel | None,
    prompt: Prompt,
    parameters: Parameters,
    name: str = "",
    actor=None,
) -> LMAnnotator:
    """An annotator that asks this model in these words. The same configuration again gives the same annotator.

    Without a model it is a local one: `parameters.path` names weights on the worker. It freezes the project's latest
    guidelines and criteria and today's questions: when they change, make another annotator. Raises CannotConfigure.
    """
    local = model is None
    if not local:
        check_money(project, model)
        if not endpoints.may_use(project, model.endpoint):
            raise CannotConfigure("model", "This project may not use this endpoint.")
        if not model.is_offered:
            raise CannotConfigure("model", f"{model.name} is not offered any more.")
    elif not parameters.path:
        raise CannotConfigure("path", "Give the folder of the weights on the worker.")
    if prompt.project_id != project.pk:
        raise CannotConfigure("prompt", "This prompt belongs to another project.")
    if parameters.samples > 1 and parameters.temperature == 0:
        raise CannotConfigure("temperature", "Several samples at temperature 0 are the same reply: raise it.")
    try:
        definition = prompts.definition_for(project, parameters.asks)
    except prompts.NothingToAsk as error:
        raise CannotConfigure("asks", str(error)) from None
    schema = schemas.add_schema(project=project, definition=definition, origin=TaskSchema.Origin.IMPORTED)
    guideline = prompts.latest_guideline(project) if prompt.with_guidelines else None
    criteria = prompts.latest_criteria(project) if prompt.with_criteria else None
    ties = prompts.offered_ties(project, parameters.asks)
    parameters = parameters.model_copy(update={"ties": ties})
    asked = prompts.asked(
        definition=schemas.load(schema.pk)[1],
        ties=ties,
        prompt=prompt,
        guideline=guideline,
        criteria=criteria,
    )
    wanted = {
        "backend": LMAnnotator.Backend.LOCAL if local else LMAnnotator.Backend.ENDPOINT,
        "endpoint_model": model,
        "prompt": prompt,
        "schema": schema,
        "guideline": guideline,
        "criteria_release": criteria,
    }
    for known in LMAnnotator.objects.filter(annotator__project=project, **wanted).select_related("annotator"):
        if known.parameters == parameters.model_dump(mode="json"):
            return known
    shown = parameters.path.rstrip("/").rpartition("/")[2] if local else model.name
    annotator = Annotator.objects.create(
        project=project,
        kind=Annotator.Kind.LM,
        name=_free_name(project, name.strip() or f"{shown}, {prompt}"),
        meta={"model": shown, "strategy": str(prompt), "backend": wanted["backend"]},
    )
    detail = LMAnnotator.objects.create(
        annotator=annotator,
        model=shown[:200],
        strategy=str(prompt)[:120],
        parameters=parameters.model_dump(mode="json"),
        prompt_hash=prompts.hash_of(asked),
        **wanted,
    )
    audit.record(
        actor=actor,
        action="lm_annotator.added",
        scope=project.slug,
        target=annotator.name,
        model=shown,
        endpoint="" if local else model.endpoint.name,
        prompt=str(prompt),
        prompt_hash=detail.prompt_hash,
    )
    return detail


def check_money(project: Project, model: EndpointModel) -> None:
    """Raise CannotConfigure where the model costs money the project's account cannot hold."""
    if not model.input_price and not model.output_price:
        return
    account = Account.objects.filter(pk=project.account_id).first() if project.account_id else None
    if account is None:
        raise CannotConfigure("model", f"{model.name} costs money and this project has no account.")
    if account.currency != model.endpoint.currency:
        raise CannotConfigure(
            "model",
            f"{model.endpoint.name} is paid in {model.endpoint.currency} and this project's money is in "
            f"{account.currency}.",
        )


def _free_name(project: Project, wish: str) -> str:
    wish = wish[:190]
    taken = set(
        Annotator.objects.filter(project=project, kind=Annotator.Kind.LM, name__startswith=wish).values_list(
            "name", flat=True
        )
    )
    name, number = wish, 1
    while name in taken:
        number += 1
        name = f"{wish} ({number})"
    return name


def changed_since(detail: LMAnnotator) -> list[str]:
    """What is newer in the project than what this annotator was frozen with, in words."""
    if not detail.asks:
        return []
    project = detail.annotator.project
    found = []
    guideline, criteria = prompts.latest_guideline(project), prompts.latest_criteria(project)
    if detail.prompt.with_guidelines and guideline is not None and guideline.pk != detail.guideline_id:
        found.append("the guidelines")
    if detail.prompt.with_criteria and criteria is not None and criteria.pk != detail.criteria_release_id:
        found.append("the criteria")
    try:
        asks = prompts.definition_for(project, parameters_of(detail).asks)
        if schemas.Definition.model_validate(asks) != schemas.load(detail.schema_id)[1]:
            found.append("the questions")
    except prompts.NothingToAsk:
        found.append("the questions")
    return found
