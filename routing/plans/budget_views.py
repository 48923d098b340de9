"""Pages of budgets: one project's, for those who run it, and all of them for site admins."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from annotations.people import alerts
from annotations.people.models import BudgetAlert
from annotations.projects import rules
from annotations.projects.access import project_for
from annotations.projects.models import Project
from annotations.projects.views import OWNER, page_context
from app.ledger.models import Account
from app.web.downloads import csv_response

from . import spending
from .budget_change import Refused, change_budget
from .budget_forms import BudgetForm
from .budget_history import changes_of

SHOWN = 15
PROJECTS = 500


def _form(project: Project, found: spending.Budget, data=None) -> BudgetForm:
    tags = [queue.name for queue in found.queues if queue.kind == "expert"]
    labels = found.labels.cap if found.labels else None
    return BudgetForm(data, project=project, account=found.account, labels=labels, tags=tags)


def _page(request: HttpRequest, project: Project, found: spending.Budget, form: BudgetForm, status=200):
    context = {
        **page_context(project, "overview", ("Budget", "")),
        "budget": found,
        "rules": rules.of(project).budget,
        "sentence": spending.sentence(found),
        "form": form,
        "alerts": BudgetAlert.objects.filter(project=project).order_by("-pk")[:SHOWN],
        "changes": changes_of(project.slug, SHOWN),
    }
    return render(request, "plans/budget.html", context, status=status)


@login_required
@require_GET
def budget(request: HttpRequest, slug: str) -> HttpResponse:
    """What is left, how long it lasts, what it went to, and who may change what."""
    project = project_for(request, slug)
    found = spending.budget_of(project)
    return _page(request, project, found, _form(project, found))


@login_required
@require_POST
def change(request: HttpRequest, slug: str) -> HttpResponse:
    """Change caps, warnings, roles and capacities; for owners."""
    project = project_for(request, slug, at_least=OWNER)
    found = spending.budget_of(project)
    form = _form(project, found, request.POST)
    if form.is_valid():
        try:
            changed = change_budget(project=project, changes=form.changes, actor=request.user)
        except Refused as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            messages.success(request, "Saved." if changed else "Nothing was changed.")
            return redirect("plans:budget", slug=slug)
    return _page(request, project, found, form, status=422)


@login_required
@require_GET
def lines_csv(request: HttpRequest, slug: str) -> HttpResponse:
    """What each person, model and GPU job cost, as CSV."""
    project = project_for(request, slug)
    found = spending.budget_of(project)
    rows = ([line.kind, line.name, line.amount, line.owed, line.n, line.unit] for line in found.lines)
    return csv_response(f"{slug}-spending.csv", ["kind", "name", "amount", "owed", "n", "unit"], rows)


@login_required
@require_GET
def all_budgets(request: HttpRequest) -> HttpResponse:
    """Every project's caps and what is used of them, the fullest first; for site admins."""
    if not request.user.is_staff:
        raise PermissionDenied("This page is for site admins.")
    projects = list(Project.objects.exclude(status=Project.Status.ARCHIVED).order_by("name")[:PROJECTS])
    accounts = Account.objects.in_bulk([p.account_id for p in projects if p.account_id])
    rows = []
    for project in projects:
        uses = alerts.uses_of(project, accounts.get(project.account_id))
        by = {use.what: use for use in uses}
        rows.append(
            {
                "project": project,
                "money": by.get("money"),
                "labels": by.get("labels"),
                "warnings": alerts.warnings_of(project, accounts.get(project.account_id)),
                "fullest": max((use.share for use in uses), default=-1.0),
                "url": reverse("plans:budget", args=[project.slug]),
            }
        )
    rows.sort(key=lambda row: -row["fullest"])
    warned = sum(bool(row["warnings"]) for row in rows)
    return render(request, "plans/budgets.html", {"rows": rows, "warned": warned})
