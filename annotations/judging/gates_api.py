"""Gate items and the rule about responses that name their model, over the API, for researchers."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.response import Response

from annotations.items.models import Item
from annotations.projects import rules
from annotations.projects.access import project_for
from annotations.projects.models import Membership, Project
from app.jobs.api import ACCEPTED, accepted
from app.web.api import (
    SLUG,
    ApiView,
    Body,
    FieldsQuery,
    ObjectField,
    PageQuery,
    Resource,
    TextField,
    WholeNumberField,
    answer_page,
    bad,
    in_path,
    invalid,
    one,
    page_of,
    parse,
    parse_query,
    wanted_fields,
)
from app.web.paging import BadCursorError, keyset_page
from app.web.problems import Problem

from . import gate_items, identity_rules
from .answers import InvalidAnswer
from .expected import from_json
from .quality_api import EstimateResource

RESEARCHER = Membership.Role.RESEARCHER
ITEM = in_path("id", "The item's id.", OpenApiTypes.INT)
EXPECTED = (
    "As a native judgment: `outcome`, `comparisons` (first, second, aspect, preference or tie), `scores` (response, "
    "attribute, value), `answers` (choices), responses in stored order. What is left out may be answered either way."
)


class GateItemResource(Resource):
    """An item that is a gate, what it expects, and how people did."""

    id = serializers.CharField(source="pk")
    external_id = serializers.CharField(allow_null=True)
    purpose = serializers.ChoiceField(choices=gate_items.PURPOSES)
    expected = serializers.JSONField(source="expectation.answer", default=None, help_text=EXPECTED)
    accepted = serializers.JSONField(
        source="expectation.accepted", default=None, help_text="Further answers that pass."
    )
    strength_within = serializers.IntegerField(
        source="expectation.strength_within", default=None, allow_null=True,
        help_text="Steps a preference may differ; null: the same side is enough.",
    )  # fmt: skip
    score_within = serializers.IntegerField(source="expectation.score_within", default=None, allow_null=True)
    explanation = serializers.CharField(source="expectation.explanation", default="")
    passed = serializers.SerializerMethodField(help_text="Answers that were as expected.")

    class Meta:
        ref_name = "GateItem"

    @extend_schema_field(EstimateResource(allow_null=True))
    def get_passed(self, item: Item) -> dict | None:
        return self.context["passed"].get(item.pk)


class GateChange(Body):
    """What the item is a gate for, and what it expects."""

    purpose = serializers.ChoiceField(choices=gate_items.PURPOSES)
    expected = ObjectField(help_text=EXPECTED)
    accepted = serializers.ListField(child=ObjectField(), required=False, max_length=8)
    strength_within = WholeNumberField(required=False, allow_null=True, min_value=0, max_value=8)
    score_within = WholeNumberField(required=False, min_value=0, max_value=100)
    explanation = TextField(required=False, allow_blank=True, max_length=4000, help_text="Markdown.")


class IdentityResource(Resource):
    """What happens to responses that say which model wrote them."""

    mode = serializers.ChoiceField(
        choices=identity_rules.MODES, help_text="flag, redact (cover the name), exclude (withdraw), off."
    )

    class Meta:
        ref_name = "IdentityRule"


class IdentityChange(Body):
    """The rule from now on."""

    mode = serializers.ChoiceField(choices=identity_rules.MODES)


def _with_passed(items: list[Item]) -> dict:
    return {item.pk: passed for item, passed in gate_items.with_results(items)}


def _gates(project: Project):
    items = Item.objects.filter(project=project).exclude(purpose=Item.Purpose.DATA)
    return items.select_related("expectation")


class GateItems(ApiView):
    """The items that are gates."""

    @extend_schema(
        tags=["quality"], summary="List the gate items", parameters=[SLUG, PageQuery],
        operation_id="gate_items_list", responses=page_of(GateItemResource),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug, at_least=RESEARCHER)
        query = parse_query(PageQuery, request)
        only = wanted_fields(query)
        GateItemResource(only=only)
        try:
            page = keyset_page(
                _gates(project), cursor=query.get("cursor"), size=query["size"], order_by=("pk",)
            )
        except BadCursorError as error:
            raise bad("cursor", str(error)) from None
        return answer_page(
            GateItemResource, page.rows, page.next_cursor, only, passed=_with_passed(page.rows)
        )


class GateItem(ApiView):
    """One item as a gate."""

    @extend_schema(
        tags=["quality"], summary="Read what a gate item expects", parameters=[SLUG, ITEM, FieldsQuery],
        operation_id="gate_items_retrieve", responses=GateItemResource,
    )  # fmt: skip
    def get(self, request, slug, pk):
        project = project_for(request, slug, at_least=RESEARCHER)
        item = get_object_or_404(_gates(project), pk=pk)
        return one(request, GateItemResource, item, passed=_with_passed([item]))

    @extend_schema(
        tags=["quality"], summary="Make an item a gate, or change what it expects", request=GateChange,
        parameters=[SLUG, ITEM], operation_id="gate_items_update", responses=GateItemResource,
    )  # fmt: skip
    def put(self, request, slug, pk):
        """It leaves the queue, and its judgments the data. Answers given to it before are checked again."""
        project = project_for(request, slug, at_least=RESEARCHER)
        item = get_object_or_404(Item.objects.select_related("project"), project=project, pk=pk)
        body = parse(GateChange, request.data)
        if project.schema_id is None:
            raise Problem(409, "The project asks nothing yet")
        try:
            gate_items.set_gate(
                item=item,
                purpose=body["purpose"],
                answer=gate_items.some_answer(from_json(body["expected"])),
                accepted=tuple(from_json(each) for each in body.get("accepted", ())),
                strength_within=body.get("strength_within"),
                score_within=body.get("score_within", 1),
                explanation=body.get("explanation", ""),
                actor=request.user,
            )
        except InvalidAnswer as error:
            raise invalid(
                [
                    {"field": "expected" if e.field in {"", "answer"} else e.field, "message": e.message}
                    for e in error.errors
                ]
            ) from None
        item = _gates(project).get(pk=pk)
        return Response(GateItemResource(item, context={"passed": _with_passed([item])}).data)

    @extend_schema(
        tags=["quality"], summary="Make a gate item data again", parameters=[SLUG, ITEM],
        operation_id="gate_items_delete", responses={204: OpenApiResponse(description="It is data.")},
    )  # fmt: skip
    def delete(self, request, slug, pk):
        """Answers given to the gate stay aside. Of an item that is data nothing changes."""
        project = project_for(request, slug, at_least=RESEARCHER)
        item = get_object_or_404(Item.objects.select_related("project"), project=project, pk=pk)
        gate_items.clear_gate(item=item, actor=request.user)
        return Response(status=204)


class IdentityRule(ApiView):
    """The rule about responses that name their model."""

    @extend_schema(
        tags=["quality"], summary="Read what happens to responses that name their model",
        parameters=[SLUG, FieldsQuery], operation_id="identity_rule_retrieve", responses=IdentityResource,
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug, at_least=RESEARCHER)
        return one(request, IdentityResource, {"mode": rules.of(project).page.identity})

    @extend_schema(
        tags=["quality"], summary="Change what happens to responses that name their model",
        request=IdentityChange, parameters=[SLUG], operation_id="identity_rule_update",
        responses={202: ACCEPTED},
    )  # fmt: skip
    def put(self, request, slug):
        """The Job applies it to the items there are, and undoes what another rule did."""
        project = project_for(request, slug, at_least=RESEARCHER)
        mode = parse(IdentityChange, request.data)["mode"]
        return accepted(identity_rules.start_rule(project=project, mode=mode, actor=request.user))
