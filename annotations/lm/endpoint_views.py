"""Pages of LM endpoints, for site admins: their addresses, keys (write-only), models and prices."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from . import endpoints
from .forms import EndpointForm
from .models import Endpoint

staff_only = staff_member_required(login_url="account_login")


@staff_only
@require_GET
def endpoint_list(request: HttpRequest) -> HttpResponse:
    """Every endpoint with its models and who may use it."""
    rows = Endpoint.objects.annotate(
        n_annotators=Count("models__annotators", distinct=True),
        n_models=Count("models", filter=Q(models__is_offered=True), distinct=True),
    ).order_by("name")
    return render(request, "lm/endpoints.html", {"rows": rows})


@sensitive_post_parameters("secret")
@staff_only
@require_http_methods(["GET", "POST"])
def endpoint_edit(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Add an endpoint or change one."""
    endpoint = get_object_or_404(Endpoint, pk=pk) if pk else None
    form = EndpointForm(request.POST or None, initial=EndpointForm.initial_of(endpoint) if endpoint else None)
    if request.method == "POST" and form.is_valid():
        try:
            saved = endpoints.save_endpoint(
                values=form.cleaned_data,
                models=form.cleaned_data["models"],
                secret=form.new_secret(),
                projects=form.cleaned_data["projects"],
                actor=request.user,
                endpoint=endpoint,
            )
        except endpoints.BadEndpoint as error:
            form.add_error(error.field, str(error))
        else:
            messages.success(request, f"{saved.name} is saved. Try it now.")
            return redirect("lm:endpoints")
    status = 400 if form.errors else 200
    return render(request, "lm/endpoint.html", {"form": form, "endpoint": endpoint}, status=status)


@staff_only
@require_POST
def endpoint_try(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask the server for its models: checks address and key, and costs nothing."""
    endpoint = get_object_or_404(Endpoint, pk=pk)
    trial = endpoints.try_endpoint(endpoint)
    if request.htmx:
        return render(request, "lm/trial.html", {"trial": trial})
    (messages.success if trial.ok else messages.error)(request, f"{endpoint.name}: {trial.words}")
    return redirect("lm:endpoints")
