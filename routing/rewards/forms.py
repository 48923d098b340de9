"""Forms of reward models: train one, score a text, promote against a gate."""

from __future__ import annotations

from django import forms

from annotations.datasets.models import Snapshot

from . import prepare

LOSS_CHOICES = (
    ("scaled_bt", "Scaled Bradley–Terry: a pair counts by the strength of its preference"),
    ("bt", "Bradley–Terry: every pair counts the same"),
    ("soft_bt", "Soft labels: the share of votes is the target, so disagreement is learnt too"),
)
JUDGMENT_CHOICES = (
    (prepare.HUMAN_FIRST, "People first, language models where no person judged"),
    (prepare.HUMAN_ONLY, "People only"),
)
MAX_TEXT = 100_000


class TrainForm(forms.Form):
    """What to learn from, and how."""

    snapshot = forms.ChoiceField(
        label="Data",
        required=False,
        help_text="A snapshot never changes, so a training can be repeated exactly.",
    )
    judgments = forms.ChoiceField(
        label="Whose judgments",
        choices=JUDGMENT_CHOICES,
        initial=prepare.HUMAN_FIRST,
        widget=forms.RadioSelect,
    )
    loss = forms.ChoiceField(
        label="Loss", choices=LOSS_CHOICES, initial="scaled_bt", widget=forms.RadioSelect
    )
    seed = forms.IntegerField(
        label="Seed",
        initial=0,
        min_value=0,
        max_value=2**63 - 1,
        help_text="The same data and seed give the same model, to the byte.",
        widget=forms.NumberInput(attrs={"class": "input-short"}),
    )
    note = forms.CharField(label="Note", required=False, max_length=300)

    def __init__(self, *args, project, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        ready = Snapshot.objects.filter(project=project, state=Snapshot.State.READY).order_by("-number")[:50]
        self.snapshots = {snapshot.public_id: snapshot for snapshot in ready}
        self.fields["snapshot"].choices = [
            ("", "Freeze the project as it is now"),
            *(
                (
                    name,
                    f"Snapshot {s.number}: {s.n_items:,} items, {s.n_judgments:,} judgments, {s.created_at:%d %b %Y %H:%M}",
                )
                for name, s in self.snapshots.items()
            ),
        ]

    def training(self) -> dict:
        """The arguments of `start_training`."""
        data = self.cleaned_data
        return {
            "snapshot": self.snapshots.get(data["snapshot"]),
            "loss": data["loss"],
            "seed": data["seed"],
            "options": {"judgments": data["judgments"], "note": data["note"]},
        }


def _text(label: str, rows: int, required: bool = True) -> forms.CharField:
    return forms.CharField(
        label=label,
        required=required,
        strip=False,
        max_length=MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": rows, "dir": "auto"}),
    )


class ScoreForm(forms.Form):
    """Two responses to one prompt."""

    prompt = _text("Prompt", 2, required=False)
    first = _text("First response", 5)
    second = _text("Second response", 5)


class OverrideForm(forms.Form):
    """Why an owner promotes a model that failed a gate."""

    reason = forms.CharField(
        label="Reason for promoting it all the same",
        max_length=500,
        help_text="Kept in the audit log with your name.",
    )
