"""Pages about oneself: profile, API tokens; and the audit log."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from knox.models import AuthToken

from app.jobs.access import scopes_of
from app.web.paging import BadCursorError, keyset_page

from . import audit, languages, preferences, tokens
from .access import audit_events_for
from .models import User


class ProfileForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ["display_name", "email"]
        labels = {
            "display_name": gettext_lazy("Name shown to your projects"),
            "email": gettext_lazy("E-mail"),
        }

    def clean_email(self) -> str:
        email = self.cleaned_data["email"].strip().lower()
        if email and User.objects.filter(email__iexact=email).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError(_("Another account uses this address."))
        return email


class TokenForm(forms.Form):
    name = forms.CharField(
        max_length=60,
        label=gettext_lazy("What is it for?"),
        help_text=gettext_lazy("For example: notebook on my laptop."),
    )
    days = forms.IntegerField(
        min_value=1, max_value=365, initial=90, label=gettext_lazy("Days until it expires")
    )
    read_only = forms.BooleanField(required=False, label=gettext_lazy("It may only read"))
    project = forms.ChoiceField(required=False, label=gettext_lazy("For one project only"))

    def __init__(self, data=None, *, user: User):
        super().__init__(data)
        slugs = sorted(scopes_of(user))
        self.fields["project"].choices = [("", _("All of mine")), *((slug, slug) for slug in slugs)]


@login_required
@require_http_methods(["GET", "POST"])
def me(request: HttpRequest) -> HttpResponse:
    """The person's own page: name, address, and the ways to password, second factor and tokens."""
    form = ProfileForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        audit.record(actor=request.user, action="profile.changed", target=request.user.username)
        messages.success(request, _("Saved."))
        return redirect("accounts:me")
    return render(request, "accounts/me.html", {"form": form}, status=400 if form.errors else 200)


@require_POST
def choose_language(request: HttpRequest) -> HttpResponse:
    """Choose the language of the pages for people who judge: kept with the person, and in this browser."""
    code = request.POST.get("language", "")
    if not languages.is_known(code):
        return render(request, "400.html", {"reason": "There is no such language here."}, status=400)
    if request.user.is_authenticated:
        preferences.keep(user=request.user, name=languages.PREFERENCE, value=code)
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure()):
        back = reverse("home")
    return languages.remember(redirect(back), code)


@login_required
@require_http_methods(["GET", "POST"])
def token_list(request: HttpRequest) -> HttpResponse:
    """The person's API tokens; a new one is shown once, right after it is made."""
    form, secret = TokenForm(request.POST or None, user=request.user), None
    if request.method == "POST" and form.is_valid():
        try:
            _token, secret = tokens.make_token(user=request.user, **form.cleaned_data)
            form = TokenForm(user=request.user)
        except tokens.TooManyTokens as error:
            form.add_error(None, str(error))
    rows = AuthToken.objects.filter(user=request.user).select_related("label").order_by("-created")
    context = {"form": form, "secret": secret, "tokens": rows, "now": timezone.now()}
    return render(request, "accounts/tokens.html", context, status=400 if form.errors else 200)


@login_required
@require_POST
def token_revoke(request: HttpRequest, key: str) -> HttpResponse:
    """End a token of one's own at once."""
    if not tokens.revoke_token(user=request.user, token_key=key):
        raise Http404("No such token.")
    messages.success(request, _("The token no longer works."))
    return redirect("accounts:tokens")


@login_required
@require_GET
def audit_log(request: HttpRequest) -> HttpResponse:
    """Who did what: everything for site admins, their own projects for owners and researchers."""
    events = audit_events_for(request.user).select_related("actor")
    scope = request.GET.get("scope", "")[:120]
    action = request.GET.get("action", "")[:64]
    if scope:
        events = events.filter(scope=scope)
    if action:
        events = events.filter(action__startswith=action)
    try:
        page = keyset_page(events, cursor=request.GET.get("cursor"), size=100, order_by=("-id",))
    except BadCursorError as error:
        return render(request, "400.html", {"reason": str(error)}, status=400)
    return render(request, "accounts/audit.html", {"page": page, "scope": scope, "action": action})
