"""Forms of reward models: train one, score a text, promote against a gate."""

from __future__ import annotations

from decimal import Decimal

from django import forms

from annotations.datasets.models import Snapshot

from . import bases, jobs, losses, prepare
from .models import Loop, RewardModel
from .scoring import reference

LOSS_CHOICES = (
    ("scaled_bt", "Scaled Bradley–Terry: a pair counts by the strength of its preference"),
    ("bt", "Bradley–Terry: every pair counts the same"),
    ("soft_bt", "Soft labels: the share of votes is the target, so disagreement is learnt too"),
    ("margin_bt", "Bradley–Terry with a margin: stronger preferences must lead by more"),
    ("rao_kupper", "Rao–Kupper: a tie is an outcome of its own"),
    ("plackett_luce", "Plackett–Luce: whole rankings"),
    ("lipo", "LiPO-λ: rankings, weighted by what swapping two would cost"),
    ("bco", "BCO: thumbs; a decided pair is one up and one down"),
    ("mse", "Ratings alone"),
    ("joint", "Ratings and preferences in one fit, not one after the other"),
)


def loss_words(loss: str) -> str:
    """A loss by its name in the field: "Scaled Bradley–Terry"."""
    return dict(LOSS_CHOICES).get(loss, loss).partition(":")[0]


JUDGMENT_CHOICES = (
    (prepare.HUMAN_FIRST, "People first, language models where no person judged"),
    (prepare.HUMAN_ONLY, "People only"),
)
MAX_TEXT = 100_000
BACKEND_WORDS = {
    "linear": "Linear, on words and style: seconds to minutes on a CPU",
    "transformer": "Transformer, from a pretrained model: minutes to hours, best on a GPU",
}


class DistilForm(forms.Form):
    """How far the labelling of a distillation goes, and what the training learns by."""

    limit = forms.IntegerField(
        required=False, min_value=20, max_value=10_000_000, label="Pairs at most",
        widget=forms.NumberInput(attrs={"class": "input-short"}),
        help_text="CritiQ's scorer learnt from 25,000; a linear one is served by far fewer.",
    )  # fmt: skip
    cap = forms.DecimalField(
        required=False, min_value=Decimal("0.01"), max_digits=12, decimal_places=6, label="Money at most",
        widget=forms.NumberInput(attrs={"class": "input-short", "step": "0.01"}),
        help_text="For the labels, beside the project's own cap.",
    )  # fmt: skip
    loss = forms.ChoiceField(label="Loss", choices=LOSS_CHOICES, initial="scaled_bt")


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
        label="Loss",
        choices=LOSS_CHOICES,
        initial="scaled_bt",
        help_text="Where responses were rated, ratings come first and give the preferences their start.",
    )
    strength_map = forms.ChoiceField(
        label="What slightly better, better and much better weigh",
        choices=[(name, name.replace("-", ", ")) for name in losses.STRENGTH_MAPS],
        initial="1-2-3",
        required=False,
        help_text="Of the scaled loss only.",
    )
    backend = forms.ChoiceField(
        label="Kind of model", choices=(), initial="linear", required=False, widget=forms.RadioSelect
    )
    base = forms.ChoiceField(
        label="Pretrained model to start from",
        choices=(),
        required=False,
        help_text="Models below REWARD_BASE_FOLDERS; for transformers only.",
    )
    embeddings = forms.ChoiceField(
        label="Sentence embeddings beside the words",
        choices=(),
        required=False,
        help_text="Frozen, from a model below REWARD_BASE_FOLDERS; for linear models only.",
    )
    max_length = forms.IntegerField(
        label="Longest prompt and response, in tokens",
        initial=1024,
        min_value=8,
        max_value=65_536,
        required=False,
        help_text="Longer rows are left out and counted; for transformers only.",
        widget=forms.NumberInput(attrs={"class": "input-short"}),
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

        kinds = jobs.trainable_backends()
        self.fields["backend"].choices = [(name, BACKEND_WORDS[name]) for name in kinds]
        found = bases.found()
        if "transformer" in kinds:
            places = [(str(path), path.name) for path in found]
            self.fields["base"].choices = [("", "Choose one"), *places]
            self.fields["embeddings"].choices = [("", "None"), *places]
        else:
            for name in ("backend", "base", "embeddings", "max_length"):
                del self.fields[name]

    def clean(self) -> dict:
        data = super().clean()
        if data.get("backend") == "transformer" and not data.get("base") and not self.errors.get("base"):
            self.add_error("base", "A transformer starts from a pretrained model: choose one.")
        return data

    def training(self) -> dict:
        """The arguments of `start_training`."""
        data = self.cleaned_data
        return {
            "snapshot": self.snapshots.get(data["snapshot"]),
            "loss": data["loss"],
            "seed": data["seed"],
            "options": {"judgments": data["judgments"], "note": data["note"], **self._backend()},
        }

    def _backend(self) -> dict:
        data = self.cleaned_data
        found = {"strength_map": data["strength_map"] or "1-2-3"}
        if data.get("backend") == "transformer":
            length = data.get("max_length") or 1024
            options = {"base": data["base"], "max_length": length, "token_budget": max(16_384, 2 * length)}
            found |= {"backend": "transformer", "options": options}
        elif data.get("embeddings"):
            found |= {"options": {"embeddings": data["embeddings"]}}
        return found


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
    all_of = forms.MultipleChoiceField(
        label="Good also by",
        required=False,
        choices=(),
        widget=forms.CheckboxSelectMultiple,
        help_text="Models of other respects: the goodness of a response is then that in all of them at once.",
    )

    def __init__(self, *args, model: RewardModel, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        others = RewardModel.objects.filter(project=model.project_id).exclude(pk=model.pk)
        others = others.exclude(status=RewardModel.Status.ARCHIVED).order_by("-number")[:20]
        self.others = {
            other.public_id: other for other in others if None not in (reference(model), reference(other))
        }
        self.fields["all_of"].choices = [
            (
                name,
                f"{name}: {other.config.get('spec', {}).get('aspect', 'overall')}, {loss_words(other.loss)}",
            )
            for name, other in self.others.items()
        ]
        if not self.others:
            del self.fields["all_of"]

    def texts(self) -> dict:
        """The arguments of `scoring.playground`."""
        chosen = [self.others[name] for name in self.cleaned_data.get("all_of", [])]
        return {**self.cleaned_data, "all_of": chosen}


class OverrideForm(forms.Form):
    """Why an owner promotes a model that failed a gate."""

    reason = forms.CharField(
        label="Reason for promoting it all the same",
        max_length=500,
        help_text="Kept in the audit log with your name.",
    )


class LoopForm(forms.ModelForm):
    """When the project trains anew by itself, and what people are asked."""

    class Meta:
        model = Loop
        fields = (
            "is_on", "every_judgments", "every_days", "ask_before_training", "ask_before_promoting",
            "after_promotion", "judgments", "loss",
        )  # fmt: skip
        labels = {
            "is_on": "Train anew by itself",
            "every_judgments": "After so many new judgments",
            "every_days": "Or after so many days with new judgments",
            "ask_before_training": "Ask before training",
            "ask_before_promoting": "Ask before promoting",
            "after_promotion": "Once a model is promoted",
        }
        help_texts = {"every_judgments": "0 turns this off.", "every_days": "0 turns this off."}
        widgets = {
            "every_judgments": forms.NumberInput(attrs={"class": "input-short"}),
            "every_days": forms.NumberInput(attrs={"class": "input-short"}),
        }

    judgments = forms.ChoiceField(label="Whose judgments", choices=JUDGMENT_CHOICES)
    loss = forms.ChoiceField(label="Loss", choices=LOSS_CHOICES)
