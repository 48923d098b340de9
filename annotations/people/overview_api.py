"""A project's figures over the API: how much is done, by whom, and when it will be."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers

from annotations.judging.progress import batches_of, judged_by, progress_of
from annotations.projects.access import project_for
from annotations.projects.models import Annotator, Membership
from app.web.api import SLUG, ApiView, FieldsQuery, Resource, one

from . import pictures, tallies
from .burn_down import DAYS, full_days
from .forecast import forecast

HUMAN, MODELS = Annotator.Kind.HUMAN.value, (Annotator.Kind.LM.value, Annotator.Kind.REWARD_MODEL.value)


class RouteFigures(Resource):
    """Items of one route."""

    route = serializers.CharField()
    items = serializers.IntegerField(source="n")
    complete = serializers.IntegerField(help_text="Judged by as many as wanted.")
    started = serializers.IntegerField(help_text="Judged, not complete.")


class BatchFigures(Resource):
    """Items of one batch."""

    name = serializers.CharField()
    items = serializers.IntegerField(source="n")
    complete = serializers.IntegerField()
    votes_left = serializers.IntegerField()


class DayFigures(Resource):
    """Judgments given on one day (UTC)."""

    day = serializers.DateField()
    people = serializers.IntegerField()
    models = serializers.IntegerField()


class ForecastFigures(Resource):
    """When nothing is left at the pace of the last full days; null where that cannot be told (`why`)."""

    pace = serializers.FloatField(help_text="People's answers a day.")
    pace_lo = serializers.FloatField(help_text="Of its 90 % interval.")
    pace_hi = serializers.FloatField()
    n = serializers.IntegerField(help_text="Days looked at.")
    days = serializers.FloatField(allow_null=True)
    fastest = serializers.FloatField(allow_null=True)
    slowest = serializers.FloatField(allow_null=True, help_text="null: the interval has no end.")
    why = serializers.CharField()


class PersonFigures(Resource):
    """What one person has given."""

    id = serializers.CharField(source="annotator.pk")
    name = serializers.CharField(source="annotator.name")
    judged = serializers.IntegerField(source="annotator.n_judged")
    active_hours = serializers.FloatField(source="hours")
    last_at = serializers.DateTimeField(source="given.last_at", allow_null=True)


class OverviewResource(Resource):
    """A project's figures, items withdrawn left out."""

    items = serializers.IntegerField(source="progress.n")
    complete = serializers.IntegerField(source="progress.complete")
    for_people = serializers.IntegerField(source="progress.for_people", help_text="Items that go to people.")
    for_people_complete = serializers.IntegerField(source="progress.for_people_complete")
    votes_left = serializers.IntegerField(
        source="progress.votes_left", help_text="People's judgments wanted."
    )
    flagged = serializers.IntegerField(source="progress.flagged")
    withdrawn = serializers.IntegerField(source="progress.withdrawn")
    audits = serializers.IntegerField(source="progress.audits")
    counted_at = serializers.DateTimeField(
        source="progress.counted_at", help_text="Large counts are kept a while."
    )
    people = serializers.IntegerField(source="judged.people", help_text="Who have judged.")
    by_people = serializers.IntegerField(source="judged.by_people", help_text="Judgments.")
    models = serializers.IntegerField(source="judged.models")
    by_models = serializers.IntegerField(source="judged.by_models")
    routes = RouteFigures(many=True, source="progress.routes")
    batches = BatchFigures(many=True)
    days = DayFigures(many=True, help_text="The last 30.")
    forecast = ForecastFigures()
    latest_people = PersonFigures(many=True, help_text="The 100 seen last.")

    class Meta:
        ref_name = "Overview"


class Overview(ApiView):
    """What the overview shows."""

    @extend_schema(
        tags=["projects"], summary="Read a project's figures", parameters=[SLUG, FieldsQuery],
        operation_id="overview_retrieve", responses=OverviewResource,
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug, at_least=Membership.Role.REVIEWER)
        today = timezone.now().date()
        tallies.catch_up_if_much(project)
        first = today - timedelta(days=DAYS - 1)
        given = tallies.by_day(project, since=first)
        progress = progress_of([project])[project.pk]
        found = {
            "progress": progress,
            "judged": judged_by(project),
            "batches": batches_of(project),
            "days": [_day(given, first + timedelta(days=n)) for n in range(DAYS)],
            "forecast": forecast(progress.votes_left, full_days(tallies.answered(given), today)),
            "latest_people": pictures.people_of(project)[: pictures.PEOPLE_SHOWN],
        }
        return one(request, OverviewResource, found)


def _day(given: dict, day) -> dict:
    def n(kind: str) -> int:
        return given[kind, day].given if (kind, day) in given else 0

    return {"day": day, "people": n(HUMAN), "models": sum(n(kind) for kind in MODELS)}
