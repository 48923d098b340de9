"""Pages on criteria in tension: cards, votes between them, and the interview that helps to write a card."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from annotations.projects.access import project_for, reviewer_for
from annotations.projects.models import Annotator, Membership, Project
from app.web import posted
from app.web.rendering import render_many, render_messages

from . import conflicts, interviews, lab, offers
from .views import context

REVIEWER = Membership.Role.REVIEWER


@login_required
@require_http_methods(["GET", "POST"])
def conflict(request: HttpRequest, slug: str) -> HttpResponse:
    """Which criterion should win for which kind of prompt: an interview, cards, votes, and what follows."""
    project = project_for(request, slug, at_least=REVIEWER)
    person = reviewer_for(request.user, project)
    if request.method == "POST":
        try:
            _act(request, project, person)
        except (conflicts.BadCard, interviews.BadInterview) as error:
            messages.error(request, str(error))
        return redirect("criteria:conflicts", slug)
    return render(
        request, "criteria/conflicts.html",
        {**context(project, "conflicts", ("Conflicts", "")), "standing": conflicts.standing(project),
         "ask": conflicts.next_vote(project, person), "criteria": offers.asked_criteria(project),
         **_interview(project, person)},
    )  # fmt: skip


def _act(request: HttpRequest, project: Project, person: Annotator) -> None:
    act = posted.text(request, "act")
    card = {
        "criterion_id": _number(request, "criterion"),
        "context": posted.text(request, "context"),
        "text": posted.text(request, "text"),
    }
    if act == "vote":
        conflicts.vote(
            project=project, person=person, lower=_number(request, "lower"), upper=_number(request, "upper"),
            value=posted.text(request, "value"),
        )  # fmt: skip
    elif act == "interview":
        interviews.start(project=project, person=person)
    elif act in {"answer", "drop", "save"}:
        current = interviews.open_of(project, person)
        if current is None:
            raise interviews.BadInterview("No interview is open.")
        if act == "answer":
            interviews.answer(interview=current, text=posted.text(request, "answer"), actor=request.user)
        elif act == "drop":
            interviews.drop(current)
        else:
            interviews.save_card(interview=current, **card)
    else:
        conflicts.add_card(project=project, person=person, **card)


def _number(request: HttpRequest, name: str) -> int:
    found = posted.number(request.POST.get(name))
    return -1 if found is None else found


@login_required
@require_GET
def interview(request: HttpRequest, slug: str) -> HttpResponse:
    """The open interview alone; polled while the model thinks."""
    project = project_for(request, slug, at_least=REVIEWER)
    person = reviewer_for(request.user, project)
    return render(request, "criteria/interview.html", {"project": project, **_interview(project, person)})


def _interview(project: Project, person: Annotator) -> dict:
    current = interviews.open_of(project, person)
    page: dict = {"interview": current, "interviews": interviews.is_offered(lab.lab_of(project))}
    if current is not None and current.item is not None:
        shown = offers.show(current.item_id, person)
        html = render_many([shown.texts[k] for k in shown.order])
        page |= {"prompt": render_messages(current.item.prompt), "sides": list(zip("AB", html, strict=False))}
    return page
