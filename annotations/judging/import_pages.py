"""The new-project wizard, and adding files to a project: upload, map, look, start."""

from __future__ import annotations

import json
from pathlib import Path

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from annotations.items import mappings
from annotations.items.readers import FORMATS, TABLES, UnknownFormat, sniff
from annotations.items.readers.tables import is_objects
from annotations.projects import presets, setup, wording
from annotations.projects.access import project_for
from annotations.projects.forms import BasicsForm, InviteForm, TaskForm
from annotations.projects.invitations import invite_people, sends_mail
from annotations.projects.models import Project
from annotations.projects.schemas import Definition
from annotations.projects.views import OWNER, RESEARCHER, page_context
from app.accounts import audit
from app.jobs.access import visible_jobs
from app.jobs.models import Job
from app.web.downloads import csv_response

from . import dry_run, importing, uploads
from .import_forms import FileForm, in_words, mapping_form

STARTED_KEY = "started"
FIT_ROWS = 200  # rows whose number of responses must fit the preset
IMPORT_KIND = "judging.import"
MAPPINGS_OFFERED = 50
STEPS = ("Name and file", "Check the file", "Task", "People")


def _wizard(number: int, *, has_file: bool = True) -> dict:
    """The steps as (place, words, current, done); without a file there is none to check."""
    steps = enumerate(STEPS, 1)
    return {
        "steps": [
            (place, words, place == number, place < number and (has_file or place != 2))
            for place, words in steps
        ],
        "step": number,
    }


def _draft_or_404(request: HttpRequest, draft, slug: str = "") -> uploads.Draft:
    found = uploads.load_draft(request.session, draft, slug)
    if found is None:
        raise Http404("This import was started in another session, or long ago. Start again.")
    return found


def _take_file(draft: uploads.Draft, form: FileForm) -> None:
    """Keep the posted file, if there is one; what is wrong with it stands beside the field."""
    upload = form.files.get("file")
    if upload is None:
        return
    try:
        uploads.store_file(draft, upload)
    except uploads.UnusableFile as error:
        form.add_error("file", str(error))


# --- A new project -----------------------------------------------------------------------------------------
@login_required
@require_http_methods(["GET", "POST"])
def new_basics(request: HttpRequest) -> HttpResponse:
    """Step 1: a name, and a file or none. A good file is kept even if the name is missing."""
    known = request.POST.get("draft") or request.GET.get("draft") or ""
    draft = uploads.load_draft(request.session, known) or uploads.new_draft()
    if draft.created:
        return redirect("projects:overview", slug=draft.created)
    if request.method == "GET":
        initial = {"name": draft.name, "description": draft.description}
        form, file_form, status = BasicsForm(initial=initial), FileForm(required=False), 200
    else:
        form, file_form, status = (
            BasicsForm(request.POST),
            FileForm(request.POST, request.FILES, required=False),
            400,
        )
        valid = form.is_valid() & file_form.is_valid()
        _take_file(draft, file_form)
        if valid:
            draft.name, draft.description = form.cleaned_data["name"], form.cleaned_data["description"]
        uploads.save_draft(request.session, draft)
        if valid and not file_form.errors:
            step = "projects:new_file" if draft.file else "projects:new_task"
            return redirect(step, draft=draft.id)
    context = {**_wizard(1), "form": form, "file_form": file_form, "draft": draft}
    return render(request, "projects/new_basics.html", context, status=status)


@login_required
@require_http_methods(["GET", "POST"])
def new_file(request: HttpRequest, draft) -> HttpResponse:
    """Step 2: the first rows, the columns' roles, and what would go in."""
    kept = _draft_or_404(request, draft)
    if not kept.file:
        return redirect("projects:new_task", draft=kept.id)
    context = _checked_file(request, kept, None)
    if request.method == "POST" and context["ready"] and request.POST.get("next"):
        return redirect("projects:new_task", draft=kept.id)
    back = f"{reverse('projects:new')}?draft={kept.id}"
    context |= {**_wizard(2), "back": back, "template": "base.html", "next_words": "Next: the task"}
    status = 400 if request.method == "POST" and not context["ready"] else 200
    return render(request, "projects/new_file.html", context, status=status)


def _checked_file(request: HttpRequest, draft: uploads.Draft, project: Project | None) -> dict:
    """Preview, mapping and dry run of the draft's file; takes a posted mapping. `ready`: rows would go in."""
    table, form = {"columns": [], "rows": []}, None
    posted = request.POST if request.method == "POST" else None
    offered = list(mappings.offered_to(request.user, project)[:MAPPINGS_OFFERED])
    if posted is not None:
        draft.ask_again = "ask_again" in posted
        draft.batch = _plain(posted.get("batch"))[: importing.MAX_BATCH]
        draft.save_as = _plain(posted.get("save_as"))[: mappings.MAX_NAME]
    sniffed, can_map = None, False
    try:
        if posted and posted.get("read_as"):
            _read_otherwise(draft)
            posted = None
        sniffed = FORMATS[sniff(draft.path)] if draft.format == "table" else None
        can_map = draft.format not in TABLES and is_objects(draft.path)
        table = dry_run.preview_of(draft)
        if draft.format == "table" and not draft.mapping:
            draft.mapping = table["mapping"]
        if posted and posted.get("use"):
            chosen = next((one for one in offered if str(one.pk) == posted.get("saved")), None)
            if chosen is not None:
                draft.mapping = mappings.fitted(chosen, table["columns"])
            posted = None
        form = mapping_form(draft, table["columns"], table["mapping"], posted)
        if form is not None and form.is_bound and form.is_valid():
            draft.mapping = form.mapping()
        summary = dry_run.look_through(draft, project)
    except UnknownFormat as error:
        summary = dry_run.Summary(unusable=error.message if form is None else in_words(error.message))
    uploads.save_draft(request.session, draft)
    return {
        "draft": draft,
        "format": FORMATS[draft.format],
        "size": uploads.megabytes(draft.bytes),
        "table": table,
        "columns": [
            (column, form[f"column_{place}"] if form and f"column_{place}" in form.fields else None)
            for place, column in enumerate(table["columns"])
        ],
        "mapping_form": form,
        "mappings": [
            (one, len(mappings.fitted(one, table["columns"])) == len(one.columns)) for one in offered
        ],
        "can_map": can_map,
        "summary": summary,
        "personal": dry_run.personal_words(summary),
        "sniffed": sniffed,
        "ready": bool(not summary.unusable and (summary.new or summary.known or summary.more)),
    }


def _plain(text: str | None) -> str:
    return (text or "").replace("\x00", "").strip()


def _read_otherwise(draft: uploads.Draft) -> None:
    """Map the keys of a file in a known format, or read it in that format again."""
    other = sniff(draft.path) if draft.format == "table" else "table"
    if other != draft.format and (other != "table" or is_objects(draft.path)):
        draft.format, draft.mapping = other, {}


@login_required
@require_http_methods(["GET", "POST"])
def new_task(request: HttpRequest, draft) -> HttpResponse:
    """Step 3: what is asked, of how many people, by which guidelines."""
    kept = _draft_or_404(request, draft)
    summary = _first_rows(kept)
    form = TaskForm(request.POST or None, initial=kept.task or {"preset": _fitting_preset(summary)})
    if form.is_valid():
        _check_fit(form, summary)
    if request.method == "POST" and form.is_valid():
        kept.task = form.cleaned_data
        uploads.save_draft(request.session, kept)
        return redirect("projects:new_people", draft=kept.id)
    chosen = form["preset"].value()
    options = []
    for key, preset in presets.PRESETS.items():
        definition = Definition.model_validate(preset)
        questions = wording.question_words(definition)
        options.append((key, preset["title"], questions, wording.responses_words(definition), key == chosen))
    back = (
        reverse("projects:new_file", args=[kept.id])
        if kept.file
        else f"{reverse('projects:new')}?draft={kept.id}"
    )
    context = {
        **_wizard(3, has_file=bool(kept.file)),
        "form": form,
        "options": options,
        "draft": kept,
        "back": back,
    }
    return render(request, "projects/new_task.html", context, status=400 if form.errors else 200)


def _first_rows(draft: uploads.Draft) -> dry_run.Summary:
    """What the first rows of the draft's file hold; empty without a file, or if it cannot be read as mapped."""
    if not draft.file:
        return dry_run.Summary()
    try:
        return dry_run.look_through(draft, None, limit=FIT_ROWS)
    except UnknownFormat as error:
        return dry_run.Summary(unusable=error.message)


def _fitting_preset(summary: dry_run.Summary) -> str:
    """A preset that fits the number of responses in the file."""
    if summary.most == 1:
        return "ratings"
    return "ranking" if summary.most > 2 else "strength7"


def _check_fit(form: TaskForm, summary: dry_run.Summary) -> None:
    """Refuse a preset that asks about more or fewer responses than the file's items have."""
    asked = Definition.model_validate(presets.PRESETS[form.cleaned_data["preset"]]).responses
    if summary.most and not asked.min <= summary.fewest <= summary.most <= asked.max:
        low, high = summary.fewest, summary.most
        have = f"{low} to {high} responses" if low != high else f"{low} response{'s' if low > 1 else ''}"
        form.add_error("preset", f"The items of your file have {have}: choose a task that fits them.")


@login_required
@require_http_methods(["GET", "POST"])
def new_people(request: HttpRequest, draft) -> HttpResponse:
    """Step 4: whom to invite; then the project is made and the import starts."""
    kept = _draft_or_404(request, draft)
    if kept.created:
        return redirect("projects:started", slug=kept.created)
    if not kept.name:
        return redirect(f"{reverse('projects:new')}?draft={kept.id}")
    if not kept.task:
        return redirect("projects:new_task", draft=kept.id)
    form = InviteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        project = _create(request, kept)
        invited = invite_people(project=project, actor=request.user, **form.cleaned_data)
        job = _start_import(request, kept, project) if kept.file else None
        request.session[STARTED_KEY] = {
            "slug": project.slug,
            "job": str(job.pk) if job else "",
            "sent": invited.sent,
            "links": [
                {"url": link.url, "role": link.role, "email": link.email, "uses": link.uses}
                for link in invited.to_show
            ],
        }
        return redirect("projects:started", slug=project.slug)
    back = reverse("projects:new_task", args=[kept.id])
    context = {**_wizard(4, has_file=bool(kept.file)), "form": form, "draft": kept, "back": back}
    return render(request, "projects/new_people.html", context, status=400 if form.errors else 200)


def _create(request: HttpRequest, draft: uploads.Draft) -> Project:
    project = setup.create_project(
        name=draft.name,
        description=draft.description,
        owner=request.user,
        definition=presets.PRESETS[draft.task["preset"]],
        guidelines=draft.task["guidelines"].replace("\r\n", "\n"),
        overlap=draft.task["overlap"],
    )
    draft.created = project.slug
    uploads.save_draft(request.session, draft)
    return project


@login_required
@require_GET
def started(request: HttpRequest, slug: str) -> HttpResponse:
    """After the wizard: the import's progress, links to hand over (shown once), and what to do next."""
    project = project_for(request, slug, at_least=OWNER)
    facts = request.session.get(STARTED_KEY) or {}
    facts = facts if facts.get("slug") == slug else {}
    links = facts.pop("links", []) if facts else []
    if links:
        request.session[STARTED_KEY] = {**facts, "links": []}
    job = visible_jobs(request.user).filter(pk=facts["job"]).first() if facts.get("job") else None
    context = {**page_context(project, "overview"), "job": job, "links": links, "sent": facts.get("sent", 0)}
    context["no_mail"] = not sends_mail()
    return render(request, "projects/started.html", context)


# --- More files --------------------------------------------------------------------------------------------
@login_required
@require_http_methods(["GET", "POST"])
def import_file(request: HttpRequest, slug: str) -> HttpResponse:
    """Upload a file for a project that exists."""
    project = project_for(request, slug, at_least=RESEARCHER)
    form = FileForm(required=True)
    if request.method == "POST":
        form = FileForm(request.POST, request.FILES, required=True)
        draft = uploads.new_draft(slug)
        if form.is_valid():
            _take_file(draft, form)
        if not form.errors:
            uploads.save_draft(request.session, draft)
            return redirect("items:import_check", slug=slug, draft=draft.id)
    crumbs = ("Items", reverse("items:list", args=[slug])), ("Import", "")
    context = {**page_context(project, "items", *crumbs), "form": form, "past": _past_imports(project)}
    return render(request, "items/import.html", context, status=400 if form.errors else 200)


@login_required
@require_http_methods(["GET", "POST"])
def import_check(request: HttpRequest, slug: str, draft) -> HttpResponse:
    """Map and look at an uploaded file, then start its import."""
    project = project_for(request, slug, at_least=RESEARCHER)
    kept = _draft_or_404(request, draft, slug)
    if kept.created:
        return redirect("jobs:detail", pk=kept.created)
    context = _checked_file(request, kept, project)
    if request.method == "POST" and context["ready"] and request.POST.get("next"):
        job = _start_import(request, kept, project)
        kept.created = str(job.pk)
        uploads.save_draft(request.session, kept)
        return redirect("items:import", slug=slug)
    back = reverse("items:import", args=[slug])
    crumbs = ("Items", reverse("items:list", args=[slug])), ("Import", back), (kept.file, "")
    context |= {
        **page_context(project, "items", *crumbs),
        "back": back,
        "template": "project_base.html",
        "next_words": "Import",
    }
    status = 400 if request.method == "POST" and not context["ready"] else 200
    return render(request, "projects/new_file.html", context, status=status)


def _start_import(request: HttpRequest, draft: uploads.Draft, project: Project) -> Job:
    if draft.save_as and draft.mapping:
        mappings.save_mapping(project=project, name=draft.save_as, columns=draft.mapping, actor=request.user)
    job = importing.start_import_job(
        project=project,
        path=draft.path.relative_to(settings.MEDIA_ROOT),
        format=draft.format,
        mapping=draft.mapping or None,
        options={"ask_again": draft.ask_again, "batch": draft.batch, "pii": True},
        actor=request.user,
        result_url=reverse("items:import", args=[project.slug]),
    )
    audit.record(
        actor=request.user,
        action="items.import_started",
        scope=project.slug,
        target=draft.file,
        job=str(job.pk),
    )
    return job


def _past_imports(project: Project) -> list[Job]:
    """The latest imports of the project, running ones included."""
    jobs = Job.objects.filter(scope=project.slug, kind=IMPORT_KIND).defer("log", "events")
    return list(jobs.select_related("created_by").order_by("-created_at")[:10])


@login_required
@require_GET
def import_errors(request: HttpRequest, slug: str, job) -> HttpResponse:
    """The rows an import could not take, as a table."""
    project = project_for(request, slug, at_least=RESEARCHER)
    found = get_object_or_404(Job, pk=job, scope=project.slug, kind=IMPORT_KIND)
    return csv_response(
        f"{slug}-import-errors.csv",
        ["file", "line", "field", "message"],
        ([error.get(name) for name in ("file", "line", "field", "message")] for error in _errors(found)),
    )


def _errors(job: Job):
    """Every error of an import: from its report file, or the first thousand from its result."""
    result = job.result or {}
    path = result.get("report_path")
    if path and Path(path).is_file():
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
    else:
        yield from result.get("errors", [])
