"""A project's uploaded images: the researchers' page, and the files themselves for its members."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations.items import media
from annotations.items.models import MediaFile
from annotations.projects.access import project_for
from annotations.projects.models import Membership
from annotations.projects.views import page_context
from app.accounts import audit
from app.web.paging import BadCursorError, keyset_page

RESEARCHER, ANNOTATOR = Membership.Role.RESEARCHER, Membership.Role.ANNOTATOR
PAGE = 60


class MediaForm(forms.Form):
    """One image and the name it has in texts."""

    file = forms.FileField(label="Image", help_text="PNG, JPEG, WebP or GIF, up to 10 MB.", max_length=255)
    name = forms.CharField(
        label="Name",
        required=False,
        max_length=100,
        help_text="As it stands in texts; from the file's name if left empty.",
    )

    def clean(self):
        values = super().clean()
        if values.get("file") and not values.get("name"):
            values["name"] = media.wished_name(values["file"].name)
        return values


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def media_list(request: HttpRequest, slug: str) -> HttpResponse:
    """The images, newest first, and the form for one more."""
    project = project_for(request, slug, at_least=RESEARCHER)
    form, status = MediaForm(), 200
    if request.method == "POST":
        form = MediaForm(request.POST, request.FILES)
        if form.is_valid():
            try:
                made = media.add_media(
                    project=project,
                    name=form.cleaned_data["name"],
                    file=form.cleaned_data["file"],
                    actor=request.user,
                )
            except media.UnusableMedia as error:
                form.add_error("file", str(error))
            else:
                audit.record(actor=request.user, action="items.media_added", scope=slug, target=made.name)
                messages.success(request, f"{made.name} is uploaded.")
                return redirect("items:media", slug=slug)
        status = 400
    rows = MediaFile.objects.filter(project=project, removed_at=None).select_related("uploaded_by")
    try:
        page = keyset_page(rows, cursor=request.GET.get("cursor"), size=PAGE, order_by=("-pk",))
    except BadCursorError as error:
        return render(request, "400.html", {"reason": str(error)}, status=400)
    context = {
        **page_context(project, "items", ("Items", reverse("items:list", args=[slug])), ("Images", "")),
        "form": form,
        "page": page,
        "base": media.base_of(slug),
    }
    return render(request, "items/media.html", context, status=status)


@login_required
@require_POST
def media_remove(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Delete one image."""
    project = project_for(request, slug, at_least=RESEARCHER)
    found = get_object_or_404(MediaFile, project=project, name=name, removed_at=None)
    media.remove_media(media=found)
    audit.record(actor=request.user, action="items.media_removed", scope=slug, target=name)
    messages.success(request, f"{name} is deleted. Texts show its description instead.")
    return redirect("items:media", slug=slug)


@login_required
@require_GET
def media_file(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """One image, for members of the project only."""
    project = project_for(request, slug, at_least=ANNOTATOR)
    found = get_object_or_404(MediaFile, project=project, name=name, removed_at=None)
    try:
        response = FileResponse(media.path_of(found).open("rb"), content_type=found.content_type)
    except FileNotFoundError:
        raise Http404("The file is gone.") from None
    # A name stands for one content for ever; only this person's browser may keep it.
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["Content-Disposition"] = "inline"
    return response
