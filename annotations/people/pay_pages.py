"""Pages about pay: everybody's sums and how the project pays; one person's statement; one's own."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations.judging.views import annotators_only
from annotations.projects import rules
from annotations.projects.access import project_for
from annotations.projects.models import Annotator, Project
from annotations.projects.views import OWNER, RESEARCHER, page_context
from app.ledger.ledger import BudgetExceeded
from app.web.downloads import csv_response

from . import pay, wages
from .forms import BonusForm, PayForm
from .models import money_words

SHOWN = 200
STATEMENT = ["at", "kind", "items", "active_ms", "unit", "rate", "earned", "paid", "note"]
PEOPLE = [
    "name", "pseudonym", "items", "active_hours", "earned", "not_reckoned", "paid", "owed", "bonus",
    "rate_per_hour", "floor_per_hour",
]  # fmt: skip


def _pay_page(request: HttpRequest, project: Project, *, form=None, bonus=None, status=200) -> HttpResponse:
    rows = []
    for row in wages.everybody(project):
        if len(rows) == SHOWN:
            break
        rows.append(row)
    context = {
        **page_context(
            project, "people", ("People", reverse("projects:people", args=[project.slug])), ("Pay", "")
        ),
        "tab": "pay",
        "rows": rows,
        "more": len(rows) == SHOWN,
        "account": pay.money_of(project),
        "rule": rules.of(project).pay,
        "rate": money_words(rules.of(project).pay.rate),
        "pays": pay.tariff_of(project) is not None,
        "form": form or PayForm(pay=rules.of(project).pay),
        "bonus": bonus or BonusForm(project=project),
    }
    return render(request, "people/pay.html", context, status=status)


@login_required
@require_GET
def pay_page(request: HttpRequest, slug: str) -> HttpResponse:
    """What everybody earned, was paid and is owed, and the rate that makes."""
    return _pay_page(request, project_for(request, slug, at_least=RESEARCHER))


@login_required
@require_GET
def pay_csv(request: HttpRequest, slug: str) -> HttpResponse:
    """Everybody's sums as CSV."""
    project = project_for(request, slug, at_least=RESEARCHER)
    rows = (
        [
            row.annotator.name, row.annotator.pseudonym, row.items, f"{row.hours:.4f}", row.earned, row.accrued,
            row.paid, row.owed, row.bonus, row.rate, row.floor,
        ]
        for row in wages.everybody(project)
    )  # fmt: skip
    return csv_response(f"{slug}-pay.csv", PEOPLE, rows)


@login_required
@require_POST
def change_pay(request: HttpRequest, slug: str) -> HttpResponse:
    """Change how the project pays; work done before is reckoned by the rules it was done under."""
    project = project_for(request, slug, at_least=OWNER)
    form = PayForm(request.POST, pay=rules.of(project).pay)
    if form.is_valid() and form.parsed.unit != "none" and project.account_id is None:
        form.add_error("unit", "This project has no account to pay from.")
    if not form.is_valid():
        return _pay_page(request, project, form=form, status=400)
    pay.change_pay(project=project, pay=form.parsed, actor=request.user)
    messages.success(request, "Saved. It holds from now on.")
    return redirect("people:pay", slug=slug)


@login_required
@require_POST
def give_bonus(request: HttpRequest, slug: str) -> HttpResponse:
    """Pay somebody a bonus out of the budget."""
    project = project_for(request, slug, at_least=OWNER)
    form = BonusForm(request.POST, project=project)
    if form.is_valid() and project.account_id is None:
        form.add_error(None, "This project has no account to pay from.")
    if form.is_valid():
        try:
            line = pay.give_bonus(actor=request.user, **form.cleaned_data)
        except BudgetExceeded as error:
            form.add_error("amount", str(error))
        else:
            messages.success(request, f"A bonus of {form.cleaned_data['amount']} for {line.annotator.name}.")
            return redirect("people:pay", slug=slug)
    return _pay_page(request, project, bonus=form, status=400)


@login_required
@require_GET
def statement(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One person's statement; `?format=csv` as a file."""
    project = project_for(request, slug, at_least=RESEARCHER)
    annotator = get_object_or_404(
        Annotator.objects.select_related("project"), pk=pk, project=project, kind=Annotator.Kind.HUMAN
    )
    if request.GET.get("format") == "csv":
        return csv_response(f"{slug}-statement-{pk}.csv", STATEMENT, wages.statement_rows(annotator))
    crumbs = (
        ("People", reverse("projects:people", args=[slug])),
        ("Pay", reverse("people:pay", args=[slug])),
        (annotator.name, ""),
    )
    context = {
        **page_context(project, "people", *crumbs),
        "tab": "pay",
        "pay": wages.pay_of(annotator),
        "lines": wages.lines_of(annotator),
        "account": pay.money_of(project),
        "base": "project_base.html",
    }
    return render(request, "people/statement.html", context)


@require_http_methods(["GET"])
@annotators_only
def own_statement(request: HttpRequest, annotator: Annotator) -> HttpResponse:
    """One's own statement; `?format=csv` as a file."""
    if request.GET.get("format") == "csv":
        slug = annotator.project.slug
        return csv_response(f"{slug}-statement.csv", STATEMENT, wages.statement_rows(annotator))
    context = {
        "project": annotator.project,
        "pay": wages.pay_of(annotator),
        "lines": wages.lines_of(annotator),
        "account": pay.money_of(annotator.project),
        "base": "base.html",
    }
    return render(request, "people/statement.html", context)
