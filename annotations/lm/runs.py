"""Runs: what one would cost, starting one as a Job, and doing one."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal

from django.db import transaction
from django.db.models import Avg, Exists, Max, OuterRef

from annotations.items.models import Item
from annotations.judging.models import Judgment
from annotations.projects import rules
from annotations.projects.models import Annotator, Project
from app.accounts import audit
from app.jobs import runner
from app.jobs.models import Job
from app.ledger import ledger
from app.ledger.models import MICROS, Account

from . import asking, claims, client, configure, endpoints, parsing, prices, prompts, vault
from .annotate import CannotAnnotate, annotate, check_can_run, judgeable, schema_for, texts_shown
from .engine import Engine, Totals
from .locks import lock_detail
from .models import LMAnnotator, Reply, Run
from .work import ItemWork, Plan, plan_of, work_of

KIND = "lm.annotate"
READ = 100
SAMPLED = 100
LIKELY_TOKENS_OUT = 120
NO_ORDER = "none"  # the order of a call that shows no responses, such as one about a prompt's tags


class AlreadyRunning(CannotAnnotate):
    """A run of this annotator is under way."""


def find(pk: int, project: Project | None = None) -> LMAnnotator | None:
    """The annotator's detail with all its versions loaded."""
    rows = LMAnnotator.objects.select_related(
        "annotator__project", "endpoint_model__endpoint", "prompt", "guideline", "criteria_release", "schema"
    ).filter(pk=pk)
    return (rows if project is None else rows.filter(annotator__project=project)).first()


# --- Which items --------------------------------------------------------------------------------------------
def least_responses(plan: Plan) -> int:
    """How many responses an item needs to be asked about."""
    return 2 if any(q.kind in {"comparison", "ranking"} for q in plan.asked.questions) else 1


def unjudged(plan: Plan):
    """Items this annotator has no current judgment of, in order of id."""
    mine = Judgment.objects.filter(item=OuterRef("pk"), annotator=plan.annotator, is_current=True)
    items = judgeable(plan.annotator.project, least_responses(plan))
    return items.filter(~Exists(mine)).order_by("pk")


def unread(detail: LMAnnotator):
    """Its current judgments without a verdict, in order of item."""
    return Judgment.objects.filter(
        annotator=detail.annotator,
        is_current=True,
        outcome=Judgment.Outcome.CANNOT_JUDGE,
        item__withdrawn_at__isnull=True,
        item__purpose=Item.Purpose.DATA,
    ).order_by("item_id")


def waiting(plan: Plan, *, upto: int | None = None, again_until: int | None = None, only=None):
    """The items to be asked about, or with `again_until` the judgments to be replaced; `only`: of these items' ids."""
    if again_until is not None:
        return unread(plan.detail).filter(pk__lte=again_until)
    items = unjudged(plan) if only is None else unjudged(plan).filter(pk__in=only)
    return items if upto is None else items.filter(pk__lte=upto)


def works(
    plan: Plan,
    *,
    limit: int | None = None,
    upto: int | None = None,
    again_until: int | None = None,
    only=None,
) -> Iterator[ItemWork]:
    """The items to be asked about, read a hundred at a time; `upto` is the last item's id.

    `again_until`: instead of unjudged items those without a verdict whose judgment is not newer than this id.
    """
    last = given = 0
    while limit is None or given < limit:
        size = READ if limit is None else min(READ, limit - given)
        before: dict[int, uuid.UUID] = {}
        if again_until is None:
            items = list(waiting(plan, upto=upto, only=only).filter(pk__gt=last)[:size])
        else:
            rows = waiting(plan, again_until=again_until).filter(item_id__gt=last)
            before = dict(rows.values_list("item_id", "uuid")[:size])
            items = list(Item.objects.filter(pk__in=before).order_by("pk"))
        if not items:
            return
        last = items[-1].pk
        texts = texts_shown(items)
        for item in items:
            given += 1
            yield work_of(plan, item, texts[item.pk], before.get(item.pk))


# --- Before -------------------------------------------------------------------------------------------------
def estimate(detail: LMAnnotator, *, limit: int | None = None) -> dict:
    """What a run over the unjudged items would take.

    {items, calls, tokens_in, tokens_out, cost, worst, currency, left}: tokens and cost are extrapolated from up to 100
    of these items, `worst` is the sum of what is held at most call by call; money as decimal texts. Replies that are
    stored already are not asked for again, so the cost may turn out lower.
    """
    plan = plan_of(detail)
    n = unjudged(plan).count()
    n = n if limit is None else min(n, limit)
    calls = tokens_in = worst = looked = 0
    for work in works(plan, limit=min(n, SAMPLED)):
        looked += 1
        for call in work.calls:
            calls += 1
            tokens_in += prices.likely_tokens_in(call.sent.messages)
            worst += call.wanted.worst
    scale = n / looked if looked else 0
    replies = Reply.objects.filter(annotator=detail.annotator, tokens_out__isnull=False)
    known = replies.exclude(order=NO_ORDER).aggregate(mean=Avg("tokens_out"))["mean"]
    each_out = known or min(plan.parameters.max_tokens, LIKELY_TOKENS_OUT)
    total_calls, total_in = round(calls * scale), round(tokens_in * scale)
    total_out = round(total_calls * each_out)
    account = _account(detail.annotator.project)
    return {
        "items": n,
        "calls": total_calls,
        "tokens_in": total_in,
        "tokens_out": total_out,
        "cost": _money(plan.price.micros(total_in, total_out)),
        "worst": _money(round(worst * scale)),
        "currency": account.currency if account else "",
        "left": str(account.left) if account else "",
        "is_free": plan.price.is_free,
    }


def _money(micros: int) -> str:
    return f"{Decimal(micros) / MICROS:f}"


def _account(project: Project) -> Account | None:
    return Account.objects.filter(pk=project.account_id).first() if project.account_id else None


def bounded(detail: LMAnnotator, limit: int | None) -> int | None:
    """The limit of a run under what the project's budget leaves this model. Raises CannotAnnotate for nothing."""
    most = rules.of(detail.annotator.project).budget.models.get(str(detail.annotator_id))
    if most is None:
        return limit
    judged = Annotator.objects.values_list("n_judged", flat=True).get(pk=detail.annotator_id)
    if judged >= most:
        raise CannotAnnotate(
            f"{detail.annotator.name} has judged {judged:,} items, and the project's budget gives it {most:,}."
        )
    return most - judged if limit is None else min(limit, most - judged)


def check(detail: LMAnnotator) -> None:
    """Raise CannotAnnotate unless this annotator could be asked now."""
    check_can_run(detail)
    if detail.is_baseline:
        schema_for(detail.annotator.project)
        return
    if detail.backend == LMAnnotator.Backend.ENDPOINT:
        project, endpoint = detail.annotator.project, detail.endpoint_model.endpoint
        if not endpoints.may_use(project, endpoint):
            raise CannotAnnotate(f"This project may not use {endpoint.name}, or it is switched off.")
        try:
            configure.check_money(project, detail.endpoint_model)
        except configure.CannotConfigure as error:
            raise CannotAnnotate(str(error)) from None


def live_job(detail: LMAnnotator) -> Job | None:
    """The job that runs this annotator now or soon."""
    jobs = Job.objects.filter(
        scope=detail.annotator.project.slug, kind=KIND, state__in=[Job.State.QUEUED, Job.State.RUNNING]
    )
    return next((job for job in jobs if job.args.get("annotator_id") == detail.annotator_id), None)


def start(
    *,
    detail: LMAnnotator,
    limit: int | None = None,
    cap: Decimal | None = None,
    again: bool = False,
    actor=None,
    result_url: str = "",
) -> Run:
    """Start a run as a Job, one at a time per annotator. `cap` bounds this run beside the project's own cap.

    `again`: ask once more about the items whose replies gave no verdict; those replies leave the cache. Takes the
    detail's lock. Raises CannotAnnotate; then nothing was written.
    """
    check(detail)
    if not again:
        limit = bounded(detail, limit)
    said = (
        estimate(detail, limit=limit) if detail.asks and not again else {}
    )  # takes a while: before the lock
    with transaction.atomic():
        return _start(
            detail=lock_detail(detail.pk),
            limit=limit,
            cap=cap,
            again=again,
            said=said,
            actor=actor,
            result_url=result_url,
        )


def _start(
    *,
    detail: LMAnnotator,
    limit: int | None,
    cap: Decimal | None,
    again: bool,
    said: dict,
    actor,
    result_url: str,
) -> Run:
    """Write the run and its job. Needs the detail's lock."""
    check(detail)
    if live_job(detail) is not None:
        raise AlreadyRunning(f"{detail.annotator.name} is running already.")
    args: dict = {"annotator_id": detail.annotator_id}
    if limit is not None:
        args.update(_first(detail, limit))
    if again:
        newest = unread(detail).aggregate(n=Max("pk"))["n"]
        if newest is None:
            raise CannotAnnotate("Every item it judged has a verdict.")
        retire_unread(detail)
        args["again_until"] = newest
    project = detail.annotator.project
    account = None
    if cap is not None and detail.asks:
        own = _account(project)
        account = Account.objects.create(
            name=f"{project.slug}: run of {detail.annotator.name}"[:200],
            currency=own.currency if own else "EUR",
            cap_micros=ledger.to_micros(cap),
        )
        args["account_id"] = str(account.pk)
    run = Run.objects.create(
        annotator=detail.annotator,
        limit=limit,
        account_id=account.pk if account else None,
        estimate=said,
        created_by=actor,
    )
    job = runner.start(
        kind=KIND,
        title=f"{detail.annotator.name}: judge {'again what gave no verdict' if again else 'the items left'}",
        args={**args, "run_id": run.pk},
        scope=project.slug,
        queue="gpu" if detail.backend == LMAnnotator.Backend.LOCAL else "default",
        actor=actor,
        result_url=result_url,
    )
    run.job_id = job.pk
    run.save(update_fields=["job_id"])
    audit.record(
        actor=actor,
        action="lm_run.started",
        scope=project.slug,
        target=detail.annotator.name,
        limit=limit,
        cap=str(cap) if cap is not None else None,
        again=again,
    )
    return run


def _first(detail: LMAnnotator, limit: int) -> dict:
    """The limit as job arguments: the last item's id, so that a run that starts over does not judge more."""
    if not detail.asks:
        return {"limit": limit}
    last = unjudged(plan_of(detail)).values_list("pk", flat=True)[limit - 1 : limit]
    return {"upto": last[0]} if last else {}


def retire_unread(detail: LMAnnotator) -> int:
    """Take the replies that could not be read out of the cache, so that they are asked for again."""
    asked = prompts.asked_of(detail)
    items = unread(detail).values("item_id")
    replies = Reply.objects.filter(
        annotator=detail.annotator, item_id__in=items, state=Reply.State.DONE, retired_at__isnull=True
    ).exclude(order=NO_ORDER)
    return claims.retire([r for r in replies if not parsing.parse(r.raw, asked, r.order).ok])


# --- The run itself -----------------------------------------------------------------------------------------
def run(
    *,
    detail: LMAnnotator,
    owner: str,
    limit: int | None = None,
    upto: int | None = None,
    again_until: int | None = None,
    account_id: str | None = None,
    only=None,
    report: Callable[[int, int, str], None] = lambda done, total, words: None,
) -> dict:
    """Ask about up to `limit` items, or of those whose ids are in the query `only`; returns {judged, unread, skipped, failed, calls, cached, cost, left}.

    The same path for jobs and the command. Runs again without harm: stored replies are not asked for again and each
    judgment's id follows from annotator and item. `report(done, total, words)` may raise to stop. Raises CannotAnnotate,
    engine.RunFailed.
    """
    check(detail)
    if detail.is_baseline:
        return annotate(detail=detail, limit=limit, report=lambda done, total: report(done, total, ""))
    plan = plan_of(detail)
    project = detail.annotator.project
    claims.settle_lost(project.pk, owner)
    total = waiting(plan, upto=upto, again_until=again_until, only=only).count()
    total = total if limit is None else min(total, limit)

    def tell(totals: Totals) -> None:
        report(totals.done, total, in_words(totals, total))

    engine = Engine(
        plan,
        owner=owner,
        ask=asker(detail),
        accounts=accounts_for(plan, account_id),
        report=tell,
    )
    totals = engine.run(works(plan, limit=limit, upto=upto, again_until=again_until, only=only))
    tell(totals)
    return {
        "judged": totals.judged,
        "unread": totals.unread,
        "skipped": totals.skipped,
        "failed": totals.failed,
        "calls": totals.calls,
        "cached": totals.cached,
        "cost": _money(totals.cost_micros),
        "left": waiting(plan, only=only).count(),
    }


def accounts_for(plan: Plan, account_id: str | None = None) -> list:
    """The ledger accounts every call is held in: none for models that cost nothing."""
    if plan.price.is_free:
        return []
    found = [plan.annotator.project.account_id]
    return [*found, uuid.UUID(account_id)] if account_id else found


def in_words(totals: Totals, total: int) -> str:
    words = f"{totals.done:,} of {total:,} items, {totals.calls:,} calls"
    if totals.cached:
        words += f", {totals.cached:,} from the cache"
    if totals.failed:
        words += f", {totals.failed:,} failed"
    if totals.cost_micros:
        words += f", cost {_money(totals.cost_micros)}"
    return words


def asker(detail: LMAnnotator) -> Callable[[client.Call], client.Completion]:
    """What makes a call of this annotator, in any thread. Raises CannotAnnotate."""
    if detail.backend == LMAnnotator.Backend.LOCAL:
        from . import local

        try:
            return local.loaded(configure.parameters_of(detail).path).complete
        except local.CannotLoad as error:
            raise CannotAnnotate(str(error)) from None
    model = detail.endpoint_model
    try:
        target = endpoints.target_of(model.endpoint, model.name)
    except (vault.NoSecret, endpoints.BadEndpoint) as error:
        raise CannotAnnotate(str(error)) from None
    return lambda call: client.complete(target, call)


def preview(asked: asking.Asked, item: Item, *, both: bool) -> list[dict]:
    """The exact messages about one item, one entry per order: {"order", "messages"}."""
    texts = texts_shown([item])[item.pk]
    material = prompts.material_of(item, texts)
    orders = asking.orders_for(len(texts), both=both, compare_only=prompts.compares_only(asked))
    return [{"order": order, "messages": asking.messages(asked, material, order)[0]} for order in orders]
