"""The page that distils released criteria into a reward model: who labels, at what cost, and the start."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from annotations.lm import endpoints, runs
from annotations.lm.models import EndpointModel
from annotations.projects import rules
from annotations.projects.access import project_for, require
from app.web import posted

from . import distil
from .forms import DistilForm


@login_required
@require_http_methods(["GET", "POST"])
def distil_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose who labels; then see what it takes and start."""
    project = project_for(request, slug)
    offered = EndpointModel.objects.filter(endpoint__in=endpoints.usable(project), is_offered=True)
    chosen = next((d for d in distil.labellers(project) if str(d.pk) == request.GET.get("by", "")), None)
    form = DistilForm(request.POST if request.POST.get("act") == "start" else None)
    try:
        if request.POST.get("act") == "choose":
            wish = request.POST.get("model", "")
            model = offered.filter(pk=posted.number(wish)).first()
            if model is None:
                raise Http404("No such model.")
            made = distil.labeller(project=project, model=model, actor=request.user)
            return redirect(f"{reverse('rewards:distil', args=[slug])}?by={made.pk}")
        if form.is_bound and chosen is not None and form.is_valid():
            require(project, rules.of(project).budget.runs_by, "Running models")
            job = distil.start(detail=runs.find(chosen.pk), actor=request.user, **form.cleaned_data)
            return redirect("jobs:detail", job.pk)
    except distil.CannotDistil as error:
        messages.error(request, str(error))
    page = {
        "project": project, "role": project.role, "rail": "rewards",
        "crumbs": [("Reward models", reverse("rewards:list", args=[slug])), ("Distil criteria", "")],
        "release": distil.newest(project), "models": offered.select_related("endpoint").order_by("endpoint__name", "name"),
        "labellers": distil.labellers(project), "chosen": chosen, "form": form, "running": distil.live_job(project),
        "estimate": runs.estimate(runs.find(chosen.pk)) if chosen else None,
    }  # fmt: skip
    return render(request, "rewards/distil.html", page, status=400 if form.errors else 200)
