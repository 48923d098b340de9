"""Reserve, then settle or release: the only writers of money.

Every change is one conditional UPDATE in a short transaction, so no two spenders can together pass the cap
(on PostgreSQL the row lock decides, on SQLite the IMMEDIATE transaction).
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from app.web.numbers import money

from .models import MICROS, Account, Reservation


class BudgetExceeded(Exception):
    """The account's cap does not allow this amount; nothing was held."""

    def __init__(self, account: Account, amount: Decimal):
        super().__init__(
            f"{account.name}: {money(amount)} {account.currency} asked for, {money(account.left)} {account.currency} left of "
            f"{money(account.cap)} {account.currency}."
        )
        self.account, self.amount = account, amount


class AlreadyClosed(Exception):
    """The reservation was settled or released before."""


def to_micros(amount: Decimal) -> int:
    """Millionths of `amount`, rounded up so that nothing is spent that was not held. Raises ValueError below 0."""
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"amount {amount}: expected a number of at least 0")
    return int((amount * MICROS).to_integral_value(rounding=ROUND_CEILING))


def set_cap(*, account: Account, cap: Decimal) -> Account:
    """Set the account's cap. Raises BudgetExceeded below what is spent and held already."""
    micros = to_micros(cap)
    changed = Account.objects.filter(pk=account.pk, spent_micros__lte=micros - F("held_micros")).update(
        cap_micros=micros
    )
    account.refresh_from_db()
    if not changed:
        raise BudgetExceeded(account, cap)
    return account


@transaction.atomic
def reserve(
    *,
    account_id,
    amount: Decimal,
    purpose: str,
    reference: str = "",
) -> Reservation:
    """Hold `amount` against the account. Raises BudgetExceeded if the cap does not allow it."""
    micros = to_micros(amount)
    held = Account.objects.filter(
        pk=account_id, cap_micros__gte=F("spent_micros") + F("held_micros") + micros
    ).update(held_micros=F("held_micros") + micros)
    if not held:
        raise BudgetExceeded(Account.objects.get(pk=account_id), amount)
    return Reservation.objects.create(
        account_id=account_id,
        amount_micros=micros,
        purpose=purpose,
        reference=reference[:200],
    )


@transaction.atomic
def settle(*, reservation: Reservation, amount: Decimal) -> Reservation:
    """Turn a held amount into spending of `amount` (at most what was held) and free the rest.

    Raises AlreadyClosed if it is not held any more, ValueError if `amount` is above what was held.
    """
    micros = to_micros(amount)
    if micros > reservation.amount_micros:
        raise ValueError(f"settling {amount} but only {Decimal(reservation.amount_micros) / MICROS} was held")
    _close(reservation, state=Reservation.State.SETTLED, settled_micros=micros)
    Account.objects.filter(pk=reservation.account_id).update(
        held_micros=F("held_micros") - reservation.amount_micros,
        spent_micros=F("spent_micros") + micros,
    )
    return reservation


@transaction.atomic
def release(*, reservation: Reservation) -> Reservation:
    """Free a held amount unspent. Raises AlreadyClosed if it is not held any more."""
    _close(reservation, state=Reservation.State.RELEASED, settled_micros=0)
    Account.objects.filter(pk=reservation.account_id).update(
        held_micros=F("held_micros") - reservation.amount_micros
    )
    return reservation


def _close(reservation: Reservation, *, state: str, settled_micros: int) -> None:
    """Mark a held reservation closed; the conditional UPDATE makes a second close impossible."""
    now = timezone.now()
    closed = Reservation.objects.filter(pk=reservation.pk, state=Reservation.State.HELD).update(
        state=state, settled_micros=settled_micros, closed_at=now
    )
    if not closed:
        raise AlreadyClosed(str(reservation.pk))
    reservation.state, reservation.settled_micros, reservation.closed_at = (
        state,
        settled_micros,
        now,
    )
