"""Forms of ways in and places: they parse and check, and write nothing."""

from __future__ import annotations

from decimal import Decimal

from django import forms
from django.core.exceptions import ValidationError
from pydantic import ValidationError as RulesError

from annotations.projects import rules
from annotations.projects.models import Annotator, Project

MODES = [
    ("invitation", "By invitation only"),
    ("open_link", "By the project's open address: whoever has it may join"),
    ("open", "Open: everybody who signs in sees the project and may join"),
    ("prolific", "From Prolific, without an account"),
    ("panel", "From another panel, without an account"),
]


def to_rules(form: forms.Form, section: type, values: dict):
    """The checked section, or None with the errors beside the form's fields."""
    try:
        return section.model_validate(values)
    except RulesError as error:
        for each in error.errors(include_url=False):
            name = str(each["loc"][0]) if each["loc"] else None
            message = each["msg"].removeprefix("Value error, ")
            form.add_error(name if name in form.fields else None, message)
        return None


class EntryForm(forms.Form):
    """`rules.Entry` and `rules.Privacy`; a panel's fields matter only where the mode is a panel."""

    mode = forms.ChoiceField(choices=MODES, label="How people come in", widget=forms.RadioSelect)
    consent = forms.CharField(
        required=False,
        max_length=20_000,
        label="Consent text",
        help_text="Markdown. Shown before the first item; people agree or leave. A change asks everybody again.",
        widget=forms.Textarea(attrs={"rows": 8}),
    )
    erase = forms.ChoiceField(
        choices=[
            ("pseudonym", "Their judgments stay, under a pseudonym that leads to nobody"),
            ("delete", "Their judgments are deleted, and others judge those items again"),
        ],
        label="When a person has their data erased",
        widget=forms.RadioSelect,
    )
    keep_people_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=36_500,
        label="Days people stay known after the project is archived",
        help_text="Then everybody is erased from it, as if they had asked. Empty: until they ask.",
    )
    items_per_place = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=1000,
        label="Items per place",
        help_text="A participant of a panel is done after so many. Empty: when nothing is left.",
    )
    places = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=100_000,
        label="Places",
        help_text="Most people at work or complete. Empty: as many as the panel sends.",
    )
    completion_code = forms.CharField(required=False, max_length=40, label="Code when complete")
    screenout_code = forms.CharField(required=False, max_length=40, label="Code when screened out")
    late_code = forms.CharField(
        required=False,
        max_length=40,
        label="Code for who comes too late",
        help_text="When no place or no work is left. Empty: the code for being screened out.",
    )
    completion_url = forms.CharField(
        required=False,
        max_length=300,
        label="Address to go back to",
        help_text="{code} stands for the code.",
    )
    study_ids = forms.CharField(
        required=False,
        max_length=3500,
        label="Study ids",
        help_text="Only these studies are let in, one a line. Empty: any.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    person_parameter = forms.CharField(required=False, max_length=40, label="Parameter of the person")
    study_parameter = forms.CharField(required=False, max_length=40, label="Parameter of the study")
    session_parameter = forms.CharField(required=False, max_length=40, label="Parameter of the session")

    PANEL = (
        "items_per_place", "places", "completion_code", "screenout_code", "late_code", "completion_url",
        "study_ids", "person_parameter", "study_parameter", "session_parameter",
    )  # fmt: skip

    def __init__(self, data=None, *, stored: rules.Rules):
        entry = stored.entry
        initial = {**entry.model_dump(), **stored.privacy.model_dump()}
        initial["study_ids"] = "\n".join(entry.study_ids)
        super().__init__(data, initial=initial)

    @property
    def common_fields(self):
        return [self[name] for name in ("mode", "consent", "erase", "keep_people_days")]

    @property
    def panel_fields(self):
        return [self[name] for name in self.PANEL]

    def clean(self) -> dict:
        values = super().clean()
        if self.errors:
            return values
        given = {name: value for name, value in values.items() if name not in rules.Privacy.model_fields}
        given["study_ids"] = tuple(values["study_ids"].split())
        for name in ("person_parameter", "study_parameter", "session_parameter"):
            given[name] = given[name] or rules.Entry.model_fields[name].default
        self.parsed = to_rules(self, rules.Entry, given)
        if self.parsed and self.parsed.mode in {"prolific", "panel"} and not self.parsed.completion_code:
            raise ValidationError({"completion_code": "Participants need a code to be paid by the panel."})
        return values


class PayForm(forms.Form):
    """`rules.Pay`."""

    unit = forms.ChoiceField(
        choices=[("none", "Nothing here"), ("hour", "By the hour of active time"), ("item", "By the item")],
        label="What is paid",
        widget=forms.RadioSelect,
    )
    rate = forms.DecimalField(
        min_value=0, max_digits=10, decimal_places=4, label="Rate", help_text="An hour, or an item."
    )
    floor_per_hour = forms.DecimalField(
        min_value=0,
        max_digits=10,
        decimal_places=4,
        label="Least an hour should bring",
        help_text="Shown beside what people really earn, so that you see who is paid too little.",
    )
    longest_item_minutes = forms.IntegerField(
        min_value=1,
        max_value=120,
        label="Most minutes that count for an item",
        help_text="So much is held for each item before it is given out.",
    )

    def __init__(self, data=None, *, pay: rules.Pay):
        super().__init__(data, initial=pay.model_dump())

    def clean(self) -> dict:
        values = super().clean()
        if not self.errors:
            self.parsed = to_rules(self, rules.Pay, values)
            if self.parsed and self.parsed.unit != "none" and not self.parsed.rate:
                self.add_error("rate", "Say how much.")
        return values


class BonusForm(forms.Form):
    """A bonus for one person."""

    annotator = forms.ModelChoiceField(queryset=Annotator.objects.none(), label="For")
    amount = forms.DecimalField(min_value=Decimal("0.01"), max_digits=10, decimal_places=2, label="Amount")
    note = forms.CharField(max_length=200, label="What for", help_text="The person reads it.")

    def __init__(self, data=None, *, project: Project):
        super().__init__(data)
        people = Annotator.objects.filter(project=project, kind=Annotator.Kind.HUMAN, user__isnull=False)
        self.fields["annotator"].queryset = people.select_related("project").order_by("name")


class PanelFileForm(forms.Form):
    """A panel's list of submissions."""

    file = forms.FileField(label="Prolific's export of submissions (CSV)")
    give_back = forms.BooleanField(
        required=False,
        label="Put what they judged aside, so that others judge those items",
    )


class EndPlaceForm(forms.Form):
    """How a researcher ends a place."""

    state = forms.ChoiceField(
        choices=[("returned", "Returned"), ("timed_out", "Timed out"), ("screened_out", "Screened out")]
    )
    give_back = forms.BooleanField(required=False)
