"""Which criterion wins where: people's cards, votes between them, and the interviews that help to write one."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from annotations.items.models import Item
from annotations.projects.models import Annotator, Project


class Card(models.Model):
    """Which criterion should win for which kind of prompt, in one annotator's words (a value card)."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="criteria_cards")
    criterion = models.ForeignKey("criteria.Criterion", on_delete=models.CASCADE, related_name="cards")
    context = models.CharField(max_length=200, help_text="The kind of prompt it speaks of.")
    text = models.TextField()
    item = models.ForeignKey(Item, null=True, on_delete=models.SET_NULL, related_name="+")
    annotator = models.ForeignKey(Annotator, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)


class CardVote(models.Model):
    """Whether one card is wiser than another for their context, by somebody who wrote neither."""

    class Value(models.TextChoices):
        WISER = "wiser", "Wiser"
        NOT = "not", "Not wiser"
        UNSURE = "unsure", "Not sure"

    lower = models.ForeignKey(Card, on_delete=models.CASCADE, related_name="+")
    upper = models.ForeignKey(
        Card, on_delete=models.CASCADE, related_name="+", help_text="The one asked to be wiser."
    )
    annotator = models.ForeignKey(Annotator, on_delete=models.PROTECT, related_name="+")
    value = models.CharField(max_length=6, choices=Value.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lower", "upper", "annotator"], name="card_vote_once")]


class Interview(models.Model):
    """A short talk of the manager with one person about two criteria that pull apart; it ends in a draft of their card.

    What the model writes is a stranger's text: questions are shown as plain text, and the person edits the draft and
    saves it as their own, or does not.
    """

    class State(models.TextChoices):
        ASKED = "asked", "Waits for the person"
        WAITING = "waiting", "Waits for the model"
        DRAFTED = "drafted", "A card is drafted"
        SAVED = "saved", "The card is saved"
        DROPPED = "dropped", "Dropped"

    OPEN = (State.ASKED, State.WAITING, State.DRAFTED)

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="+")
    criterion = models.ForeignKey("criteria.Criterion", on_delete=models.CASCADE, related_name="+")
    rival = models.ForeignKey("criteria.Criterion", on_delete=models.CASCADE, related_name="+")
    item = models.ForeignKey(
        Item, null=True, on_delete=models.SET_NULL, related_name="+", help_text="A train pair that they judge apart."
    )  # fmt: skip
    turns = models.JSONField(default=list, help_text="[{who: model | person, text}], oldest first.")
    draft = models.JSONField(default=dict, help_text="{criterion, context, text}, for the person to edit.")
    state = models.CharField(max_length=7, choices=State.choices, default=State.ASKED)
    stopped = models.CharField(max_length=300, blank=True, help_text="Why the model could not go on.")
    cost_micros = models.BigIntegerField(default=0)
    card = models.OneToOneField(Card, null=True, on_delete=models.SET_NULL, related_name="interview")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "annotator"], condition=Q(state__in=["asked", "waiting", "drafted"]),
                name="interview_open_once",
            )
        ]  # fmt: skip
