"""The page of a project's webhooks: addresses, secrets, and what was sent."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from app.webhooks import acts, outbox, transport
from app.webhooks.models import Delivery, Webhook

from .access import project_for
from .models import Membership, Project
from .views import page_context

OWNER = Membership.Role.OWNER
SHOWN = 50


class WebhookForm(forms.Form):
    url = forms.CharField(
        max_length=transport.LONGEST_URL, label="Address", help_text="It begins with https://"
    )
    events = forms.CharField(
        required=False,
        max_length=1000,
        label="What it is told",
        help_text="Types with spaces between, such as job.* snapshot.* project.deleted. Empty: everything.",
    )


@login_required
@require_http_methods(["GET", "POST"])
def webhooks_page(request: HttpRequest, slug: str) -> HttpResponse:
    """The addresses, a form for another one, and the latest messages."""
    project = project_for(request, slug, at_least=OWNER)
    form = WebhookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            acts.add(
                scope=slug,
                url=form.cleaned_data["url"],
                events=form.cleaned_data["events"].split(),
                actor=request.user,
            )
        except (transport.Refused, acts.TooMany) as error:
            form.add_error("url", str(error))
        except ValueError as error:
            form.add_error("events", str(error))
        else:
            messages.success(request, "Added. Send a test to see whether it takes messages.")
            return redirect("projects:webhooks", slug=slug)
    crumbs = ("Settings", reverse("projects:settings", args=[slug])), ("Webhooks", "")
    context = {
        **page_context(project, "overview", *crumbs),
        "form": form,
        "hooks": Webhook.objects.filter(scope=slug).order_by("pk"),
        "deliveries": Delivery.objects.filter(webhook__scope=slug)
        .select_related("webhook")
        .order_by("-pk")[:SHOWN],
    }
    return render(request, "projects/webhooks.html", context, status=400 if form.errors else 200)


@login_required
@require_POST
def webhook_act(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One of the buttons of an address."""
    project: Project = project_for(request, slug, at_least=OWNER)
    hook = get_object_or_404(Webhook, scope=project.slug, pk=pk)
    act = request.POST.get("act")
    if act == "test":
        acts.test(hook=hook, actor=request.user)
        messages.success(request, "A test is on its way.")
    elif act == "remove":
        acts.remove(hook=hook, actor=request.user)
        messages.success(request, "Removed.")
    elif act in ("on", "off"):
        acts.change(hook=hook, actor=request.user, active=act == "on")
    elif act == "rotate":
        acts.change(hook=hook, actor=request.user, rotate=True)
        messages.success(request, "It has a new secret; the old one ends now.")
    return redirect("projects:webhooks", slug=slug)


@login_required
@require_POST
def delivery_resend(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Send a message again."""
    project_for(request, slug, at_least=OWNER)
    outbox.resend(get_object_or_404(Delivery, webhook__scope=slug, pk=pk))
    messages.success(request, "It is sent again.")
    return redirect("projects:webhooks", slug=slug)
