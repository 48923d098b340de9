"""Pages of a project: people, joining, task design, guidelines, settings."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from app.accounts.adapter import INVITATION_SESSION_KEY
from app.ledger.ledger import BudgetExceeded
from app.ledger.models import Account
from app.web.rendering import render_markdown

from . import design, invitations, people, queries, setup
from .access import RANK, project_for
from .forms import GuidelineForm, InviteForm, SettingsForm
from .models import Annotator, Invitation, Membership, Project

OWNER, RESEARCHER, REVIEWER = Membership.Role.OWNER, Membership.Role.RESEARCHER, Membership.Role.REVIEWER


def page_context(project: Project, rail: str, *crumbs: tuple[str, str]) -> dict:
    """What `project_base.html` needs, and what the person may do here."""
    rank = RANK[project.role]
    return {
        "project": project,
        "role": project.role,
        "rail": rail,
        "crumbs": list(crumbs),
        "can_edit": rank >= RANK[RESEARCHER],
        "is_owner": rank >= RANK[OWNER],
    }


# --- People ------------------------------------------------------------------------------------------------
def _people_page(request: HttpRequest, project: Project, form=None, invited=None, status=200) -> HttpResponse:
    members = queries.members_of(project)
    return render(
        request,
        "projects/people.html",
        {
            **page_context(project, "people", ("People", "")),
            "members": members,
            "others": queries.annotators_without_members(project),
            "n_others": queries.count_annotators_without_members(project),
            "invitations": queries.open_invitations(project) if project.role == OWNER else [],
            "form": form or InviteForm(),
            "invited": invited,
            "roles": Membership.Role.choices,
        },
        status=status,
    )


@login_required
@require_GET
def people_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Who takes part, in which role, and how much they have judged."""
    return _people_page(request, project_for(request, slug, at_least=REVIEWER))


@login_required
@require_POST
def invite(request: HttpRequest, slug: str) -> HttpResponse:
    """Invite people; links that were not e-mailed are shown once, on the page this answers with."""
    project = project_for(request, slug, at_least=OWNER)
    form = InviteForm(request.POST)
    if form.is_valid() and not form.invites_anybody:
        form.add_error("emails", "Give at least one address, or ask for a link.")
    if not form.is_valid():
        return _people_page(request, project, form=form, status=400)
    invited = invitations.invite_people(project=project, actor=request.user, **form.cleaned_data)
    return _people_page(request, project, invited=invited)


@login_required
@require_POST
def revoke_invitation(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Make a link useless."""
    project = project_for(request, slug, at_least=OWNER)
    people.revoke_invitation(
        invitation=get_object_or_404(Invitation, pk=pk, project=project), actor=request.user
    )
    messages.success(request, "The invitation does not work any more.")
    return redirect("projects:people", slug=slug)


@login_required
@require_POST
def change_role(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Give a member another role."""
    project = project_for(request, slug, at_least=OWNER)
    try:
        membership = people.change_role(
            project=project, membership_id=pk, role=request.POST.get("role", ""), actor=request.user
        )
    except Membership.DoesNotExist:
        raise Http404("No such member.") from None
    except ValueError as error:
        messages.error(request, str(error))
        return _people_page(request, project, status=400)
    messages.success(request, f"{membership.user.username} is now {membership.get_role_display().lower()}.")
    if membership.user_id == request.user.pk and not request.user.is_staff and membership.role != OWNER:
        return redirect("projects:index")
    return redirect("projects:people", slug=slug)


@login_required
@require_http_methods(["GET", "POST"])
def remove_member(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Ask for the person's name, then take them out of the project."""
    project = project_for(request, slug, at_least=OWNER)
    membership = get_object_or_404(Membership.objects.select_related("user"), pk=pk, project=project)
    error, status = "", 200
    if request.method == "POST":
        if request.POST.get("confirm", "").strip() != membership.user.username:
            error, status = f"Type {membership.user.username} to remove this person.", 400
        else:
            try:
                username = people.remove_member(project=project, membership_id=pk, actor=request.user)
            except people.LastOwner as refusal:
                error, status = str(refusal), 400
            else:
                messages.success(request, f"{username} is not a member any more.")
                return redirect("projects:people", slug=slug)
    annotator = Annotator.objects.filter(project=project, user=membership.user).first()
    crumbs = ("People", reverse("projects:people", args=[slug])), ("Remove", "")
    context = {
        **page_context(project, "people", *crumbs),
        "membership": membership,
        "annotator": annotator,
        "error": error,
    }
    return render(request, "projects/remove_member.html", context, status=status)


@login_required
@require_POST
def pause_annotator(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Stop or go on giving a person items."""
    project = project_for(request, slug, at_least=OWNER)
    annotator = get_object_or_404(
        Annotator.objects.select_related("project"), pk=pk, project=project, kind=Annotator.Kind.HUMAN
    )
    paused = request.POST.get("paused") == "1"
    try:
        people.set_paused(annotator=annotator, paused=paused, actor=request.user)
    except people.Quarantined as refusal:
        messages.error(request, str(refusal))
        return redirect("projects:people", slug=slug)
    words = "is paused: no new items" if paused else "is given items again"
    messages.success(request, f"{annotator.name} {words}.")
    return redirect("projects:people", slug=slug)


@require_http_methods(["GET", "POST"])
def join(request: HttpRequest, token: str) -> HttpResponse:
    """Accept an invitation; who is not signed in signs in or makes an account first and comes back here."""
    try:
        invitation = setup.find_invitation(token)
        if request.method == "POST" and request.user.is_authenticated:
            membership = setup.accept_invitation(token=token, user=request.user)
            request.session.pop(INVITATION_SESSION_KEY, None)
            if membership.role == Membership.Role.ANNOTATOR:
                return redirect("work:judge", slug=membership.project.slug)
            return redirect("projects:overview", slug=membership.project.slug)
    except setup.InvitationError as error:
        request.session.pop(INVITATION_SESSION_KEY, None)
        return render(request, "projects/join.html", {"error": str(error)}, status=410)
    if not request.user.is_authenticated:
        request.session[INVITATION_SESSION_KEY] = token
    known = (
        request.user.is_authenticated
        and Membership.objects.filter(project=invitation.project, user=request.user).exists()
    )
    here = reverse("projects:join", args=[token])
    context = {
        "invitation": invitation,
        "project_name": invitation.project.name,
        "known": known,
        "here": here,
    }
    return render(request, "projects/join.html", context)


# --- Guidelines --------------------------------------------------------------------------------------------
def _guidelines_page(request: HttpRequest, project: Project, form=None, status=200) -> HttpResponse:
    versions = queries.guideline_versions(project)
    latest = versions[0] if versions else None
    shown = latest
    if (number := request.GET.get("version", "")).isdigit():
        shown = next((row for row in versions if str(row.number) == number), None)
        if shown is None:
            raise Http404("No such version.")
    active = Annotator.objects.filter(
        project=project, kind=Annotator.Kind.HUMAN, status=Annotator.Status.ACTIVE, user__isnull=False
    ).count()
    context = {
        **page_context(project, "guidelines", ("Guidelines", "")),
        "versions": versions,
        "latest": latest,
        "shown": shown,
        "n_active": active,
        "form": form or GuidelineForm(initial={"text": latest.text if latest else ""}),
        "editing": form is not None or "edit" in request.GET,
    }
    return render(request, "projects/guidelines.html", context, status=status)


@login_required
@require_http_methods(["GET", "POST"])
def guidelines_page(request: HttpRequest, slug: str) -> HttpResponse:
    """The guidelines in force, their versions, and an editor for the next one."""
    if request.method == "GET":
        return _guidelines_page(request, project_for(request, slug, at_least=REVIEWER))
    project = project_for(request, slug, at_least=RESEARCHER)
    form = GuidelineForm(request.POST)
    if not form.is_valid():
        return _guidelines_page(request, project, form=form, status=400)
    guideline = design.write_guidelines(project=project, text=form.cleaned_data["text"], actor=request.user)
    messages.success(request, f"Version {guideline.number} is in force.")
    return redirect("projects:guidelines", slug=slug)


@login_required
@require_POST
def markdown_preview(request: HttpRequest) -> HttpResponse:
    """Rendered Markdown of a text that is not stored (an htmx part)."""
    text = request.POST.get("text") or request.POST.get("guidelines") or ""
    return render(request, "projects/markdown.html", {"html": render_markdown(text[:200_000])})


# --- Settings ----------------------------------------------------------------------------------------------
@login_required
@require_http_methods(["GET", "POST"])
def settings_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Name, state, quota, leases, and the budget."""
    project = project_for(request, slug, at_least=OWNER)
    account = Account.objects.filter(pk=project.account_id).first()
    form = SettingsForm(request.POST or None, project=project, account=account)
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            values = dict(form.cleaned_data)
            cap = values.pop("cap", None)
            before = project.overlap
            try:
                design.change_settings(project=project, values=values, cap=cap, actor=request.user)
            except BudgetExceeded:
                used = account.spent + account.held
                form.add_error("cap", f"{used} {account.currency} are spent or held: give at least that.")
            else:
                messages.success(request, "Saved.")
                if project.overlap != before:
                    return redirect("projects:overlap", slug=slug, before=before)
                return redirect("projects:settings", slug=slug)
        project = project_for(request, slug, at_least=OWNER)
    context = {**page_context(project, "overview", ("Settings", "")), "form": form, "account": account}
    return render(request, "projects/settings.html", context, status=status)
