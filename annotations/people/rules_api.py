"""Ways in and pay over the API: the rules, what everybody earned, and bonuses."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from pydantic import ValidationError
from rest_framework import serializers
from rest_framework.response import Response

from annotations.projects import rules
from annotations.projects.access import project_for
from annotations.projects.models import Annotator, Membership, Project
from app.ledger.ledger import BudgetExceeded
from app.web.api import (
    SLUG,
    ApiView,
    Body,
    FieldsQuery,
    Resource,
    TextField,
    WholeNumberField,
    answer_page,
    bad,
    invalid,
    one,
    page_of,
    parse,
    parse_query,
    wanted_fields,
)
from app.web.problems import Problem

from . import entry, pay, wages
from .models import PayLine

OWNER, RESEARCHER = Membership.Role.OWNER, Membership.Role.RESEARCHER
MODES = ["invitation", "open_link", "open", "prolific", "panel"]
MOST_PEOPLE = 1000


def merged(section, values: dict):
    """The section with these values changed. Raises a Problem naming the first field that is wrong."""
    try:
        return type(section).model_validate({**section.model_dump(), **values})
    except ValidationError as error:
        wrong = [
            {
                "field": ".".join(map(str, each["loc"])),
                "message": f"{each['msg'].removeprefix('Value error, ')}.",
            }
            for each in error.errors(include_url=False)
        ]
        raise invalid(wrong) from None


# --- Ways in ------------------------------------------------------------------------------------------------
class EntryResource(Resource):
    """How people come in, and what becomes of the work of who is erased."""

    mode = serializers.ChoiceField(choices=MODES)
    consent = serializers.CharField(
        help_text="Markdown, shown before the first item; empty: nothing to agree to."
    )
    items_per_place = serializers.IntegerField(allow_null=True)
    places = serializers.IntegerField(allow_null=True)
    completion_code = serializers.CharField()
    screenout_code = serializers.CharField()
    late_code = serializers.CharField()
    completion_url = serializers.CharField()
    study_ids = serializers.ListField(child=serializers.CharField())
    person_parameter = serializers.CharField()
    study_parameter = serializers.CharField()
    session_parameter = serializers.CharField()
    erase = serializers.ChoiceField(choices=["pseudonym", "delete"])
    keep_people_days = serializers.IntegerField(
        allow_null=True, help_text="So long after the project was archived its people are erased."
    )
    address = serializers.CharField(
        allow_null=True, help_text="Where people come in; null: by invitation only."
    )

    class Meta:
        ref_name = "Entry"


class EntryChange(Body):
    """What to change of the ways in; what is left out stays."""

    mode = serializers.ChoiceField(required=False, choices=MODES)
    consent = TextField(required=False, allow_blank=True, max_length=20_000)
    items_per_place = WholeNumberField(required=False, allow_null=True)
    places = WholeNumberField(required=False, allow_null=True)
    completion_code = TextField(required=False, allow_blank=True, max_length=40)
    screenout_code = TextField(required=False, allow_blank=True, max_length=40)
    late_code = TextField(required=False, allow_blank=True, max_length=40)
    completion_url = TextField(required=False, allow_blank=True, max_length=300)
    study_ids = serializers.ListField(required=False, child=TextField(max_length=64), max_length=50)
    person_parameter = TextField(required=False, max_length=40)
    study_parameter = TextField(required=False, max_length=40)
    session_parameter = TextField(required=False, max_length=40)
    erase = serializers.ChoiceField(required=False, choices=["pseudonym", "delete"])
    keep_people_days = WholeNumberField(required=False, allow_null=True)


def _entry(project: Project) -> dict:
    stored = rules.of(project)
    addresses = entry.addresses(project)
    return {
        **stored.entry.model_dump(),
        **stored.privacy.model_dump(),
        "address": addresses[0][1] if addresses else None,
    }


class Entry(ApiView):
    """How people come in."""

    @extend_schema(
        tags=["people"], summary="Read how people come in", parameters=[SLUG, FieldsQuery],
        operation_id="entry_retrieve", responses=EntryResource,
    )  # fmt: skip
    def get(self, request, slug):
        return one(request, EntryResource, _entry(project_for(request, slug, at_least=OWNER)))

    @extend_schema(
        tags=["people"], summary="Change how people come in", request=EntryChange, parameters=[SLUG],
        operation_id="entry_update", responses=EntryResource,
    )  # fmt: skip
    def patch(self, request, slug):
        """A changed consent text asks everybody again."""
        project = project_for(request, slug, at_least=OWNER)
        values = parse(EntryChange, request.data)
        stored = rules.of(project)
        kept = {name: values.pop(name) for name in rules.Privacy.model_fields if name in values}
        privacy = merged(stored.privacy, kept)
        section = merged(stored.entry, values)
        if section.mode in {"prolific", "panel"} and not section.completion_code:
            raise bad("completion_code", "Participants need a code to be paid by the panel.")
        entry.change_entry(project=project, entry=section, privacy=privacy, actor=request.user)
        return Response(EntryResource(_entry(project)).data)


# --- Pay ----------------------------------------------------------------------------------------------------
class PayRules(Resource):
    """How the project pays, in the currency of its account."""

    unit = serializers.ChoiceField(choices=["none", "hour", "item"])
    rate = serializers.DecimalField(max_digits=10, decimal_places=4, help_text="An hour, or an item.")
    floor_per_hour = serializers.DecimalField(max_digits=10, decimal_places=4)
    longest_item_minutes = serializers.IntegerField(help_text="Most minutes that count for an item.")

    class Meta:
        ref_name = "Pay"


class PayChange(Body):
    """What to change of the pay; what is left out stays."""

    unit = serializers.ChoiceField(required=False, choices=["none", "hour", "item"])
    rate = serializers.DecimalField(required=False, max_digits=10, decimal_places=4, min_value=0)
    floor_per_hour = serializers.DecimalField(required=False, max_digits=10, decimal_places=4, min_value=0)
    longest_item_minutes = WholeNumberField(required=False)


class EarnedResource(Resource):
    """What one person earned and was paid; `owed` is what the budget did not cover."""

    id = serializers.CharField(source="annotator.pk")
    name = serializers.CharField(source="annotator.name")
    items = serializers.IntegerField()
    active_ms = serializers.IntegerField()
    earned = serializers.DecimalField(max_digits=20, decimal_places=6)
    accrued = serializers.DecimalField(max_digits=20, decimal_places=6, help_text="Not reckoned yet.")
    paid = serializers.DecimalField(max_digits=20, decimal_places=6)
    owed = serializers.DecimalField(max_digits=20, decimal_places=6)
    bonus = serializers.DecimalField(max_digits=20, decimal_places=6)

    class Meta:
        ref_name = "Earned"


class NewBonus(Body):
    """A bonus out of the budget."""

    person = WholeNumberField(min_value=1, help_text="The person's id in the project.")
    amount = serializers.DecimalField(max_digits=10, decimal_places=2, min_value=0)
    note = TextField(max_length=200, help_text="The person reads it.")


class BonusResource(Resource):
    """A bonus that was paid."""

    person = serializers.CharField(source="annotator_id")
    amount = serializers.DecimalField(source="paid", max_digits=20, decimal_places=6)
    note = serializers.CharField()
    created_at = serializers.DateTimeField(read_only=True)

    class Meta:
        ref_name = "Bonus"


class Pay(ApiView):
    """How the project pays."""

    @extend_schema(
        tags=["people"], summary="Read how the project pays", parameters=[SLUG, FieldsQuery],
        operation_id="pay_retrieve", responses=PayRules,
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug, at_least=RESEARCHER)
        return one(request, PayRules, rules.of(project).pay)

    @extend_schema(
        tags=["people"], summary="Change how the project pays, from now on", request=PayChange,
        parameters=[SLUG], operation_id="pay_update", responses=PayRules,
    )  # fmt: skip
    def patch(self, request, slug):
        """Work done before is reckoned by the rules it was done under."""
        project = project_for(request, slug, at_least=OWNER)
        section = merged(rules.of(project).pay, parse(PayChange, request.data))
        if section.unit != "none" and not section.rate:
            raise bad("rate", "Say how much.")
        if section.unit != "none" and project.account_id is None:
            raise bad("unit", "This project has no account to pay from.")
        pay.change_pay(project=project, pay=section, actor=request.user)
        return Response(PayRules(section).data)


class Earned(ApiView):
    """What everybody earned."""

    @extend_schema(
        tags=["people"], summary="List what everybody earned and was paid", parameters=[SLUG, FieldsQuery],
        operation_id="earned_list", responses=page_of(EarnedResource),
    )  # fmt: skip
    def get(self, request, slug):
        """At most 1,000 people, on one page."""
        project = project_for(request, slug, at_least=RESEARCHER)
        only = wanted_fields(parse_query(FieldsQuery, request))
        EarnedResource(only=only)
        rows = [row for row, _ in zip(wages.everybody(project), range(MOST_PEOPLE), strict=False)]
        return answer_page(EarnedResource, rows, None, only)


class Bonuses(ApiView):
    """Bonuses."""

    @extend_schema(
        tags=["people"], summary="Pay somebody a bonus", request=NewBonus, parameters=[SLUG],
        operation_id="bonuses_create", responses={201: BonusResource},
    )  # fmt: skip
    def post(self, request, slug):
        """409 where the budget does not cover it; then nothing was paid."""
        project = project_for(request, slug, at_least=OWNER)
        body = parse(NewBonus, request.data)
        if not body["amount"]:
            raise bad("amount", "Expected more than nothing.")
        people = Annotator.objects.filter(project=project, kind=Annotator.Kind.HUMAN, user__isnull=False)
        person = people.select_related("project").filter(pk=body["person"]).first()
        if person is None:
            raise bad("person", "Nobody in the project has this id.")
        if project.account_id is None:
            raise Problem(409, "No account", "This project has no account to pay from.")
        try:
            line: PayLine = pay.give_bonus(
                annotator=person, amount=body["amount"], note=body["note"], actor=request.user
            )
        except BudgetExceeded as error:
            raise Problem(409, "Beyond the budget", str(error)) from None
        return Response(BonusResource(line).data, status=201)
