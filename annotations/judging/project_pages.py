"""Pages about whole projects that count items and judgments: the list, and one project's overview."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from annotations.projects.access import project_for
from annotations.projects.models import Project
from annotations.projects.views import OWNER, REVIEWER, page_context
from app.jobs.models import Job
from app.ledger.models import Account

from .progress import Judged, Progress, judged_by, judgments_a_day, progress_of
from .project_queries import projects_for

JOBS_SHOWN = 5


@login_required
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """The projects a person belongs to; who only annotates is sent to their work."""
    cards = projects_for(request.user)
    if cards and not request.user.is_staff and all(card.role == "annotator" for card in cards):
        return redirect("work:index")
    return render(request, "projects/index.html", {"cards": cards})


@login_required
@require_GET
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """The state of a project in a sentence, in numbers, and what to do next."""
    project = project_for(request, slug, at_least=REVIEWER)
    progress = progress_of([project])[project.pk]
    judged = judged_by(project)
    context = {
        **page_context(project, "overview"),
        "progress": progress,
        "judged": judged,
        "sentence": _sentence(progress, judged),
        "plot": judgments_a_day(project) if progress.n else None,
        "jobs": Job.objects.filter(scope=slug).defer("log", "events").order_by("-created_at")[:JOBS_SHOWN],
        "account": Account.objects.filter(pk=project.account_id).first(),
        "step": _next_step(project, progress, judged),
    }
    return render(request, "projects/overview.html", context)


def _sentence(progress: Progress, judged: Judged) -> str:
    """The first line: what is done, and by whom."""
    if not progress.n:
        return "There is nothing to judge yet."
    if progress.for_people:
        have = "has the people it needs" if progress.for_people == 1 else "have the people they need"
        noun = "item" if progress.for_people == 1 else "items"
        words = f"{progress.for_people_complete:,} of {progress.for_people:,} {noun} {have}"
        left = progress.n - progress.for_people
        words += f", and {left:,} more go to models" if left else ""
    else:
        words = f"All {progress.n:,} items go to models; {progress.complete:,} are judged"
    who = [
        f"{n:,} {one if n == 1 else many}"
        for n, one, many in ((judged.people, "person", "people"), (judged.models, "model", "models"))
        if n
    ]
    if not who:
        return f"{words}; nobody has judged yet."
    have = "has" if judged.people + judged.models == 1 else "have"
    return f"{words}; {' and '.join(who)} {have} judged."


def _next_step(project: Project, progress: Progress, judged: Judged) -> dict | None:
    """The one thing to do next, for who may do it."""
    if project.role == REVIEWER:
        return {"words": "Read the items", "url": reverse("items:list", args=[project.slug])}
    if not progress.n:
        return {"words": "Import items", "url": reverse("items:import", args=[project.slug])}
    if project.status == Project.Status.PAUSED and project.role == OWNER:
        return {"words": "Resume the project", "url": reverse("projects:settings", args=[project.slug])}
    if project.role == OWNER and not project.memberships.exclude(role=OWNER).exists() and not judged.people:
        return {"words": "Invite people", "url": f"{reverse('projects:people', args=[project.slug])}#invite"}
    if progress.complete < progress.n and progress.for_people_complete < progress.for_people:
        return {"words": "Judge the next item", "url": reverse("work:judge", args=[project.slug])}
    return {"words": "Freeze a dataset", "url": reverse("datasets:list", args=[project.slug])}
