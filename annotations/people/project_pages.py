"""A researcher's pages about people: ways in, and the places of a panel's study."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations.projects import rules
from annotations.projects.access import project_for
from annotations.projects.models import Project
from annotations.projects.views import OWNER, RESEARCHER, page_context
from app.web.downloads import csv_response
from app.web.paging import BadCursorError, keyset_page

from . import entry, panel_file, places, queries
from .forms import EndPlaceForm, EntryForm, PanelFileForm
from .models import Participant, Place

PLACES_SHOWN = 100


def _context(project: Project, tab: str, words: str) -> dict:
    people = ("People", reverse("projects:people", args=[project.slug]))
    return {**page_context(project, "people", people, (words, "")), "tab": tab}


@login_required
@require_http_methods(["GET", "POST"])
def entry_page(request: HttpRequest, slug: str) -> HttpResponse:
    """How people come in, what they agree to, and a panel's places and codes."""
    project = project_for(request, slug, at_least=OWNER)
    form = EntryForm(request.POST or None, stored=rules.of(project))
    if request.method == "POST" and form.is_valid():
        privacy = rules.Privacy(**{name: form.cleaned_data[name] for name in rules.Privacy.model_fields})
        entry.change_entry(project=project, entry=form.parsed, privacy=privacy, actor=request.user)
        messages.success(request, "Saved.")
        return redirect("people:entry", slug=slug)
    context = {
        **_context(project, "entry", "Ways in"),
        "form": form,
        "addresses": entry.addresses(project),
        "open_panel": rules.of(project).entry.mode in {"prolific", "panel"} or form.is_bound,
    }
    return render(request, "people/entry.html", context, status=400 if form.errors else 200)


def _places_page(request: HttpRequest, project: Project, form=None, report=None, status=200) -> HttpResponse:
    rows = Place.objects.filter(project=project).select_related("participant__annotator")
    try:
        page = keyset_page(rows, cursor=request.GET.get("cursor"), size=PLACES_SHOWN, order_by=("-pk",))
    except BadCursorError as error:
        return render(request, "400.html", {"exception": error}, status=400)
    context = {
        **_context(project, "places", "Places"),
        "page": page,
        "rows": queries.with_judged(page.rows),
        "counts": queries.place_counts(project),
        "form": form or PanelFileForm(),
        "report": report,
        "entry": rules.of(project).entry,
    }
    return render(request, "people/places.html", context, status=status)


@login_required
@require_GET
def places_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Who came from the panel, how far they are, and how their places ended."""
    return _places_page(request, project_for(request, slug, at_least=RESEARCHER))


@login_required
@require_GET
def places_csv(request: HttpRequest, slug: str) -> HttpResponse:
    """Every place as CSV."""
    project = project_for(request, slug, at_least=RESEARCHER)
    header = ["person", "study", "session", "state", "judged", "code", "put_aside", "started_at", "ended_at"]
    return csv_response(f"{slug}-places.csv", header, queries.place_rows(project))


@login_required
@require_POST
def upload_submissions(request: HttpRequest, slug: str) -> HttpResponse:
    """End the places that the panel's list calls returned or timed out."""
    project = project_for(request, slug, at_least=RESEARCHER)
    form = PanelFileForm(request.POST, request.FILES)
    if not form.is_valid():
        return _places_page(request, project, form=form, status=400)
    file = form.cleaned_data["file"]
    try:
        if file.size > panel_file.LARGEST:
            raise panel_file.BadFile("The file is larger than 5 MB.")
        report = panel_file.apply(
            project=project,
            content=file.read(),
            give_back=form.cleaned_data["give_back"],
            actor=request.user,
        )
    except panel_file.BadFile as error:
        form.add_error("file", str(error))
        return _places_page(request, project, form=form, status=400)
    return _places_page(request, project, report=report)


@login_required
@require_POST
def end_place(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """End one place by hand."""
    project = project_for(request, slug, at_least=RESEARCHER)
    place = get_object_or_404(Place.objects.select_related("participant"), pk=pk, project=project)
    form = EndPlaceForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say how the place ended: returned, timed out or screened out.")
        return _places_page(request, project, status=400)
    ended = places.end(
        place=place,
        state=form.cleaned_data["state"],
        actor=request.user,
        give_back=form.cleaned_data["give_back"],
    )
    messages.success(
        request, f"The place of {place.participant.person}: {ended.get_state_display().lower()}."
    )
    return redirect("people:places", slug=slug)


@login_required
@require_POST
def unbind(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Let a participant come in from another browser."""
    project = project_for(request, slug, at_least=RESEARCHER)
    participant = get_object_or_404(Participant.objects.select_related("project"), pk=pk, project=project)
    places.unbind(participant=participant, actor=request.user)
    messages.success(request, f"The next browser that comes as {participant.person} is let in.")
    return redirect("people:places", slug=slug)
