"""Agreement, rankings, bias and annotators over the API: the reports behind the pages."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from annotations.projects.access import project_for
from annotations.projects.models import Membership
from app.jobs.api import ACCEPTED, accepted
from app.web.api import SLUG, ApiView, Resource, bad

from . import ballots, reports
from .forms import SubsetForm
from .subset import RULES, Impossible

RESEARCHER = Membership.Role.RESEARCHER
ESTIMATES = "Estimates are {value, lo, hi, n} with 95 % intervals, or null; `undefined` then says why."


class ReportResource(Resource):
    """A report in the data's current version."""

    n_comparisons = serializers.IntegerField()
    n_scores = serializers.IntegerField()
    version = serializers.CharField(help_text="The same version gives the same numbers.")


class AgreementReport(ReportResource):
    """Who agrees with whom."""

    unjudged = serializers.IntegerField(help_text="Judgments without a verdict, left out.")
    results = serializers.ListField(
        child=serializers.DictField(),
        help_text="Per source, aspect and annotators (human, lm, human-lm): percent, alpha_nominal, alpha_ordinal, "
        f"alpha_interval and more. {ESTIMATES}",
    )
    details = serializers.ListField(
        child=serializers.DictField(), help_text="Per source and aspect: pairs, over_time, by_batch."
    )


class RankingReport(ReportResource):
    """Which models are better."""

    results = serializers.ListField(
        child=serializers.DictField(),
        help_text="Per source, aspect and judges: players [{name, rating, elo, rank_lo, rank_hi}] and style. "
        f"{ESTIMATES}",
    )
    win_rates = serializers.ListField(
        child=serializers.DictField(), help_text="Win rates of people and a model together."
    )


class BiasReport(ReportResource):
    """What verdicts follow besides quality."""

    results = serializers.ListField(
        child=serializers.DictField(),
        help_text="Per source, aspect and judges: left, longer, markdown, assertive, ties, order_flips, first_shown; "
        f"`drift` holds before, after and change of each over time; rows of kind `protocol` hold ratings against comparisons, of "
        f"kind `rating_drift` how mean ratings move. {ESTIMATES}",
    )


class AnnotatorReport(ReportResource):
    """How each annotator judges."""

    results = serializers.ListField(
        child=serializers.DictField(),
        help_text="Per aspect: annotators with their figures: with_rest, accuracy (Dawid-Skene), competence (MACE), ability "
        f"(GLAD, log-odds), peer_score (people; shown, never paid), care, ties, left, alt and more. {ESTIMATES}",
    )


def _answer(view: ApiView, request, slug: str, name: str, resource: type[Resource]) -> Response:
    project = project_for(request, slug, at_least=RESEARCHER)
    found = reports.find(project, name, actor=request.user)
    if found.job is not None:
        return accepted(found.job)
    return Response(resource(found.report).data)


class Agreement(ApiView):
    """Agreement of people and models."""

    @extend_schema(
        tags=["analysis"], summary="Read how much people and models agree", parameters=[SLUG],
        operation_id="analysis_agreement_retrieve", responses={200: AgreementReport, 202: ACCEPTED},
    )  # fmt: skip
    def get(self, request, slug):
        """A large project is computed by a job: 202 until it is done."""
        return _answer(self, request, slug, "agreement", AgreementReport)


class Rankings(ApiView):
    """Ratings of the models that wrote the responses."""

    @extend_schema(
        tags=["analysis"], summary="Read the models' ratings and ranks", parameters=[SLUG],
        operation_id="analysis_rankings_retrieve", responses={200: RankingReport, 202: ACCEPTED},
    )  # fmt: skip
    def get(self, request, slug):
        """A large project is computed by a job: 202 until it is done."""
        return _answer(self, request, slug, "rankings", RankingReport)


class Bias(ApiView):
    """Side, length, form and order in verdicts."""

    @extend_schema(
        tags=["analysis"], summary="Read what verdicts follow besides quality", parameters=[SLUG],
        operation_id="analysis_bias_retrieve", responses={200: BiasReport, 202: ACCEPTED},
    )  # fmt: skip
    def get(self, request, slug):
        """A large project is computed by a job: 202 until it is done."""
        return _answer(self, request, slug, "bias", BiasReport)


class Annotators(ApiView):
    """Everybody's figures."""

    @extend_schema(
        tags=["analysis"], summary="Read how each annotator judges", parameters=[SLUG],
        operation_id="analysis_annotators_retrieve", responses={200: AnnotatorReport, 202: ACCEPTED},
    )  # fmt: skip
    def get(self, request, slug):
        """A large project is computed by a job: 202 until it is done."""
        return _answer(self, request, slug, "annotators", AnnotatorReport)


class SubsetChoice(Resource):
    """A subset chosen by people's votes."""

    chosen = serializers.ListField(
        child=serializers.DictField(),
        help_text="The best first: item, id, response (from 1; null for items), group, score, votes, only_by_bound.",
    )
    groups = serializers.ListField(
        child=serializers.DictField(),
        help_text="Per group: candidates, chosen, unbounded (chosen without bounds), score.",
    )
    value = serializers.FloatField(help_text="What the rule maximises.")
    unbounded_value = serializers.FloatField(help_text="The same without bounds: what they cost.")
    candidates = serializers.IntegerField()
    points = serializers.CharField(help_text="What gave the points: comparisons, ratings or agreement.")


SUBSET_QUERY = [
    OpenApiParameter("k", int, required=True, description="How many."),
    OpenApiParameter("of", str, enum=ballots.OF, description="Default: responses."),
    OpenApiParameter(
        "group", str, enum=ballots.GROUPS, description="Default: source. Responses also by model."
    ),
    OpenApiParameter("at_least", int, description="Of each group, or all of a smaller one."),
    OpenApiParameter("rule", str, enum=RULES, description="Default: borda."),
]


class Subset(ApiView):
    """The responses or items people like best, with at least so many of each group."""

    @extend_schema(
        tags=["analysis"], summary="Choose a subset of responses or items", parameters=[SLUG, *SUBSET_QUERY],
        operation_id="analysis_subset_retrieve", responses={200: SubsetChoice, 202: ACCEPTED},
    )  # fmt: skip
    def get(self, request, slug):
        """A large project's votes are read by a job first: 202 until it is done."""
        project = project_for(request, slug, at_least=RESEARCHER)
        defaults = {name: field.initial for name, field in SubsetForm.base_fields.items() if name != "k"}
        form = SubsetForm(defaults | request.query_params.dict())
        if not form.is_valid():
            name, errors = next(iter(form.errors.items()))
            raise bad(name, errors[0])
        try:
            found, job = reports.select(project, actor=request.user, **form.cleaned_data)
        except Impossible as refusal:
            raise bad("at_least" if form.cleaned_data["at_least"] else "k", str(refusal)) from refusal
        return accepted(job) if job is not None else Response(SubsetChoice(found).data)
