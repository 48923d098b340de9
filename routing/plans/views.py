"""Pages of routing plans: what is in force, a new plan, its preview, apply and discard."""

from __future__ import annotations

from decimal import Decimal

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations.items.content import prompt_text
from annotations.items.models import Item
from annotations.projects import rules
from annotations.projects.access import project_for, require
from app.jobs.models import Job
from app.ledger.ledger import BudgetExceeded
from app.web.paging import BadCursorError, keyset_page

from . import cascade, effect, online, outlook, reasons, refit, words, worth
from .apply import apply_plan, drop_plan, earned, held_by
from .budget import BadBudget, in_words, parse_share
from .draft import TITLES, PlanError, draft_again, draft_plan, job_of
from .forms import PlanForm
from .models import Decision, Refit, RoutingPlan

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
        plan.budget_words, plan.policy_words = words.budget(plan), TITLES.get(plan.policy, plan.policy)
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
            "honesty": worth.line(current, worth.fresh(current)) if current else None,
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
    measured = worth.fresh(plan) if plan.state == plan.State.APPLIED else worth.stored(plan)
    in_force = plan.state == plan.State.APPLIED
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
            "honesty": worth.line(plan, measured) if applied else None,
            "proposed_by": Refit.objects.select_related("reward_model").filter(plan=plan).first(),
            "measured": measured.get("report"),
            "second_worth": measured.get("second"),
            "second_job": cascade.job_of(plan),
            "due": online.why_refit(plan) if in_force else "",
            "replaced_by": online.newer_version(plan) if in_force else None,
            "outlook": _outlook(plan, _share_of(request)),
            "budget": words.budget(plan),
            "policy": TITLES.get(plan.policy, plan.policy),
            "duration": words.duration(plan.summary),
            "prediction": words.prediction(plan.summary),
            "runs": words.runs(plan),
            "person_error": words.person_error(plan.summary),
            "second_error": words.second_error(plan.summary),
            "plot": words.histogram(plan),
            "top": _top(plan),
            "job": job if job and _tells(job, plan) else None,
            "stalled": _stalled(plan) if in_force else None,
            "can_drop": plan.state in {plan.State.DRAFT, plan.State.FAILED}
            or (plan.state == plan.State.BUILDING and (job is None or job.is_finished)),
            "in_force": RoutingPlan.objects.filter(project=project, state=RoutingPlan.State.APPLIED).first(),
            "progress": counted,
            "audits": effect.audit_tallies(plan) if counted and counted.audits_judged else [],
            "held": held_by(plan) if plan.state == plan.State.APPLIED else None,
            "earned": earned(plan) if plan.state == plan.State.APPLIED else None,
        },
    )


def _tells(job: Job, plan: RoutingPlan) -> bool:
    """Whether the plan's job has something to say: it makes the plan, or failed to put it in force."""
    made = plan.state == plan.State.DRAFT
    return plan.state in {plan.State.BUILDING, plan.State.FAILED} or (made and job.state == Job.State.FAILED)


def _stalled(plan: RoutingPlan) -> RoutingPlan | None:
    """The plan that was to follow this one and could not be put in force, where nobody has discarded it."""
    last = online.tried(plan)
    job = job_of(last) if last is not None and last.state in {last.State.DRAFT, last.State.FAILED} else None
    return last if job is not None and job.state == Job.State.FAILED else None


@login_required
@require_GET
def plan_outlook(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """What the plan would bring at another share of human labels: the slider's part of the page."""
    plan = _plan(project_for(request, slug), number)
    try:
        share = min(1.0, max(0.0, float(request.GET.get("share", "")) / 100))
    except ValueError:
        return render(
            request, "400.html", {"reason": "share: expected a percentage from 0 to 100."}, status=400
        )
    context = {"plan": plan, "project": plan.project, "outlook": _outlook(plan, share)}
    if request.headers.get("HX-Request"):
        return render(request, "plans/outlook.html", context)
    return redirect(f"{reverse('plans:detail', args=[slug, number])}?share={100 * share:g}")


@login_required
@require_POST
def plan_again(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Draft the same plan at the share that the slider shows."""
    plan = _plan(project_for(request, slug), number)
    try:
        share = parse_share(f"{request.POST.get('share', '')} %")
        made = draft_again(plan=plan, share=share, actor=request.user)
    except (BadBudget, PlanError) as error:
        messages.error(request, str(error))
        return redirect("plans:detail", slug=slug, number=number)
    return redirect("plans:detail", slug=slug, number=made.number)


@login_required
@require_GET
def item_why(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Why an item went where it went, plan by plan: a part of the item's page."""
    project = project_for(request, slug)
    rows = list(
        Decision.objects.filter(item_id=pk, item__project=project)
        .exclude(plan__state=RoutingPlan.State.DROPPED)
        .select_related("plan")
        .order_by("-plan_id")[:10]
    )
    for row in rows:
        row.reason_words, row.policy_words = reasons.of(row), TITLES.get(row.plan.policy, row.plan.policy)
    return render(request, "plans/why.html", {"project": project, "rows": rows})


def _share_of(request: HttpRequest) -> float | None:
    """The share in the address, in [0, 1]; None without one."""
    try:
        return min(1.0, max(0.0, float(request.GET["share"]) / 100))
    except (KeyError, ValueError):
        return None


def _outlook(plan: RoutingPlan, share: float | None) -> dict | None:
    """What the slider shows at a share; the plan's own where none is given."""
    stored = plan.summary.get("outlook")
    if not stored:
        return None
    items = plan.summary["items"]
    share = plan.summary["people"] / items if share is None else share
    point = outlook.at(stored, share)
    each = 1 if Decimal(plan.summary["cost_each"]) else 0
    return {
        "share": round(100 * share),
        "point": point,
        "sentence": outlook.sentence(point, plan.currency, each, in_words) + outlook.beyond(stored, share),
        "second": outlook.second_words(stored, point, plan.currency, in_words),
        "plot": outlook.picture(stored, share),
        "n": stored["n"],
    }


@login_required
@require_POST
def plan_apply(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Put a draft in force."""
    project = project_for(request, slug)
    require(project, rules.of(project).budget.plans_by, "Putting plans in force")
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


@login_required
@require_POST
def refit_decide(request: HttpRequest, slug: str, public_id: str, what: str) -> HttpResponse:
    """Approve or decline the refit that a promotion asks for."""
    project = project_for(request, slug)
    waiting = (
        Refit.objects.select_related("reward_model__project")
        .filter(reward_model__project=project, reward_model__public_id=public_id)
        .first()
    )
    if waiting is None or what not in ("approve", "decline"):
        raise Http404("No such refit.")
    try:
        (refit.approve if what == "approve" else refit.decline)(refit=waiting, actor=request.user)
    except refit.NotNow as error:
        messages.error(request, str(error))
    return redirect("rewards:detail", slug, public_id)


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
        row.plan = plan
        row.reason_words = reasons.of(row)
    return rows
