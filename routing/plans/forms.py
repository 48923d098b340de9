"""The form of a new plan."""

from __future__ import annotations

from django import forms

from annotations.items.models import Item
from annotations.lm import registry
from annotations.projects.models import Project
from app.web.shares import percent

from . import draft, policies
from .allocation import MIN_AUDIT
from .budget import BadBudget, in_words, parse_budget, parse_share


class PlanForm(forms.Form):
    """Budget, audits, people per item, policy, models and seed. `clean` gives what `draft_plan` takes."""

    budget = forms.CharField(
        label="Budget for people",
        max_length=40,
        widget=forms.TextInput(
            attrs={"class": "input input-short", "autocomplete": "off", "autofocus": True}
        ),
    )
    audit_share = forms.CharField(
        label="Audit share",
        max_length=20,
        initial="5 %",
        help_text="People judge this share of all items whatever the scores say, paid from the budget. It is the "
        "only honest measure of the models, and at least 5 %; up to 10 % is usual.",
        widget=forms.TextInput(attrs={"class": "input input-short", "autocomplete": "off"}),
    )
    overlap = forms.IntegerField(
        label="People per item",
        min_value=1,
        max_value=100,
        widget=forms.NumberInput(attrs={"class": "input input-short"}),
    )
    policy = forms.ChoiceField(
        label="Who goes to people first", choices=list(draft.POLICIES.items()), widget=forms.RadioSelect
    )
    annotators = forms.MultipleChoiceField(
        label="Models it listens to",
        required=False,
        help_text="Where no person judges, the label of the one with most right labels on all items stands; the others "
        "tell where it may err, each on the items it judged. A model that judged few items takes nothing away.",
        widget=forms.CheckboxSelectMultiple,
    )
    second = forms.ChoiceField(
        label="A stronger model in between",
        required=False,
        help_text="Items go to it instead of a person where it puts more labels right for the money, as people's labels show. "
        "Needs a budget in money, which pays both, and 20 items that it and people have judged.",
    )
    alpha = forms.CharField(
        label="Error allowed where a model labels alone",
        max_length=20,
        initial="10 %",
        help_text="Items are accepted on the model's word only where audits prove that no more of its labels are wrong.",
        widget=forms.TextInput(attrs={"class": "input input-short", "autocomplete": "off"}),
    )
    online = forms.BooleanField(
        label="Keep up with new items and judgments",
        required=False,
        help_text="The plan is made anew when enough came in or a model changed; audits and judged items stay.",
    )
    expected_items = forms.IntegerField(
        label="Items expected in all",
        required=False,
        min_value=1,
        max_value=10**9,
        help_text="Where more items are to come: a budget in money is spread over so many. Empty: those that are here.",
        widget=forms.NumberInput(attrs={"class": "input input-short"}),
    )
    seed = forms.IntegerField(
        label="Seed",
        required=False,
        min_value=0,
        max_value=2**63 - 1,
        help_text="Left empty, one is drawn. The same seed on the same data gives the same plan.",
        widget=forms.NumberInput(attrs={"class": "input input-short"}),
    )

    def __init__(self, *args, project: Project, **kwargs):
        super().__init__(*args, **kwargs)
        self.project, self.currency = project, draft.currency_of(project)
        self.models = registry.lm_annotators(project)
        chosen = [str(row.pk) for row in draft.default_annotators(project)]
        items = Item.objects.filter(
            project=project, purpose=Item.Purpose.DATA, withdrawn_at__isnull=True
        ).count()
        self.fields["annotators"].choices = [
            (str(row.pk), f"{row.annotator.name} (judged {row.annotator.n_judged:,} of {items:,} items)")
            for row in self.models
        ]
        self.fields["annotators"].initial = chosen
        self.fields["second"].choices = [
            ("", "None"),
            *((str(row.pk), row.annotator.name) for row in self.models if row.asks),
        ]
        self.fields["overlap"].initial = project.overlap
        self.fields["policy"].initial = policies.DEFAULT
        price = (
            f" One judgment costs {in_words(project.human_cost, self.currency)}.".replace(
                f" {self.currency}", f"\u00a0{self.currency}"
            )
            if project.human_cost
            else " Judgments have no price in this project, so only a share can be given."
        )
        self.fields[
            "budget"
        ].help_text = f"A share of items (25\u00a0% or 0.25), or money (25\u00a0{self.currency}).{price}"

    def clean_budget(self):
        try:
            budget = parse_budget(self.cleaned_data["budget"], currency=self.currency)
        except BadBudget as error:
            raise forms.ValidationError(str(error))
        if budget.money is not None and not self.project.human_cost:
            raise forms.ValidationError(
                "Judgments have no price in this project; give a share of items instead."
            )
        return budget

    def clean_audit_share(self) -> float:
        share = self._share("audit_share")
        if share < MIN_AUDIT:
            raise forms.ValidationError(
                f"At least {percent(MIN_AUDIT)}: without audits nothing can be measured."
            )
        return share

    def clean_alpha(self) -> float:
        share = self._share("alpha")
        if share >= 1:
            raise forms.ValidationError("Expected a share below 1, such as 10 %.")
        return share

    def _share(self, name: str) -> float:
        try:
            return parse_share(self.cleaned_data[name])
        except BadBudget as error:
            raise forms.ValidationError(str(error)) from None

    def clean_annotators(self):
        return [row for row in self.models if str(row.pk) in self.cleaned_data["annotators"]]

    def clean_second(self):
        return next((row for row in self.models if str(row.pk) == self.cleaned_data["second"]), None)
