"""The form of a project's budget."""

from __future__ import annotations

import re
from decimal import Decimal

from django import forms
from pydantic import ValidationError

from annotations.projects import rules
from annotations.projects.models import Annotator, Project
from app.ledger.models import Account

from .budget_change import Changes

ROLES = [("researcher", "Researchers and owners"), ("owner", "Owners only")]
_SHORT = {"class": "input input-short", "autocomplete": "off"}


class BudgetForm(forms.Form):
    """Caps, thresholds, roles and capacities. `clean` gives `changes`."""

    money = forms.DecimalField(
        min_value=Decimal(0),
        max_digits=12,
        decimal_places=2,
        label="Cap of money",
        help_text="Nothing is spent beyond it, whatever runs at once.",
        widget=forms.NumberInput(attrs={**_SHORT, "step": "0.01"}),
    )
    labels = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=1_000_000_000,
        label="Cap of human labels",
        help_text="Items are given out only while a label is left. Empty: no cap.",
        widget=forms.NumberInput(attrs=_SHORT),
    )
    alerts = forms.CharField(
        required=False,
        max_length=60,
        label="Warn at",
        help_text="Shares of a cap, such as 50 %, 80 %, 95 %. Empty: only when it is used up.",
        widget=forms.TextInput(attrs={"class": "input", "autocomplete": "off"}),
    )
    mail = forms.BooleanField(required=False, label="E-mail the owners once at each of these")
    plans_by = forms.ChoiceField(choices=ROLES, label="Who may put routing plans in force")
    runs_by = forms.ChoiceField(choices=ROLES, label="Who may start models")
    gpu_hour = forms.DecimalField(
        required=False,
        min_value=Decimal(0),
        max_digits=10,
        decimal_places=4,
        label="Price of a GPU hour",
        help_text="Jobs of GPU workers are charged when they end. Empty: they cost nothing here.",
        widget=forms.NumberInput(attrs={**_SHORT, "step": "0.0001"}),
    )
    people = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=10**9,
        label="Most items a plan sends to people",
        help_text="Empty: as many as the plan's budget pays.",
        widget=forms.NumberInput(attrs=_SHORT),
    )

    def __init__(
        self, *args, project: Project, account: Account | None, labels: int | None, tags=(), **kwargs
    ):
        stored = rules.of(project).budget
        initial = {
            "labels": labels,
            "alerts": ", ".join(f"{100 * level:g} %" for level in stored.alerts),
            "mail": stored.mail,
            "plans_by": stored.plans_by,
            "runs_by": stored.runs_by,
            "gpu_hour": stored.gpu_hour or None,
            "people": stored.people,
        }
        if account is not None:
            initial["money"] = account.cap.quantize(Decimal("0.01"))
        super().__init__(*args, initial=initial, **kwargs)
        if account is None:
            del self.fields["money"], self.fields["gpu_hour"]
        else:
            for name in ("money", "gpu_hour"):
                self.fields[name].label += f" ({account.currency})"
        self.tags = sorted({*tags, *stored.experts})
        self.models = list(
            Annotator.objects.filter(project=project, kind=Annotator.Kind.LM).order_by("name")[:200]
        )
        for number, tag in enumerate(self.tags):
            self._capacity(
                f"expert_{number}", f"Most items a plan sends to experts: {tag}", stored.experts.get(tag)
            )
        for model in self.models:
            self._capacity(
                f"model_{model.pk}", f"Most items {model.name} judges", stored.models.get(str(model.pk))
            )

    def _capacity(self, name: str, label: str, value: int | None) -> None:
        self.fields[name] = forms.IntegerField(
            required=False, min_value=1, max_value=10**9, label=label, widget=forms.NumberInput(attrs=_SHORT)
        )
        self.initial[name] = value

    def clean_alerts(self) -> tuple[float, ...]:
        levels = []
        for part in re.split(r"[,;]", self.cleaned_data["alerts"]):
            words = part.strip().removesuffix("%").strip()
            if not words:
                continue
            try:
                level = float(words)
            except ValueError:
                raise forms.ValidationError(f"{part.strip()!r}: expected a share such as 80 %.") from None
            levels.append(round(level / 100 if "%" in part or level > 1 else level, 6))
        return tuple(sorted(set(levels)))

    def clean(self) -> dict:
        values = super().clean()
        if self.errors:
            return values
        experts = {
            tag: values[f"expert_{number}"]
            for number, tag in enumerate(self.tags)
            if values[f"expert_{number}"]
        }
        models = {
            str(model.pk): values[f"model_{model.pk}"] for model in self.models if values[f"model_{model.pk}"]
        }
        try:
            section = rules.Budget(
                alerts=values["alerts"],
                mail=values["mail"],
                plans_by=values["plans_by"],
                runs_by=values["runs_by"],
                gpu_hour=values.get("gpu_hour") or Decimal(0),
                people=values["people"],
                experts=experts,
                models=models,
            )
        except ValidationError as error:
            for each in error.errors(include_url=False):
                name = str(each["loc"][0]) if each["loc"] else None
                self.add_error(
                    name if name in self.fields else None, each["msg"].removeprefix("Value error, ")
                )
            return values
        self.changes = Changes(rules=section, money=values.get("money"), labels=values["labels"])
        return values
