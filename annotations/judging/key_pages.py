"""The page where people choose their own keys for judging."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from annotations.projects import keymap
from app.accounts import preferences


@login_required
@require_http_methods(["GET", "POST"])
def keys(request: HttpRequest) -> HttpResponse:
    """The person's keys, one field per action; a clash is refused and named beside both fields."""
    errors: dict[str, str] = {}
    chosen = keymap.of(request.user.preferences)
    if request.method == "POST":
        given = {} if "reset" in request.POST else _given(request)
        errors = keymap.check(given)
        if not errors:
            preferences.keep(user=request.user, name="keys", value=keymap.changes(given))
            messages.success(request, _("Your keys are saved.") if given else _("The usual keys are back."))
            return redirect("work:keys")
        chosen = {**chosen, **{name: keymap.normal(key) for name, key in given.items()}}
    groups: dict[str, list[dict]] = {}
    for action in keymap.ACTIONS:
        row = {
            "action": action,
            "key": chosen[action.name],
            "default": keymap.shown(action.key),
            "changed": chosen[action.name] != action.key,
            "error": errors.get(action.name, ""),
        }
        groups.setdefault(str(action.group), []).append(row)
    context = {"groups": list(groups.items()), "errors": errors, "digits": keymap.DIGITS}
    return render(request, "judging/keys.html", context, status=400 if errors else 200)


def _given(request: HttpRequest) -> dict[str, str]:
    """The posted keys; the digits come as a box that is ticked or not."""
    given = {
        action.name: request.POST.get(f"key-{action.name}", "")[:40]
        for action in keymap.ACTIONS
        if action.name != keymap.DIGITS and f"key-{action.name}" in request.POST
    }
    on = f"key-{keymap.DIGITS}" in request.POST
    return {keymap.DIGITS: keymap.DEFAULTS[keymap.DIGITS] if on else keymap.OFF, **given}
