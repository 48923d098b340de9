"""Pages of routing plans: what is in force, a new plan, its preview, apply and discard."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations.items.content import prompt_text
from annotations.items.models import Item
from annotations.projects.access import project_for
from app.ledger.ledger import BudgetExceeded
from app.web.paging import BadCursorError, keyset_page

from . import effect, uncertainty, words
from .apply import apply_plan, drop_plan, earned, held_by
from .draft import POLICIES, PlanError, draft_plan, job_of
from .forms import PlanForm
from .models import Decision, RoutingPlan

TOP = 25


@login_required
@require_GET
def plan_list(request: HttpRequest, slug: str) -> HttpResponse:
    """What is in force, and every plan made."""
    project = project_for(request, slug)
    try:
        page = keyset_page(
            RoutingPlan.objects.filter(project=project).select_related("created_by"),
            cursor=request.GET.get("cursor"),
            size=30,
            order_by=("-number",),
        )
    except BadCursorError as error:
        return render(request, "400.html", {"reason": str(error)}, status=400)
    current = RoutingPlan.objects.filter(project=project, state=RoutingPlan.State.APPLIED).first()
    for plan in page.rows:
        plan.budget_words, plan.policy_words = words.budget(plan), POLICIES.get(plan.policy, plan.policy)
    return render(
        request,
        "plans/list.html",
        {
            "project": project,
            "role": project.role,
            "rail": "routing",
            "crumbs": [("Routing", "")],
            "page": page,
            "current": current,
            "sentence": words.sentence(current) if current else "",
            "progress": effect.progress(current) if current else None,
        },
    )


@login_required
@require_http_methods(["GET", "POST"])
def plan_new(request: HttpRequest, slug: str) -> HttpResponse:
    """The form of a new plan; a draft is made by a job and changes nothing."""
    project = project_for(request, slug)
    form = PlanForm(request.POST or None, project=project)
    if request.method == "POST" and form.is_valid():
        try:
            plan = draft_plan(project=project, actor=request.user, **form.cleaned_data)
        except PlanError as error:
            form.add_error(None, str(error))
        else:
            return redirect("plans:detail", slug=slug, number=plan.number)
    return render(
        request,
        "plans/new.html",
        {
            "project": project,
            "role": project.role,
            "rail": "routing",
            "crumbs": [("Routing", reverse("plans:list", args=[slug])), ("New plan", "")],
            "form": form,
        },
        status=422 if request.method == "POST" else 200,
    )


@login_required
@require_GET
def plan_detail(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """One plan: its sentence, who judges, the scores, the first items in the queue, and what came of it."""
    project = project_for(request, slug)
    plan = _plan(project, number)
    applied = plan.applied_at is not None
    counted = effect.progress(plan) if applied else None
    job = job_of(plan)
    return render(
        request,
        "plans/detail.html",
        {
            "project": project,
            "role": project.role,
            "rail": "routing",
            "crumbs": [("Routing", reverse("plans:list", args=[slug])), (f"Plan {plan.number}", "")],
            "plan": plan,
            "summary": plan.summary,
            "sentence": words.sentence(plan),
            "budget": words.budget(plan),
            "policy": POLICIES.get(plan.policy, plan.policy),
            "duration": words.duration(plan.summary),
            "plot": words.histogram(plan),
            "top": _top(plan),
            "job": job if job and plan.state in {plan.State.BUILDING, plan.State.FAILED} else None,
            "can_drop": plan.state in {plan.State.DRAFT, plan.State.FAILED}
            or (plan.state == plan.State.BUILDING and (job is None or job.is_finished)),
            "in_force": RoutingPlan.objects.filter(project=project, state=RoutingPlan.State.APPLIED).first(),
            "progress": counted,
            "audits": effect.audit_tallies(plan) if counted and counted.audits_judged else [],
            "held": held_by(plan) if plan.state == plan.State.APPLIED else None,
            "earned": earned(plan) if plan.state == plan.State.APPLIED else None,
        },
    )


@login_required
@require_POST
def plan_apply(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Put a draft in force."""
    project = project_for(request, slug)
    plan = _plan(project, number)
    try:
        apply_plan(plan=plan, actor=request.user)
    except (PlanError, BudgetExceeded) as error:
        messages.error(request, f"Not applied, nothing was changed. {error}")
    else:
        messages.success(request, f"Plan {plan.number} is in force. The queue follows it from now on.")
    return redirect("plans:detail", slug=slug, number=number)


@login_required
@require_POST
def plan_drop(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Discard a draft."""
    project = project_for(request, slug)
    plan = _plan(project, number)
    try:
        drop_plan(plan=plan, actor=request.user)
    except PlanError as error:
        messages.error(request, str(error))
        return redirect("plans:detail", slug=slug, number=number)
    messages.success(request, f"Plan {plan.number} was discarded.")
    return redirect("plans:list", slug=slug)


def _plan(project, number: int) -> RoutingPlan:
    plan = (
        RoutingPlan.objects.select_related("project", "created_by")
        .filter(project=project, number=number)
        .first()
    )
    if plan is None:
        raise Http404("No such plan.")
    return plan


def _top(plan: RoutingPlan) -> list[Decision]:
    """The first items in the plan's queue, each with its prompt and its reasons in words."""
    rows = list(
        Decision.objects.filter(plan=plan, priority__gt=0)
        .order_by("-priority")
        .prefetch_related(Prefetch("item", Item.objects.only("pk", "external_id", "prompt", "n_human")))[:TOP]
    )
    for row in rows:
        row.prompt = prompt_text(row.item.prompt)
        row.reason_words = [uncertainty.in_words(reason) for reason in row.reasons]
    return rows
