"""What a token may do: at most what its owner may, and less where it was made so."""

from __future__ import annotations

from django.http import Http404
from knox.models import AuthToken
from rest_framework.permissions import SAFE_METHODS, BasePermission

from app.jobs.models import Job

from .models import TokenLabel


class TokenScope(BasePermission):
    """Holds a token against its label: whether it may write, and which one project it is for.

    A token for one project reaches what lies below that project, and the project's jobs. Everything else is refused,
    also what no project owns, so that a new address need not think of it. Sessions and tokens without limits pass.
    """

    message = "This token may not do that."

    def has_permission(self, request, view) -> bool:
        if not isinstance(request.auth, AuthToken):
            return True
        label = TokenLabel.objects.filter(token=request.auth).first()
        if label is None or not (label.read_only or label.project):
            return True
        if label.read_only and request.method not in SAFE_METHODS:
            self.message = "This token may only read."
            return False
        if not label.project:
            return True
        slug = view.kwargs.get("slug")
        if slug is None and "jobs/" in request.path:
            slug = Job.objects.filter(pk=view.kwargs.get("pk")).values_list("scope", flat=True).first()
        if slug is None or slug != label.project:
            if "slug" in view.kwargs:
                raise Http404("No such project.")  # as for anybody who does not belong to it
            self.message = f"This token is for the project {label.project} only."
            return False
        return True
