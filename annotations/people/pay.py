"""Pay out of the project's account, so that no concurrency can overrun its cap.

Money for work is held *before* the work is given out: the hold of each person covers the most that their judgments
not yet reckoned and the item in their hands can cost. When the account cannot hold that, nothing is given out. Work
that came in uncovered (a late answer) is paid if the budget allows, else owed and shown.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Max, Sum
from django.utils import timezone

from annotations.judging import locks
from annotations.judging.models import Assignment, Judgment
from annotations.projects import rules
from annotations.projects.models import Annotator, Project
from app.accounts import audit
from app.accounts.models import User
from app.ledger import ledger
from app.ledger.models import MICROS, Account
from app.web.prepared import Prepared

from .earnings import ANSWERED, Earned, Tariff, Work, earn
from .models import PayLine, Wage

BLOCK = 10  # items held for at once
IDLE = timedelta(minutes=15)
MOST_AT_ONCE = 2000


def tariff_of(project: Project) -> Tariff | None:
    """How the project pays; None where it does not."""
    if not project.rules or project.account_id is None:
        return None
    pay = rules.of(project).pay
    if pay.unit == "none" or not pay.rate:
        return None
    return Tariff(pay.unit, pay.rate, pay.longest_item_minutes * 60_000)


_WAGE = Prepared(
    lambda annotator: Wage.objects.filter(annotator=annotator).values_list(
        "settled_through", "hold__amount_micros"
    )
)
_UNRECKONED = Prepared(
    lambda annotator, after: Judgment.objects.filter(annotator=annotator, pk__gt=after).values_list("pk")[
        : 2 * BLOCK
    ]
)


def cover(annotator: Annotator) -> bool:
    """Whether the pay of one more item is held; holds more where it is not. True where nothing is paid.

    Costs two small queries while the hold lasts. Else takes the annotator's lock, then the account's row.
    """
    tariff = tariff_of(annotator.project)
    if tariff is None:
        return True
    known = _WAGE.rows(annotator=annotator.pk)
    if known and known[0][1]:
        after, held = known[0]
        unreckoned = len(_UNRECKONED.rows(annotator=annotator.pk, after=after))
        if unreckoned < 2 * BLOCK and held >= (unreckoned + 1) * tariff.most_micros:
            return True
    if _hold_block(annotator.pk):
        return True
    return bool(settle_idle(annotator.project)) and _hold_block(annotator.pk)


@transaction.atomic
def _hold_block(annotator_id: int) -> bool:
    """Reckon what the person has done and hold for the next items; fewer where money is short. False for none."""
    annotator = locks.lock_annotator(annotator_id)
    tariff = tariff_of(annotator.project)
    if tariff is None:
        return True
    wage = Wage.objects.select_related("hold").get_or_create(annotator=annotator)[0]
    _settle(wage, annotator, tariff)
    if wage.owed_micros:
        return False
    for items in (BLOCK, BLOCK // 2, 2, 1):
        try:
            wage.hold = ledger.reserve(
                account_id=annotator.project.account_id,
                amount=Decimal(items * tariff.most_micros) / MICROS,
                purpose="pay",
                reference=f"annotator {annotator.pk}",
            )
        except ledger.BudgetExceeded:
            continue
        wage.save()
        return True
    return False


def _rows(annotator: Annotator, after: int) -> list[tuple]:
    mine = Judgment.objects.filter(annotator=annotator, pk__gt=after).exclude(origin=Judgment.Origin.IMPORT)
    return list(
        mine.order_by("pk").values_list("pk", "item_id", "occasion", "outcome", "active_ms")[:MOST_AT_ONCE]
    )


def _earned(annotator: Annotator, rows: list[tuple], tariff: Tariff) -> Earned:
    """What these judgments of the person are worth, after all that came before them."""
    if not rows:
        return Earned()
    work = [Work((item, occasion), outcome, active or 0) for _, item, occasion, outcome, active in rows]
    before = (
        Judgment.objects.filter(annotator=annotator, pk__lt=rows[0][0], item__in={row[1] for row in rows})
        .exclude(origin=Judgment.Origin.IMPORT)
        .values_list("item_id", "occasion", "outcome", "active_ms")
    )
    spent: dict[tuple[int, int], int] = {}
    answered = set()
    for item, occasion, outcome, active in before:
        key = (item, occasion)
        spent[key] = min(tariff.longest_ms, spent.get(key, 0) + (active or 0))
        if outcome in ANSWERED:
            answered.add(key)
    return earn(work, tariff, spent_ms=spent, answered=answered)


def _settle(wage: Wage, annotator: Annotator, tariff: Tariff) -> bool:
    """Turn the hold into spending of what was earned and free the rest; whether anything changed.

    Caller holds the annotator's lock, which keeps judgments with a lower id from appearing later.
    """
    rows = _rows(annotator, wage.settled_through)
    if not rows and wage.hold_id is None and not wage.owed_micros:
        return False
    earned = _earned(annotator, rows, tariff)
    due = earned.micros + wage.owed_micros
    paid = 0
    if wage.hold is not None:
        paid = min(due, wage.hold.amount_micros)
        ledger.settle(reservation=wage.hold, amount=Decimal(paid) / MICROS)
        wage.hold = None
    if due > paid:
        paid += _pay_uncovered(annotator, due - paid)
    wage.owed_micros = due - paid
    wage.paid_micros += paid
    if rows:
        wage.settled_through = rows[-1][0]
    wage.save()
    if rows or paid:
        PayLine.objects.create(
            annotator=annotator,
            kind=PayLine.Kind.WORK,
            earned_micros=earned.micros,
            paid_micros=paid,
            items=earned.items,
            active_ms=earned.active_ms,
            unit=tariff.unit,
            rate=tariff.rate,
            first_judgment=rows[0][0] if rows else 0,
            last_judgment=rows[-1][0] if rows else 0,
        )
    return True


def _pay_uncovered(annotator: Annotator, micros: int) -> int:
    """Spend for work that no hold covers, if the budget allows all of it; returns what was spent."""
    amount = Decimal(micros) / MICROS
    try:
        extra = ledger.reserve(
            account_id=annotator.project.account_id,
            amount=amount,
            purpose="pay",
            reference=f"annotator {annotator.pk}, uncovered",
        )
    except ledger.BudgetExceeded:
        return 0
    ledger.settle(reservation=extra, amount=amount)
    return micros


@transaction.atomic
def settle(*, annotator_id: int, idle_since=None) -> bool:
    """Reckon one person's work and free what is held for them; whether anything changed. Takes their lock.

    With `idle_since`, people who hold a lease, judged or got their hold after that moment are left alone.
    """
    annotator = locks.lock_annotator(annotator_id)
    tariff = tariff_of(annotator.project)
    if tariff is None:
        return False
    wage = Wage.objects.select_related("hold").get_or_create(annotator=annotator)[0]
    if idle_since is not None:
        leases = Assignment.objects.filter(annotator=annotator, state=Assignment.State.LEASED)
        newest = (
            Judgment.objects.filter(annotator=annotator).order_by("-pk").values_list("received_at", flat=True)
        )
        fresh_hold = wage.hold is not None and wage.hold.created_at > idle_since
        if fresh_hold or leases.exists() or any(moment > idle_since for moment in newest[:1]):
            return False
    return _settle(wage, annotator, tariff)


def settle_idle(project: Project, *, now=None) -> int:
    """Reckon everybody who is not at work now, and free what was held for them; returns how many changed."""
    since = (now or timezone.now()) - IDLE
    people = Annotator.objects.filter(project=project, kind=Annotator.Kind.HUMAN, user__isnull=False)
    ids = set(people.filter(wage__hold__isnull=False).values_list("pk", flat=True))
    ids |= set(people.filter(wage__owed_micros__gt=0).values_list("pk", flat=True))
    ids |= set(people.filter(wage__isnull=True, n_judged__gt=0).values_list("pk", flat=True))
    return sum(settle(annotator_id=pk, idle_since=since) for pk in sorted(ids))


def settle_all() -> int:
    """The periodic job: reckon idle people of every project that pays, deleted ones too."""
    paying = Project.everything.filter(rules__pay__unit__in=["hour", "item"], account_id__isnull=False)
    return sum(settle_idle(project) for project in paying.order_by("pk"))


def change_pay(*, project: Project, pay: rules.Pay, actor: User) -> rules.Rules:
    """Change how the project pays, from now on: what was done before is reckoned by the rules it was done under.

    Work of a time when nothing was paid stays unpaid. Takes each annotator's lock in turn, then the project's.
    """
    before = tariff_of(project)
    people = Annotator.objects.filter(project=project, kind=Annotator.Kind.HUMAN, user__isnull=False)
    for pk in people.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            annotator = locks.lock_annotator(pk)
            wage = Wage.objects.select_related("hold").get_or_create(annotator=annotator)[0]
            if before is not None:
                _settle(wage, annotator, before)
            else:
                wage.settled_through = (
                    Judgment.objects.filter(annotator=annotator).aggregate(n=Max("pk"))["n"] or 0
                )
                wage.save()
    with transaction.atomic():
        changed = rules.change(project=project, pay=pay)
        audit.record(
            actor=actor,
            action="project.pay_changed",
            scope=project.slug,
            target=project.name,
            unit=pay.unit,
            rate=str(pay.rate),
        )
    return changed


@transaction.atomic
def give_bonus(*, annotator: Annotator, amount: Decimal, note: str, actor: User) -> PayLine:
    """Pay a bonus out of the project's account. Raises ledger.BudgetExceeded; then nothing was written."""
    project = annotator.project
    annotator = locks.lock_annotator(annotator.pk)
    held = ledger.reserve(
        account_id=project.account_id,
        amount=amount,
        purpose="bonus",
        reference=f"annotator {annotator.pk}",
    )
    ledger.settle(reservation=held, amount=amount)
    line = PayLine.objects.create(
        annotator=annotator,
        kind=PayLine.Kind.BONUS,
        earned_micros=held.amount_micros,
        paid_micros=held.amount_micros,
        note=note,
        created_by=actor,
    )
    audit.record(
        actor=actor, action="bonus.paid", scope=project.slug, target=annotator.name, amount=str(amount)
    )
    return line


def accrued(annotator: Annotator) -> Earned:
    """What the person has earned and nobody has reckoned yet; reads only."""
    tariff = tariff_of(annotator.project)
    if tariff is None:
        return Earned()
    after = Wage.objects.filter(annotator=annotator).values_list("settled_through", flat=True).first() or 0
    return _earned(annotator, _rows(annotator, after), tariff)


def money_of(project: Project) -> Account | None:
    return Account.objects.filter(pk=project.account_id).first()


def totals(annotator: Annotator) -> dict[str, int]:
    """Sums over a person's lines: earned, paid (both with bonuses), bonus, items, active_ms."""
    lines = (
        PayLine.objects.filter(annotator=annotator)
        .values("kind")
        .annotate(
            earned=Sum("earned_micros"),
            paid=Sum("paid_micros"),
            items=Sum("items"),
            active_ms=Sum("active_ms"),
        )
    )
    found = dict.fromkeys(("earned", "paid", "bonus", "items", "active_ms"), 0)
    for line in lines:
        for name in ("earned", "paid", "items", "active_ms"):
            found[name] += line[name]
        if line["kind"] == PayLine.Kind.BONUS:
            found["bonus"] += line["paid"]
    return found
