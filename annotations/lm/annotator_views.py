"""Pages that make LM annotators: model and prompt with a preview of the exact messages, and the prompts' versions."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations.items.models import Item
from annotations.projects import rules
from annotations.projects.access import project_for, require
from annotations.projects.models import Project
from app.web import posted

from . import configure, prompts, runs
from .forms import AnnotatorForm
from .models import LMAnnotator, Prompt

STARTING_WORDS = (
    "Weigh how well each response does what the prompt asks: whether it is correct, complete and to the point, "
    "and whether it does no harm."
)


def _context(project: Project, *crumbs: tuple[str, str]) -> dict:
    start = ("LM annotators", reverse("lm:list", args=[project.slug]))
    return {"project": project, "role": project.role, "rail": "lm", "crumbs": [start, *crumbs]}


@login_required
@require_http_methods(["GET", "POST"])
def annotator_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Make an annotator; `?like=` starts from another one's words and parameters."""
    project = project_for(request, slug)
    like = request.GET.get("like", "")
    initial: dict = {"instructions": STARTING_WORDS}
    if (pk := posted.number(like)) is not None and (known := runs.find(pk, project)) and known.asks:
        initial = _like(known)
    form = AnnotatorForm(request.POST or None, project=project, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            detail = _make(form, project, request.user)
        except configure.CannotConfigure as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            messages.success(request, f"{detail.annotator.name} is ready.")
            return redirect("lm:detail", slug, detail.pk)
    return render(
        request,
        "lm/new.html",
        {
            **_context(project, ("New annotator", "")),
            "form": form,
            "has_models": bool(form.fields["model"].choices),
            "preview": _preview(form, project, request.POST.get("item", ""))
            if request.method == "POST"
            else None,
        },
        status=400 if form.errors else 200,
    )


def _like(detail: LMAnnotator) -> dict:
    model = (
        str(detail.endpoint_model_id)
        if detail.endpoint_model_id
        else f"local:{detail.parameters.get('path', '')}"
    )
    return AnnotatorForm.initial_of(detail.prompt, detail.parameters, model)


def _make(form: AnnotatorForm, project: Project, actor) -> LMAnnotator:
    prompt = prompts.add_prompt(project=project, actor=actor, **form.prompt_values())
    return configure.add_annotator(
        project=project,
        model=form.model_row(),
        prompt=prompt,
        parameters=configure.Parameters(**form.parameters(), path=form.path()),
        name=form.cleaned_data["name"],
        actor=actor,
    )


@login_required
@require_POST
def prompt_preview(request: HttpRequest, slug: str) -> HttpResponse:
    """The exact messages for one real item, from the form as it stands; writes nothing."""
    project = project_for(request, slug)
    form = AnnotatorForm(request.POST, project=project)
    return render(
        request,
        "lm/preview.html",
        {"preview": _preview(form, project, request.POST.get("item", "")), "project": project},
    )


def _preview(form: AnnotatorForm, project: Project, wish: str) -> dict:
    """{"item", "shown": [{"order", "messages"}]}, or {"problem"} in words."""
    form.is_valid()
    values = form.cleaned_data
    needed = ("instructions", "with_guidelines", "with_criteria", "with_reason", "asks")
    if any(name not in values for name in needed):
        return {"problem": "Correct the fields first."}
    items = Item.objects.filter(project=project, withdrawn_at__isnull=True, purpose=Item.Purpose.DATA)
    least = 1 if values["asks"] == prompts.SCORES else 2
    items = items.filter(n_responses__gte=least).order_by("pk")
    item = items.filter(pk=posted.number(wish)).first()
    item = item or items.first()
    if item is None:
        return {"problem": "The project has no item to show."}
    try:
        asked = prompts.draft(project=project, **{name: values[name] for name in needed})
    except prompts.NothingToAsk as error:
        return {"problem": str(error)}
    following = items.filter(pk__gt=item.pk).values_list("pk", flat=True).first()
    return {
        "item": item,
        "next": following,
        "shown": runs.preview(asked, item, both=values.get("both_orders", True)),
    }


@login_required
@require_GET
def prompt_list(request: HttpRequest, slug: str) -> HttpResponse:
    """Every version of every prompt, and which annotators use it."""
    project = project_for(request, slug)
    rows = (
        Prompt.objects.filter(project=project)
        .select_related("created_by")
        .prefetch_related("annotators__annotator")
        .order_by("name", "-number")[:500]
    )
    return render(request, "lm/prompts.html", {**_context(project, ("Prompts", "")), "rows": rows})


@login_required
@require_POST
def annotator_again(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Ask once more about the items whose replies gave no verdict."""
    project = project_for(request, slug)
    require(project, rules.of(project).budget.runs_by, "Running models")
    detail = runs.find(pk, project)
    if detail is None:
        raise Http404("No such annotator.")
    back = reverse("lm:detail", args=[slug, pk])
    try:
        runs.start(detail=detail, again=True, actor=request.user, result_url=back)
    except runs.CannotAnnotate as error:
        messages.error(request, str(error))
    return redirect(back)
