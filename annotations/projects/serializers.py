"""Projects and guidelines as the API shows and takes them."""

from __future__ import annotations

from datetime import datetime

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from app.web.api import Body, ObjectField, Resource, TextField, WholeNumberField

from . import changes, lifecycle, schemas
from .access import RANK
from .forms import MAX_GUIDELINES
from .models import Membership, Project
from .presets import PRESETS


class SchemaResource(Resource):
    """One version of the questions asked about an item."""

    version = serializers.CharField(source="label")
    definition = serializers.DictField()

    class Meta:
        ref_name = "TaskSchema"


class ChangeResource(Resource):
    """One difference to the version people are asked now."""

    words = serializers.CharField()
    breaking = serializers.BooleanField(help_text="Answers to the other version may not hold.")
    question = serializers.CharField(help_text="Its name; empty for what concerns the whole task.")

    class Meta:
        ref_name = "SchemaChange"


class SchemaVersion(SchemaResource):
    """One version of the questions, and how it differs from the one people are asked now."""

    number = serializers.IntegerField()
    origin = serializers.CharField(help_text="designed, or imported: made to fit the judgments of a file.")
    asked = serializers.SerializerMethodField(help_text="Whether people are asked this version now.")
    breaking = serializers.SerializerMethodField(
        help_text="Whether answers to the version asked now may not hold under this one."
    )
    changes = serializers.SerializerMethodField(help_text="From the version asked now to this one.")
    created_at = serializers.DateTimeField()

    class Meta:
        ref_name = "SchemaVersion"

    def get_asked(self, schema) -> bool:
        return schema == self.context["asked"]

    def get_breaking(self, schema) -> bool:
        return any(change.breaking for change in self._changes(schema))

    @extend_schema_field(ChangeResource(many=True))
    def get_changes(self, schema) -> list[dict]:
        return ChangeResource(self._changes(schema), many=True).data

    def _changes(self, schema) -> list[changes.Change]:
        asked = self.context["asked"]
        if asked is None or asked == schema:
            return []
        return changes.changes(schemas.load(asked.pk)[1], schemas.load(schema.pk)[1])


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Example",
            {"definition": {"questions": [{"kind": "thumb", "name": "thumb", "label": "Good or bad?"}]}},
            request_only=True,
        )
    ]
)
class NewSchema(Body):
    """A version to store. Its JSON schema is published at `/schemas/task-design-1.json`."""

    definition = ObjectField(
        help_text="A design: `title`, `responses`, `questions`, and the reasons offered."
    )


class ProjectSummary(Resource):
    """A project, in a list."""

    slug = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    status = serializers.ChoiceField(choices=Project.Status.choices)
    role = serializers.SerializerMethodField(help_text="Yours.")
    created_at = serializers.DateTimeField()

    def get_role(self, project: Project) -> str:
        return self.context["roles"].get(project.pk, Membership.Role.OWNER)


class DeletedProject(Resource):
    """A deleted project, and until when it can be restored."""

    slug = serializers.CharField()
    name = serializers.CharField()
    deleted_at = serializers.DateTimeField()
    gone_at = serializers.SerializerMethodField(help_text="When it goes for good.")

    def get_gone_at(self, project: Project) -> datetime:
        return lifecycle.gone_at(project)


class ProjectChange(Body):
    """What to change; what is not given stays."""

    name = TextField(required=False, max_length=200)
    description = TextField(required=False, allow_blank=True, max_length=4000)
    status = serializers.ChoiceField(required=False, choices=Project.Status.choices)
    overlap = WholeNumberField(required=False, min_value=1, max_value=50)
    lease_minutes = WholeNumberField(required=False, min_value=1, max_value=1440)
    edit_minutes = WholeNumberField(required=False, min_value=0, max_value=10_080)


class ProjectSettings(Resource):
    """What people who run the project decide."""

    overlap = serializers.IntegerField(help_text="People who judge each item.")
    lease_minutes = serializers.IntegerField()
    edit_minutes = serializers.IntegerField()
    human_cost = serializers.DecimalField(max_digits=10, decimal_places=4)
    seed = serializers.IntegerField()


class ProjectResource(ProjectSummary):
    """A project with its task and latest guidelines; its settings for reviewers and up."""

    task = SchemaResource(source="schema", allow_null=True)
    guideline_version = serializers.SerializerMethodField()
    settings = serializers.SerializerMethodField()

    class Meta:
        ref_name = "Project"

    def get_guideline_version(self, project: Project) -> int | None:
        return project.guidelines.order_by("-number").values_list("number", flat=True).first()

    @extend_schema_field(ProjectSettings(allow_null=True))
    def get_settings(self, project: Project) -> dict | None:
        if RANK[self.get_role(project)] < RANK[Membership.Role.REVIEWER]:
            return None
        return ProjectSettings(project).data


class GuidelineResource(Resource):
    """One version of the guidelines, in Markdown."""

    version = serializers.IntegerField(source="number")
    text = serializers.CharField()
    created_at = serializers.DateTimeField()
    acknowledged = serializers.SerializerMethodField(help_text="Whether you have.")

    class Meta:
        ref_name = "Guideline"

    def get_acknowledged(self, guideline) -> bool:
        return guideline.pk in self.context["acknowledged"]


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Example",
            {"name": "Answers of two models", "preset": "strength7", "overlap": 2},
            request_only=True,
        )
    ]
)
class NewProject(Body):
    """A project to make, from a preset or from a definition of your own."""

    name = TextField(max_length=200, trim_whitespace=True)
    slug = serializers.RegexField(r"^[a-z0-9]+(?:-[a-z0-9]+)*$", required=False, max_length=80)
    description = TextField(required=False, allow_blank=True, max_length=4000)
    preset = serializers.ChoiceField(required=False, choices=sorted(PRESETS))
    definition = ObjectField(required=False, help_text="As in a project's `task.definition`.")
    guidelines = TextField(required=False, allow_blank=True, max_length=MAX_GUIDELINES)
    overlap = WholeNumberField(required=False, min_value=1, max_value=50)
    currency = serializers.RegexField(r"^[A-Z]{3}$", required=False)
    cap = serializers.DecimalField(
        required=False, max_digits=13, decimal_places=4, min_value=0, help_text="Most that may be spent."
    )
    human_cost = serializers.DecimalField(
        required=False, max_digits=10, decimal_places=4, min_value=0, help_text="Pay of one human judgment."
    )
    seed = WholeNumberField(required=False, min_value=0)

    def validate(self, values: dict) -> dict:
        if ("preset" in values) == ("definition" in values):
            raise serializers.ValidationError({"preset": ["Give a preset or a definition, and not both."]})
        return values
