"""Money: the cap holds, nothing is held twice, nothing is lost."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.ledger import ledger
from app.ledger.models import Account, Reservation

pytestmark = [pytest.mark.django_db, pytest.mark.smoke]


@pytest.fixture
def account():
    return Account.objects.create(name="Pairs", cap_micros=10_000_000)


def test_reserve_settle_release(account):
    first = ledger.reserve(account_id=account.pk, amount=Decimal("6.00"), purpose="plan")
    with pytest.raises(ledger.BudgetExceeded) as refused:
        ledger.reserve(account_id=account.pk, amount=Decimal("4.01"), purpose="plan")
    assert "4.01 EUR asked for" in str(refused.value)
    second = ledger.reserve(account_id=account.pk, amount=Decimal("4.00"), purpose="plan")
    ledger.settle(reservation=first, amount=Decimal("1.25"))
    ledger.release(reservation=second)
    account.refresh_from_db()
    assert (account.spent, account.held, account.left) == (Decimal("1.25"), 0, Decimal("8.75"))
    for close in (
        lambda: ledger.release(reservation=first),
        lambda: ledger.settle(reservation=second, amount=Decimal(1)),
    ):
        with pytest.raises(ledger.AlreadyClosed):
            close()
    account.refresh_from_db()
    assert account.left == Decimal("8.75")


def test_the_cap_cannot_go_below_what_is_spent_and_held(account):
    ledger.reserve(account_id=account.pk, amount=Decimal("3"), purpose="plan")
    with pytest.raises(ledger.BudgetExceeded):
        ledger.set_cap(account=account, cap=Decimal("2.99"))
    assert ledger.set_cap(account=account, cap=Decimal("3")).left == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["reserve", "settle", "release"]), st.integers(0, 5_000_000), st.integers(0, 9)
        ),
        max_size=25,
    )
)
def test_any_sequence_keeps_the_books(account, steps):
    Reservation.objects.all().delete()
    Account.objects.update(spent_micros=0, held_micros=0)
    held: dict[int, Reservation] = {}
    spent, made = 0, 0
    for verb, micros, which in steps:
        amount = Decimal(micros) / 1_000_000
        try:
            if verb == "reserve":
                held[made] = ledger.reserve(account_id=account.pk, amount=amount, purpose="t")
                made += 1
            elif held:
                key = sorted(held)[which % len(held)]
                if verb == "settle":
                    ledger.settle(reservation=held[key], amount=amount)
                    spent += micros
                else:
                    ledger.release(reservation=held[key])
                del held[key]
        except (ledger.BudgetExceeded, ValueError):
            continue
    account.refresh_from_db()
    assert account.spent_micros == spent
    assert account.held_micros == sum(r.amount_micros for r in held.values())
    assert account.spent_micros + account.held_micros <= account.cap_micros


@pytest.mark.django_db(transaction=True)
def test_concurrent_reservations_never_pass_the_cap():
    import threading

    from django.db import connection

    account = Account.objects.create(name="Race", cap_micros=10_000_000)
    refused, errors = [], []

    def spend():
        try:
            for _ in range(5):
                try:
                    ledger.reserve(account_id=account.pk, amount=Decimal("0.70"), purpose="race")
                except ledger.BudgetExceeded:
                    refused.append(1)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    account.refresh_from_db()
    assert (account.held_micros, len(refused)) == (9_800_000, 40 - 14)
