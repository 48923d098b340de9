"""Pages about quality: how people judge, the gates' rules, and the gate items."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.forms import formset_factory
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from pydantic import ValidationError

from annotations.items.models import Item
from annotations.projects import people as project_people
from annotations.projects import rules, schemas
from annotations.projects.access import project_for
from annotations.projects.models import Annotator, CriteriaRelease, Membership, Project, TaskSchema
from annotations.projects.views import page_context
from app.web.downloads import csv_response
from app.web.paging import BadCursorError, keyset_page

from . import arm_report, gate_items, gate_rules_change, identity_rules, pages, quality, quarantine
from .answer_form import AnswerForm
from .answers import Answer, InvalidAnswer
from .expected import from_json
from .item_queries import judgments_of, snippet
from .models import Judgment
from .quality_forms import ArmForm, GateFileForm, GateForm, GatesForm, IdentityForm, arms_of
from .said import in_words

RESEARCHER, REVIEWER = Membership.Role.RESEARCHER, Membership.Role.REVIEWER
GATES_A_PAGE = 50


def quality_context(project: Project, tab: str, *crumbs: tuple[str, str]) -> dict:
    """What the quality pages share: the rail, the tabs."""
    start = ("Quality", reverse("quality:people", args=[project.slug]) if tab != "people" else "")
    return {**page_context(project, "quality", start, *crumbs), "tab": tab}


def _person(project: Project, pk: int) -> Annotator:
    return get_object_or_404(
        Annotator.objects.select_related("project"), pk=pk, project=project, kind=Annotator.Kind.HUMAN
    )


@login_required
@require_GET
def people(request: HttpRequest, slug: str) -> HttpResponse:
    """Everybody's gold, consistency, speed and monotony, those worth a look first."""
    project = project_for(request, slug, at_least=REVIEWER)
    rows = quality.people_quality(project)
    if request.GET.get("format") == "csv":
        return csv_response(f"{slug}-quality.csv", CSV, (_csv_row(row) for row in rows))
    context = {
        **quality_context(project, "people"),
        "rows": rows,
        "n_flagged": sum(bool(row.flags) for row in rows),
        "n_judging": sum(bool(row.annotator.n_judged or row.aside or row.last_at) for row in rows),
        "gates": rules.of(project).gates,
        "n_gates": Item.objects.filter(project=project).exclude(purpose=Item.Purpose.DATA).count(),
    }
    return render(request, "quality/people.html", context)


CSV = [
    "person", "status", "stage", "judged", "gold_right", "gold_n", "repeats_same", "repeats_n", "test_right",
    "test_n", "fast_share", "fast_n", "left_share", "left_n", "longest_run", "quarantined", "flags",
]  # fmt: skip


def _csv_row(row: quality.PersonQuality) -> list[object]:
    def parts(estimate: dict | None) -> list[object]:
        return [f"{estimate['value']:.4f}", estimate["n"]] if estimate else ["", 0]

    person = row.annotator
    return [
        person.name, person.status, person.stage, person.n_judged, *parts(row.gold), *parts(row.repeats),
        *parts(row.test), *parts(row.fast), *parts(row.left), row.run, row.aside, "; ".join(row.flags),
    ]  # fmt: skip


@login_required
@require_POST
def pause(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Stop giving a person items, with words for them, or go on."""
    project = project_for(request, slug, at_least=RESEARCHER)
    person = _person(project, pk)
    paused, note = request.POST.get("paused") == "1", request.POST.get("note", "").replace("\x00", "")
    try:
        project_people.set_paused(annotator=person, paused=paused, actor=request.user, note=note.strip())
    except project_people.Quarantined as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"{person.name} {'is paused' if paused else 'is given items again'}.")
    return redirect("quality:people", slug=slug)


@login_required
@require_POST
def quarantine_person(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Keep a person's judgments out of the data, or put them back."""
    project = project_for(request, slug, at_least=RESEARCHER)
    person = _person(project, pk)
    if request.POST.get("lift") == "1":
        n = quarantine.restore(annotator=person, actor=request.user)
        messages.success(
            request, f"{n:,} judgments of {person.name} count again. {person.name} is still paused."
        )
    else:
        reason = request.POST.get("reason", "").replace("\x00", "")
        n = quarantine.quarantine(annotator=person, actor=request.user, reason=reason)
        messages.success(
            request, f"{n:,} judgments of {person.name} are kept out of the data; their items are open again."
        )
    return redirect("quality:people", slug=slug)


@login_required
@require_POST
def let_in(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Let a person work who did not pass the test, or has not taken it."""
    project = project_for(request, slug, at_least=RESEARCHER)
    person = gate_rules_change.let_in(annotator=_person(project, pk), actor=request.user)
    messages.success(request, f"{person.name} may work.")
    return redirect("quality:people", slug=slug)


@login_required
@require_http_methods(["GET", "POST"])
def gate_rules(request: HttpRequest, slug: str) -> HttpResponse:
    """Which gates the project has, and when people are paused."""
    project = project_for(request, slug, at_least=RESEARCHER)
    form = GatesForm(request.POST or None, gates=rules.of(project).gates)
    if request.method == "POST" and form.is_valid():
        gate_rules_change.change_gates(project=project, gates=form.gates(), actor=request.user)
        messages.success(request, "Saved.")
        return redirect("quality:rules", slug=slug)
    counts, gates = gate_items.count_gates(project), rules.of(project).gates
    context = {
        **quality_context(project, "rules", ("Rules", "")),
        "form": form,
        "identity": IdentityForm(initial={"identity": rules.of(project).page.identity}),
        "n_named": Item.objects.filter(project=project, names_model=True).count(),
        "counts": counts,
        "missing": gate_rules_change.what_is_missing(gates, counts),
    }
    return render(request, "quality/rules.html", context, status=400 if form.is_bound else 200)


@login_required
@require_POST
def identity_rule(request: HttpRequest, slug: str) -> HttpResponse:
    """What happens to responses that name their model; a job applies it to the items there are."""
    project = project_for(request, slug, at_least=RESEARCHER)
    form = IdentityForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose one of the given ways.")
        return redirect("quality:rules", slug=slug)
    job = identity_rules.start_rule(project=project, mode=form.cleaned_data["identity"], actor=request.user)
    return redirect("jobs:detail", pk=job.pk)


@login_required
@require_http_methods(["GET", "POST"])
def gate_list(request: HttpRequest, slug: str) -> HttpResponse:
    """The gate items with what they expect and how people did; a table of them can be brought in."""
    project = project_for(request, slug, at_least=RESEARCHER)
    form, found, status = GateFileForm(request.POST or None, request.FILES or None), None, 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            found = gate_items.read_gates(project, form.cleaned_data["text"])
            n = gate_items.apply_gates(found=found, actor=request.user)
            if n:
                messages.success(request, f"{n:,} item{'s are gates' if n != 1 else ' is a gate'} now.")
            if not found.errors:
                return redirect("quality:gates", slug=slug)
    gates_only = Item.objects.filter(project=project).exclude(purpose=Item.Purpose.DATA)
    try:
        page = keyset_page(
            gates_only.select_related("expectation"),
            cursor=request.GET.get("cursor"),
            size=GATES_A_PAGE,
            order_by=("pk",),
        )
    except BadCursorError as error:
        return render(request, "400.html", {"reason": str(error)}, status=400)
    context = {
        **quality_context(project, "gates", ("Gate items", "")),
        "page": page,
        "rows": [_gate_row(item, passed) for item, passed in gate_items.with_results(page.rows)],
        "counts": gate_items.count_gates(project),
        "gold": gate_items.gold_passed(project),
        "form": form,
        "found": found,
    }
    return render(request, "quality/gates.html", context, status=status)


def _gate_row(item: Item, passed: dict | None) -> dict:
    wanted = getattr(item, "expectation", None)
    words: list[str] = []
    if wanted is not None and item.project.schema_id:
        definition = schemas.load(item.project.schema_id)[1]
        words = in_words(definition, from_json(wanted.answer))
    return {"item": item, "snippet": snippet(item), "words": words, "passed": passed}


@login_required
@require_http_methods(["GET", "POST"])
def gate_item(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """What one item is expected to be answered: entered here, or taken from a judgment of it."""
    project = project_for(request, slug, at_least=RESEARCHER)
    item = get_object_or_404(Item.objects.select_related("project"), pk=pk, project=project)
    if request.method == "POST" and request.POST.get("act") == "clear":
        gate_items.clear_gate(item=item, actor=request.user)
        messages.success(request, "The item is data again.")
        return redirect("items:detail", slug=slug, pk=pk)
    if project.schema_id is None:
        messages.error(request, "Choose what the project asks first.")
        return redirect("projects:design", slug=slug)
    definition = schemas.load(project.schema_id)[1]
    expectation = getattr(item, "expectation", None)
    source = _source(request, item)
    form = GateForm(request.POST or None, initial=_gate_initial(item, expectation))
    answers = AnswerForm(
        request.POST or None,
        definition=definition,
        n_responses=item.n_responses,
        answer=source or (from_json(expectation.answer) if expectation else None),
    )
    if request.method == "POST" and form.is_valid() and answers.is_valid():
        try:
            gate_items.set_gate(
                item=item,
                answer=gate_items.some_answer(gate_items.expectable(definition, answers.answer())),
                actor=request.user,
                **form.cleaned_data,
            )
        except InvalidAnswer as error:
            answers.say(error)
        else:
            messages.success(request, f"The item is used as {form.cleaned_data['purpose']}.")
            return redirect("quality:gates", slug=slug)
    crumbs = ("Gate items", reverse("quality:gates", args=[slug])), (str(item), "")
    prompt, panes = pages.item_texts(item, stored_order(item), slug)
    context = {
        **quality_context(project, "gates", *crumbs),
        "item": item,
        "prompt": prompt,
        "panes": panes,
        "form": form,
        "answers": answers,
        "expectation": expectation,
        "judgments": judgments_of(item)[0],
    }
    return render(request, "quality/gate.html", context, status=400 if form.is_bound else 200)


def _gate_initial(item: Item, expectation) -> dict:
    if expectation is None:
        return {}
    return {
        "purpose": item.purpose,
        "explanation": expectation.explanation,
        "strength_within": expectation.strength_within,
        "score_within": expectation.score_within,
    }


def _source(request: HttpRequest, item: Item) -> Answer | None:
    """The judgment of the item whose answer the form starts with, if the address names one."""
    pk = request.GET.get("from", "")
    if not (pk.isascii() and pk.isdigit() and len(pk) <= 18):
        return None
    judgment = (
        Judgment.objects.filter(pk=int(pk), item=item).prefetch_related("comparisons", "scores").first()
    )
    return gate_items.answer_from_judgment(judgment) if judgment is not None else None


def stored_order(item: Item) -> str:
    """The order in which an item's responses are stored, as a `presented_order`."""
    return "".join(str(index) for index in range(item.n_responses))


@login_required
@require_http_methods(["GET", "POST"])
def arms_page(request: HttpRequest, slug: str) -> HttpResponse:
    """The project's experiment arms, and how judging differs between them."""
    project = project_for(request, slug, at_least=RESEARCHER)
    versions = TaskSchema.objects.filter(project=project).order_by("-number")
    stored = rules.of(project).arms
    # One arm alone compares nothing: two empty ones to begin with, then one more at a time.
    forms_of = formset_factory(
        ArmForm, extra=1 if stored else 2, max_num=8, validate_max=True, absolute_max=12
    )
    formset = forms_of(
        request.POST or None,
        initial=[arm.model_dump() for arm in stored],
        form_kwargs={
            "versions": [(version.number, version.label) for version in versions],
            "has_criteria": CriteriaRelease.objects.filter(project=project).exists(),
            "empty_permitted": False,  # or a row that says what is stored would be taken for no row
        },
    )
    if request.method == "POST" and formset.is_valid():
        try:
            gate_rules_change.change_arms(project=project, arms=arms_of(formset), actor=request.user)
        except ValidationError as error:
            messages.error(request, "; ".join(each["msg"] for each in error.errors()))
        else:
            messages.success(request, "Saved. New people are drawn into these arms.")
            return redirect("quality:arms", slug=slug)
    report = arm_report.report(project)
    context = {
        **quality_context(project, "arms", ("Experiment arms", "")),
        "formset": formset,
        "report": report,
        "finding": arm_report.finding(report),
        "measures": arm_report.MEASURES,
    }
    return render(request, "quality/arms.html", context, status=400 if formset.is_bound else 200)
