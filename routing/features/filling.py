"""Fill a project's feature table ahead of any plan: a Job that reads new texts in batches, started when items came in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from django.db.models import Exists, OuterRef

from annotations.items.models import Item
from annotations.lm.models import LMAnnotator
from annotations.projects.models import Project
from app.jobs import runner
from app.jobs.models import Job

from . import stored

KIND = "features.fill"
READ = 2000
SAVE_EVERY = 10  # batches a part of the table holds
IMPORTING = "judging.import"
Report = Callable[[int, int, str], None]


def wanted(project: Project):
    """Items whose texts belong into the table, by id."""
    return Item.objects.filter(
        project=project, withdrawn_at__isnull=True, purpose=Item.Purpose.DATA
    ).order_by("pk")


def fill(project: Project, report: Report) -> dict:
    """Read every text that the table does not hold; {items, read, rows, through}.

    Batches of 2,000 items; a part of the table is on disk every ten, and when `report` raises to stop, so that a second
    run starts where the first one ended. Memory: the table and one batch of texts.
    """
    found = stored.load(project)
    total = wanted(project).count()
    before, done, last, batches = len(found), 0, 0, 0
    try:
        while ids := list(wanted(project).filter(pk__gt=last).values_list("pk", flat=True)[:READ]):
            stored.rows(found, np.array(ids))
            last, done, batches = ids[-1], done + len(ids), batches + 1
            if batches % SAVE_EVERY == 0:
                found.save()
            report(done, max(total, done), "Reading texts")
    finally:
        found.save()
    return {"items": done, "read": len(found) - before, "rows": len(found), "through": last}


def live_job(project: Project) -> Job | None:
    """The job that fills the project's table now or soon."""
    return Job.objects.filter(
        scope=project.slug, kind=KIND, state__in=[Job.State.QUEUED, Job.State.RUNNING]
    ).first()


def last_job(project: Project) -> Job | None:
    """The latest job that filled it to the end."""
    return (
        Job.objects.filter(scope=project.slug, kind=KIND, state=Job.State.SUCCEEDED)
        .order_by("-created_at")
        .first()
    )


def start(project: Project, *, actor=None, result_url: str = "") -> Job:
    """Start reading new texts; the job that does so already, if there is one."""
    return live_job(project) or runner.start(
        kind=KIND,
        title="Features: read the texts of new items",
        args={"project_id": project.pk},
        scope=project.slug,
        actor=actor,
        result_url=result_url,
    )


def start_due() -> int:
    """The periodic job: start reading where a project with LM annotators has items newer than those read; returns how many.

    Not while a file is being imported, nor after a failure or a cancel, which are a person's to see.
    """
    importing = Job.objects.filter(
        kind=IMPORTING, state__in=[Job.State.QUEUED, Job.State.RUNNING], scope=OuterRef("slug")
    )
    models = LMAnnotator.objects.filter(annotator__project=OuterRef("pk"))
    started = 0
    for project in Project.objects.filter(Exists(models), ~Exists(importing), status="active").order_by("pk"):
        newest = wanted(project).order_by("-pk").values_list("pk", flat=True).first()
        last = Job.objects.filter(scope=project.slug, kind=KIND).order_by("-created_at").first()
        through = (last.result or {}).get("through", 0) if last and last.state == Job.State.SUCCEEDED else 0
        if newest and (last is None or last.state == Job.State.SUCCEEDED) and through < newest:
            start(project)
            started += 1
    return started
