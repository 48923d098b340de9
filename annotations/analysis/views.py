"""Pages of what the judgments say, beside quality: agreement, rankings, bias, annotators, a selection, the paper pack."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from annotations.judging.quality_pages import quality_context
from annotations.projects.access import project_for
from annotations.projects.models import Membership
from app.web.downloads import csv_response
from app.web.standalone import standalone

from . import pages, paper, reports
from .forms import SubsetForm
from .selection_figures import groups_table, selection_lede, selection_table
from .subset import Impossible

RESEARCHER = Membership.Role.RESEARCHER
TITLES = {"agreement": "Agreement", "rankings": "Rankings", "bias": "Bias", "annotators": "Annotators"}


def _page(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """One report: the page, or with `?table=` a CSV and with `?plot=` an SVG of what stands on it."""
    project = project_for(request, slug, at_least=RESEARCHER)
    found = reports.find(project, name, actor=request.user)
    wanted = request.GET.get("q", "0")
    chosen = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 6 else 0
    page = pages.PAGES[name](found.report, chosen) if found.report else None
    if page is not None:
        for section in page.sections:
            if section.table is not None and request.GET.get("table") == section.table.name:
                return csv_response(f"{slug}-{name}-{section.table.name}.csv", *section.table.csv())
            if section.plot is not None and request.GET.get("plot") == section.name:
                response = HttpResponse(standalone(section.plot.svg), content_type="image/svg+xml")
                response["Content-Disposition"] = f'attachment; filename="{slug}-{name}-{section.name}.svg"'
                return response
    context = {
        **quality_context(project, name, (TITLES[name], "")),
        "found": found,
        "page": page,
        "title": TITLES[name],
    }
    return render(request, "analysis/page.html", context)


@login_required
@require_GET
def agreement(request: HttpRequest, slug: str) -> HttpResponse:
    """How much people and models agree."""
    return _page(request, slug, "agreement")


@login_required
@require_GET
def rankings(request: HttpRequest, slug: str) -> HttpResponse:
    """Which models are better."""
    return _page(request, slug, "rankings")


@login_required
@require_GET
def bias(request: HttpRequest, slug: str) -> HttpResponse:
    """What verdicts follow besides quality."""
    return _page(request, slug, "bias")


@login_required
@require_GET
def annotators(request: HttpRequest, slug: str) -> HttpResponse:
    """How each annotator judges."""
    return _page(request, slug, "annotators")


@login_required
@require_GET
def selection(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose a subset of responses or items by people's votes: the form, and with `?k=` the choice, as a page or CSV."""
    project = project_for(request, slug, at_least=RESEARCHER)
    form = SubsetForm(request.GET if "k" in request.GET else None)
    found, job = None, None
    if form.is_bound and form.is_valid():
        try:
            found, job = reports.select(project, actor=request.user, **form.cleaned_data)
        except Impossible as refusal:
            form.add_error("at_least" if form.cleaned_data["at_least"] else "k", str(refusal))
    table = selection_table(found, form.cleaned_data["of"]) if found else None
    if table is not None and request.GET.get("format") == "csv":
        return csv_response(f"{slug}-selection.csv", *table.csv())
    context = {
        **quality_context(project, "selection", ("Selection", "")),
        "form": form,
        "found": found,
        "job": job,
        "lede": selection_lede(found) if found else "",
        "table": table,
        "groups": groups_table(found) if found else None,
        "query": request.GET.urlencode(),
    }
    return render(request, "analysis/selection.html", context, status=400 if form.errors else 200)


@login_required
@require_GET
def paper_pack(request: HttpRequest, slug: str) -> HttpResponse:
    """Everything for a paper as one zip; while reports are being computed, back to where their progress stands."""
    project = project_for(request, slug, at_least=RESEARCHER)
    made = paper.pack(project)
    if made is None:
        messages.info(request, "The figures are being computed. Get the paper pack when they are done.")
        return redirect("analysis:agreement", slug=slug)
    response = HttpResponse(made, content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{slug}-paper.zip"'
    return response
