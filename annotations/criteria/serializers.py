"""What the API says and takes of criteria."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from app.web.api import Body, PageQuery, Resource, StrictBooleanField, TextField

from .models import Criterion, CriterionVersion, Proposal

ANY = {"type": ["object", "null"], "additionalProperties": {}}


class CriterionResource(Resource):
    """A named quality and the wording in force."""

    id = serializers.CharField(source="pk")
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=Criterion.Kind.choices)
    status = serializers.ChoiceField(choices=Criterion.Status.choices)
    version = serializers.IntegerField(source="current.number")
    wording = serializers.CharField(source="current.wording")
    applies_when = serializers.CharField(source="current.applies_when")
    created_at = serializers.DateTimeField()


class CriterionDetailResource(CriterionResource):
    """A criterion with what the newest round measured of its wording in force."""

    measured = serializers.SerializerMethodField()

    @extend_schema_field(ANY)
    def get_measured(self, criterion) -> dict | None:
        """Estimates of accuracy, coverage, worth and consistency, on pairs that neither wrote nor chose it."""
        facts = self.context["facts"]
        kept = (
            "accuracy",
            "coverage",
            "worth",
            "consistency",
            "errors",
            "n",
            "trusted",
            "missing",
            "measured_on",
        )
        return {key: facts[key] for key in kept} if facts else None


class CriterionVersionResource(Resource):
    """One immutable wording."""

    number = serializers.IntegerField()
    meaning = serializers.IntegerField(
        help_text="Grows with every change of meaning; older grades are stale."
    )
    wording = serializers.CharField()
    applies_when = serializers.CharField()
    anchors = serializers.ListField(child=serializers.CharField())
    change = serializers.ChoiceField(choices=CriterionVersion.Change.choices)
    origin = serializers.ChoiceField(choices=CriterionVersion.Origin.choices)
    source = serializers.CharField()
    rationale = serializers.CharField()
    created_at = serializers.DateTimeField()


class CriteriaReleaseResource(Resource):
    """A set of wordings that prompts and the judging page use from then on."""

    number = serializers.IntegerField()
    criteria = serializers.SerializerMethodField()
    measured = serializers.SerializerMethodField()
    note = serializers.SerializerMethodField()
    back_to = serializers.SerializerMethodField(
        help_text="The number of the release whose words came back, or null."
    )
    created_at = serializers.DateTimeField()

    @extend_schema_field({"type": "array", "items": {"type": "object", "additionalProperties": {}}})
    def get_criteria(self, release) -> list:
        return release.criteria

    @extend_schema_field(ANY)
    def get_measured(self, release) -> dict | None:
        """What was known of the set: held out, the length baseline, the human ceiling; null if not from the lab."""
        kept = ("measured_on", "held_out", "length_baseline", "gain_over_length", "human_ceiling")
        report = self._set(release).report if self._set(release) else None
        return {key: report.get(key) for key in kept} if report else None

    def get_note(self, release) -> str:
        return self._set(release).note if self._set(release) else ""

    def get_back_to(self, release) -> int | None:
        back = self._set(release) and self._set(release).back_to
        return back.number if back else None

    @staticmethod
    def _set(release):
        return getattr(release, "lab_set", None)


class ProposalResource(Resource):
    """A change that somebody has to accept."""

    id = serializers.CharField(source="pk")
    kind = serializers.ChoiceField(choices=Proposal.Kind.choices)
    state = serializers.ChoiceField(choices=Proposal.State.choices)
    criterion = serializers.CharField(source="criterion_id")
    name = serializers.CharField(source="criterion.name")
    wording = serializers.SerializerMethodField(
        help_text="The proposed wording; null where none is part of it."
    )
    evidence = serializers.SerializerMethodField()
    marks = serializers.ListField(
        child=serializers.CharField(), help_text="What the scan for injected text found."
    )
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)

    def get_wording(self, proposal) -> str | None:
        return proposal.version.wording if proposal.version else None

    @extend_schema_field(ANY)
    def get_evidence(self, proposal) -> dict:
        return proposal.evidence


class ProposalQuery(PageQuery):
    state = serializers.ChoiceField(choices=Proposal.State.choices, required=False, help_text="Only these.")


class DecisionBody(Body):
    accept = StrictBooleanField()
    reason = TextField(max_length=500, required=False, default="", allow_blank=True)


class JudgeWordingResource(Resource):
    """A wording of an LM annotator's instructions, with its newest paired test on pairs its writer never saw."""

    id = serializers.CharField(source="pk")
    lm_annotator = serializers.CharField(source="detail_id")
    instructions = serializers.CharField()
    origin = serializers.CharField()
    state = serializers.CharField()
    rationale = serializers.CharField()
    test = serializers.SerializerMethodField()
    made = serializers.CharField(source="made_id", allow_null=True, help_text="The LM annotator made of it.")
    created_at = serializers.DateTimeField()

    @extend_schema_field(ANY)
    def get_test(self, wording) -> dict | None:
        return wording.test
