"""What people ask for: a snapshot with filters, an export with its options."""

from __future__ import annotations

from django import forms

from annotations.judging.models import Judgment
from annotations.projects.models import Annotator

from . import formats


class SnapshotForm(forms.Form):
    note = forms.CharField(max_length=300, required=False, help_text="What you will use it for.")
    kinds = forms.MultipleChoiceField(
        label="Judgments of",
        choices=Annotator.Kind.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None ticked: of everybody.",
    )
    outcomes = forms.MultipleChoiceField(
        label="Outcomes",
        choices=Judgment.Outcome.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None ticked: all of them.",
    )
    only_judged = forms.BooleanField(label="Only items somebody judged", required=False)
    exclude_flagged = forms.BooleanField(label="Leave out flagged items", required=False)
    withdrawn = forms.BooleanField(label="Keep withdrawn items", required=False)

    def query(self) -> dict:
        """The filters that were set."""
        return {key: value for key, value in self.cleaned_data.items() if key != "note" and value}


class ExportForm(forms.Form):
    format = forms.ChoiceField(choices=[(name, found.label) for name, found in formats.FORMATS.items()])
    container = forms.ChoiceField(
        label="Files",
        choices=[("", "The format's usual one"), *formats.CONTAINERS.items()],
        required=False,
    )
    annotators = forms.ChoiceField(
        label="People appear under",
        choices=[("pseudonym", "Pseudonyms"), ("name", "Their names")],
        required=False,
        help_text="TRL rows name nobody. Models keep their names.",
    )
    style = forms.ChoiceField(
        label="Texts",
        choices=[("conversational", "Messages with roles"), ("standard", "Plain text")],
        required=False,
    )
    aspect = forms.CharField(max_length=64, initial=formats.DEFAULT_ASPECT, required=False)
    method = forms.ChoiceField(
        label="Verdict",
        choices=[
            ("majority", "Majority"),
            ("mean", "Sign of the mean strength"),
            ("three_most_similar", "Mean of the three most similar"),
        ],
        required=False,
    )
    judged_by = forms.ChoiceField(
        label="Judged by",
        choices=[("final", "People, else models"), ("human", "People only"), ("lm", "Models only")],
        required=False,
    )

    def label_fields(self):
        """What only the formats with one label a row ask for."""
        return [self[name] for name in ("style", "aspect", "method", "judged_by")]

    def clean(self):
        cleaned = super().clean()
        chosen = cleaned.get("format")
        if chosen is None:
            return cleaned
        options = {key: cleaned[key] for key in formats.FORMATS[chosen].options if cleaned.get(key)}
        try:
            cleaned["container"], cleaned["options"] = formats.check_options(
                chosen, cleaned.get("container") or None, options
            )
        except formats.BadOption as error:
            self.add_error("container" if "written as" in str(error) else None, str(error))
        return cleaned
