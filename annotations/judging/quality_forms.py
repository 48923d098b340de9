"""Forms of the quality pages."""

from __future__ import annotations

from django import forms

from annotations.items.models import Item
from annotations.projects.rules import Arm, Gates

from .causes import CLASSES
from .gate_items import PURPOSES

CSV_BYTES = 2_000_000


class GatesForm(forms.Form):
    """The rules `Gates` of a project, shares in per cent."""

    training = forms.BooleanField(
        required=False,
        label="Start with the training items",
        help_text="New people answer every training item and read its explanation before the work.",
    )
    qualification_items = forms.IntegerField(
        min_value=0,
        max_value=100,
        label="Test items to answer",
        help_text="0: no test. MultiPref had 10.",
    )
    qualification_pass = forms.IntegerField(
        min_value=0,
        max_value=100,
        label="Right answers to pass, per cent",
        help_text="MultiPref asked for 90.",
    )
    gold_first = forms.IntegerField(
        min_value=0,
        max_value=50,
        label="Gold items at the start",
        help_text="So many come before any other item.",
    )
    gold_share = forms.IntegerField(
        min_value=0,
        max_value=50,
        label="Gold items among the others, per cent",
        help_text="They look like every other item.",
    )
    repeat_share = forms.IntegerField(
        min_value=0,
        max_value=20,
        label="Hidden repeats, per cent",
        help_text="An item the person judged a while ago, with its sides swapped. 2 to 5 is usual.",
    )
    pause_after_gold = forms.IntegerField(
        min_value=1,
        max_value=100,
        label="Results it takes",
        help_text="Nobody is paused before so many gold items, or repeats, are answered.",
    )
    pause_below_gold = forms.IntegerField(
        min_value=0,
        max_value=100,
        label="Least share of gold right, per cent",
        help_text="Who has less is paused. 0: nobody is.",
    )
    pause_below_consistency = forms.IntegerField(
        min_value=0,
        max_value=100,
        label="Least share of repeats answered the same, per cent",
        help_text="Who has less is paused. 0: nobody is.",
    )
    fastest_ms = forms.IntegerField(
        min_value=0,
        max_value=600_000,
        label="Least milliseconds for 1,000 characters",
        help_text="Answers given faster are marked, by the length of the responses; nobody is paused. 0: none is.",
    )
    message = forms.CharField(
        required=False,
        max_length=500,
        label="Message to who is paused or did not pass the test",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    GROUPS = (
        ("Before the work", ("training", "qualification_items", "qualification_pass")),
        ("Hidden in the work", ("gold_first", "gold_share", "repeat_share")),
        ("When somebody is paused", ("pause_after_gold", "pause_below_gold", "pause_below_consistency")),
        ("Too fast", ("fastest_ms",)),
        ("What they read", ("message",)),
    )
    PER_CENT = (
        "qualification_pass",
        "gold_share",
        "repeat_share",
        "pause_below_gold",
        "pause_below_consistency",
    )

    def __init__(self, *args, gates: Gates, **kwargs):
        initial = gates.model_dump()
        for name in self.PER_CENT:
            initial[name] = round(100 * initial[name])
        super().__init__(*args, initial=initial, **kwargs)
        for name in initial.keys() - {"training", "message"} & self.fields.keys():
            self.fields[name].widget.attrs["class"] = "input input-short"

    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The fields under the headings of the page."""
        return [(title, [self[name] for name in names]) for title, names in self.GROUPS]

    def gates(self) -> Gates:
        """The rules as entered."""
        values = dict(self.cleaned_data)
        for name in self.PER_CENT:
            values[name] = values[name] / 100
        return Gates(**values)


class GateForm(forms.Form):
    """What an item is a gate for, and how exactly its answer must be met."""

    purpose = forms.ChoiceField(
        choices=[(value, Item.Purpose(value).label) for value in PURPOSES], label="Use as", initial="gold"
    )
    explanation = forms.CharField(
        required=False,
        max_length=4000,
        label="Explanation",
        help_text="Markdown. Shown after a training item was answered; of gold only you see it.",
        widget=forms.Textarea(attrs={"rows": 3, "dir": "auto"}),
    )
    strength_within = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=8,
        label="Steps a preference may differ",
        help_text="Empty: the same side is enough.",
    )
    score_within = forms.IntegerField(min_value=0, max_value=100, initial=1, label="Steps a score may differ")


class GateFileForm(forms.Form):
    """A table of gates, as a file or as text."""

    file = forms.FileField(required=False, label="CSV file")
    text = forms.CharField(
        required=False,
        max_length=CSV_BYTES,
        label="or its text",
        widget=forms.Textarea(
            attrs={
                "rows": 5,
                "class": "input mono",
                "placeholder": "item,purpose,expected,explanation\nq-17,gold,b,",
            }
        ),
    )

    def clean(self) -> dict:
        values = super().clean()
        file = values.get("file")
        if file is not None:
            if file.size > CSV_BYTES:
                raise forms.ValidationError({"file": "Larger than 2 MB; split it."})
            try:
                values["text"] = file.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                raise forms.ValidationError({"file": "Not UTF-8 text."}) from None
        if not (values.get("text") or "").strip():
            raise forms.ValidationError("Give a file, or paste its text.")
        if "\x00" in values["text"]:
            raise forms.ValidationError("Holds a NUL character.")
        return values


class ReviewForm(forms.Form):
    """Why people disagree, and a note."""

    causes = forms.MultipleChoiceField(
        required=False,
        label="Why people disagree",
        choices=[(group, list(causes)) for group, causes in CLASSES],
        widget=forms.CheckboxSelectMultiple,
    )
    note = forms.CharField(
        required=False, max_length=4000, label="Note", widget=forms.Textarea(attrs={"rows": 2, "dir": "auto"})
    )


class IdentityForm(forms.Form):
    """What happens to responses that say which model wrote them."""

    identity = forms.ChoiceField(
        label="Responses that name their model",
        choices=[
            ("flag", "Mark their items, so that you can look"),
            ("redact", "Cover the name where people judge; the text stays as it is"),
            ("exclude", "Withdraw their items"),
            ("off", "Do not look"),
        ],
        help_text="Such as “I'm Claude” or “as an AI made by OpenAI”. Applies to every item there is, and to new ones.",
    )


class ArmForm(forms.Form):
    """One experiment arm; without a name it is none."""

    name = forms.RegexField(
        r"^[a-z][a-z0-9_]{0,39}$",
        required=False,
        max_length=40,
        label="Name",
        error_messages={"invalid": "Small letters, digits and _, a letter first."},
    )
    weight = forms.IntegerField(required=False, min_value=1, max_value=100, initial=1, label="Weight")
    schema_number = forms.TypedChoiceField(required=False, coerce=int, empty_value=None, label="Questions")
    criteria = forms.BooleanField(required=False, initial=True, label="Show the released criteria")

    def __init__(self, *args, versions: list[tuple[int, str]], has_criteria: bool, **kwargs):
        super().__init__(*args, **kwargs)
        if not has_criteria:  # nothing to show or to hold back: what is stored stays
            del self.fields["criteria"]
        self.fields["schema_number"].choices = [("", "What the project asks"), *versions]


def arms_of(formset) -> tuple[Arm, ...]:
    """The arms that were entered. Raises pydantic.ValidationError."""
    return tuple(
        Arm(
            name=row["name"],
            weight=row.get("weight") or 1,
            schema_number=row.get("schema_number"),
            criteria=row.get("criteria", form.initial.get("criteria", True)),
        )
        for form, row in ((form, form.cleaned_data) for form in formset)
        if row.get("name")
    )
