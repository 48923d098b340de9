"""Forms of the LM pages: they parse and check, and write nothing."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from django import forms
from django.conf import settings

from annotations.projects.models import Project

from . import endpoints, prompts
from .endpoints import BadEndpoint
from .models import Endpoint, EndpointModel, Prompt

LOCAL = "local:"
MONEY = forms.NumberInput(attrs={"class": "input-short", "step": "0.01"})
SHORT = forms.NumberInput(attrs={"class": "input-short"})


class EndpointForm(forms.Form):
    """One endpoint. The key is write-only: what is stored is never put into the page."""

    name = forms.CharField(max_length=80, label="Name")
    base_url = forms.CharField(
        max_length=300,
        label="Address",
        help_text="Up to /v1: https://api.openai.com/v1, http://127.0.0.1:8000/v1 (vLLM), http://127.0.0.1:11434/v1 (Ollama).",
    )
    secret = forms.CharField(
        required=False,
        max_length=2000,
        label="Key",
        strip=True,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
        help_text="Stored encrypted and never shown again. Leave empty to keep the stored one.",
    )
    forget_secret = forms.BooleanField(required=False, label="Remove the stored key")
    secret_env = forms.CharField(
        required=False,
        max_length=80,
        label="Or the name of a variable",
        help_text="Read on the worker: a name that begins with LM_ or ends with _API_KEY.",
    )
    models = forms.CharField(
        label="Models",
        max_length=30_000,
        widget=forms.Textarea(attrs={"rows": 5, "class": "mono", "spellcheck": "false"}),
        help_text="One a line: its name, then its prices for a million tokens in and out. Without prices it costs nothing.",
    )
    currency = forms.RegexField(r"^[A-Z]{3}$", initial="EUR", label="Currency of the prices", max_length=3)
    requests_per_minute = forms.IntegerField(
        required=False, min_value=1, max_value=1_000_000, label="Requests a minute", widget=SHORT
    )
    concurrency = forms.IntegerField(
        min_value=1,
        max_value=64,
        initial=4,
        label="Calls at once",
        help_text="Over all workers.",
        widget=SHORT,
    )
    timeout_seconds = forms.IntegerField(
        min_value=1, max_value=600, initial=60, label="Seconds to wait for a reply", widget=SHORT
    )
    max_attempts = forms.IntegerField(
        min_value=1, max_value=20, initial=5, label="Attempts before an item is given up", widget=SHORT
    )
    is_shared = forms.BooleanField(required=False, initial=True, label="Every project may use it")
    projects = forms.ModelMultipleChoiceField(
        Project.objects.order_by("name"),
        required=False,
        label="Or only these",
        widget=forms.CheckboxSelectMultiple,
    )
    is_enabled = forms.BooleanField(required=False, initial=True, label="Switched on")

    def clean_models(self) -> list[endpoints.Offer]:
        try:
            return endpoints.parse_models(self.cleaned_data["models"])
        except BadEndpoint as error:
            raise forms.ValidationError(str(error)) from None

    @staticmethod
    def initial_of(endpoint: Endpoint) -> dict:
        """What the form shows of an endpoint: everything but the key."""
        shown = {name: getattr(endpoint, name) for name in endpoints.FIELDS}
        return {**shown, "models": endpoints.models_text(endpoint), "projects": endpoint.projects.all()}

    def new_secret(self) -> str | None:
        """None keeps the stored key, an empty text removes it."""
        if self.cleaned_data["secret"]:
            return self.cleaned_data["secret"]
        return "" if self.cleaned_data["forget_secret"] else None


def local_weights() -> list[str]:
    """Folders of weights on this machine (the web process sees them where it shares the worker's disk)."""
    root = Path(settings.LM_LOCAL_DIR)
    try:
        return sorted(each.name for each in root.iterdir() if (each / "config.json").is_file())[:100]
    except OSError:
        return []


class AnnotatorForm(forms.Form):
    """A model, the words it is asked in, and how it is asked."""

    model = forms.ChoiceField(label="Model")
    prompt_name = forms.CharField(
        max_length=80,
        initial="Judge",
        label="Name of the prompt",
        help_text="The same name with other words is its next version.",
    )
    instructions = forms.CharField(
        required=False,
        max_length=prompts.MAX_INSTRUCTIONS,
        label="Instructions",
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text="The questions, the answer's format and the rule that responses are data are added: see the preview.",
    )
    with_guidelines = forms.BooleanField(required=False, initial=True, label="Add the project's guidelines")
    with_criteria = forms.BooleanField(required=False, initial=True, label="Add the released criteria")
    with_reason = forms.BooleanField(required=False, initial=True, label="Ask for a reason first")
    asks = forms.ChoiceField(
        choices=list(prompts.ASKS.items()),
        label="What it answers",
        widget=forms.RadioSelect,
        initial=prompts.COMPARISONS,
    )
    both_orders = forms.BooleanField(
        required=False,
        initial=True,
        label="Ask in both orders",
        help_text="Twice the calls. Without it, a model that prefers a side goes unnoticed.",
    )
    samples = forms.IntegerField(
        min_value=1, max_value=20, initial=1, label="Samples per order", widget=SHORT
    )
    temperature = forms.FloatField(
        min_value=0,
        max_value=2,
        initial=0,
        label="Temperature",
        widget=forms.NumberInput(attrs={"class": "input-short", "step": "0.1"}),
    )
    max_tokens = forms.IntegerField(
        min_value=16, max_value=32_000, initial=600, label="Longest reply, in tokens", widget=SHORT
    )
    logprobs = forms.BooleanField(
        required=False, initial=True, label="Use token probabilities where the server gives them"
    )
    structured = forms.BooleanField(
        required=False, initial=True, label="Ask for JSON by schema where the server can"
    )
    name = forms.CharField(
        required=False, max_length=150, label="Name of the annotator", help_text="Model and prompt if empty."
    )

    def __init__(self, *args, project: Project, **kwargs):
        super().__init__(*args, **kwargs)
        self.project = project
        choices = [
            (str(m.pk), f"{m.name} at {m.endpoint.name}" + _prices(m))
            for m in EndpointModel.objects.filter(endpoint__in=endpoints.usable(project), is_offered=True)
            .select_related("endpoint")
            .order_by("endpoint__name", "name")
        ]
        choices += [(LOCAL + folder, f"{folder} (weights on the worker)") for folder in local_weights()]
        self.fields["model"].choices = choices

    @staticmethod
    def initial_of(prompt: Prompt, parameters: dict, model: str = "") -> dict:
        shown = {k: v for k, v in parameters.items() if k in AnnotatorForm.base_fields}
        return {
            **shown,
            "model": model,
            "prompt_name": prompt.name,
            "instructions": prompt.instructions,
            "with_guidelines": prompt.with_guidelines,
            "with_criteria": prompt.with_criteria,
            "with_reason": prompt.with_reason,
        }

    def prompt_values(self) -> dict:
        names = ("instructions", "with_guidelines", "with_criteria", "with_reason")
        return {"name": self.cleaned_data["prompt_name"], **{n: self.cleaned_data[n] for n in names}}

    def parameters(self) -> dict:
        names = ("asks", "both_orders", "samples", "temperature", "max_tokens", "logprobs", "structured")
        return {n: self.cleaned_data[n] for n in names}

    def model_row(self) -> EndpointModel | None:
        """The chosen model; None for weights on the worker."""
        chosen = self.cleaned_data["model"]
        return (
            None
            if chosen.startswith(LOCAL)
            else EndpointModel.objects.select_related("endpoint").get(pk=chosen)
        )

    def path(self) -> str:
        return self.cleaned_data["model"].removeprefix(LOCAL) if self.model_row() is None else ""


def _prices(model: EndpointModel) -> str:
    if not model.input_price and not model.output_price:
        return ", free"
    return (
        f", {model.input_price.normalize():f} in and {model.output_price.normalize():f} out "
        f"{model.endpoint.currency} a million tokens"
    )


class RunForm(forms.Form):
    """How far a run goes."""

    limit = forms.IntegerField(
        required=False, min_value=1, max_value=10_000_000, label="Items at most", widget=SHORT
    )
    cap = forms.DecimalField(
        required=False,
        min_value=Decimal("0.01"),
        max_digits=12,
        decimal_places=6,
        label="Money at most",
        widget=MONEY,
        help_text="Beside the project's own cap.",
    )
