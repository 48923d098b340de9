"""Coming in: from a panel, by an open address, consent; and one's own place."""

from __future__ import annotations

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from annotations.judging.views import annotators_only
from annotations.projects import rules
from annotations.projects.models import Annotator, Membership, Project
from app.accounts.adapter import INVITATION_SESSION_KEY

from . import checks, consent, entry, limits, places
from .models import Place

SALT = "plumbline.place"
COOKIE_DAYS = 60
GUEST_HOURS = 12
PEOPLE_A_BROWSER = 8


def _cookie_name(project: Project) -> str:
    return f"place-{project.pk}"


def _secrets(request: HttpRequest, project: Project) -> dict[str, str]:
    """What this browser holds, by the panel's id of the person; several people may share a computer."""
    try:
        held = signing.loads(
            request.COOKIES.get(_cookie_name(project), ""), salt=SALT, max_age=COOKIE_DAYS * 86_400
        )
    except signing.BadSignature:
        return {}
    return held if isinstance(held, dict) else {}


def _keep_secret(response: HttpResponse, project: Project, held: dict[str, str]) -> None:
    response.set_cookie(
        _cookie_name(project),
        signing.dumps(dict(list(held.items())[-PEOPLE_A_BROWSER:]), salt=SALT),
        max_age=COOKIE_DAYS * 86_400,
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",
        path="/join/",
    )


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def join_from_panel(request: HttpRequest, slug: str, panel: str) -> HttpResponse:
    """The address a panel sends people to. GET shows what it is about and makes nothing; POST lets the person in."""
    project = get_object_or_404(Project, slug=slug)
    rule = rules.of(project).entry
    if rule.mode != panel:
        raise Http404("No such study.")
    values = request.POST if request.method == "POST" else request.GET
    context = {"project": project, "here": request.path}
    try:
        ids = entry.read_ids(values, rule)
    except entry.BadIds as error:
        context["error"] = _("{problem}. Open the study again from the panel's page.").format(problem=error)
        return render(request, "people/join_panel.html", context, status=400)
    context["hidden"] = [
        (rule.person_parameter, ids.person),
        (rule.study_parameter, ids.study),
        (rule.session_parameter, ids.session),
    ]
    other = request.user.is_authenticated and not request.user.is_guest
    if other:
        context["signed_in_as"] = request.user.get_username()
    if request.method == "GET":
        return render(request, "people/join_panel.html", context)
    if not limits.allow(request, "panel", per_minute=60):
        return render(request, "429.html", status=429)
    held = _secrets(request, project)
    try:
        entered = places.enter(
            project=project,
            person=ids.person,
            study=ids.study,
            session=ids.session,
            secret=held.pop(ids.person, ""),
        )
    except places.Refused as refusal:
        link = rule.completion_url.replace("{code}", refusal.code) if refusal.code else ""
        context.update(refusal=str(refusal), code=refusal.code, link=link)
        return render(request, "people/join_panel.html", context, status=200 if refusal.code else 403)
    login(request, entered.user, backend="django.contrib.auth.backends.ModelBackend")
    request.session.set_expiry(GUEST_HOURS * 3600)
    active = entered.place.state == Place.State.ACTIVE
    response = redirect("work:judge" if active else "people:place", slug=slug)
    _keep_secret(response, project, {**held, ids.person: entered.secret})
    return response


@require_http_methods(["GET", "POST"])
def join_open(request: HttpRequest, slug: str) -> HttpResponse:
    """Join a project whose address is open; who is not signed in signs in or makes an account first."""
    project = get_object_or_404(Project, slug=slug)
    known = (
        request.user.is_authenticated
        and Membership.objects.filter(project=project, user=request.user).exists()
    )
    if not known and not entry.may_join(project):
        raise Http404("No such project.")
    if request.method == "POST" and request.user.is_authenticated:
        if entry.join_openly(project=project, user=request.user) is None:
            raise Http404("No such project.")
        request.session.pop(INVITATION_SESSION_KEY, None)
        return redirect("work:judge", slug=slug)
    if not request.user.is_authenticated:
        request.session[INVITATION_SESSION_KEY] = f"open:{slug}"
    context = {
        "project_name": project.name,
        "project": project,
        "known": known,
        "here": request.path,
        "may_sign_up": get_adapter().is_open_for_signup(request),
    }
    return render(request, "people/join_open.html", context)


@require_POST
@annotators_only
def give_consent(request: HttpRequest, annotator: Annotator, digest: str) -> HttpResponse:
    """The person agrees to the wording they were shown."""
    if consent.give(annotator=annotator, sha256=digest) is None:
        messages.info(request, _("The text has changed since you opened it. Please read it once more."))
    return redirect("work:judge", annotator.project.slug)


def _own_place(request: HttpRequest, slug: str) -> Place:
    """The person's newest place in the project, also after it ended. Raises Http404."""
    place = (
        Place.objects.select_related("project", "participant__annotator")
        .filter(project__slug=slug, participant__annotator__user=request.user)
        .order_by("-pk")
        .first()
    )
    if place is None:
        raise Http404("No place of yours here.")
    return place


@never_cache
@login_required
def own_place(request: HttpRequest, slug: str) -> HttpResponse:
    """One's place: how far it is, or how it ended, with the code."""
    place = _own_place(request, slug)
    if place.state == Place.State.ACTIVE:
        place = places.finish_if_over(place, place.participant.annotator)
    context = {"project": place.project, "place": place}
    if place.state == Place.State.ACTIVE:
        context["judged"] = places.judged_in(place, place.participant.annotator_id)
    else:
        context["stop"] = checks.ended(place)
    return render(request, "people/place.html", context)


@require_POST
@login_required
def return_place(request: HttpRequest, slug: str) -> HttpResponse:
    """The person gives their place back; with `withdraw` what they judged is put aside too."""
    place = _own_place(request, slug)
    if place.state == Place.State.ACTIVE:
        places.end(place=place, state=Place.State.RETURNED, give_back=request.POST.get("withdraw") == "1")
    return redirect(reverse("people:place", args=[slug]))
