"""One page that gives a CSRF token, one view that reads a row and writes a row."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from annotations.items.models import Item
from app.accounts.models import AuditEvent


@require_GET
def token(request: HttpRequest) -> HttpResponse:
    return HttpResponse(get_token(request))


@require_POST
@login_required
def read_and_write(request: HttpRequest) -> HttpResponse:
    """Read one item by its key and insert one row about it; the insert is durable like any judgment."""
    item = Item.objects.values_list("pk", "n_human").get(pk=int(request.POST["item"]))
    AuditEvent.objects.create(actor=request.user, action="bench.row", target=str(item[0]))
    return HttpResponse(f"{item[0]} {item[1]}")


urlpatterns = [
    path("healthz", lambda request: HttpResponse("ok")),
    path("token/", token),
    path("read-and-write/", read_and_write),
]
