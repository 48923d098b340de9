"""Money with a hard cap: accounts, and amounts held or spent against them.

Amounts are kept as whole millionths of the account's currency, so that SQLite compares and adds them exactly;
the public face is `Decimal`.
"""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.db import models

MICROS = 1_000_000


class Account(models.Model):
    """A budget. `spent + held <= cap` holds in the database whatever runs at once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    currency = models.CharField(max_length=3, default="EUR")
    cap_micros = models.BigIntegerField(default=0)
    spent_micros = models.BigIntegerField(default=0)
    held_micros = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(held_micros__gte=0), name="ledger_held_not_negative"),
            models.CheckConstraint(
                condition=models.Q(spent_micros__gte=0),
                name="ledger_spent_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(cap_micros__gte=models.F("spent_micros") + models.F("held_micros")),
                name="ledger_cap_holds",
            ),
        ]

    @property
    def cap(self) -> Decimal:
        return Decimal(self.cap_micros) / MICROS

    @property
    def spent(self) -> Decimal:
        return Decimal(self.spent_micros) / MICROS

    @property
    def held(self) -> Decimal:
        return Decimal(self.held_micros) / MICROS

    @property
    def used(self) -> Decimal:
        """Spent or held."""
        return self.spent + self.held

    @property
    def left(self) -> Decimal:
        return self.cap - self.spent - self.held


class Reservation(models.Model):
    """An amount held against an account until it is settled (spent) or released."""

    class State(models.TextChoices):
        HELD = "held"
        SETTLED = "settled"
        RELEASED = "released"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="reservations")
    amount_micros = models.BigIntegerField()
    settled_micros = models.BigIntegerField(null=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.HELD)
    purpose = models.CharField(max_length=64)
    reference = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["account", "-created_at"], name="ledger_recent")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount_micros__gte=0),
                name="ledger_amount_not_negative",
            )
        ]
