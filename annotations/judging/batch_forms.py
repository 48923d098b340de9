"""The forms of batches, of the limits of a project, of people's tags, and of work given by hand."""

from __future__ import annotations

from django import forms
from django.core.exceptions import ValidationError

from annotations.items import batches
from annotations.items.models import Batch
from annotations.projects import rules
from annotations.projects.models import Project

MOST_NAMES = 2000


class TagsField(forms.CharField):
    """Tags with commas between; gives a list, trimmed, lower case, in order."""

    def __init__(self, **kwargs):
        super().__init__(required=False, max_length=1000, **kwargs)

    def prepare_value(self, value):
        return ", ".join(value) if isinstance(value, list | tuple) else value

    def clean(self, value) -> list[str]:
        try:
            return batches.clean_tags(super().clean(value).split(","))
        except ValueError as error:
            raise ValidationError(str(error)) from None


class BatchForm(forms.Form):
    """The rules of a batch; contradictions are told beside their field."""

    name = forms.CharField(max_length=120, label="Name")
    overlap = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=50,
        label="People per item",
        help_text="Empty: as many as the project says. Items whose number was set otherwise keep theirs.",
    )
    weight = forms.IntegerField(
        min_value=0,
        max_value=1000,
        initial=1,
        label="Weight",
        help_text="How often the next item comes from here, next to the other batches. 0 pauses the batch.",
    )
    required_tags = TagsField(
        label="Only people with these tags",
        help_text="With commas between: de, medicine. A person needs all of them. Tags are set below the list of batches.",
    )
    expert_slots = forms.IntegerField(
        min_value=0,
        max_value=50,
        initial=0,
        label="Of these, experts",
        help_text="So many of the people per item are experts. Experts give these judgments and no others here.",
    )
    expert_tags = TagsField(
        label="Experts are people with any of these tags",
        help_text="With commas between: physics, chemistry.",
    )
    max_votes = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=50,
        label="While votes disagree, ask up to",
        help_text="Empty: what the project says.",
    )
    warning = forms.CharField(
        required=False,
        max_length=2000,
        label="Content warning",
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Its items stay blurred until the person shows them.",
    )

    def __init__(self, *args, project: Project, batch: Batch | None = None, **kwargs):
        self.project, self.batch = project, batch
        if batch is not None:
            kwargs.setdefault("initial", {name: getattr(batch, name) for name in batches.RULES})
        super().__init__(*args, **kwargs)

    def clean(self) -> dict:
        values = super().clean()
        if not self.errors:
            try:
                batches.check_rules(self.project, self.batch, values)
            except batches.InvalidBatch as error:
                self.add_error(error.field, str(error))
        return values


class LimitsForm(forms.Form):
    """What holds for everybody in the project; see `rules.Limits`."""

    per_day = forms.IntegerField(
        required=False, min_value=1, max_value=100_000, label="Items one person may judge in a day"
    )
    per_person = forms.IntegerField(
        required=False, min_value=1, max_value=10_000_000, label="Items one person may judge in all"
    )
    max_votes = forms.IntegerField(
        required=False,
        min_value=2,
        max_value=50,
        label="While votes disagree, ask up to",
        help_text="People per item. Empty: nobody further is asked.",
    )
    agreement = forms.ChoiceField(
        choices=[
            ("majority", "more than half say the same"),
            ("two_thirds", "two thirds say the same"),
            ("unanimous", "all say the same"),
        ],
        label="Votes agree when",
        help_text="The first comparison of the task counts, else its ranking or thumbs, else how far ratings spread.",
    )
    order = forms.ChoiceField(
        choices=[
            ("shared", "the same for everybody: items complete one after another"),
            ("per_person", "another for each person, by the project's seed"),
            ("ranking", "the same for everybody: first what makes the models' ranking certain soonest"),
            ("best", "the same for everybody: first what finds the best model soonest"),
        ],
        label="Order of items",
        help_text="The last two choose anew from people's votes after every 50 judgments or a twentieth of all. Chosen ten at a time from real "
        "votes, the ranking took about a quarter fewer votes than a random order to agree as well with other people's; the best was found "
        "sooner, at the cost of the ranking of the others. Items that a plan or you put in place keep it.",
    )
    adaptive_lease = forms.BooleanField(
        required=False,
        label="Hold an item as long as people lately need",
        help_text="Twice the 99th percentile of active time, between 5 minutes and 4 hours, once 50 items are judged.",
    )

    def limits(self, before: rules.Limits) -> rules.Limits:
        """The checked limits; what this form does not ask stays."""
        return rules.Limits(**(before.model_dump() | self.cleaned_data))


class AssignForm(forms.Form):
    """Items for people: named here, or in a CSV file."""

    items = forms.CharField(
        required=False,
        label="Items",
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Their ids or numbers, one a line.",
    )
    people = forms.MultipleChoiceField(required=False, label="People", widget=forms.CheckboxSelectMultiple)
    file = forms.FileField(
        required=False,
        label="Or a CSV file",
        help_text="Two columns with the names item and person in the first line.",
    )
    ask_more = forms.BooleanField(required=False, label="Ask one person more where an item has all it wants")

    def __init__(self, *args, people: list[tuple[str, str]], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["people"].choices = people
        if not people:
            del self.fields["people"]

    def clean(self) -> dict:
        values = super().clean()
        names = [line.strip() for line in values.get("items", "").splitlines() if line.strip()]
        people = values.get("people") or []
        if len(names) * max(1, len(people)) > MOST_NAMES:
            self.add_error("items", f"More than {MOST_NAMES:,} at once; use a CSV file.")
        if names and not people:
            self.add_error("people" if "people" in self.fields else None, "Choose at least one person.")
        if people and not names:
            self.add_error("items", "Name at least one item.")
        if not names and not people and not values.get("file") and not self.errors:
            self.add_error("items", "Name items and people, or choose a file.")
        values["names"] = names
        return values
