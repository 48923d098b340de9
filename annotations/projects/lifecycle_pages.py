"""Pages of a project's end: delete it, see what was deleted, bring it back."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from . import lifecycle
from .access import project_for
from .models import Membership
from .views import page_context


@login_required
@require_http_methods(["GET", "POST"])
def delete_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask for the project's address, then delete it; for 30 days it can be brought back."""
    project = project_for(request, slug, at_least=Membership.Role.OWNER)
    error, status = "", 200
    if request.method == "POST":
        if request.POST.get("confirm", "").strip() == project.slug:
            lifecycle.delete_project(project=project, actor=request.user)
            messages.success(request, f"{project.name} is deleted. Within 30 days it can be brought back.")
            return redirect("projects:deleted")
        error, status = f"Type {project.slug} to delete the project.", 400
    crumbs = ("Settings", reverse("projects:settings", args=[slug])), ("Delete", "")
    context = {**page_context(project, "overview", *crumbs), "error": error, "days": lifecycle.UNDO.days}
    return render(request, "projects/delete.html", context, status=status)


@login_required
@require_GET
def deleted_page(request: HttpRequest) -> HttpResponse:
    """Deleted projects the person may bring back, with the day each goes for good."""
    rows = [
        (project, lifecycle.gone_at(project)) for project in lifecycle.deleted_projects(request.user)[:200]
    ]
    return render(request, "projects/deleted.html", {"rows": rows, "days": lifecycle.UNDO.days})


@login_required
@require_POST
def restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Bring one back."""
    project = get_object_or_404(lifecycle.deleted_projects(request.user), pk=pk)
    lifecycle.restore_project(project=project, actor=request.user)
    messages.success(request, f"{project.name} is back, archived. Set it active to go on.")
    return redirect("projects:settings", slug=project.slug)
