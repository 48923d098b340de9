"""Snapshots and exports as the API shows and takes them."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from annotations.judging.models import Judgment
from annotations.projects.models import Annotator
from app.web.api import Body, ObjectField, Resource, StrictBooleanField, TextField, WholeNumberField

from .formats import CONTAINERS, FORMATS
from .models import Export, Snapshot

LARGEST_ITEM = 2**63 - 1


class SnapshotResource(Resource):
    """An immutable dataset: what was asked for, what is in it, and the hash over its rows."""

    id = serializers.CharField(source="public_id")
    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=Snapshot.State.choices)
    query = serializers.DictField()
    versions = serializers.DictField()
    counts = serializers.DictField()
    sha256 = serializers.CharField(help_text="Over the uncompressed rows; empty until it is ready.")
    n_items = serializers.IntegerField()
    n_judgments = serializers.IntegerField()
    note = serializers.CharField()
    job = serializers.UUIDField(source="job_id", allow_null=True)
    created_at = serializers.DateTimeField()

    class Meta:
        ref_name = "Snapshot"


class SnapshotFilter(Body):
    """Which items and judgments a snapshot holds; nothing given does not restrict."""

    kinds = serializers.ListField(
        child=serializers.ChoiceField(choices=Annotator.Kind.choices), required=False, max_length=3
    )
    outcomes = serializers.ListField(
        child=serializers.ChoiceField(choices=Judgment.Outcome.choices), required=False, max_length=4
    )
    only_judged = StrictBooleanField(required=False)
    exclude_flagged = StrictBooleanField(required=False)
    withdrawn = StrictBooleanField(required=False, help_text="Keep withdrawn items.")
    first_item = WholeNumberField(required=False, min_value=1, max_value=LARGEST_ITEM)
    last_item = WholeNumberField(required=False, min_value=1, max_value=LARGEST_ITEM)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Example", {"query": {"only_judged": True}, "note": "Before the second round"}, request_only=True
        )
    ]
)
class NewSnapshot(Body):
    """What to freeze."""

    query = SnapshotFilter(required=False)
    note = TextField(required=False, allow_blank=True, max_length=300)


class NewDiff(Body):
    """What to compare with."""

    since = TextField(max_length=40, help_text="The earlier snapshot, snap_….")


class ExportFile(Resource):
    """One file of an export."""

    path = serializers.CharField()
    split = serializers.CharField(allow_null=True)
    rows = serializers.IntegerField()
    bytes = serializers.IntegerField()
    sha256 = serializers.CharField()


class ExportResource(Resource):
    """Files of one format written from a snapshot; fetch them below `files/`."""

    id = serializers.CharField(source="pk")
    snapshot = serializers.CharField(source="snapshot.public_id")
    format = serializers.ChoiceField(choices=sorted(FORMATS))
    container = serializers.ChoiceField(choices=list(CONTAINERS))
    options = serializers.DictField()
    state = serializers.ChoiceField(choices=Export.State.choices)
    rows = serializers.IntegerField()
    files = serializers.SerializerMethodField()
    job = serializers.UUIDField(source="job_id", allow_null=True)
    created_at = serializers.DateTimeField()

    class Meta:
        ref_name = "Export"

    @extend_schema_field(ExportFile(many=True))
    def get_files(self, export: Export) -> list[dict]:
        return export.manifest.get("files", [])


@extend_schema_serializer(
    examples=[
        OpenApiExample("Example", {"format": "trl_preference", "container": "parquet"}, request_only=True)
    ]
)
class NewExport(Body):
    """How to write the files."""

    format = serializers.ChoiceField(choices=sorted(FORMATS))
    container = serializers.ChoiceField(
        required=False, choices=list(CONTAINERS), help_text="Else the format's usual one."
    )
    options = ObjectField(required=False, help_text="The format's own, such as `aspect` or `judged_by`.")


class HubPushResource(Resource):
    """An export sent to a dataset repository of a hub; follow its `job`."""

    id = serializers.CharField(source="pk")
    export = serializers.CharField(source="export_id")
    repository = serializers.CharField(help_text="owner/name")
    public = serializers.BooleanField()
    url = serializers.CharField(help_text="Empty until it stands there.")
    commit = serializers.CharField(help_text="Empty until it stands there.")
    changed = serializers.BooleanField(
        allow_null=True, help_text="False: the same bytes stood there already."
    )
    job = serializers.UUIDField(source="job_id", allow_null=True)
    created_at = serializers.DateTimeField()

    class Meta:
        ref_name = "HubPush"


@extend_schema_serializer(
    examples=[OpenApiExample("Example", {"repository": "our-lab/politeness"}, request_only=True)]
)
class NewHubPush(Body):
    """Where to push the export to."""

    repository = TextField(max_length=96, help_text="owner/name")
    public = StrictBooleanField(
        required=False,
        default=False,
        help_text="Owners of the project only, and an export that states a licence.",
    )
    sure = StrictBooleanField(
        required=False, default=False, help_text="With `public`: true says that you know what becomes public."
    )
