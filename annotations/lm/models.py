"""Language models that annotate: what stands behind an Annotator of kind `lm`."""

from __future__ import annotations

from django.db import models

from annotations.projects.models import Annotator


class LMAnnotator(models.Model):
    """Detail of one LM annotator: where it is asked, which model, in which words.

    `backend` is `imported` (its judgments came with a file) or `baseline` (an offline rule, named as such).
    """

    class Backend(models.TextChoices):
        IMPORTED = "imported", "Imported judgments"
        BASELINE = "baseline", "Offline baseline"

    annotator = models.OneToOneField(Annotator, on_delete=models.CASCADE, related_name="lm")
    backend = models.CharField(max_length=12, choices=Backend.choices)
    model = models.CharField(max_length=200)
    strategy = models.CharField(
        max_length=120, blank=True, help_text="Prompt strategy, where the file names one."
    )
    rule = models.CharField(max_length=40, blank=True, help_text="Name of the baseline's rule.")
    parameters = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    @property
    def is_baseline(self) -> bool:
        return self.backend == self.Backend.BASELINE
