"""What people ask for: a snapshot with filters, an export with its options."""

from __future__ import annotations

from django import forms

from annotations.judging.models import Judgment
from annotations.projects.models import Annotator

from . import formats
from .licences import LICENCES


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


OPTIONS: dict[str, tuple[str, dict[str, str], str]] = {
    "annotators": (
        "People appear under",
        {"pseudonym": "Pseudonyms", "name": "Their names"},
        "Models keep their names.",
    ),
    "style": ("Texts", {"conversational": "Messages with roles", "standard": "Plain text"}, ""),
    "prompt": (
        "Prompt",
        {"explicit": "In a column of its own", "implicit": "Inside chosen and rejected"},
        "",
    ),
    "judged_by": (
        "Judged by",
        {"final": "People, else models", "human": "People only", "lm": "Models only"},
        "",
    ),
    "method": (
        "Verdict",
        {
            "majority": "Majority",
            "mean": "Mean strength or rank",
            "three_most_similar": "Mean of the three most similar",
            "dawid_skene": "Dawid and Skene: who is right more often counts for more",
            "raw": "None: a row for every vote",
        },
        "How several people's votes become one.",
    ),
    "ratings": (
        "Ratings",
        {
            "three_most_similar": "Mean of the three most similar",
            "mean": "Mean of all",
            "majority": "The commonest value",
        },
        "How several people's ratings become one whole number.",
    ),
    "ties": (
        "Ties",
        {"drop": "Left out and counted", "soft": "Kept, with a soft label of one half"},
        "Keeping them needs all columns.",
    ),
    "near_duplicates": (
        "Nearly equal responses",
        {"keep": "Kept", "drop": "Left out and counted"},
        "Pairs that share four fifths of their runs of three words.",
    ),
    "take": (
        "Texts to learn from",
        {
            "both": "Rewrites, else the best response",
            "rewrites": "Rewrites only",
            "best": "Best responses only",
        },
        "",
    ),
    "columns": (
        "Columns",
        {
            "usual": "The format's own, and where a row comes from",
            "schema": "The format's own only",
            "full": "All: soft label, lengths, similarity, reward margin, models",
        },
        "",
    ),
    "pii": (
        "Personal data",
        {"off": "Not looked for", "report": "Counted, and the items named"},
        "E-mail addresses, telephone and card numbers, network addresses. The rows stay as they are.",
    ),
    "licence": (
        "Licence",
        {"none": "None stated", **{key: found.label for key, found in LICENCES.items()}},
        "Stands in the dataset card. Only what you may give: the texts have licences of their own.",
    ),
}
"""Option → (label, {value: words}, help)."""


def _choices(key: str, words: dict[str, str]) -> list[tuple[str, str]]:
    """Nothing chosen is the default: named where every format has the same one."""
    usual = {found.options[key][0] for found in formats.FORMATS.values() if key in found.options}
    usual = usual or {formats.EVERYWHERE[key][0]}
    if len(usual) > 1:
        return [("", "The format's usual one"), *words.items()]
    return [("", words[min(usual)]), *((value, word) for value, word in words.items() if value not in usual)]


class ExportForm(forms.Form):
    format = forms.ChoiceField(
        choices=[(name, found.label) for name, found in formats.FORMATS.items()], initial="native"
    )
    container = forms.ChoiceField(
        label="Files",
        choices=[("", "The format's usual ones"), *formats.CONTAINERS.items()],
        required=False,
    )
    aspect = forms.CharField(
        max_length=64,
        initial=formats.DEFAULT_ASPECT,
        required=False,
        help_text="Which question decides; where nobody compared, rankings and ratings do.",
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for key, (label, words, text) in OPTIONS.items():
            self.fields[key] = forms.ChoiceField(
                label=label,
                choices=_choices(key, words),
                required=False,
                help_text=text,
            )

    def families(self):
        """(family, [(name, format, whether it is chosen)]), the order in which people choose."""
        chosen = self["format"].value()
        return [
            (
                family,
                [
                    (name, found, name == chosen)
                    for name, found in formats.FORMATS.items()
                    if found.family == family
                ],
            )
            for family in formats.FAMILIES
        ]

    def option_fields(self):
        """(field, names of the formats that have this option)."""
        return [
            (
                self[key],
                " ".join(
                    name
                    for name, found in formats.FORMATS.items()
                    if key in found.options or key in formats.EVERYWHERE
                ),
            )
            for key in ("aspect", *OPTIONS)
        ]

    def clean(self):
        cleaned = super().clean()
        chosen = cleaned.get("format")
        if chosen is None:
            return cleaned
        options = {
            key: cleaned[key]
            for key in (*formats.FORMATS[chosen].options, *formats.EVERYWHERE)
            if cleaned.get(key)
        }
        try:
            cleaned["container"], cleaned["options"] = formats.check_options(
                chosen, cleaned.get("container") or None, options
            )
        except formats.BadOption as error:
            word = str(error).split()[0]
            field = "container" if "written as" in str(error) else word if word in self.fields else None
            self.add_error(field, str(error))
        return cleaned


class PushForm(forms.Form):
    repository = forms.CharField(
        max_length=96,
        help_text="owner/name. It is made if it is not there; one that holds anything else is left alone.",
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}
        ),
    )
    public = forms.TypedChoiceField(
        label="Who may see it",
        choices=[
            ("", "Only the repository's owner, and the members where that is an organisation"),
            ("1", "Everybody"),
        ],
        coerce=bool,
        empty_value=False,
        required=False,
        widget=forms.RadioSelect,
        help_text="Making it public is kept to owners of the project, and cannot be taken back: others may have copied it.",
    )
    sure = forms.BooleanField(
        label="I may give away what is listed above, under this licence",
        required=False,
        help_text="Needed where everybody may see it.",
    )
