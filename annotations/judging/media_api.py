"""A project's uploaded images over the API, for researchers."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import parsers, serializers
from rest_framework.response import Response

from annotations.items import media
from annotations.items.models import MediaFile
from annotations.projects.access import project_for
from annotations.projects.models import Membership
from app.accounts import audit
from app.web.api import (
    SLUG,
    ApiView,
    PageQuery,
    Resource,
    answer_page,
    bad,
    in_path,
    one,
    page_of,
    parse,
    parse_query,
    wanted_fields,
)
from app.web.paging import BadCursorError, keyset_page

RESEARCHER = Membership.Role.RESEARCHER


class MediaResource(Resource):
    """An uploaded image; texts show it as `![words](media:name)`."""

    name = serializers.CharField()
    content_type = serializers.CharField()
    sha256 = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class NewMedia(serializers.Serializer):
    """A PNG, JPEG, WebP or GIF image."""

    file = serializers.FileField(allow_empty_file=False, max_length=255)
    name = serializers.CharField(
        required=False, max_length=100, help_text="From the file's name if it is not given."
    )


class Media(ApiView):
    """The images of a project."""

    parser_classes = [parsers.MultiPartParser]

    def largest_body(self) -> int:
        return media.MAX_BYTES + 1_000_000

    @extend_schema(
        tags=["items"], summary="List uploaded images", parameters=[SLUG, PageQuery], operation_id="media_list",
        responses=page_of(MediaResource),
    )  # fmt: skip
    def get(self, request, slug):
        project = project_for(request, slug, at_least=RESEARCHER)
        query = parse_query(PageQuery, request)
        rows = MediaFile.objects.filter(project=project, removed_at=None)
        try:
            page = keyset_page(rows, cursor=query.get("cursor", ""), size=query["size"], order_by=("-pk",))
        except BadCursorError as error:
            raise bad("cursor", str(error)) from None
        return answer_page(MediaResource, page.rows, page.next_cursor, wanted_fields(query))

    @extend_schema(
        tags=["items"], summary="Upload an image", request={"multipart/form-data": NewMedia}, parameters=[SLUG],
        operation_id="media_create", responses={201: MediaResource},
    )  # fmt: skip
    def post(self, request, slug):
        """It is decoded and encoded anew, without metadata. A name stands for one image for ever."""
        project = project_for(request, slug, at_least=RESEARCHER)
        values = parse(NewMedia, request.data)
        name = values.get("name") or media.wished_name(values["file"].name)
        try:
            made = media.add_media(project=project, name=name, file=values["file"], actor=request.user)
        except media.UnusableMedia as error:
            raise bad("file", str(error)) from None
        audit.record(actor=request.user, action="items.media_added", scope=slug, target=made.name)
        response = one(request, MediaResource, made)
        response.status_code = 201
        return response


class MediaOne(ApiView):
    """One image."""

    @extend_schema(
        tags=["items"], summary="Delete an uploaded image", parameters=[SLUG, in_path("name", "The image's name.")],
        operation_id="media_destroy", responses={204: None},
    )  # fmt: skip
    def delete(self, request, slug, name):
        """Texts show its description from then on; the name is never used again."""
        project = project_for(request, slug, at_least=RESEARCHER)
        found = get_object_or_404(MediaFile, project=project, name=name, removed_at=None)
        media.remove_media(media=found)
        audit.record(actor=request.user, action="items.media_removed", scope=slug, target=name)
        return Response(status=204)
