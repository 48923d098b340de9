"""Giving items to particular people by hand: the page, its CSV file, and taking them back."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from annotations.projects.access import project_for
from annotations.projects.models import Membership, Project
from annotations.projects.views import page_context
from app.web.paging import BadCursorError, keyset_page

from . import assigning, batch_queries, item_queries
from .batch_forms import AssignForm
from .models import Assignment

RESEARCHER = Membership.Role.RESEARCHER
REFUSALS_SHOWN = 100


@login_required
@require_http_methods(["GET", "POST"])
def assign(request: HttpRequest, slug: str) -> HttpResponse:
    """Name items and people, or a CSV file; what could not be given is listed with its line."""
    project = project_for(request, slug, at_least=RESEARCHER)
    people = [
        (person.name, f"{person.known_as}{' · ' + ', '.join(person.tags) if person.tags else ''}")
        for person in batch_queries.people_with_tags(project)
    ]
    bound = request.method == "POST"
    form = AssignForm(request.POST if bound else None, request.FILES if bound else None, people=people)
    report = None
    if bound and form.is_valid():
        report = _give(project, form, request.user)
        if report is not None and not report.refused:
            said = f"{report.assigned:,} given" + (
                f", {report.known:,} were given before" if report.known else ""
            )
            messages.success(request, f"{said}.")
            return redirect("items:assign", slug=slug)
    return _page(request, project, form, report)


def _give(project: Project, form: AssignForm, actor) -> assigning.Report | None:
    """Assign what the form names; None where its file cannot be read."""
    values = form.cleaned_data
    rows = [
        (line, name, person)
        for line, name in enumerate(values["names"], start=1)
        for person in values.get("people") or ()
    ]
    refused: list[assigning.Refusal] = []
    if values.get("file"):
        try:
            more, refused = assigning.read_csv(values["file"].read(assigning.MOST_BYTES + 1))
        except assigning.UnreadableTable as error:
            form.add_error("file", str(error))
            return None
        rows += more
    pairs, unknown = assigning.pairs_of(project, rows)
    report = assigning.assign(project=project, pairs=pairs, actor=actor, ask_more=values["ask_more"])
    report.refused = sorted([*refused, *unknown, *report.refused], key=lambda one: one.line)
    return report


def _page(request: HttpRequest, project: Project, form: AssignForm, report) -> HttpResponse:
    try:
        page = keyset_page(
            assigning.given_by_hand(project),
            cursor=request.GET.get("cursor"),
            size=50,
            order_by=("-pk",),
        )
    except BadCursorError as error:
        return render(request, "400.html", {"reason": str(error)}, status=400)
    crumbs = ("Items", reverse("items:list", args=[project.slug])), ("Give items by hand", "")
    context = {
        **page_context(project, "items", *crumbs),
        "form": form,
        "report": report,
        "refused": report.refused[:REFUSALS_SHOWN] if report else [],
        "page": page,
        "rows": [(row, item_queries.snippet(row.item)) for row in page.rows],
    }
    return render(request, "items/assign.html", context, status=400 if form.errors or report else 200)


@login_required
@require_POST
def unassign(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Take back what was given by hand; the place is anybody's again."""
    project = project_for(request, slug, at_least=RESEARCHER)
    row = get_object_or_404(
        Assignment.objects.select_related("item__project", "annotator"),
        pk=pk,
        item__project=project,
        by_hand=True,
    )
    if assigning.unassign(assignment=row, actor=request.user):
        messages.success(request, f"Taken back from {row.annotator.name}.")
    else:
        messages.error(request, f"{row.annotator.name} has answered it; nothing was taken back.")
    return redirect("items:assign", slug=slug)
