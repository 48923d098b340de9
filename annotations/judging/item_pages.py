"""Pages of items for researchers: the browser, one item, and the acts on it."""

from __future__ import annotations

from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from annotations.items import media
from annotations.items.models import Item
from annotations.projects.access import project_for
from annotations.projects.models import Membership, Project
from annotations.projects.views import page_context
from app.web.downloads import csv_response
from app.web.paging import BadCursorError
from app.web.rendering import render_many, render_messages

from . import item_queries, withdraw
from .labels import LETTERS
from .progress import progress_of

RESEARCHER, REVIEWER = Membership.Role.RESEARCHER, Membership.Role.REVIEWER
COLUMNS = [
    "item", "external_id", "source", "prompt", "responses", "route", "audit", "human_judgments", "wanted",
    "model_judgments", "flags", "withdrawn", "label_by", "label",
]  # fmt: skip


class RouteForm(forms.Form):
    """A route chosen by hand."""

    route = forms.ChoiceField(choices=Item.Route.choices, label="Send to")
    wanted = forms.IntegerField(min_value=1, max_value=100, label="People wanted")
    priority = forms.IntegerField(
        min_value=-1_000_000, max_value=1_000_000, label="Priority", help_text="Higher comes first."
    )


@login_required
@require_GET
def item_list(request: HttpRequest, slug: str) -> HttpResponse:
    """Items with filters in the address; `format=csv` answers with the same page as a file."""
    project = project_for(request, slug, at_least=REVIEWER)
    form = item_queries.ItemFilter(request.GET, **item_queries.filter_choices(project))
    wish = form.cleaned_data if form.is_valid() else {}
    try:
        found = item_queries.browse_items(project=project, wish=wish, cursor=request.GET.get("cursor", ""))
    except BadCursorError as error:
        return render(request, "400.html", {"reason": str(error)}, status=400)
    labels = item_queries.labels_of(found.page.rows)
    rows = [(item, item_queries.snippet(item), labels[item.pk]) for item in found.page.rows]
    if request.GET.get("format") == "csv":
        return csv_response(f"{slug}-items.csv", COLUMNS, (_csv_row(*row) for row in rows))
    context = {
        **page_context(project, "items", ("Items", "")),
        "form": form,
        "filtered": any(wish.values()),
        "found": found,
        "rows": rows,
        "progress": progress_of([project])[project.pk],
        "batches": [choice for choice in form.fields["batch"].choices if choice[0].isdigit()]
        if "batch" in form.fields
        else [],
        "wish": urlencode({key: value for key, value in wish.items() if value}),
    }
    return render(request, "items/list.html", context)


def _csv_row(item: Item, snippet: str, label) -> list[object]:
    return [
        item.pk, item.external_id, item.source, snippet, item.n_responses, item.route, int(item.is_audit),
        item.n_human, item.wanted, item.n_lm, item.n_flagged, int(item.withdrawn_at is not None), label.by,
        "; ".join(label.sentences),
    ]  # fmt: skip


@login_required
@require_GET
def item_detail(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Everything known about one item."""
    project = project_for(request, slug, at_least=REVIEWER)
    return _detail_page(request, project, get_object_or_404(Item, pk=pk, project=project))


def _detail_page(request: HttpRequest, project: Project, item: Item, form=None, status=200) -> HttpResponse:
    responses = list(item.responses.all())
    rendered = media.shown(project.slug, render_many([response.text for response in responses]))
    current, superseded, aside = item_queries.judgments_of(item)
    duplicates = item_queries.duplicates_of(item)
    context = {
        **page_context(
            project, "items", ("Items", reverse("items:list", args=[project.slug])), (str(item), "")
        ),
        "item": item,
        "turns": [
            {**turn, "html": media.shown(project.slug, [turn["html"]])[0]}
            for turn in render_messages(item.prompt)
        ],
        "responses": [
            (LETTERS[response.index], response, html)
            for response, html in zip(responses, rendered, strict=True)
        ],
        "label": item_queries.labels_of([item])[item.pk],
        "judgments": current,
        "superseded": superseded,
        "aside": aside,
        "assignments": item_queries.assignments_of(item),
        "duplicates": duplicates,
        "form": form
        or RouteForm(initial={"route": item.route, "wanted": item.wanted, "priority": item.priority}),
        "previous": Item.objects.filter(project=project, pk__lt=item.pk).order_by("-pk").only("pk").first(),
        "next": Item.objects.filter(project=project, pk__gt=item.pk).order_by("pk").only("pk").first(),
    }
    return render(request, "items/detail.html", context, status=status)


@login_required
@require_POST
def item_withdraw(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Take an item out of the work, or put it back."""
    project = project_for(request, slug, at_least=RESEARCHER)
    item = get_object_or_404(Item, pk=pk, project=project)
    withdrawn = request.POST.get("withdrawn") == "1"
    withdraw.set_withdrawn(item=item, withdrawn=withdrawn, actor=request.user)
    words = "withdrawn: nobody is given it, exports leave it out" if withdrawn else "back in the work"
    messages.success(request, f"The item is {words}.")
    return redirect("items:detail", slug=slug, pk=pk)


@login_required
@require_POST
def item_route(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Set an item's route by hand."""
    project = project_for(request, slug, at_least=RESEARCHER)
    item = get_object_or_404(Item, pk=pk, project=project)
    form = RouteForm(request.POST)
    if form.is_valid():
        try:
            withdraw.route_by_hand(item=item, actor=request.user, **form.cleaned_data)
        except withdraw.AuditItem as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "The route is set.")
            return redirect("items:detail", slug=slug, pk=pk)
    return _detail_page(request, project, item, form=form, status=400)
