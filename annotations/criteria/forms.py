"""Forms of the criteria pages: they parse and check, and write nothing."""

from __future__ import annotations

from django import forms

from annotations.lm import endpoints
from annotations.lm.models import EndpointModel
from annotations.projects.models import Project

from .models import Criterion

WORDS = forms.Textarea(attrs={"rows": 4})


class CriterionForm(forms.Form):
    """A criterion a person writes."""

    name = forms.CharField(max_length=120, label="Name")
    kind = forms.ChoiceField(choices=Criterion.Kind.choices, label="It")
    wording = forms.CharField(
        max_length=4000, min_length=10, label="Wording", widget=WORDS,
        help_text="One quality that a reader can check by itself: “Prefer the response that …”.",
    )  # fmt: skip
    applies_when = forms.CharField(max_length=500, required=False, label="Applies when")
    anchors = forms.CharField(
        required=False, max_length=4000, label="What scores 1 to 5 mean", widget=forms.Textarea(attrs={"rows": 5}),
        help_text="Five lines, the worst first. Only for scores.",
    )  # fmt: skip

    def clean_anchors(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["anchors"].splitlines() if line.strip()]


class WordingForm(forms.Form):
    """A new wording, and whether it means something else."""

    wording = forms.CharField(max_length=4000, min_length=10, label="Wording", widget=WORDS)
    applies_when = forms.CharField(max_length=500, required=False, label="Applies when")
    change = forms.ChoiceField(
        label="This edit",
        choices=[("meaning", "changes the meaning: its grades go stale"), ("cosmetic", "keeps the meaning: its grades stay")],
        widget=forms.RadioSelect, initial="meaning",
    )  # fmt: skip
    sure = forms.BooleanField(required=False, label="I have checked that no verdict should change")

    def clean(self) -> dict:
        data = super().clean()
        if data.get("change") == "cosmetic" and not data.get("sure"):
            self.add_error("sure", "Tick this too if the meaning stays.")
        return data


class LabForm(forms.Form):
    """Who judges, who manages, at what cap."""

    judge = forms.ModelChoiceField(
        EndpointModel.objects.none(), required=False, empty_label="Offline rules", label="Judge",
        help_text="Asked about one criterion at a time, in both orders.",
    )  # fmt: skip
    manager = forms.ModelChoiceField(
        EndpointModel.objects.none(), required=False, empty_label="Offline rules", label="Manager",
        help_text="Proposes and rewords criteria. It sees train pairs only.",
    )  # fmt: skip
    cap = forms.DecimalField(
        required=False, min_value=0, max_digits=12, decimal_places=4, label="Cap",
        help_text="The lab never spends more than this in all, nor more than the project has.",
    )  # fmt: skip
    pairs_a_round = forms.IntegerField(min_value=10, max_value=20_000, initial=200, label="Pairs a round")
    weekly_panel = forms.BooleanField(
        required=False, label="Ask the judge's panel again every week",
        help_text="Fifty fixed pairs by every criterion in force; it shows whether the provider changed the model.",
    )  # fmt: skip

    interviews = forms.BooleanField(
        required=False, label="Let the manager interview people about conflicts",
        help_text="Up to four questions about two criteria that pull apart, then a card to edit. Each answer is one call "
        "against the cap.",
    )  # fmt: skip

    def __init__(self, *args, project: Project, **kwargs):
        super().__init__(*args, **kwargs)
        offered = EndpointModel.objects.filter(endpoint__in=endpoints.usable(project), is_offered=True)
        for name in ("judge", "manager"):
            self.fields[name].queryset = offered.select_related("endpoint").order_by("endpoint__name", "name")
