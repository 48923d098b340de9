"""Jobs as the API shows them."""

from __future__ import annotations

from rest_framework import serializers

from app.web.api import PageQuery, Resource

from .models import Job


class JobSummary(Resource):
    """One piece of long work, without its log and result."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    title = serializers.CharField()
    project = serializers.CharField(
        source="scope", help_text="Slug of the project it works for; may be empty."
    )
    state = serializers.ChoiceField(choices=Job.State.choices)
    done = serializers.IntegerField()
    total = serializers.IntegerField(allow_null=True, help_text="Null while unknown.")
    fraction = serializers.FloatField(allow_null=True, help_text="Share done, from 0 to 1.")
    message = serializers.CharField()
    error = serializers.CharField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    eta_seconds = serializers.IntegerField(allow_null=True)


class JobResource(JobSummary):
    """One piece of long work: how far it is, its log, what came out."""

    log = serializers.CharField(help_text="The last 20,000 characters.")
    result = serializers.JSONField(help_text="Null until it is there.")

    class Meta:
        ref_name = "Job"


class JobQuery(PageQuery):
    """Which jobs."""

    state = serializers.ChoiceField(required=False, choices=Job.State.choices)
    project = serializers.CharField(required=False, max_length=120, help_text="Slug of a project.")
