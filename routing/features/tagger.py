"""Have prompts tagged by an LM annotator's model: a Job through the same engine, claims, money and cache as judging."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from annotations.items.models import Item
from annotations.lm import claims, prices, prompts, runs, work
from annotations.lm.annotate import CannotAnnotate
from annotations.lm.asking import Asked, Material
from annotations.lm.client import Call as Sent
from annotations.lm.engine import Engine, Totals
from annotations.lm.locks import lock_detail
from annotations.lm.models import LMAnnotator, Prompt
from annotations.projects.models import Project
from annotations.projects.schemas import canonical_json
from app.accounts import audit
from app.jobs import runner
from app.jobs.models import Job
from app.ledger import ledger
from app.ledger.models import MICROS, Account

from . import tagging, tags
from .models import ItemTags, Tagging

KIND = "features.tag"
READ = 200
SAMPLED = 50
Report = Callable[[int, int, str], None]


# --- Which items --------------------------------------------------------------------------------------------
def taggable(project: Project):
    """Items whose prompts can be tagged, by id."""
    return Item.objects.filter(
        project=project, withdrawn_at__isnull=True, purpose=Item.Purpose.DATA
    ).order_by("pk")


def untagged(found: Tagging):
    """Items that this tagging says nothing of yet; what could not be read counts as said."""
    mine = ItemTags.objects.filter(tagging=found, item=OuterRef("pk"))
    return taggable(found.project).filter(~Exists(mine))


def in_use(project: Project) -> Tagging | None:
    """The tagging that plans read: the one started last, once it has said anything."""
    said = ItemTags.objects.filter(tagging=OuterRef("pk"))
    rows = Tagging.objects.select_related("annotator", "prompt", "project").filter(
        Exists(said), project=project
    )
    return rows.order_by("-started_at", "-pk").first()


def names_of(found: Tagging | None, ids: list[int]) -> dict[int, list[str]]:
    """By item, the names (`tags.DESCRIPTIVE_NAMES`) of the tags it carries, an empty list where none could be read."""
    if found is None:
        return {}
    rows = list(
        ItemTags.objects.filter(tagging=found, item__in=ids)
        .order_by("item_id")
        .values_list("item_id", "values")
    )
    matrix = tags.descriptive([values for _, values in rows])
    return {
        pk: [tags.DESCRIPTIVE_NAMES[k] for k in row.nonzero()[0]]
        for (pk, _), row in zip(rows, matrix, strict=True)
    }


# --- The calls ----------------------------------------------------------------------------------------------
@dataclass
class TagWork(work.ItemWork):
    """One item's prompt on its way."""


def plan_of(detail: LMAnnotator) -> work.Plan:
    """The engine's plan of an annotator that is asked for tags: its model, its money, none of its questions."""
    base = work.plan_of(detail)
    parameters = base.parameters.model_copy(
        update={"max_tokens": tagging.MAX_TOKENS, "temperature": 0.0, "samples": 1, "logprobs": False}
    )
    return work.Plan(detail, parameters, Asked(questions=(), reason=False), base.price, base.address)


def works(plan: work.Plan, prompt: Prompt, items: Iterator[Item]) -> Iterator[TagWork]:
    """One call for each item's prompt. Items with the same prompt share a reply."""
    schema = tagging.answer_schema()
    p = plan.parameters
    for item in items:
        inside = tagging.document(item.prompt, item.context)
        messages, code = tagging.messages(prompt.instructions, inside)
        body = [tagging.FORMAT, plan.address, p.structured, tagging.prompt_hash(prompt.instructions), inside]
        key = hashlib.sha256(canonical_json(["tags", *body]).encode("utf-8", "surrogatepass")).hexdigest()
        sent = Sent(tuple(messages), schema, p.max_tokens, 0.0, logprobs=False, structured=p.structured)
        worst = prices.worst_case(plan.price, messages, len(canonical_json(schema)), p.max_tokens)
        wanted = claims.Wanted(key, plan.annotator.pk, item.pk, runs.NO_ORDER, 0, code, worst)
        made = TagWork(item.pk, Material(item.prompt, item.context, ()))
        made.calls.append(work.CallWork(made, runs.NO_ORDER, 0, key, sent, wanted))
        yield made


def _items(found: Tagging, *, upto: int | None) -> Iterator[Item]:
    last = 0
    while True:
        rows = untagged(found).filter(pk__gt=last)
        batch = list((rows if upto is None else rows.filter(pk__lte=upto))[:READ])
        if not batch:
            return
        last = batch[-1].pk
        yield from batch


# --- Before -------------------------------------------------------------------------------------------------
def words(project: Project, instructions: str, *, actor=None) -> Prompt:
    """The version of the tagging prompt with these words."""
    return prompts.add_prompt(
        project=project,
        name=tagging.NAME,
        instructions=instructions,
        with_guidelines=False,
        with_criteria=False,
        with_reason=False,
        actor=actor,
    )


def latest_words(project: Project) -> str:
    """The instructions used last, or those to start from."""
    row = Prompt.objects.filter(project=project, name=tagging.NAME).order_by("-number").first()
    return row.instructions if row is not None else tagging.STARTING_WORDS


def able(project: Project) -> list[LMAnnotator]:
    """Annotators whose model can be asked now, by name."""
    found = []
    for row in LMAnnotator.objects.filter(annotator__project=project).order_by("annotator__name"):
        detail = runs.find(row.pk)
        if detail is None or not detail.asks:
            continue
        try:
            runs.check(detail)
        except CannotAnnotate:
            continue
        found.append(detail)
    return found


def estimate(detail: LMAnnotator, instructions: str) -> dict:
    """What tagging all prompts that these words have not tagged yet would take: {items, cost, worst, currency, is_free}.

    Money as decimal texts, extrapolated from up to 50 prompts; what is stored already is not asked again.
    """
    project, plan = detail.annotator.project, plan_of(detail)
    known = Tagging.objects.filter(
        annotator=detail.annotator, prompt_hash=tagging.prompt_hash(instructions)
    ).first()
    rows = taggable(project) if known is None else untagged(known)
    n = rows.count()
    sample = list(works(plan, Prompt(project=project, instructions=instructions), iter(rows[:SAMPLED])))
    scale = n / len(sample) if sample else 0
    likely = sum(prices.likely_tokens_in(made.calls[0].sent.messages) for made in sample) * scale
    account = Account.objects.filter(pk=project.account_id).first() if project.account_id else None
    return {
        "items": n,
        "cost": _money(plan.price.micros(round(likely), round(n * tagging.MAX_TOKENS / 3))),
        "worst": _money(round(sum(made.calls[0].wanted.worst for made in sample) * scale)),
        "currency": account.currency if account else "",
        "is_free": plan.price.is_free,
    }


def _money(micros: int) -> str:
    return f"{Decimal(micros) / MICROS:f}"


def live_job(project: Project) -> Job | None:
    """The job that tags prompts of this project now or soon."""
    return Job.objects.filter(
        scope=project.slug, kind=KIND, state__in=[Job.State.QUEUED, Job.State.RUNNING]
    ).first()


def last_job(project: Project) -> Job | None:
    """The latest job that tagged prompts of this project."""
    return Job.objects.filter(scope=project.slug, kind=KIND).order_by("-created_at").first()


def start(
    *,
    detail: LMAnnotator,
    instructions: str,
    limit: int | None = None,
    cap: Decimal | None = None,
    actor=None,
    result_url: str = "",
) -> Tagging:
    """Start tagging as a Job, one at a time per project. `cap` bounds it beside the project's own cap.

    Takes the annotator's lock. Raises CannotAnnotate; then nothing was written.
    """
    project = detail.annotator.project
    with transaction.atomic():
        detail = lock_detail(detail.pk)
        runs.check(detail)
        if not detail.asks:
            raise CannotAnnotate(f"{detail.annotator.name} asks no model, so it cannot tag prompts.")
        if live_job(project) is not None:
            raise CannotAnnotate("Prompts are being tagged already.")
        prompt = words(project, instructions, actor=actor)
        found, _ = Tagging.objects.update_or_create(
            annotator=detail.annotator,
            prompt_hash=tagging.prompt_hash(instructions),
            defaults={
                "project": project, "prompt": prompt, "account_id": None, "started_at": timezone.now(),
                "started_by": actor,
            },
        )  # fmt: skip
        args: dict = {"tagging_id": found.pk}
        if limit is not None:
            last = untagged(found).values_list("pk", flat=True)[limit - 1 : limit]
            args |= {"upto": last[0]} if last else {}
        if cap is not None:
            own = Account.objects.filter(pk=project.account_id).first() if project.account_id else None
            found.account_id = Account.objects.create(
                name=f"{project.slug}: tags by {detail.annotator.name}"[:200],
                currency=own.currency if own else "EUR",
                cap_micros=ledger.to_micros(cap),
            ).pk
            args |= {
                "account_id": str(found.account_id)
            }  # with the job: its cap holds whenever it is tried again
        job = runner.start(
            kind=KIND,
            title=f"{detail.annotator.name}: tag prompts",
            args=args,
            scope=project.slug,
            queue="gpu" if detail.backend == LMAnnotator.Backend.LOCAL else "default",
            actor=actor,
            result_url=result_url,
        )
        found.job_id = job.pk
        found.save(update_fields=["account_id", "job_id"])
        audit.record(
            actor=actor,
            action="tagging.started",
            scope=project.slug,
            target=str(found),
            limit=limit,
            cap=str(cap) if cap is not None else None,
        )
    return found


# --- The run itself -----------------------------------------------------------------------------------------
def run(
    found: Tagging,
    *,
    owner: str,
    upto: int | None = None,
    account_id: str | None = None,
    report: Report = lambda *_: None,
) -> dict:
    """Ask for the tags of every prompt that has none; {tagged, unread, failed, calls, cached, cost, left}.

    `account_id`: the ledger account of this start's own cap.

    Runs again without harm: stored replies are not asked for again. `report` may raise to stop. Raises CannotAnnotate,
    engine.RunFailed.
    """
    detail = runs.find(LMAnnotator.objects.values_list("pk", flat=True).get(annotator=found.annotator))
    runs.check(detail)
    plan = plan_of(detail)
    rows = untagged(found)
    total = (rows if upto is None else rows.filter(pk__lte=upto)).count()
    claims.settle_lost(found.project_id, owner)

    def tell(totals: Totals) -> None:
        report(totals.done, total, runs.in_words(totals, total))

    engine = Engine(
        plan,
        owner=owner,
        ask=runs.asker(detail),
        accounts=runs.accounts_for(plan, account_id),
        report=tell,
        finish=lambda plan, made: _keep(found, made),
        records_failures=False,
    )
    totals = engine.run(works(plan, found.prompt, _items(found, upto=upto)))
    tell(totals)
    return {
        "tagged": totals.judged,
        "unread": ItemTags.objects.filter(tagging=found, mode="").count(),
        "failed": totals.failed,
        "calls": totals.calls,
        "cached": totals.cached,
        "cost": _money(totals.cost_micros),
        "left": untagged(found).count(),
    }


def _keep(found: Tagging, made: work.ItemWork) -> bool:
    reply = made.replies[made.calls[0].key]
    read = tagging.parse(reply.raw)
    problem = "" if read.mode else work.problem_of(reply, read.problem)
    ItemTags.objects.update_or_create(
        tagging=found,
        item_id=made.item_id,
        defaults={"values": dict(read.values), "mode": read.mode, "problem": problem[:300]},
    )
    return True


# --- What the page shows ------------------------------------------------------------------------------------
def table(found: Tagging) -> list[tuple[str, list[tuple[str, int]]]]:
    """By dimension, its values with the number of prompts that carry them, the most frequent first."""
    counts: dict[str, Counter] = {name: Counter() for name in tags.DIMENSIONS}
    for values in (
        ItemTags.objects.filter(tagging=found).values_list("values", flat=True).iterator(chunk_size=2000)
    ):
        for name, value in values.items():
            if name in counts:
                counts[name].update([value] if isinstance(value, str) else value or ["none"])
    return [
        (name.replace("_", " ").capitalize(), each.most_common(8)) for name, each in counts.items() if each
    ]
