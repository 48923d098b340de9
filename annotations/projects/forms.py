"""Forms of the project pages: they parse and check, and write nothing."""

from __future__ import annotations

import re
from decimal import Decimal

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from app.ledger.models import Account

from . import designs
from .invitations import LARGEST_BATCH
from .models import Membership, Project
from .presets import PRESETS

MAX_GUIDELINES = 200_000


class BasicsForm(forms.Form):
    """Name and description of a new project."""

    name = forms.CharField(max_length=200, label="Name")
    description = forms.CharField(
        required=False, max_length=4000, label="Description", widget=forms.Textarea(attrs={"rows": 3})
    )


class TaskForm(forms.Form):
    """What a new project asks, of how many people, by which guidelines."""

    preset = forms.ChoiceField(
        label="What should people answer?",
        choices=[(key, preset["title"]) for key, preset in PRESETS.items()],
        widget=forms.RadioSelect,
    )
    overlap = forms.IntegerField(
        min_value=1, max_value=50, initial=1, label="People per item", help_text="How many judge each item."
    )
    guidelines = forms.CharField(
        required=False,
        max_length=MAX_GUIDELINES,
        label="Guidelines",
        help_text="Markdown. Everybody reads and acknowledges them before the first item.",
        widget=forms.Textarea(attrs={"rows": 8}),
    )


class InviteForm(forms.Form):
    """Whom to invite: addresses, a link, or both."""

    role = forms.ChoiceField(
        choices=[
            (Membership.Role.ANNOTATOR, "Annotator: judges items"),
            (Membership.Role.REVIEWER, "Reviewer: reads items and judgments, decides reviews"),
            (Membership.Role.RESEARCHER, "Researcher: everything but people"),
            (Membership.Role.OWNER, "Owner: everything"),
        ],
        initial=Membership.Role.ANNOTATOR,
        label="Role",
    )
    emails = forms.CharField(
        required=False,
        max_length=20_000,
        label="E-mail addresses",
        help_text=f"One a line or separated by commas, at most {LARGEST_BATCH}. Each gets a link of their own.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    link_uses = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=1000,
        label="Or one link for this many people",
        help_text="Shown once, to hand over yourself.",
        widget=forms.NumberInput(attrs={"class": "input-short"}),
    )

    def clean_emails(self) -> list[str]:
        emails = [part for part in re.split(r"[\s,;]+", self.cleaned_data["emails"]) if part]
        emails = list(dict.fromkeys(email.lower() for email in emails))
        wrong = [email for email in emails if not _is_email(email)]
        if wrong:
            raise ValidationError(f"Not an e-mail address: {', '.join(wrong[:5])}")
        if len(emails) > LARGEST_BATCH:
            raise ValidationError(f"{len(emails)} addresses; invite at most {LARGEST_BATCH} at a time.")
        return emails

    def clean_link_uses(self) -> int:
        return self.cleaned_data["link_uses"] or 0

    @property
    def invites_anybody(self) -> bool:
        return bool(self.cleaned_data["emails"] or self.cleaned_data["link_uses"])


def _is_email(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return len(text) <= 254


class DefinitionForm(forms.Form):
    """A design as JSON, pasted or as a file; errors name the place in it."""

    definition = forms.CharField(
        required=False,
        max_length=designs.LONGEST,
        strip=False,
        label="Or paste it",
        widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false", "class": "mono"}),
    )
    file = forms.FileField(
        required=False,
        label="A JSON file",
        widget=forms.FileInput(attrs={"accept": ".json,application/json"}),
    )

    def clean(self) -> dict:
        values = super().clean()
        text, where = values.get("definition") or "", "definition"
        if upload := values.get("file"):
            where = "file"
            try:
                text = upload.read(4 * designs.LONGEST + 1).decode()
            except UnicodeDecodeError:
                self.add_error("file", "This is not a text in UTF-8.")
                return values
        if not text.strip():
            if "definition" not in self.errors:
                self.add_error("definition", "Choose a file, or paste a design.")
            return values
        try:
            self.parsed = designs.parse(text)
        except designs.DesignError as error:
            self.add_error(where, [ValidationError(line) for line in error.lines[:30]])
        return values


class GuidelineForm(forms.Form):
    text = forms.CharField(
        max_length=MAX_GUIDELINES,
        strip=False,
        label="Guidelines",
        help_text="Markdown, with $formulas$ and code.",
        widget=forms.Textarea(attrs={"rows": 22}),
        error_messages={"required": "Write something, or leave the page."},
    )

    def clean_text(self) -> str:
        text = self.cleaned_data["text"].replace("\r\n", "\n")
        if not text.strip():
            raise ValidationError("Write something, or leave the page.")
        return text


class SettingsForm(forms.Form):
    """Settings of a project; `cap` only where the project has a ledger account."""

    name = forms.CharField(max_length=200, label="Name")
    description = forms.CharField(
        required=False, max_length=4000, label="Description", widget=forms.Textarea(attrs={"rows": 3})
    )
    status = forms.ChoiceField(
        choices=[
            (Project.Status.ACTIVE, "Active: people are given items"),
            (Project.Status.PAUSED, "Paused: nobody is given an item"),
            (Project.Status.ARCHIVED, "Archived: paused, and last in the list of projects"),
        ],
        label="State",
    )
    overlap = forms.IntegerField(
        min_value=1,
        max_value=50,
        label="People per item",
        help_text="For new items; after a change you are asked about those that are here.",
    )
    lease_minutes = forms.IntegerField(
        min_value=1,
        max_value=1440,
        label="Minutes an item is held",
        help_text="An item a person opened and left goes to somebody else after this time.",
    )
    edit_minutes = forms.IntegerField(
        min_value=0, max_value=10_080, label="Minutes people may correct their own judgment"
    )
    human_cost = forms.DecimalField(
        min_value=Decimal(0),
        max_digits=10,
        decimal_places=4,
        label="Pay of one human judgment",
        help_text="Used by routing plans to say what they cost.",
    )
    cap = forms.DecimalField(
        min_value=Decimal(0),
        max_digits=12,
        decimal_places=2,
        label="Budget",
        help_text="Nothing is spent beyond it, whatever runs at once.",
    )

    def __init__(self, *args, project: Project, account: Account | None, **kwargs):
        names = [name for name in self.base_fields if name != "cap"]
        initial = {name: getattr(project, name) for name in names}
        if account is not None:
            initial["cap"] = account.cap
        super().__init__(*args, initial=initial, **kwargs)
        if account is None:
            del self.fields["cap"]
            return
        for name in ("cap", "human_cost"):
            self.fields[name].label += f" ({account.currency})"
        used = account.spent + account.held
        if used:
            self.fields["cap"].help_text += f" {account.spent:.2f} spent and {account.held:.2f} held so far."
