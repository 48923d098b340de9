"""How people come to a project, what they agreed to, and the places they hold in a panel's study."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy

from annotations.projects.models import Annotator, Project
from app.ledger.models import MICROS, Reservation


def money_words(amount: Decimal) -> str:
    """An amount with two digits after the point, more where it has more: 12.50, 0.125."""
    plain = f"{amount.normalize():f}"
    return plain if len(plain.partition(".")[2]) > 2 else f"{amount:.2f}"


class ConsentText(models.Model):
    """One wording people were asked to agree to; never changed."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="consent_texts")
    sha256 = models.CharField(max_length=64)
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "sha256"], name="consent_text_once")]


class Consent(models.Model):
    """A person agreed to one wording."""

    text = models.ForeignKey(ConsentText, on_delete=models.PROTECT, related_name="consents")
    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="consents")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["text", "annotator"], name="consent_once")]


class Participant(models.Model):
    """A person whom a panel sent, bound to the browser they came with first.

    `binding` is the sha256 of the random text in that browser's cookie: who only knows the panel's ids does not
    get in. Empty = the next visit with these ids binds anew (a researcher allowed it).
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="participants")
    person = models.CharField(max_length=64, help_text="The panel's id of the person.")
    annotator = models.OneToOneField(Annotator, on_delete=models.CASCADE, related_name="participant")
    binding = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "person"], name="participant_once")]


class Place(models.Model):
    """One place in a study: a participant's session, the items it asks for, and how it ended."""

    class State(models.TextChoices):
        ACTIVE = "active", gettext_lazy("At work")
        COMPLETE = "complete", gettext_lazy("Complete")
        NO_WORK = "no_work", gettext_lazy("Nothing left to do")
        SCREENED_OUT = "screened_out", gettext_lazy("Screened out")
        RETURNED = "returned", gettext_lazy("Returned")
        TIMED_OUT = "timed_out", gettext_lazy("Timed out")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="places")
    participant = models.ForeignKey(Participant, on_delete=models.CASCADE, related_name="places")
    study = models.CharField(max_length=64, blank=True)
    session = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=State.choices, default=State.ACTIVE)
    wanted = models.PositiveIntegerField(null=True, help_text="Items to judge; empty = as many as there are.")
    judged_before = models.BigIntegerField(
        default=0, help_text="The person's highest judgment id when the place began."
    )
    judged = models.PositiveIntegerField(default=0, help_text="Items judged, set when the place ended.")
    code = models.CharField(max_length=40, blank=True, help_text="The code the person was shown.")
    given_back = models.PositiveIntegerField(
        null=True, help_text="Judgments put aside when it ended, so that others judge those items."
    )
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "session"], name="place_session_once"),
            models.UniqueConstraint(
                fields=["participant"], condition=Q(state="active"), name="place_active_once"
            ),
        ]
        indexes = [models.Index(fields=["project", "-id"], name="place_recent")]


class Wage(models.Model):
    """What one person has earned in a project, and the ledger's hold that covers the work ahead of them.

    Written under the annotator's lock. `owed_micros` was earned, but the budget could not cover it.
    """

    annotator = models.OneToOneField(Annotator, on_delete=models.CASCADE, related_name="wage")
    hold = models.ForeignKey(Reservation, null=True, on_delete=models.PROTECT, related_name="+")
    settled_through = models.BigIntegerField(
        default=0, help_text="The highest judgment id that was reckoned."
    )
    paid_micros = models.BigIntegerField(default=0)
    owed_micros = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(owed_micros__gte=0), name="wage_owed_not_negative"),
        ]


class PayLine(models.Model):
    """One line of a person's statement: work that was reckoned, or a bonus. Never changed."""

    class Kind(models.TextChoices):
        WORK = "work", gettext_lazy("Work")
        BONUS = "bonus", gettext_lazy("Bonus")

    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="pay_lines")
    kind = models.CharField(max_length=5, choices=Kind.choices)
    earned_micros = models.BigIntegerField(help_text="What the work was worth.")
    paid_micros = models.BigIntegerField(help_text="What the budget covered, older debts included.")
    items = models.PositiveIntegerField(default=0)
    active_ms = models.BigIntegerField(default=0)
    unit = models.CharField(max_length=4, blank=True)
    rate = models.DecimalField(max_digits=10, decimal_places=4, default=0)
    first_judgment = models.BigIntegerField(default=0)
    last_judgment = models.BigIntegerField(default=0)
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        indexes = [models.Index(fields=["annotator", "-id"], name="pay_line_mine")]

    @property
    def earned(self) -> Decimal:
        return Decimal(self.earned_micros) / MICROS

    @property
    def paid(self) -> Decimal:
        return Decimal(self.paid_micros) / MICROS

    @property
    def rate_words(self) -> str:
        return money_words(self.rate)

    @property
    def minutes(self) -> float:
        return self.active_ms / 60_000


class Tally(models.Model):
    """What one annotator gave on one day (UTC), counted once: judgments only ever come, so this only ever grows.

    Imported judgments are left out. `TallyMark` says up to which judgment it counts.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+", db_index=False)
    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="tallies", db_index=False)
    day = models.DateField()
    given = models.PositiveIntegerField(default=0)
    answered = models.PositiveIntegerField(default=0)
    timed = models.PositiveIntegerField(default=0, help_text="Answers with a known active time.")
    active_ms = models.BigIntegerField(default=0)
    last_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["annotator", "day"], name="tally_once")]
        indexes = [models.Index(fields=["project", "day"], name="tally_days")]


class TallyMark(models.Model):
    """Up to which judgment a project is tallied."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, primary_key=True, related_name="+")
    through = models.BigIntegerField(default=0)


class BudgetAlert(models.Model):
    """A threshold of a project's budget that was passed, once for each cap; `mailed` counts who was told."""

    class What(models.TextChoices):
        MONEY = "money", "Money"
        LABELS = "labels", "Human labels"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="budget_alerts")
    what = models.CharField(max_length=6, choices=What.choices)
    threshold = models.FloatField(help_text="Share of the cap.")
    cap = models.BigIntegerField(help_text="Millionths of the currency, or labels.")
    at = models.DateTimeField(auto_now_add=True)
    mailed = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "what", "threshold", "cap"], name="budget_alert_once")
        ]
