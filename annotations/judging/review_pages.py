"""Pages for reviewers: the items people disagree about, and one of them to decide."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from annotations.items.models import Item
from annotations.projects import keymap, schemas
from annotations.projects.access import project_for, reviewer_for
from annotations.projects.models import Annotator, Membership, Project
from app.web.paging import BadCursorError

from . import forms, pages, review
from .answers import Answer, InvalidAnswer
from .item_queries import judgments_of, labels_of, snippet
from .models import Review
from .quality_forms import ReviewForm
from .quality_pages import quality_context, stored_order
from .questions import review_html
from .stored import answer_of
from .submit import Conflict
from .words import page_words

REVIEWER = Membership.Role.REVIEWER
SHOWS = (("open", "To review"), ("flagged", "Flagged"), ("done", "Reviewed"))


@login_required
@require_GET
def review_list(request: HttpRequest, slug: str) -> HttpResponse:
    """Items people disagree about or flagged; with `person`, those that one person judged."""
    project = project_for(request, slug, at_least=REVIEWER)
    show = request.GET.get("show", "open")
    show = show if show in dict(SHOWS) else "open"
    person, pk = None, request.GET.get("person", "")
    if pk.isascii() and pk.isdigit() and len(pk) <= 18:
        person = get_object_or_404(Annotator, project=project, pk=int(pk))
    try:
        found = review.browse(project=project, show=show, person=person, cursor=request.GET.get("cursor", ""))
    except BadCursorError as error:
        return render(request, "400.html", {"reason": str(error)}, status=400)
    labels = labels_of(found.page.rows)
    reviews = review.latest_reviews([item.pk for item in found.page.rows])
    context = {
        **quality_context(project, "reviews", ("Review", "")),
        "found": found,
        "rows": [(item, snippet(item), labels[item.pk], reviews.get(item.pk)) for item in found.page.rows],
        "show": show,
        "shows": SHOWS,
        "person": person,
        "causes": review.cause_counts(project),
    }
    return render(request, "quality/reviews.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def review_item(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One item with its votes: give the answer that is final, or let the votes stand; and say why they differ."""
    project = project_for(request, slug, at_least=REVIEWER)
    item = get_object_or_404(Item.objects.select_related("project"), pk=pk, project=project)
    before = review.latest_reviews([item.pk]).get(item.pk)
    form = ReviewForm(
        request.POST or None,
        initial={"causes": before.causes, "note": before.note} if before else {},
    )
    values, errors = _given_before(project, item, before), ()
    if request.method == "POST":
        values = dict(request.POST.lists())
    if request.method == "POST" and form.is_valid():
        stand = request.POST.get("decision") == "stand" or project.schema_id is None
        try:
            review.decide(
                item=item,
                reviewer=reviewer_for(request.user, project),
                actor=request.user,
                answer=None if stand else _answer(project, item, values),
                **form.cleaned_data,
            )
        except InvalidAnswer as error:
            errors = tuple(error.errors)
        except Conflict as refusal:  # withdrawn since the page was loaded
            form.add_error(None, str(refusal))
        else:
            messages.success(
                request, "The votes stand." if stand else "This answer is the item's final label."
            )
            return _on(project, item)
    return _page(request, project, item, form, before, values, errors)


def _page(request: HttpRequest, project: Project, item: Item, form, before, values, errors) -> HttpResponse:
    crumbs = ("Review", reverse("quality:reviews", args=[project.slug])), (str(item), "")
    current, _, aside = judgments_of(item)
    questions = cannot = None
    if project.schema_id is not None:
        questions, cannot = review_html(project.schema_id, item.n_responses, values, errors)
    keys = keymap.of(request.user.preferences)
    prompt, panes = pages.item_texts(item, stored_order(item), project.slug)
    context = {
        **quality_context(project, "reviews", *crumbs),
        "item": item,
        "prompt": prompt,
        "panes": panes,
        "form": form,
        "questions": questions,
        "cannot": cannot,
        "before": before,
        "distributions": review.distributions(item),
        "so_far": labels_of([item])[item.pk],
        "judgments": current,
        "aside": aside,
        "keys": keys,
        "key_sheet": keymap.sheet(keys),
        "words": page_words(),
        "sample_texts": pages.stored_texts(item),
    }
    return render(request, "quality/review.html", context, status=400 if form.is_bound else 200)


def _answer(project: Project, item: Item, values: forms.Values) -> Answer:
    """The posted answer, responses in stored order. Raises InvalidAnswer."""
    definition = schemas.load(project.schema_id)[1]
    return forms.to_answer(definition, values, stored_order(item), item.n_responses)


def _given_before(project: Project, item: Item, before: Review | None) -> forms.Values:
    """What the latest reviewer answered, as the form's values; empty where nobody did."""
    if project.schema_id is None or before is None or before.judgment is None:
        return {}
    definition = schemas.load(project.schema_id)[1]
    return forms.to_values(definition, answer_of(before.judgment), stored_order(item))


def _on(project, item: Item) -> HttpResponse:
    """To the next item to review, or back to the list at the end."""
    following = review.browse(project=project, cursor=str(item.pk), size=1).page.rows
    if following:
        return redirect("quality:review", slug=project.slug, pk=following[0].pk)
    return redirect("quality:reviews", slug=project.slug)
