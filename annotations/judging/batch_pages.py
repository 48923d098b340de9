"""Pages of batches for researchers: the list with the project's limits, one batch, moving items, people's tags."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations.items import batches
from annotations.items.models import Batch
from annotations.projects import rules
from annotations.projects.access import project_for
from annotations.projects.models import Annotator, Membership, Project
from annotations.projects.views import page_context
from app.accounts import audit

from . import batch_queries, item_queries, moving
from .batch_forms import BatchForm, LimitsForm, TagsField

RESEARCHER, REVIEWER = Membership.Role.RESEARCHER, Membership.Role.REVIEWER


def _crumbs(slug: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [("Items", reverse("items:list", args=[slug])), *more]


@login_required
@require_GET
def batch_list(request: HttpRequest, slug: str) -> HttpResponse:
    """The batches with how far they are, and what holds for the whole project."""
    return _list_page(request, project_for(request, slug, at_least=REVIEWER))


def _list_page(
    request: HttpRequest, project: Project, *, limits: LimitsForm | None = None, tags=None, status=200
) -> HttpResponse:
    people = batch_queries.people_with_tags(project)
    errors = tags or {}
    rows = batch_queries.batches_of(project)
    context = {
        **page_context(project, "items", *_crumbs(project.slug, ("Batches", ""))),
        "rows": rows,
        "n_batches": sum(row.batch is not None for row in rows),
        "n_batched": sum(row.n for row in rows if row.batch is not None),
        "n_items": sum(row.n for row in rows),
        "limits": limits or LimitsForm(initial=rules.of(project).limits.model_dump()),
        "people": [(person, *errors.get(person.pk, (", ".join(person.tags), ""))) for person in people],
    }
    return render(request, "items/batches.html", context, status=status)


@login_required
@require_POST
def change_limits(request: HttpRequest, slug: str) -> HttpResponse:
    """Change what holds for the whole project."""
    project = project_for(request, slug, at_least=RESEARCHER)
    form = LimitsForm(request.POST)
    if not form.is_valid():
        return _list_page(request, project, limits=form, status=400)
    with transaction.atomic():
        rules.change(project=project, limits=form.limits(rules.of(project).limits))
        audit.record(actor=request.user, action="project.limits_changed", scope=slug, target=project.name)
    messages.success(request, "The limits are saved.")
    return redirect("items:batches", slug=slug)


@login_required
@require_POST
def change_tags(request: HttpRequest, slug: str) -> HttpResponse:
    """Set people's tags; a field that is wrong changes nothing for anybody."""
    project = project_for(request, slug, at_least=RESEARCHER)
    field, given, wrong = TagsField(), {}, False
    people = {person.pk: person for person in batch_queries.people_with_tags(project)}
    shown: dict[int, tuple[str, str]] = {}
    for pk in people:
        text = request.POST.get(f"tags-{pk}")
        if text is None:
            continue
        try:
            given[pk] = field.clean(text)
            shown[pk] = (text, "")
        except ValidationError as error:
            shown[pk], wrong = (text, " ".join(error.messages)), True
    if wrong:
        return _list_page(request, project, tags=shown, status=400)
    changed = [pk for pk, tags in given.items() if tags != people[pk].tags]
    with transaction.atomic():
        for pk in changed:
            Annotator.objects.filter(pk=pk).update(tags=given[pk])
            audit.record(
                actor=request.user,
                action="annotator.tagged",
                scope=slug,
                target=people[pk].name,
                tags=given[pk],
            )
    messages.success(
        request, f"Tags of {len(changed)} {'person' if len(changed) == 1 else 'people'} changed."
    )
    return redirect("items:batches", slug=slug)


@login_required
@require_http_methods(["GET", "POST"])
def batch_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Make a batch."""
    project = project_for(request, slug, at_least=RESEARCHER)
    form = BatchForm(request.POST or None, project=project)
    if request.method == "POST" and form.is_valid():
        try:
            batch = batches.create_batch(project=project, actor=request.user, **form.cleaned_data)
        except batches.InvalidBatch as error:
            form.add_error(error.field, str(error))
        else:
            messages.success(
                request, "The batch is made. Move items into it from the list of items, or import some."
            )
            return redirect("items:batch", slug=slug, pk=batch.pk)
    return _batch_page(request, project, form, None)


@login_required
@require_http_methods(["GET", "POST"])
def batch_edit(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One batch: its rules, to read for reviewers and to change for researchers."""
    project = project_for(request, slug, at_least=REVIEWER if request.method == "GET" else RESEARCHER)
    batch = get_object_or_404(Batch, project=project, pk=pk)
    form = BatchForm(request.POST or None, project=project, batch=batch)
    if request.method == "POST" and form.is_valid():
        job = moving.change_batch(batch=batch, actor=request.user, **form.cleaned_data)
        if job is not None:
            return redirect("jobs:detail", pk=job.pk)
        messages.success(request, "The batch is saved.")
        return redirect("items:batch", slug=slug, pk=pk)
    return _batch_page(request, project, form, batch)


def _batch_page(request: HttpRequest, project: Project, form: BatchForm, batch: Batch | None) -> HttpResponse:
    back = ("Batches", reverse("items:batches", args=[project.slug]))
    context = {
        **page_context(
            project, "items", *_crumbs(project.slug, back, (batch.name if batch else "New batch", ""))
        ),
        "form": form,
        "batch": batch,
        "n_items": batch.items.count() if batch else 0,
    }
    return render(request, "items/batch.html", context, status=400 if form.errors else 200)


@login_required
@require_POST
def batch_delete(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Delete a batch that has no items."""
    project = project_for(request, slug, at_least=RESEARCHER)
    batch = get_object_or_404(Batch, project=project, pk=pk)
    try:
        batches.delete_batch(batch=batch, actor=request.user)
    except batches.InvalidBatch as error:
        messages.error(request, str(error))
        return redirect("items:batch", slug=slug, pk=pk)
    messages.success(request, f"{batch.name} is deleted.")
    return redirect("items:batches", slug=slug)


@login_required
@require_POST
def move_items(request: HttpRequest, slug: str) -> HttpResponse:
    """Put all items that fit the filters (`wish`, as the list's address has them) into a batch, or out of all."""
    project = project_for(request, slug, at_least=RESEARCHER)
    target = request.POST.get("batch", "")
    batch = None
    if target:
        if not (target.isascii() and target.isdigit() and len(target) < 19):
            raise Http404("No such batch.")
        batch = get_object_or_404(Batch, project=project, pk=int(target))
    form = item_queries.ItemFilter(
        QueryDict(request.POST.get("wish", "")[:2000]), **item_queries.filter_choices(project)
    )
    if not form.is_valid():
        messages.error(request, "These filters are not valid, so nothing was moved.")
        return redirect("items:list", slug=slug)
    result = moving.move_fitting(project=project, wish=form.cleaned_data, batch=batch, actor=request.user)
    if not isinstance(result, int):
        return redirect("jobs:detail", pk=result.pk)
    where = f"now in {batch.name}" if batch else "now in no batch"
    messages.success(request, f"{result:,} item{'' if result == 1 else 's'} moved, {where}.")
    return redirect("items:batches", slug=slug)
