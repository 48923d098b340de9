"""Pages on which people grade: read five first, grade by criteria, whose fault; and what comes of it: card, drift."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotations.items.models import Item
from annotations.lm.annotate import texts_shown
from annotations.projects.access import project_for, reviewer_for
from annotations.projects.models import Membership
from app.web import plots, posted
from app.web.rendering import render_many, render_messages

from . import cards, drift, grading, lab, offers, selection, watch
from .models import WHOLE_PAIR, Criterion, Grade
from .streaming import live_jobs
from .views import context

REVIEWER = Membership.Role.REVIEWER


@login_required
@require_http_methods(["GET", "POST"])
def read(request: HttpRequest, slug: str) -> HttpResponse:
    """One response, no criterion shown: good or bad, and why."""
    project = project_for(request, slug, at_least=REVIEWER)
    person = reviewer_for(request.user, project)
    shown, error = None, None
    if request.method == "POST":
        item = get_object_or_404(Item, project=project, pk=_int(request.POST.get("item")))
        try:
            grading.grade_whole(
                project=project, person=person, item=item, response=_int(request.POST.get("response")),
                good=request.POST.get("value") == "good", reason=posted.text(request, "reason"),
                why=posted.text(request, "why"), propensity=_float(request.POST.get("propensity")),
            )  # fmt: skip
            return redirect("criteria:read", slug)
        except grading.BadGrade as problem:
            error = problem
            response, texts = _int(request.POST.get("response")), texts_shown([item])[item.pk]
            if 0 <= response < len(texts):
                shown = (
                    item,
                    response,
                    texts[response],
                    selection.Next(0, posted.text(request, "why"), None),
                )
    shown = shown or offers.next_to_read(project, person)
    mine = offers.whole_grades(project).filter(annotator=person)
    n_good, n_bad = mine.filter(value="pass").count(), mine.filter(value="fail").count()
    page = {
        **context(project, "read", ("Read first", "")),
        "n": n_good + n_bad, "n_good": n_good, "n_bad": n_bad, "enough": n_good + n_bad >= grading.FIRST_READ,
        "needed": selection.needed(n_bad, n_good), "error": error, "left": max(0, grading.FIRST_READ - n_good - n_bad),
    }  # fmt: skip
    if shown:
        item, response, text, found = shown
        page |= {
            "item": item, "response": response, "text": render_many([text])[0],
            "prompt": render_messages(item.prompt), "next": found,
        }  # fmt: skip
    return render(request, "criteria/read.html", page, status=422 if error else 200)


def _int(text: str | None) -> int:
    found = posted.number(text)
    return -1 if found is None else found


def _float(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value <= 1 else None


@login_required
@require_http_methods(["GET", "POST"])
def grade(request: HttpRequest, slug: str) -> HttpResponse:
    """A pair by each criterion in force; the judge's verdicts stay hidden until it is graded."""
    project = project_for(request, slug, at_least=REVIEWER)
    person = reviewer_for(request.user, project)
    criteria = offers.asked_criteria(project)
    shown, error = None, ""
    if request.method == "POST":
        item = get_object_or_404(Item, project=project, pk=_int(request.POST.get("item")), n_responses__gte=2)
        shown = offers.show(
            item.pk, person, posted.text(request, "why"), _float(request.POST.get("propensity"))
        )
        try:
            said = {
                c.current_id: grading.canonical(value, shown.order)
                for c in criteria
                if (value := request.POST.get(f"c-{c.current_id}"))
            }
            grading.grade_pair(
                project=project,
                person=person,
                item=item,
                said=said,
                why=shown.why,
                propensity=shown.propensity,
            )
            return redirect("criteria:revealed", slug, item.pk)
        except grading.BadGrade as problem:
            error = str(problem)
    shown = shown or offers.next_to_grade(project, person)
    page = {**context(project, "grade", ("Grade", "")), "criteria": criteria, "error": error, "shown": shown,
            "singles": bool(offers.pointwise_criteria(project))}  # fmt: skip
    if shown:
        html = render_many([shown.texts[i] for i in shown.order])
        page |= {"prompt": render_messages(shown.item.prompt), "sides": list(zip("AB", html, strict=False))}
    return render(request, "criteria/grade.html", page, status=422 if error else 200)


@login_required
@require_http_methods(["GET", "POST"])
def grade_one(request: HttpRequest, slug: str) -> HttpResponse:
    """One response by each criterion that passes or fails one; verdicts stay hidden until it is graded."""
    project = project_for(request, slug, at_least=REVIEWER)
    person = reviewer_for(request.user, project)
    criteria = offers.pointwise_criteria(project)
    shown, error = None, ""
    if request.method == "POST":
        item = get_object_or_404(Item, project=project, pk=_int(request.POST.get("item")))
        response = _int(request.POST.get("response"))
        why, propensity = posted.text(request, "why"), _float(request.POST.get("propensity"))
        said = {c.current_id: value for c in criteria if (value := request.POST.get(f"c-{c.current_id}"))}
        try:
            grading.grade_single(
                project=project, person=person, item=item, response=response, said=said, why=why,
                reason=posted.text(request, "reason"), propensity=propensity,
            )  # fmt: skip
            return redirect("criteria:revealed_one", slug, item.pk, response)
        except grading.BadGrade as problem:
            error = str(problem)
            texts = texts_shown([item])[item.pk]
            if 0 <= response < len(texts):
                shown = (item, response, texts[response], selection.Next(0, why, propensity))
    shown = shown or offers.next_single(project, person)
    page = {
        **context(project, "grade", ("Grade", reverse("criteria:grade", args=[slug])), ("One response", "")),
        "criteria": criteria, "error": error,
    }  # fmt: skip
    if shown:
        item, response, text, found = shown
        page |= {
            "item": item, "response": response, "next": found, "prompt": render_messages(item.prompt),
            "text": render_many([text])[0],
        }  # fmt: skip
    return render(request, "criteria/grade_one.html", page, status=422 if error else 200)


@login_required
@require_GET
def revealed(request: HttpRequest, slug: str, pk: int, response: int = WHOLE_PAIR) -> HttpResponse:
    """The judge beside the person, on what the person has graded: of a pair, or of one response."""
    project = project_for(request, slug, at_least=REVIEWER)
    person = reviewer_for(request.user, project)
    item = get_object_or_404(Item, project=project, pk=pk)
    sides = {"na": "does not apply", "pass": "meets it", "fail": "does not meet it", "tie": "equal"}
    if response == WHOLE_PAIR:
        shown = offers.show(item.pk, person)
        sides |= {"first": "AB"[shown.order.index(0)], "second": "AB"[shown.order.index(1)]}
    rows = [
        {
            "grade": r.grade,
            "verdict": r.verdict,
            "agrees": r.agrees,
            "mine": sides[r.grade.value],
            "judge": sides[r.value],
        }
        for r in grading.reveal(project, person, item, response)
    ]
    return render(
        request, "criteria/revealed.html",
        {**context(project, "grade", ("Grade", "")), "item": item, "rows": rows, "n_differ": sum(not r["agrees"] for r in rows),
         "one": response != WHOLE_PAIR},
    )  # fmt: skip


@login_required
@require_POST
def blame(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Whose fault a difference is."""
    project = project_for(request, slug, at_least=REVIEWER)
    person = reviewer_for(request.user, project)
    mine = get_object_or_404(Grade.fresh(), project=project, annotator=person, pk=pk, version__isnull=False)
    seen = grading.reveal(project, person, mine.item, mine.response)
    row = next((r for r in seen if r.grade.pk == mine.pk), None)
    try:
        if row is not None:
            grading.blame(grade=mine, fault=posted.text(request, "fault"), verdict=row.value)
    except grading.BadGrade as error:
        messages.error(request, str(error))
    if mine.response != WHOLE_PAIR:
        return redirect("criteria:revealed_one", slug, mine.item_id, mine.response)
    return redirect("criteria:revealed", slug, mine.item_id)


@login_required
@require_GET
def card(request: HttpRequest, slug: str) -> HttpResponse:
    """The report card: assertions by whole grades, criteria beside people."""
    project = project_for(request, slug)
    smallest = request.GET.get("set") == "smallest"
    found = cards.card(project, smallest=smallest)
    per_person = [
        {"person": row["person"], "grades": row["grades"], "self": row["self"]}
        for row in watch.people(project)
    ]
    return render(
        request, "criteria/card.html",
        {**context(project, "card", ("Report card", "")), "card": found, "rows": [r for r in cards.board(project) if r["criterion"].is_live and r["criterion"].kind == "pairwise"],
         "people": per_person, "smallest": smallest, "running": live_jobs(project), "own": cards.by_own_grades(project),
         "chosen": {found.graders[j].pk for j in found.choice.chosen} if found.choice else set()},
    )  # fmt: skip


@login_required
@require_GET
def drifting(request: HttpRequest, slug: str) -> HttpResponse:
    """What moved: the judge on its panel, people on repeats, new criteria against what was read."""
    project = project_for(request, slug)
    curve = drift.saturation(
        list(Criterion.objects.filter(project=project).values_list("read_before", flat=True))
    )
    plot = None
    if len(dict(curve)) >= 3:  # fewer moments are no curve
        plot = plots.line_plot(
            [plots.Series("criteria", [plots.Point(float(x), float(y)) for x, y in dict(curve).items()])],
            title="New criteria against responses read", x_label="Grades given before", y_label="Criteria so far",
            caption="A curve that flattens: reading more brings no new criteria.", height=280,
        )  # fmt: skip
    return render(
        request, "criteria/drift.html",
        {**context(project, "drift", ("Drift", "")), "timeline": watch.timeline(project), "people": watch.people(project),
         "inputs": watch.inputs(project), "plot": plot, "running": live_jobs(project), "can_panel": lab.lab_of(project).judge_id is not None},
    )  # fmt: skip
