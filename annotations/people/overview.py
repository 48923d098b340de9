"""A project's overview: its state in a sentence, in numbers, in pictures, live while work goes on."""

from __future__ import annotations

import hashlib

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from annotations.judging.models import Judgment
from annotations.judging.progress import Judged, Progress, batches_of, judged_by, progress_of
from annotations.projects.access import project_for
from annotations.projects.models import Project
from annotations.projects.views import OWNER, RESEARCHER, REVIEWER, page_context
from app.jobs.models import Job
from app.ledger.models import Account
from app.web.downloads import csv_response

from . import alerts, pictures

JOBS_SHOWN = 5
IMPORT = "judging.import"


@login_required
@require_GET
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """The state of a project, and what to do next."""
    project = project_for(request, slug, at_least=REVIEWER)
    progress = progress_of([project])[project.pk]
    jobs = list(Job.objects.filter(scope=slug).defer("log", "events").order_by("-created_at")[:JOBS_SHOWN])
    importing = any(job.kind == IMPORT and not job.is_finished for job in jobs)
    context = {
        **page_context(project, "overview"),
        **_live(project, progress),
        "jobs": jobs,
        "importing": importing,
    }
    if importing and not progress.n:
        context["sentence"] = "Items are on their way."
    else:
        context["step"] = _next_step(project, progress, context["judged"])
    return render(request, "people/overview.html", context)


@never_cache
@login_required
@require_GET
def live(request: HttpRequest, slug: str) -> HttpResponse:
    """The part of the overview that changes; 204 where nothing did since `v`, so that an idle page costs nothing."""
    project = project_for(request, slug, at_least=REVIEWER)
    account = _account(project)
    if request.GET.get("v") == _version(project, account):
        return HttpResponse(status=204)
    context = {
        **page_context(project, "overview"),
        **_live(project, progress_of([project])[project.pk], account),
    }
    return render(request, "people/overview_live.html", context)


def _account(project: Project) -> Account | None:
    return Account.objects.filter(pk=project.account_id).first()


def _version(project: Project, account: Account | None) -> str:
    """What the pictures hang on, as a short text: the newest judgment, the money, and the day."""
    newest = Judgment.objects.filter(project=project).order_by("-pk").values_list("pk", flat=True).first()
    money = (account.cap_micros, account.spent_micros, account.held_micros) if account else ()
    parts = (newest, money, project.status, project.queue_epoch)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _live(project: Project, progress: Progress, account: Account | None = None) -> dict:
    account = account or _account(project)
    judged = judged_by(project)
    return {
        "progress": progress,
        "judged": judged,
        "sentence": _sentence(progress, judged),
        "account": account,
        "warnings": alerts.warnings_of(project, account)
        if getattr(project, "role", REVIEWER) != REVIEWER
        else [],
        "version": _version(project, account),
        "pictures": pictures.pictures_of(project, progress, account) if progress.n else None,
    }


@login_required
@require_GET
def table(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """One of the overview's tables as CSV: days, left, batches, people or budget."""
    project = project_for(request, slug, at_least=RESEARCHER if name == "budget" else REVIEWER)
    progress = progress_of([project])[project.pk]
    if name == "people":
        header = ["name", "pseudonym", "judged", "active_hours", "answers_per_hour", "last_seen"]
        rows = [
            [
                row.annotator.name, row.annotator.pseudonym, row.annotator.n_judged, f"{row.hours:.4f}",
                "" if row.rate is None else f"{row.rate:.2f}", row.given.last_at and row.given.last_at.isoformat(),
            ]
            for row in pictures.people_of(project)
        ]  # fmt: skip
        return csv_response(f"{slug}-people.csv", header, rows)
    if name == "batches":
        header = ["batch", "items", "complete", "judgments_left"]
        rows = [[row.name, row.n, row.complete, row.votes_left] for row in batches_of(project)]
        return csv_response(f"{slug}-batches.csv", header, rows)
    found = pictures.pictures_of(project, progress, _account(project))
    plots = {"days": found.days, "left": found.burn_down, "budget": found.budget}
    if name not in plots:
        raise Http404("No such table.")
    plot = plots[name]
    header = [column["label"] or "name" for column in plot.columns] if plot else []
    return csv_response(f"{slug}-{name}.csv", header, plot.rows if plot else [])


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
        return {"words": "Review disagreements", "url": reverse("quality:reviews", args=[project.slug])}
    if not progress.n:
        return {"words": "Import items", "url": reverse("items:import", args=[project.slug])}
    if project.status == Project.Status.PAUSED and project.role == OWNER:
        return {"words": "Resume the project", "url": reverse("projects:settings", args=[project.slug])}
    if project.role == OWNER and not project.memberships.exclude(role=OWNER).exists() and not judged.people:
        return {"words": "Invite people", "url": f"{reverse('projects:people', args=[project.slug])}#invite"}
    if progress.complete < progress.n and progress.for_people_complete < progress.for_people:
        return {"words": "Judge the next item", "url": reverse("work:judge", args=[project.slug])}
    return {"words": "Freeze a dataset", "url": reverse("datasets:list", args=[project.slug])}
