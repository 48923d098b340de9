"""Wordings of an LM annotator's instructions: the ones in use, those proposed, and what each said of which pair."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from annotations.items.models import Item
from annotations.lm.models import LMAnnotator
from annotations.projects.models import Annotator, Project


class JudgeWording(models.Model):
    """One immutable text of instructions for one LM annotator. Accepting it makes another annotator: none ever changes.

    `shown` are the items whose texts its writer saw; a test uses none of them.
    """

    class Origin(models.TextChoices):
        CURRENT = "current", "In use"
        LM = "lm", "Proposed by a model"
        HUMAN = "human", "Written by a person"

    class State(models.TextChoices):
        CURRENT = "current", "In use"
        OPEN = "open", "Open"
        ACCEPTED = "accepted", "Accepted"
        REJECTED = "rejected", "Rejected"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    detail = models.ForeignKey(LMAnnotator, on_delete=models.CASCADE, related_name="wordings")
    instructions = models.TextField(blank=True)
    sha256 = models.CharField(max_length=64)
    origin = models.CharField(max_length=7, choices=Origin.choices)
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    rationale = models.TextField(blank=True)
    marks = models.JSONField(default=list, help_text="What the scan for injected text found in it.")
    shown = models.JSONField(default=list, help_text="Ids of the items whose texts its writer saw.")
    tests = models.JSONField(default=list, help_text="Paired tests against the words in use, oldest first.")
    made = models.ForeignKey(LMAnnotator, null=True, on_delete=models.SET_NULL, related_name="+")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["detail", "sha256"], name="judge_wording_once")]

    @property
    def test(self) -> dict | None:
        """Its newest paired test."""
        return self.tests[-1] if self.tests else None


class Reading(models.Model):
    """What the annotator's model said of a pair under a wording: codes of `pairs`, both orders as one. No judgment."""

    wording = models.ForeignKey(
        JudgeWording, on_delete=models.CASCADE, related_name="readings", db_index=False
    )
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    value = models.SmallIntegerField()
    consistent = models.BooleanField(null=True)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["wording", "item"], name="reading_once")]


class Duel(models.Model):
    """Which of two wordings read a pair better, in the eyes of somebody who did not know which was which."""

    class Value(models.TextChoices):
        FIRST = "first", "The first"
        SECOND = "second", "The second"
        ALIKE = "alike", "Neither"

    first = models.ForeignKey(JudgeWording, on_delete=models.CASCADE, related_name="+")
    second = models.ForeignKey(JudgeWording, on_delete=models.CASCADE, related_name="+")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    annotator = models.ForeignKey(Annotator, on_delete=models.PROTECT, related_name="+")
    value = models.CharField(max_length=6, choices=Value.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["first", "second", "item", "annotator"], name="duel_once")
        ]
