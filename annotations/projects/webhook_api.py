"""Webhooks over the API: addresses that are told what happens in a project, and what was sent to them."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from app.web.api import (
    SLUG,
    ApiView,
    Body,
    FieldsQuery,
    PageQuery,
    Resource,
    StrictBooleanField,
    TextField,
    bad,
    in_path,
    many,
    one,
    page_of,
    parse,
    parse_query,
)
from app.web.problems import Problem
from app.webhooks import acts, outbox, transport
from app.webhooks.models import Delivery, Webhook

from .access import project_for
from .models import Membership

OWNER = Membership.Role.OWNER
HOOK = in_path("id", "The webhook's id.", OpenApiTypes.INT)
MADE = OpenApiParameter("Location", str, OpenApiParameter.HEADER, description="Its address.", response=[201])
EVENTS = "Types as in the audit log, and job.succeeded, job.failed, job.cancelled; job.* is all that begin so. None: all."


class WebhookResource(Resource):
    """An address, and the secret that signs what it is sent (Standard Webhooks, v1)."""

    id = serializers.CharField(source="pk")
    url = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField())
    active = serializers.BooleanField(source="is_active")
    note = serializers.CharField(help_text="Why it was switched off.")
    secret = serializers.CharField()
    created_at = serializers.DateTimeField()

    class Meta:
        ref_name = "Webhook"


class DeliveryResource(Resource):
    """One message."""

    id = serializers.UUIDField(source="uuid")
    type = serializers.CharField(source="kind")
    state = serializers.ChoiceField(choices=Delivery.State.choices)
    attempts = serializers.IntegerField()
    status = serializers.IntegerField(allow_null=True, help_text="HTTP status of the last try.")
    error = serializers.CharField()
    body = serializers.CharField(help_text="What is signed and sent.")
    created_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True)

    class Meta:
        ref_name = "WebhookDelivery"


class NewWebhook(Body):
    """An address to tell."""

    url = TextField(max_length=transport.LONGEST_URL, help_text="https://…")
    events = serializers.ListField(
        child=TextField(max_length=80), required=False, max_length=20, help_text=EVENTS
    )


class WebhookChange(Body):
    """What to change."""

    events = serializers.ListField(
        child=TextField(max_length=80), required=False, max_length=20, help_text=EVENTS
    )
    active = StrictBooleanField(required=False)
    rotate = StrictBooleanField(required=False, help_text="Make a new secret; the old one ends at once.")


class Webhooks(ApiView):
    """The webhooks of a project, for its owners."""

    @extend_schema(
        tags=["webhooks"], summary="List webhooks", parameters=[SLUG, PageQuery], operation_id="webhooks_list",
        responses=page_of(WebhookResource),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug, at_least=OWNER)
        query = parse_query(PageQuery, request)
        return many(WebhookResource, Webhook.objects.filter(scope=project.slug), query, order_by=("-pk",))

    @extend_schema(
        tags=["webhooks"], summary="Add a webhook", request=NewWebhook, parameters=[SLUG, MADE],
        operation_id="webhooks_create", responses={201: WebhookResource},
    )  # fmt: skip
    def post(self, request, slug):
        project = project_for(request, slug, at_least=OWNER)
        body = parse(NewWebhook, request.data)
        try:
            hook = acts.add(
                scope=project.slug, url=body["url"], events=body.get("events", []), actor=request.user
            )
        except transport.Refused as error:
            raise bad("url", str(error)) from None
        except acts.TooMany as error:
            raise Problem(409, "There are too many", str(error)) from None
        except ValueError as error:
            raise bad("events", str(error)) from None
        location = reverse("api:webhook", args=[slug, hook.pk])
        return Response(WebhookResource(hook).data, status=201, headers={"Location": location})


class WebhookOne(ApiView):
    """One webhook."""

    @extend_schema(
        tags=["webhooks"], summary="Read a webhook", parameters=[SLUG, HOOK, FieldsQuery],
        operation_id="webhooks_retrieve", responses=WebhookResource,
    )  # fmt: skip
    def get(self, request, slug, pk):
        return one(request, WebhookResource, _hook(request, slug, pk))

    @extend_schema(
        tags=["webhooks"], summary="Change a webhook", request=WebhookChange, parameters=[SLUG, HOOK],
        operation_id="webhooks_update", responses=WebhookResource,
    )  # fmt: skip
    def patch(self, request, slug, pk):
        hook = _hook(request, slug, pk)
        body = parse(WebhookChange, request.data)
        try:
            return Response(WebhookResource(acts.change(hook=hook, actor=request.user, **body)).data)
        except ValueError as error:
            raise bad("events", str(error)) from None

    @extend_schema(
        tags=["webhooks"], summary="Remove a webhook", parameters=[SLUG, HOOK],
        operation_id="webhooks_delete", responses={204: OpenApiResponse(description="It is gone.")},
    )  # fmt: skip
    def delete(self, request, slug, pk):
        acts.remove(hook=_hook(request, slug, pk), actor=request.user)
        return Response(status=204)


class WebhookTest(ApiView):
    """Trying a webhook."""

    @extend_schema(
        tags=["webhooks"], summary="Send a message of the type test", request=None, parameters=[SLUG, HOOK],
        operation_id="webhooks_test", responses={202: DeliveryResource},
    )  # fmt: skip
    def post(self, request, slug, pk):
        made = acts.test(hook=_hook(request, slug, pk), actor=request.user)
        return Response(DeliveryResource(made).data, status=202)


class WebhookDeliveries(ApiView):
    """What was sent to a webhook in the last 30 days."""

    @extend_schema(
        tags=["webhooks"], summary="List messages, newest first", parameters=[SLUG, HOOK, PageQuery],
        operation_id="webhook_deliveries_list", responses=page_of(DeliveryResource),
    )  # fmt: skip
    def get(self, request, slug, pk):
        hook = _hook(request, slug, pk)
        return many(
            DeliveryResource, hook.deliveries.all(), parse_query(PageQuery, request), order_by=("-pk",)
        )


class DeliveryResend(ApiView):
    """Sending a message again."""

    @extend_schema(
        tags=["webhooks"], summary="Send a message again", request=None, operation_id="webhook_deliveries_resend",
        parameters=[SLUG, HOOK, in_path("uuid", "The message's id.", OpenApiTypes.UUID)],
        responses={202: DeliveryResource},
    )  # fmt: skip
    def post(self, request, slug, pk, uuid):
        delivery = get_object_or_404(_hook(request, slug, pk).deliveries, uuid=uuid)
        outbox.resend(delivery)
        delivery.refresh_from_db()
        return Response(DeliveryResource(delivery).data, status=202)


def _hook(request, slug: str, pk: int) -> Webhook:
    project = project_for(request, slug, at_least=OWNER)
    return get_object_or_404(Webhook, scope=project.slug, pk=pk)
