"""The form of a selection."""

from __future__ import annotations

from django import forms

from . import ballots

MOST = 10_000


class SubsetForm(forms.Form):
    """Which candidates are chosen; see `ballots.select`."""

    of = forms.ChoiceField(
        choices=[("responses", "responses"), ("items", "items")], label="Choose", initial="responses"
    )
    k = forms.IntegerField(min_value=1, max_value=MOST, label="How many", initial=20)
    group = forms.ChoiceField(
        choices=[(name, name) for name in ballots.GROUPS], label="Groups by", initial="source"
    )
    at_least = forms.IntegerField(
        min_value=0,
        max_value=MOST,
        required=False,
        label="At least of each group",
    )
    rule = forms.ChoiceField(
        choices=[("borda", "liked best on average"), ("coverage", "everybody finds one they like")],
        label="Rule",
        initial="borda",
    )

    def clean_at_least(self) -> int:
        return self.cleaned_data["at_least"] or 0

    def clean(self) -> dict:
        values = super().clean()
        if values.get("of") == "items" and values.get("group") == "model":
            self.add_error("group", "Items have responses of several models: choose source or batch.")
        return values
