"""The page on which an export is pushed to a hub."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from annotations.analysis.figures import counted
from annotations.items.pii import KINDS
from annotations.projects.access import project_for
from app.jobs.models import Job

from . import card, formats, hub, pushing
from .forms import PushForm
from .licences import LICENCES
from .models import Export


@login_required
@require_http_methods(["GET", "POST"])
def push(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """What would be sent, the form that sends it, and what was sent before."""
    project = project_for(request, slug)
    found = get_object_or_404(
        Export.objects.select_related("snapshot__project"), pk=pk, snapshot__project=project
    )
    form, trouble = PushForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        try:
            pushing.start_push(export=found, actor=request.user, role=project.role, **form.cleaned_data)
            return redirect("datasets:push", slug, pk)
        except pushing.BadPush as error:
            form.add_error(error.field, str(error))
        except (hub.NotSetUp, pushing.Busy) as error:
            form.add_error(None, str(error))
    try:
        hub.check_set_up()
    except hub.NotSetUp as error:
        trouble = str(error)
    pushes = list(found.pushes.order_by("-pk")[:20])
    jobs = Job.objects.in_bulk([row.job_id for row in pushes if row.job_id])
    for row in pushes:
        row.job = jobs.get(row.job_id)
    number = found.snapshot.number
    crumbs = [
        ("Datasets", reverse("datasets:list", args=[slug])),
        (f"Snapshot {number}", reverse("datasets:detail", args=[slug, number])),
        ("Push to a hub", ""),
    ]
    return render(
        request,
        "datasets/push.html",
        {
            "project": project,
            "role": project.role,
            "rail": "datasets",
            "crumbs": crumbs,
            "export": found,
            "number": number,
            "title": f"{formats.FORMATS[found.format].label}, {formats.CONTAINERS.get(found.container, found.container)}",
            "endpoint": settings.HF_ENDPOINT,
            "trouble": trouble,
            "form": form,
            "facts": _facts(found.manifest) if found.state == Export.State.READY else [],
            "pushes": pushes,
        },
        status=400 if form.errors else 200,
    )


def _facts(manifest: dict) -> list[tuple[str, str]]:
    """What somebody should know before the data leaves the site."""
    licence = LICENCES.get(manifest["options"].get("licence", ""))
    if "pii" not in manifest:
        personal = "Not looked for. An export with the option Personal data counts it."
    else:
        personal = "; ".join(
            f"what looks like {KINDS[kind]}: {counted(told['items'], 'item')}"
            for kind, told in manifest["pii"].items()
        )
    return [
        ("Licence", licence.label if licence else "None stated"),
        (
            "Holds",
            f"{counted(manifest['rows'], 'row')}, from {counted(manifest['frozen']['items'], 'item')} and "
            f"{counted(manifest['frozen']['judgments'], 'judgment')}",
        ),
        ("People", "Under their names" if card.named(manifest) else "Under pseudonyms"),
        ("Personal data", personal or "Looked for, none found"),
        (
            "Files",
            f"{len(manifest['files']) + 1}: the data, its card, croissant.json and the manifest, in place of "
            "whatever an earlier push left there",
        ),
    ]
