"""Features over the API: what is read, and prompts tagged by a model."""

from __future__ import annotations

from django.db.models import Count, Q
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema

from annotations.items.models import Item
from annotations.lm import runs
from annotations.lm.annotate import CannotAnnotate
from annotations.projects import rules
from annotations.projects.access import project_for, require
from app.jobs.api import ACCEPTED, LOCATION, accepted
from app.jobs.models import Job
from app.web.api import (
    SLUG,
    ApiView,
    FieldsQuery,
    PageQuery,
    bad,
    in_path,
    many,
    one,
    page_of,
    parse,
    parse_query,
)
from app.web.problems import Problem

from . import filling, tagger
from .models import ItemTags, Tagging
from .serializers import FeaturesResource, ItemTagsResource, NewTagging, TaggingResource

TAGGING = in_path("pk", "The tagging's id.", OpenApiTypes.INT)


class Features(ApiView):
    """What is known of a project's items before anybody judges."""

    @extend_schema(
        tags=["plans"], summary="Say what is known of items before they are judged", parameters=[SLUG, FieldsQuery],
        operation_id="features_retrieve", responses=FeaturesResource,
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug)
        last, used = filling.last_job(project), tagger.in_use(project)
        state = {
            "items": filling.wanted(project).count(),
            "texts_read": ((last.result or {}) if last else {}).get("items", 0),
            "tagging": str(used.pk) if used else None,
        }
        return one(request, FeaturesResource, state)


class Taggings(ApiView):
    """The taggings of a project."""

    @extend_schema(
        tags=["plans"], summary="List taggings, newest first", parameters=[SLUG, PageQuery],
        operation_id="taggings_list", responses=page_of(TaggingResource),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug)
        return many(TaggingResource, _taggings(project), parse_query(PageQuery, request), order_by=("-pk",))

    @extend_schema(
        tags=["plans"], summary="Have prompts tagged by a model", request=NewTagging, parameters=[SLUG, LOCATION],
        operation_id="taggings_create", responses={202: ACCEPTED},
    )  # fmt: skip
    def post(self, request, slug):
        """One at a time per project. Known words of the same model go on with that tagging. The job's result counts tagged
        and unread prompts, calls, and the cost."""
        project = project_for(request, slug)
        require(project, rules.of(project).budget.runs_by, "Running models")
        body = parse(NewTagging, request.data)
        detail = runs.find(int(body.pop("annotator")), project)
        if detail is None or not detail.asks:
            raise bad("annotator", "This project has no such LM annotator whose model can be asked.")
        words = body.pop("instructions", None)
        words = tagger.latest_words(project) if words is None else words.strip()
        try:
            found = tagger.start(detail=detail, instructions=words, actor=request.user, **body)
        except CannotAnnotate as error:
            raise Problem(409, "Prompts cannot be tagged", str(error)) from None
        return accepted(Job.objects.get(pk=found.job_id))


class TaggingOne(ApiView):
    """One tagging."""

    @extend_schema(
        tags=["plans"], summary="Read a tagging", parameters=[SLUG, TAGGING, FieldsQuery],
        operation_id="taggings_retrieve", responses=TaggingResource,
    )  # fmt: skip
    def get(self, request, slug, pk):
        return one(request, TaggingResource, get_object_or_404(_taggings(project_for(request, slug)), pk=pk))


class TaggingTags(ApiView):
    """The tags of a tagging."""

    @extend_schema(
        tags=["plans"], summary="List a tagging's tags, in order of item", parameters=[SLUG, TAGGING, PageQuery],
        operation_id="taggings_tags_list", responses=page_of(ItemTagsResource),
    )  # fmt: skip
    def get(self, request, slug, pk):
        found = get_object_or_404(Tagging, project=project_for(request, slug), pk=pk)
        rows = ItemTags.objects.filter(tagging=found)
        return many(ItemTagsResource, rows, parse_query(PageQuery, request), order_by=("item_id",))


def _taggings(project):
    """Taggings with their counts; `left` counts the items of today that have no row."""
    here = Q(rows__item__withdrawn_at__isnull=True, rows__item__purpose=Item.Purpose.DATA)
    return (
        Tagging.objects.filter(project=project)
        .select_related("annotator__lm", "prompt")
        .annotate(
            tagged=Count("rows", filter=~Q(rows__mode="")),
            unread=Count("rows", filter=Q(rows__mode="")),
            left=tagger.taggable(project).count() - Count("rows", filter=here),
        )
    )
