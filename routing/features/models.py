"""Tags that a language model gave to prompts. Everything else of this room lies in files (`stored`)."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from annotations.items.models import Item
from annotations.lm.models import Prompt
from annotations.projects.models import Annotator, Project


class Tagging(models.Model):
    """An LM annotator's model asked for tags in one version of the words. Of a project's the one started last is in use.

    `prompt_hash` covers the words and all that is put around them.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="taggings")
    annotator = models.ForeignKey(Annotator, on_delete=models.CASCADE, related_name="+")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="+")
    prompt_hash = models.CharField(max_length=64)
    account_id = models.UUIDField(null=True, help_text="Ledger account of the last start's own cap.")
    job_id = models.UUIDField(null=True)
    started_at = models.DateTimeField()
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["annotator", "prompt_hash"], name="tagging_words_once")
        ]

    def __str__(self) -> str:
        return f"{self.annotator.name}, {self.prompt}"


class ItemTags(models.Model):
    """What a tagging says of one item's prompt: `values` by dimension; empty with a `problem` where nothing was read."""

    tagging = models.ForeignKey(Tagging, on_delete=models.CASCADE, related_name="rows", db_index=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    values = models.JSONField(default=dict)
    mode = models.CharField(max_length=8, blank=True, help_text="strict, repaired; empty where unread.")
    problem = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tagging", "item"], name="item_tags_once")]
