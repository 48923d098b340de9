"""The forms of the import pages: a file, and what its columns are."""

from __future__ import annotations

import re

from django import forms
from django.conf import settings
from django.template.defaultfilters import filesizeformat

from .uploads import Draft

RATING = "rating"
ROLES = [
    ("ignore", "leave out"),
    ("meta", "keep as metadata"),
    ("id", "id"),
    ("prompt", "prompt"),
    ("context", "context"),
    *((f"response_{n}", f"response {'ABCDEFGH'[n - 1]}") for n in range(1, 9)),
    *((f"model_{n}", f"model of response {'ABCDEFGH'[n - 1]}") for n in range(1, 9)),
    ("chosen", "chosen response"),
    ("rejected", "rejected response"),
    ("label", "label: a, b, tie"),
    ("annotator", "annotator"),
    ("reason", "reason"),
    ("group", "group"),
    ("source", "source"),
    *((f"rating_{n}", f"rating of response {'ABCDEFGH'[n - 1]}") for n in range(1, 9)),
]
MAX_COLUMNS = 200


def in_words(message: str) -> str:
    """What a reader says of a mapping, with the words of the page for `response_1` and `model_1`."""
    said = re.sub(r"\b(model|response)_([1-8])\b", lambda role: dict(ROLES)[f"{role[1]}_{role[2]}"], message)
    return f"{said[:1].upper()}{said[1:]}."


class FileForm(forms.Form):
    """One file; left empty it keeps the draft's file, or starts without one."""

    file = forms.FileField(required=False, label="File", allow_empty_file=True, max_length=255)

    def __init__(self, *args, required: bool, **kwargs):
        super().__init__(*args, **kwargs)
        self.must = required
        self.fields["file"].required = required
        self.fields["file"].help_text = (
            "JSONL, JSON, CSV, TSV, XML or Parquet, text files also gzipped, or the zip of a Potato study; up to "
            f"{filesizeformat(settings.UPLOAD_MAX_BYTES)}. The format is recognised."
        )
        self.fields["file"].widget.attrs["data-max-bytes"] = settings.UPLOAD_MAX_BYTES
        self.fields["file"].error_messages["required"] = "Choose a file."


class MappingForm(forms.Form):
    """A select for each column; `column_<n>` stands for the n-th column of the table."""

    def __init__(self, *args, columns: list[str], mapping: dict[str, str], **kwargs):
        super().__init__(*args, **kwargs)
        self.columns = columns
        for place, column in enumerate(columns[:MAX_COLUMNS]):
            self.fields[f"column_{place}"] = forms.ChoiceField(
                choices=ROLES,
                label=column or f"column {place + 1}",
                initial=_choice(mapping.get(column, "meta")),
            )

    def mapping(self) -> dict[str, str]:
        """{column: role} as the readers take it; a rating is named after its column."""
        several = sum(self.cleaned_data[name].startswith("response_") for name in self.fields) > 1
        found = {}
        for place, column in enumerate(self.columns[:MAX_COLUMNS]):
            role = self.cleaned_data[f"column_{place}"]
            if role.startswith(f"{RATING}_"):
                attribute = column.removeprefix("rating_").replace(":", "_").strip() or "rating"
                response = role.removeprefix(f"{RATING}_")
                role = f"rating:{attribute}:{response}" if several else f"rating:{attribute}"
            found[column] = role
        return found


def _choice(role: str) -> str:
    """The select's value for a reader's role."""
    if role.startswith("rating:"):
        _, _, *which = role.split(":")
        return f"{RATING}_{which[0] if which else 1}"
    aliases = {
        "response_a": "response_1",
        "response_b": "response_2",
        "model_a": "model_1",
        "model_b": "model_2",
    }
    return aliases.get(role, role or "ignore")


def mapping_form(draft: Draft, columns: list[str], mapping: dict[str, str], data=None) -> MappingForm | None:
    """The mapping form of a table, None for every other format."""
    if not draft.is_table:
        return None
    return MappingForm(data, columns=columns, mapping=draft.mapping or mapping)
