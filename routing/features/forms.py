"""The form that starts tagging."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from django import forms

from annotations.lm.forms import RunForm
from annotations.lm.prompts import MAX_INSTRUCTIONS
from annotations.projects.models import Project

from . import tagger

SHOWN = 12  # models offered, each with an estimate


class TagForm(RunForm):
    """Which model tags, in which words, how far."""

    model = forms.ChoiceField(label="Model that tags", widget=forms.RadioSelect)
    instructions = forms.CharField(
        label="Words",
        required=False,
        max_length=MAX_INSTRUCTIONS,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Stand before the eight dimensions and the answer's format. Other words are another version, and tag anew.",
    )
    field_order = ("model", "instructions", "limit", "cap")

    def __init__(self, *args, project: Project, **kwargs):
        super().__init__(*args, **kwargs)
        self.details = {str(row.pk): row for row in tagger.able(project)[:SHOWN]}
        self.fields["instructions"].initial = words = tagger.latest_words(project)
        self.fields["model"].choices = [
            (pk, _words(detail.annotator.name, tagger.estimate(detail, words)))
            for pk, detail in self.details.items()
        ]
        self.fields["model"].initial = next(iter(self.details), None)

    def detail(self):
        return self.details[self.cleaned_data["model"]]


def _words(name: str, said: dict) -> str:
    if not said["items"]:
        return f"{name}: has tagged every prompt in the words below"
    cost, worst = (Decimal(said[key]).quantize(Decimal("0.01"), ROUND_CEILING) for key in ("cost", "worst"))
    price = "free" if said["is_free"] else f"about {cost} {said['currency']}, at most {worst}"
    return f"{name}: {said['items']:,} prompts left, {price}"
