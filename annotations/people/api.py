"""Places of a panel's study and pay over the API, for researchers."""

from __future__ import annotations

from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from annotations.projects.access import project_for
from annotations.projects.models import Membership
from app.web.api import (
    SLUG,
    ApiView,
    Body,
    PageQuery,
    Resource,
    StrictBooleanField,
    in_path,
    many,
    page_of,
    parse,
    parse_query,
)

from . import places
from .entry import ID
from .models import Place

RESEARCHER = Membership.Role.RESEARCHER


class PlaceResource(Resource):
    """A place in a study: one session of one of the panel's people."""

    person = serializers.CharField(source="participant.person", help_text="The panel's id.")
    study = serializers.CharField()
    session = serializers.CharField()
    state = serializers.ChoiceField(choices=Place.State.choices)
    wanted = serializers.IntegerField(allow_null=True, help_text="Items; null: as many as there are.")
    judged = serializers.SerializerMethodField(help_text="Items judged so far, or when it ended.")
    code = serializers.CharField(help_text="What the person was shown.")
    given_back = serializers.IntegerField(allow_null=True, help_text="Judgments put aside when it ended.")
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)

    class Meta:
        ref_name = "Place"

    def get_judged(self, place: Place) -> int:
        if place.state == Place.State.ACTIVE:
            return places.judged_in(place, place.participant.annotator_id)
        return place.judged


class PlaceEnd(Body):
    """How a place ended, as the panel says."""

    state = serializers.ChoiceField(choices=["returned", "timed_out", "screened_out"])
    give_back = StrictBooleanField(
        required=False, help_text="Put its judgments aside, so that others judge those items."
    )


class Places(ApiView):
    """The places of a panel's study."""

    @extend_schema(
        tags=["people"], summary="List the places, newest first", parameters=[SLUG, PageQuery],
        operation_id="places_list", responses=page_of(PlaceResource),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug, at_least=RESEARCHER)
        query = parse_query(PageQuery, request)
        rows = Place.objects.filter(project=project).select_related("participant")
        return many(PlaceResource, rows, query, order_by=("-pk",))


class PlaceEnding(ApiView):
    """The end of a place."""

    @extend_schema(
        tags=["people"], summary="End a place that was returned or timed out", request=PlaceEnd,
        parameters=[SLUG, in_path("session", "The panel's id of the session.")],
        operation_id="places_end", responses=PlaceResource,
    )  # fmt: skip
    def post(self, request, slug, session):
        """Its leases go back to the queue and the person is out. Ending it so again changes nothing."""
        project = project_for(request, slug, at_least=RESEARCHER)
        body = parse(PlaceEnd, request.data)
        if not ID.fullmatch(session):
            raise Http404("No such place.")
        place = get_object_or_404(
            Place.objects.select_related("participant"), project=project, session=session
        )
        ended = places.end(
            place=place, state=body["state"], actor=request.user, give_back=body.get("give_back", False)
        )
        return Response(PlaceResource(ended).data)
