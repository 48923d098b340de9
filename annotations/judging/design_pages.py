"""Pages of the task design: what is asked, its versions, the designer, and designs as files."""

from __future__ import annotations

from csp.constants import SELF
from csp.decorators import csp_replace
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations.projects import builder, builder_form, changes, design, designs, keymap, queries, wording
from annotations.projects.access import project_for
from annotations.projects.forms import DefinitionForm
from annotations.projects.models import Annotator, Project, TaskSchema
from annotations.projects.presets import PRESETS
from annotations.projects.schemas import Definition, load
from annotations.projects.views import RESEARCHER, REVIEWER, page_context
from app.ledger.models import Account

from . import asking_again, design_preview
from .words import page_words

ACTS = {
    "add": "Question added",
    "copy": "Question copied",
    "remove": "Question removed",
    "up": "Moved up",
    "down": "Moved down",
}


def _version(project: Project, number: str) -> TaskSchema | None:
    """The version with this number, None where the text names none. Raises Http404 for one that is not there."""
    if not (number.isascii() and number.isdigit() and len(number) < 9):
        return None
    return get_object_or_404(TaskSchema, project=project, number=int(number))


def _design_page(request: HttpRequest, project: Project, form=None, status=200) -> HttpResponse:
    asked, definition = load(project.schema_id) if project.schema_id else (None, None)
    shown = _version(project, request.GET.get("version", "")) or asked
    against = _version(project, request.GET.get("against", "")) or asked
    found = None
    if shown is not None:
        definition = load(shown.pk)[1]
        if against is not None and against != shown:
            found = changes.changes(load(against.pk)[1], definition)
    return render(
        request,
        "projects/design.html",
        {
            **page_context(project, "design", ("Task design", "")),
            "asked": asked,
            "shown": shown,
            "against": against,
            "changes": found,
            "breaking": any(change.breaking for change in found or ()),
            "definition": definition,
            "questions": wording.question_words(definition) if definition else [],
            "responses": wording.responses_words(definition) if definition else "",
            "versions": queries.schema_versions(project),
            "form": form or DefinitionForm(),
            "schema_address": request.build_absolute_uri(reverse("projects:design_schema")),
        },
        status=status,
    )


@login_required
@require_http_methods(["GET", "POST"])
def design_page(request: HttpRequest, slug: str) -> HttpResponse:
    """What is asked now, its versions and how they differ; a design that is posted as JSON makes a version."""
    if request.method == "GET":
        return _design_page(request, project_for(request, slug, at_least=REVIEWER))
    project = project_for(request, slug, at_least=RESEARCHER)
    form = DefinitionForm(request.POST, request.FILES)
    if not form.is_valid():
        return _design_page(request, project, form=form, status=400)
    if request.POST.get("open") == "1":
        return _designer(request, project, builder.unfinished(form.parsed))
    return _save(request, project, form.parsed, use=request.POST.get("use") == "1")


def _save(request: HttpRequest, project: Project, definition: Definition, *, use: bool) -> HttpResponse:
    """Store a version and ask it if that is wished; a breaking one that follows judgments goes by its own page."""
    schema = design.add_version(
        project=project, definition=definition.model_dump(mode="json"), actor=request.user
    )
    if use:
        return _use(request, project, schema)
    messages.success(request, f"{schema.label} is stored. It is not asked until you say so.")
    return redirect(f"{reverse('projects:design', args=[project.slug])}?version={schema.number}")


def _use(request: HttpRequest, project: Project, schema: TaskSchema) -> HttpResponse:
    if asking_again.any_judged(project, schema):
        return redirect("projects:ask_again", slug=project.slug, number=schema.number)
    design.ask_version(project=project, schema=schema, actor=request.user)
    messages.success(request, f"People are asked {schema.label} from now on.")
    return redirect("projects:design", slug=project.slug)


@login_required
@require_POST
def use_version(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Ask another version from now on; one that breaks what was judged goes by its own page."""
    project = project_for(request, slug, at_least=RESEARCHER)
    return _use(request, project, get_object_or_404(TaskSchema, project=project, number=number))


class AskAgainForm(forms.Form):
    """Whether items judged before are asked again, and of how many people."""

    people = forms.IntegerField(
        min_value=1,
        max_value=asking_again.MOST_PEOPLE,
        label="People asked again for each item",
        widget=forms.NumberInput(attrs={"class": "input-short"}),
    )


@login_required
@require_http_methods(["GET", "POST"])
def ask_again(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Ask a version that breaks what was judged: as it is, or with the items judged before asked again."""
    project = project_for(request, slug, at_least=RESEARCHER)
    schema = get_object_or_404(TaskSchema, project=project, number=number)
    values = request.POST if request.method == "POST" else request.GET
    given = {"people": values.get("people") or str(project.overlap)}
    form = AskAgainForm(given)
    if request.method == "POST" and request.POST.get("again") != "1":
        design.ask_version(project=project, schema=schema, actor=request.user)
        messages.success(
            request, f"People are asked {schema.label} from now on; what was judged stays as it is."
        )
        return redirect("projects:design", slug=slug)
    if request.method == "POST" and form.is_valid():
        job = asking_again.start(
            project=project,
            schema=schema,
            actor=request.user,
            result_url=reverse("projects:overview", args=[slug]),
            **form.cleaned_data,
        )
        return redirect("jobs:detail", pk=job.pk)
    return _ask_again_page(request, project, schema, form)


def _ask_again_page(request: HttpRequest, project: Project, schema: TaskSchema, form) -> HttpResponse:
    asked = project.schema
    found = changes.changes(load(asked.pk)[1], load(schema.pk)[1]) if asked and asked != schema else []
    people = form.cleaned_data["people"] if form.is_valid() else project.overlap
    account = Account.objects.filter(pk=project.account_id).first()
    crumbs = ("Task design", reverse("projects:design", args=[project.slug])), ("Ask again", "")
    context = {
        **page_context(project, "design", *crumbs),
        "asked": asked,
        "schema": schema,
        "changes": [change for change in found if change.breaking],
        "preview": asking_again.preview(project=project, schema=schema, people=people),
        "people": people,
        "form": form,
        "currency": account.currency if account else "",
        "n_people": Annotator.objects.filter(
            project=project, kind=Annotator.Kind.HUMAN, status=Annotator.Status.ACTIVE, user__isnull=False
        ).count(),
    }
    return render(request, "projects/ask_again.html", context, status=400 if form.errors else 200)


# --- The designer -------------------------------------------------------------------------------------------
@login_required
@require_http_methods(["GET", "POST"])
@csp_replace({"frame-src": [SELF]})
def designer(request: HttpRequest, slug: str) -> HttpResponse:
    """Compose a version from questions; each button answers with the form as it is then, and nothing is stored."""
    project = project_for(request, slug, at_least=RESEARCHER)
    if request.method == "GET":
        start = request.GET.get("from", "")
        return _designer(request, project, _start(project, start), start=start)
    content = builder.read(dict(request.POST.lists()))
    action = request.POST.get("act", "")
    if action in {"save", "use"}:
        try:
            return _save(request, project, designs.check(content), use=action == "use")
        except designs.DesignError as error:
            errors = builder.errors_by_field(error.errors)
            return _designer(request, project, content, errors=errors, status=422)
    if action.startswith("refresh:"):
        return _designer(request, project, content, focus=action.partition(":")[2][:80])
    content, focus = builder.act(content, action)
    return _designer(request, project, content, focus=focus, said=ACTS.get(action.partition(":")[0], ""))


def _start(project: Project, start: str) -> dict:
    """What the designer begins with: `preset:KEY`, `version:N`, else what is asked now."""
    kind, _, name = start.partition(":")
    if kind == "preset" and name in PRESETS:
        return builder.unfinished(Definition.model_validate(PRESETS[name]))
    schema = _version(project, name) if kind == "version" else None
    if schema is None and project.schema_id is None:
        return builder.unfinished(Definition.model_validate(PRESETS["strength7"]))
    return builder.unfinished(load(schema.pk if schema else project.schema_id)[1])


def _designer(
    request: HttpRequest,
    project: Project,
    content: dict,
    *,
    errors=None,
    focus="",
    said="",
    start="",
    status=200,
) -> HttpResponse:
    opened = request.POST.getlist("opened")
    form = builder_form.form_of(content, errors=errors, opened=opened, focus=focus)
    context = {"project": project, "form": form, "said": said}
    if request.htmx:
        return render(request, "projects/builder_form.html", context, status=status)
    crumbs = ("Task design", reverse("projects:design", args=[project.slug])), ("Designer", "")
    starts = [("", "What is asked now" if project.schema_id else "The first preset")]
    starts += [
        (f"version:{version.number}", f"Version {version.label}")
        for version in queries.schema_versions(project)
    ]
    starts += [(f"preset:{key}", preset["title"]) for key, preset in PRESETS.items()]
    context["sample"] = design_preview.has_sample(project)
    context |= {**page_context(project, "design", *crumbs), "starts": starts, "start": start}
    return render(request, "projects/builder.html", context, status=status)


@login_required
@require_POST
@xframe_options_sameorigin
@csp_replace({"frame-ancestors": [SELF]})
def preview(request: HttpRequest, slug: str) -> HttpResponse:
    """The judging page with an unsaved design, for the designer's frame; or what is still wrong with the design."""
    project = project_for(request, slug, at_least=RESEARCHER)
    keys = keymap.of(request.user.preferences)
    context = {"project": project, "keys": keys, "key_sheet": keymap.sheet(keys), "words": page_words()}
    try:
        if "definition" in request.POST:
            definition = designs.parse(request.POST["definition"])
        else:
            definition = designs.check(builder.read(dict(request.POST.lists())))
    except designs.DesignError as error:
        context["errors"] = error.lines[:30]
    else:
        context |= design_preview.desk_of(project, definition)
    return render(request, "judging/preview.html", context)


# --- Designs as files ---------------------------------------------------------------------------------------
@login_required
@require_GET
def design_file(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """A version's design as a JSON file."""
    project = project_for(request, slug, at_least=REVIEWER)
    schema = get_object_or_404(TaskSchema, project=project, number=number)
    address = request.build_absolute_uri(reverse("projects:design_schema"))
    response = HttpResponse(designs.to_json(load(schema.pk)[1], address), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{project.slug}-{schema.label}.json"'
    return response


@require_GET
@cache_control(public=True, max_age=3600)
def design_schema(request: HttpRequest) -> HttpResponse:
    """The JSON schema of designs, for everybody and at an address that stays."""
    address = request.build_absolute_uri(reverse("projects:design_schema"))
    return JsonResponse(
        designs.json_schema(address),
        content_type="application/schema+json",
        json_dumps_params={"indent": 2, "ensure_ascii": False},
    )
