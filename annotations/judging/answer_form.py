"""What is expected of a gate item, as a plain form for researchers: responses in their stored order.

The judging page has its own answer bar. Here the field names are the same, so that `forms.to_answer` reads both.
"""

from __future__ import annotations

from django import forms as django_forms

from annotations.projects.schemas import Definition
from annotations.projects.wording import TIES, strength_words

from . import forms
from .answers import Answer, InvalidAnswer
from .forms import PREFIX
from .labels import LETTERS

NOT_HERE = {"span", "rewrite", "text"}  # nobody can expect these of another


class AnswerForm(django_forms.Form):
    """One field for each question and response; nothing is required here, what the answer lacks is said later."""

    def __init__(self, data=None, *, definition: Definition, n_responses: int, answer=None):
        self.definition, self.n = definition, n_responses
        self.order = "".join(str(place) for place in range(n_responses))
        initial = forms.to_values(definition, answer, self.order) if answer is not None else {}
        super().__init__(data)
        for question in definition.questions:
            if question.kind not in NOT_HERE:
                self._add(question, initial)

    def _add(self, question, initial: dict) -> None:
        name = f"{PREFIX[question.kind]}-{question.name}"
        per_response = question.kind in forms.PER_RESPONSE or getattr(question, "per_response", False)
        names = [f"{name}-{place}" for place in range(self.n)] if per_response else [name]
        for place, field_name in enumerate(names):
            field = self._field(question)
            field.label = question.label.rstrip(":") + (f" — {LETTERS[place]}" if per_response else "")
            field.required = False
            given = initial.get(field_name)
            if given:
                field.initial = given if isinstance(field, django_forms.MultipleChoiceField) else given[0]
            self.fields[field_name] = field

    def _field(self, question) -> django_forms.Field:
        radio = django_forms.RadioSelect
        if question.kind == "comparison":
            choices = [
                (str(-s), f"A is {strength_words(question, s)}") for s in range(question.scale_max, 0, -1)
            ]
            choices += [(tie, TIES[tie].capitalize()) for tie in question.ties]
            choices += [
                (str(s), f"B is {strength_words(question, s)}") for s in range(1, question.scale_max + 1)
            ]
            return django_forms.ChoiceField(choices=choices, widget=radio)
        if question.kind == "rating":
            if question.max - question.min > 10:
                return django_forms.IntegerField(min_value=question.min, max_value=question.max)
            values = range(question.min, question.max + 1)
            return django_forms.ChoiceField(choices=[(str(v), str(v)) for v in values], widget=radio)
        if question.kind == "ranking":
            places = [(str(place), f"Place {place}") for place in range(1, self.n + 1)]
            return django_forms.ChoiceField(choices=places, widget=radio)
        if question.kind == "thumb":
            return django_forms.ChoiceField(choices=[("1", "Good"), ("0", "Bad")], widget=radio)
        options = [(option.value, option.label) for option in question.options]
        if question.multiple:
            widget = django_forms.CheckboxSelectMultiple
            return django_forms.MultipleChoiceField(choices=options, widget=widget)
        return django_forms.ChoiceField(choices=options, widget=radio)

    def answer(self) -> Answer:
        """What was entered, in canonical order. Raises InvalidAnswer for what cannot be read."""
        values = {name: [v for v in self.data.getlist(name) if v] for name in self.fields}
        return forms.to_answer(
            self.definition, {name: v for name, v in values.items() if v}, self.order, self.n
        )

    def say(self, error: InvalidAnswer) -> None:
        """Put what is wrong beside the question it is about."""
        for each in error.errors:
            fields = [name for name in self.fields if name[2:] == each.field or name[2:-2] == each.field]
            self.add_error(fields[0] if fields else None, f"{each.message[:1].upper()}{each.message[1:]}.")
