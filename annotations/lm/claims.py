"""Who may make which call now: claims, money held before and settled after, pace. The one writer of replies.

Every function is one short transaction; no model is called inside. Locks, in this order: the endpoint's pace, replies
by the unique key, the ledger's accounts (the project's, then the run's).

A call is made only by the holder of its pending row, and its worst price is held before. What became of a call whose
holder died is unknown, and the server may have been paid for it: its money counts as spent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from app.ledger import ledger
from app.ledger.models import MICROS, Reservation

from .client import Completion
from .models import Endpoint, Pace, Reply
from .prices import Price, actual

GRACE = timedelta(seconds=30)
PURPOSE = "lm.call"
OTHERS_CALL = 0.3  # seconds before looking again whether somebody else's call has its reply


@dataclass(frozen=True)
class Wanted:
    """A call somebody wants to make. `worst` is its highest price in millionths."""

    key: str
    annotator_id: int
    item_id: int
    order: str
    sample: int
    code: str
    worst: int


@dataclass(frozen=True)
class Hit:
    reply: Reply


@dataclass(frozen=True)
class Claimed:
    reply: Reply


@dataclass(frozen=True)
class Wait:
    """Not now: somebody else makes this call, or the endpoint is asked as often as it may be."""

    seconds: float


@dataclass(frozen=True)
class Broke:
    """The money does not allow the call; the text says whose."""

    words: str


Outcome = Hit | Claimed | Wait | Broke


def known(project_id: int, keys: Iterable[str]) -> dict[str, Reply]:
    """The stored replies to these calls."""
    rows = Reply.objects.filter(
        project_id=project_id, key__in=list(keys), state=Reply.State.DONE, retired_at__isnull=True
    )
    return {row.key: row for row in rows}


@transaction.atomic
def claim(
    *,
    project_id: int,
    endpoint: Endpoint | None,
    accounts: Sequence,
    owner: str,
    wanted: Sequence[Wanted],
    now: datetime | None = None,
) -> list[Outcome]:
    """Claim as many of these calls as pace and money allow now; an outcome for each, in order. Takes the pace's lock.

    The same call may be wanted twice, by items that hold the same texts: the second one waits for the first.

    `owner` is `job:attempt`: rows of the same job's earlier attempts are taken over at once, others' when they ran out.
    """
    now = now or timezone.now()
    pace = Pace.objects.select_for_update().get(pk=endpoint.pk) if endpoint is not None else None
    rows = {
        row.key: row
        for row in Reply.objects.filter(
            project_id=project_id, key__in=[w.key for w in wanted], retired_at__isnull=True
        )
    }
    free = _free_slots(endpoint, owner, now)
    outcomes: list[Outcome] = []
    for w in wanted:
        row = rows.get(w.key)
        if row is not None and row.state == Reply.State.DONE:
            outcomes.append(Hit(row))
            continue
        if row is not None:
            if not _is_lost(row, owner, now):
                outcomes.append(Wait(OTHERS_CALL))
                continue
            _settle(row, None)
            row.delete()
            del rows[w.key]
        wait = _permit(pace, endpoint, free, now)
        if wait:
            outcomes.append(Wait(wait))
            continue
        try:
            held = _hold(accounts, w)
        except ledger.BudgetExceeded as error:
            outcomes.append(Broke(str(error)))
            continue
        if pace is not None:
            _advance(pace, endpoint, now)
        free -= 1
        rows[w.key] = Reply.objects.create(
            project_id=project_id,
            endpoint=endpoint,
            annotator_id=w.annotator_id,
            item_id=w.item_id,
            key=w.key,
            owner=owner,
            claimed_until=now + timedelta(seconds=endpoint.timeout_seconds if endpoint else 600) + GRACE,
            reservations=held,
            order=w.order,
            sample=w.sample,
            code=w.code,
        )
        outcomes.append(Claimed(rows[w.key]))
    if pace is not None:
        pace.save(update_fields=["arrival"])
    return outcomes


def _is_lost(row: Reply, owner: str, now: datetime) -> bool:
    same_job = row.owner != owner and row.owner.rpartition(":")[0] == owner.rpartition(":")[0]
    return same_job or row.claimed_until is None or row.claimed_until < now


def _free_slots(endpoint: Endpoint | None, owner: str, now: datetime) -> int:
    """Calls that may start now, over all workers; rows of this job's earlier attempts and expired ones are nobody's."""
    if endpoint is None:
        return 1_000_000
    mine_before = Q(owner__startswith=owner.rpartition(":")[0] + ":") & ~Q(owner=owner)
    live = Reply.objects.filter(endpoint=endpoint, state=Reply.State.PENDING, claimed_until__gte=now)
    return endpoint.concurrency - live.exclude(mine_before).count()


def _permit(pace: Pace | None, endpoint: Endpoint | None, free: int, now: datetime) -> float:
    """Seconds to wait before this call may start, 0 for none."""
    if pace is None or endpoint is None:
        return 0.0
    if pace.blocked_until is not None and pace.blocked_until > now:
        return (pace.blocked_until - now).total_seconds()
    if free <= 0:
        return 0.1
    if not endpoint.requests_per_minute or pace.arrival is None:
        return 0.0
    interval = 60 / endpoint.requests_per_minute
    burst = min(endpoint.concurrency, endpoint.requests_per_minute)
    ahead = (pace.arrival - now).total_seconds() - interval * (burst - 1)
    return max(0.0, ahead)


def _advance(pace: Pace, endpoint: Endpoint, now: datetime) -> None:
    """GCRA: the next request's theoretical arrival moves on by one interval."""
    if endpoint.requests_per_minute:
        start = max(pace.arrival or now, now)
        pace.arrival = start + timedelta(seconds=60 / endpoint.requests_per_minute)


def _hold(accounts: Sequence, w: Wanted) -> list[str]:
    """Hold the worst price in every account, or in none. Raises ledger.BudgetExceeded."""
    if not w.worst:
        return []
    with transaction.atomic():
        return [
            str(
                ledger.reserve(
                    account_id=account,
                    amount=Decimal(w.worst) / MICROS,
                    purpose=PURPOSE,
                    reference=w.key,
                ).pk
            )
            for account in accounts
        ]


def _settle(row: Reply, micros: int | None) -> None:
    """Settle what was held for this row, in full where `micros` is None. What is closed already stays so."""
    by_id = {str(r.pk): r for r in Reservation.objects.filter(pk__in=row.reservations)}
    for pk in row.reservations:
        reservation = by_id[pk]
        amount = reservation.amount_micros if micros is None else min(micros, reservation.amount_micros)
        try:
            ledger.settle(reservation=reservation, amount=Decimal(amount) / MICROS)
        except ledger.AlreadyClosed:
            continue


def held_micros(row: Reply) -> int:
    """What was held for this call in the project's account."""
    if not row.reservations:
        return 0
    return Reservation.objects.values_list("amount_micros", flat=True).get(pk=row.reservations[0])


@dataclass(frozen=True)
class Arrived:
    """A reply to be stored with its claim."""

    row: Reply
    completion: Completion
    probability: float | None
    price: Price


@transaction.atomic
def store(arrived: Sequence[Arrived]) -> list[Reply]:
    """Store replies and settle their money together; returns the stored rows.

    A row that another worker took over meanwhile is left to it: its money was settled then.
    """
    stored = []
    for each in arrived:
        row, completion = each.row, each.completion
        cost = 0
        if row.reservations:
            cost = actual(each.price, completion.tokens_in, completion.tokens_out, held_micros(row))
        values = {
            "state": Reply.State.DONE,
            "claimed_until": None,
            "raw": completion.text,
            "finish": completion.finish,
            "refusal": completion.refusal,
            "probability": each.probability,
            "tokens_in": completion.tokens_in,
            "tokens_out": completion.tokens_out,
            "cost_micros": cost,
            "latency_ms": completion.latency_ms,
        }
        mine = Reply.objects.filter(pk=row.pk, owner=row.owner, state=Reply.State.PENDING)
        if not mine.update(**values):
            continue
        _settle(row, cost)
        for name, value in values.items():
            setattr(row, name, value)
        stored.append(row)
    return stored


@transaction.atomic
def give_up(row: Reply, *, billed: bool) -> None:
    """End a claim without a reply: its money is free again, or counts as spent where the server may be paid."""
    if not Reply.objects.filter(pk=row.pk, owner=row.owner, state=Reply.State.PENDING).exists():
        return
    if billed:
        _settle(row, None)
    else:
        for reservation in Reservation.objects.filter(pk__in=row.reservations).order_by("created_at", "pk"):
            try:
                ledger.release(reservation=reservation)
            except ledger.AlreadyClosed:
                continue
    Reply.objects.filter(pk=row.pk).delete()


def block(endpoint: Endpoint, seconds: float, now: datetime | None = None) -> None:
    """Let nobody ask this endpoint for so long: the server asked for it."""
    until = (now or timezone.now()) + timedelta(seconds=seconds)
    Pace.objects.filter(pk=endpoint.pk).filter(
        Q(blocked_until__isnull=True) | Q(blocked_until__lt=until)
    ).update(blocked_until=until)


@transaction.atomic
def settle_lost(project_id: int, owner: str = "", now: datetime | None = None) -> int:
    """Settle and remove claims whose holders are gone; returns how many. `owner` as in `claim`."""
    now = now or timezone.now()
    lost = Q(claimed_until__lt=now)
    if owner:
        lost |= Q(owner__startswith=owner.rpartition(":")[0] + ":") & ~Q(owner=owner)
    rows = list(
        Reply.objects.select_for_update()
        .filter(lost, project_id=project_id, state=Reply.State.PENDING)
        .order_by("pk")
    )
    for row in rows:
        _settle(row, None)
        row.delete()
    return len(rows)


def retire(replies: Sequence[Reply]) -> int:
    """Take replies out of the cache; they stay for the record."""
    return Reply.objects.filter(pk__in=[r.pk for r in replies], retired_at__isnull=True).update(
        retired_at=timezone.now()
    )
