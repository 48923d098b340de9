"""Pages of datasets: snapshots of a project, one snapshot with its exports, and the files."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from annotations.judging.models import Judgment
from annotations.projects.access import project_for
from annotations.projects.models import Project
from app.accounts import audit
from app.jobs.models import Job
from app.web.paging import BadCursorError, keyset_page

from . import diff, downloads, export, formats, snapshots
from .forms import ExportForm, SnapshotForm
from .models import Export, Snapshot

FILTER_WORDS = {
    "kinds": "Judgments of",
    "outcomes": "Outcomes",
    "only_judged": "Only judged items",
    "exclude_flagged": "Without flagged items",
    "withdrawn": "With withdrawn items",
    "first_item": "From item",
    "last_item": "To item",
    "cutoff": "Last judgment",
}


@login_required
@require_GET
def dataset_list(request: HttpRequest, slug: str) -> HttpResponse:
    """The project's snapshots, newest first, each with its exports."""
    project = project_for(request, slug)
    ready = Export.objects.filter(state=Export.State.READY).only("snapshot_id", "format", "container", "rows")
    found = Snapshot.objects.filter(project=project).prefetch_related(Prefetch("exports", queryset=ready))
    try:
        page = keyset_page(found, cursor=request.GET.get("cursor"), size=25, order_by=("-number",))
    except BadCursorError as error:
        return render(request, "400.html", {"reason": str(error)}, status=400)
    for snapshot in page.rows:
        snapshot.exports_shown = [_titled(row) for row in snapshot.exports.all()]
    return render(
        request,
        "datasets/list.html",
        {
            **_frame(project, [("Datasets", "")]),
            "page": page,
            "latest": next((row for row in page.rows if row.state == Snapshot.State.READY), None),
            "running": _live_jobs(project),
        },
    )


@login_required
@require_http_methods(["GET", "POST"])
def snapshot_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose what a snapshot holds, and start it."""
    project = project_for(request, slug)
    form = SnapshotForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        snapshot = snapshots.create_snapshot(
            project=project, actor=request.user, query=form.query(), note=form.cleaned_data["note"]
        )
        return redirect("datasets:detail", slug, snapshot.number)
    crumbs = [("Datasets", reverse("datasets:list", args=[slug])), ("New snapshot", "")]
    status = 400 if request.method == "POST" else 200
    return render(request, "datasets/new.html", {**_frame(project, crumbs), "form": form}, status=status)


@login_required
@require_GET
def snapshot_detail(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """One snapshot: what is in it, where it came from, and its exports."""
    project = project_for(request, slug)
    return _detail(request, project, _snapshot(project, number), ExportForm())


@login_required
@require_http_methods(["GET", "POST"])
def snapshot_diff(request: HttpRequest, slug: str, number: int, earlier: int) -> HttpResponse:
    """What changed since an earlier snapshot: a job compares them once, and the page shows what it found."""
    project = project_for(request, slug)
    after, before = _snapshot(project, number), _snapshot(project, earlier)
    if request.method == "POST":
        try:
            diff.start(before=before, after=after, actor=request.user)
        except snapshots.NotReady as error:
            messages.error(request, str(error))
            return redirect("datasets:detail", slug, number)
        return redirect("datasets:diff", slug, number, earlier)
    jobs = Job.objects.filter(
        scope=slug, kind="datasets.diff", args={"before_id": before.pk, "after_id": after.pk}
    )
    crumbs = [
        ("Datasets", reverse("datasets:list", args=[slug])),
        (f"Snapshot {number}", reverse("datasets:detail", args=[slug, number])),
        (f"Since snapshot {earlier}", ""),
    ]
    job = jobs.order_by("-created_at").first()
    context = {**_frame(project, crumbs), "after": after, "before": before, "job": job}
    if job is not None and job.result:
        told = context["told"] = job.result
        context["changes"] = [("Filters", told["query"]), *sorted(told["versions"].items())]
    return render(request, "datasets/diff.html", context)


@login_required
@require_POST
def export_new(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Start an export of the snapshot."""
    project = project_for(request, slug)
    snapshot = _snapshot(project, number)
    form = ExportForm(request.POST)
    if not form.is_valid():
        return _detail(request, project, snapshot, form, status=400)
    chosen = form.cleaned_data
    try:
        _, created = export.start_export(
            snapshot=snapshot,
            actor=request.user,
            format=chosen["format"],
            container=chosen["container"],
            options=chosen["options"],
        )
    except snapshots.NotReady as error:
        form.add_error(None, str(error))
        return _detail(request, project, snapshot, form, status=400)
    if not created:
        messages.info(
            request, "This export exists already; a snapshot does not change, so neither would the files."
        )
    return redirect("datasets:detail", slug, number)


@login_required
@require_safe
def download(request: HttpRequest, slug: str, pk: int, name: str) -> HttpResponse:
    """One file of an export, for researchers of the project."""
    project = project_for(request, slug)
    found = get_object_or_404(Export.objects.select_related("snapshot"), pk=pk, snapshot__project=project)
    return _send(request, found, name)


@login_required
@require_POST
def link(request: HttpRequest, slug: str, pk: int, name: str) -> HttpResponse:
    """Make a link to one file that works for a day without signing in."""
    project = project_for(request, slug)
    found = get_object_or_404(Export.objects.select_related("snapshot"), pk=pk, snapshot__project=project)
    if export.file_of(found, name) is None:
        raise Http404("No such file.")
    number = found.snapshot.number
    audit.record(
        actor=request.user,
        action="export.linked",
        scope=slug,
        target=found.snapshot.public_id,
        export=pk,
        file=name,
    )
    address = request.build_absolute_uri(reverse("datasets:shared", args=[downloads.sign(found.pk, name)]))
    crumbs = [
        ("Datasets", reverse("datasets:list", args=[slug])),
        (f"Snapshot {number}", reverse("datasets:detail", args=[slug, number])),
        ("Link", ""),
    ]
    return render(
        request,
        "datasets/link.html",
        {**_frame(project, crumbs), "address": address, "file": name, "number": number},
    )


@require_safe
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """One file of an export, for whoever holds a link made less than a day ago."""
    try:
        export_id, name = downloads.unsign(token)
    except downloads.BadLink as error:
        return render(request, "400.html", {"reason": str(error)}, status=400)
    return _send(request, get_object_or_404(Export.objects.select_related("snapshot"), pk=export_id), name)


def _send(request: HttpRequest, found: Export, name: str) -> HttpResponse:
    known = export.file_of(found, name)
    if known is None:
        raise Http404("No such file.")
    try:
        return downloads.file_response(request, *known)
    except FileNotFoundError:  # removed between the look and the opening
        raise Http404("No such file.") from None


def _snapshot(project: Project, number: int) -> Snapshot:
    snapshot = get_object_or_404(
        Snapshot.objects.select_related("created_by"), project=project, number=number
    )
    snapshot.project = project
    return snapshot


def _detail(
    request: HttpRequest, project: Project, snapshot: Snapshot, form: ExportForm, status: int = 200
) -> HttpResponse:
    exports = [_titled(row) for row in snapshot.exports.select_related("created_by").order_by("-pk")[:100]]
    jobs = Job.objects.in_bulk([row.job_id for row in [snapshot, *exports] if row.job_id])
    for row in [snapshot, *exports]:
        row.job = jobs.get(row.job_id)
    crumbs = [
        ("Datasets", reverse("datasets:list", args=[project.slug])),
        (f"Snapshot {snapshot.number}", ""),
    ]
    split = snapshot.counts.get("items_by_split", {})
    return render(
        request,
        "datasets/detail.html",
        {
            **_frame(project, crumbs),
            "snapshot": snapshot,
            "exports": exports,
            "form": form,
            "export_keep_days": settings.EXPORT_KEEP_DAYS,
            "split": [
                (name, n, n / snapshot.n_items if snapshot.n_items else 0) for name, n in split.items()
            ],
            "filters": [(FILTER_WORDS.get(key, key), _words(value)) for key, value in snapshot.query.items()],
            "outcomes": [
                (Judgment.Outcome(name).label.lower(), n)
                for name, n in snapshot.counts.get("judgments_by_outcome", {}).items()
            ],
            "others": Snapshot.objects.filter(project=project, state=Snapshot.State.READY)
            .exclude(pk=snapshot.pk)
            .order_by("-number")[:20],
            "has_job": snapshot.job is not None and snapshot.state != Snapshot.State.READY,
        },
        status=status,
    )


def _titled(row: Export) -> Export:
    row.title = formats.FORMATS[row.format].label
    row.files_kind = formats.CONTAINERS.get(row.container, row.container)
    row.choices = [(key.replace("_", " "), value) for key, value in row.options.items()]
    return row


def _words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(part).replace("_", " ") for part in value)
    return "yes" if value is True else str(value)


def _live_jobs(project: Project) -> list[Job]:
    kinds = ["datasets.snapshot", "datasets.export", "datasets.push"]
    live = Job.objects.filter(
        scope=project.slug, kind__in=kinds, state__in=[Job.State.QUEUED, Job.State.RUNNING]
    )
    return list(live.order_by("-created_at")[:20])


def _frame(project: Project, crumbs: list[tuple[str, str]]) -> dict:
    return {"project": project, "role": project.role, "rail": "datasets", "crumbs": crumbs}
