"""Template tags for the words and marks that every page shares."""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from allauth.account.adapter import get_adapter
from django import template
from django.conf import settings
from django.forms import BaseForm
from django.template import Context
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from app.accounts import languages
from app.web import navigation
from app.web.numbers import grouped, money
from app.web.rendering import render_many

register = template.Library()
NO_BREAK = "\N{NO-BREAK SPACE}"

# (key of `rail`, word, URL name)
RAIL = (
    ("overview", "Overview", "projects:overview"),
    ("items", "Items", "items:list"),
    ("design", "Task design", "projects:design"),
    ("guidelines", "Guidelines", "projects:guidelines"),
    ("criteria", "Criteria", "criteria:board"),
    ("people", "People", "projects:people"),
    ("lm", "LM annotators", "lm:list"),
    ("routing", "Routing", "plans:list"),
    ("quality", "Quality", "quality:people"),
    ("rewards", "Reward models", "rewards:list"),
    ("datasets", "Datasets", "datasets:list"),
)
CLOSED_TO = {
    "reviewer": {"criteria", "lm", "routing", "rewards", "datasets"}
}  # by role: keys of pages that refuse it
GUEST = (
    (gettext_lazy("My work and data"), "people:my_data"),
    (gettext_lazy("My keys"), "work:keys"),
)
TOP = (
    (gettext_lazy("Judge"), "work:index"),
    (gettext_lazy("Projects"), "projects:index"),
    (gettext_lazy("Jobs"), "jobs:list"),
)
SITE = (
    (gettext_lazy("Health"), "health"),
    (gettext_lazy("Workers"), "jobs:workers"),
    (gettext_lazy("LM endpoints"), "lm:endpoints"),
    (gettext_lazy("Budgets"), "plans:budgets"),
    (gettext_lazy("Administration"), "admin:index"),
)
ACCOUNT = (
    (gettext_lazy("My account"), "accounts:me"),
    (gettext_lazy("My work and data"), "people:my_data"),
    (gettext_lazy("My keys"), "work:keys"),
    (gettext_lazy("API tokens"), "accounts:tokens"),
    (gettext_lazy("Audit log"), "accounts:audit"),
    (gettext_lazy("Email addresses"), "account_email"),
    (gettext_lazy("Change password"), "account_change_password"),
    (gettext_lazy("Two-factor sign-in"), "mfa_index"),
    *(
        ((gettext_lazy("Connected accounts"), "socialaccount_connections"),)
        if settings.OIDC_SERVER_URL
        else ()
    ),
)
KINDS = {"human": ("H", "Human"), "lm": ("L", "LM"), "reward_model": ("R", "Reward model")}


@register.simple_tag
def optional_url(name: str, *args: object) -> str:
    """Give the URL of a named page, or "" where there is no such page."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


@register.inclusion_tag("parts/rail.html", takes_context=True)
def rail_links(context: Context) -> dict:
    """List the project's pages that the person may open, the one named by ``rail`` marked as current."""
    project, current = context["project"], context.get("rail")
    closed = CLOSED_TO.get(getattr(project, "role", ""), ())
    links = [
        {"words": words, "url": url, "current": key == current}
        for key, words, name in RAIL
        if key not in closed and (url := optional_url(name, project.slug))
    ]
    return {"links": links}


@register.inclusion_tag("parts/links.html", takes_context=True)
def top_links(context: Context) -> dict:
    """List the site's main pages in the top bar."""
    request = context["request"]
    names = TOP[:1] if navigation.only_judges(request.user) else TOP
    return {"links": _links(names, request.path), "listed": False}


@register.inclusion_tag("parts/links.html", takes_context=True)
def account_links(context: Context) -> dict:
    """List a person's own pages in the menu, and the site's for its admins."""
    user = context["request"].user
    names = GUEST if user.is_guest else [*ACCOUNT, *(SITE if user.is_staff else ())]
    return {"links": _links(names, context["request"].path), "listed": True}


def _links(names: Iterable[tuple[str, str]], path: str) -> list[dict]:
    return [
        {"words": words, "url": url, "current": path == url or (url != "/" and path.startswith(url))}
        for words, name in names
        if (url := optional_url(name))
    ]


@register.simple_tag
def estimate(est: Mapping | None, digits: int = 2, percent: bool = False, unit: str = "") -> SafeString:
    """Show ``{"value", "lo", "hi", "n"}`` as "0.61 [0.58, 0.64], n 677"; ``percent`` multiplies by 100, ``unit`` says of what."""
    shown = _estimate_words(est, digits, percent, unit)
    # Without the file's last line end, which would stand as a space before a comma.
    return mark_safe(render_to_string("parts/estimate.html", shown).rstrip())  # noqa: S308 - a template's output


def _estimate_words(est: Mapping | None, digits: int, percent: bool, unit: str) -> dict:
    if not est or est.get("value") is None or not math.isfinite(est["value"]):
        return {"value": None}
    factor = 100 if percent else 1
    suffix = f" {unit}" if unit else f"{NO_BREAK}%" if percent else ""

    def words(number: float | None) -> str | None:
        if number is None or not math.isfinite(number):
            return None
        return f"{number * factor:.{digits}f}".replace("-", "−")

    n = est.get("n")
    value, lo, hi = words(est["value"]), words(est.get("lo")), words(est.get("hi"))
    return {"value": f"{value}{suffix}", "lo": lo, "hi": hi, "n": None if n is None else f"{n:,}"}


@register.filter
def pairs(facts: Mapping | None) -> list[tuple]:
    """Give a dict's items; `{{ facts.items }}` would be the value of a key named so, and keys come from users."""
    return list(facts.items()) if isinstance(facts, Mapping) else []


@register.simple_tag
def kind_badge(kind: str, name: str = "") -> SafeString:
    """Show who judged: a letter and a word in that kind's hue."""
    letter, word = KINDS.get(kind, ("?", kind))
    css = kind if kind in KINDS else "other"
    return format_html(
        '<span class="badge badge-{}"><span class="badge-letter" aria-hidden="true">{}</span>{}</span>',
        css,
        letter,
        name or word,
    )


@register.simple_tag
def when(moment: datetime | None, empty: str = gettext_lazy("never")) -> SafeString | str:
    """Say a time as people do ("3 minutes ago", "14 Mar"), with the exact time on hover."""
    if moment is None:
        return empty
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        f"{moment:%Y-%m-%d %H:%M:%S} UTC",
        _say_when(moment, timezone.now()),
    )


def _say_when(moment: datetime, now: datetime) -> str:
    """Say ``moment`` as seen from ``now``; both aware."""
    seconds = (now - moment).total_seconds()
    ahead, seconds = seconds < 0, abs(seconds)
    if seconds < 45:
        return _("in a moment") if ahead else _("just now")
    if seconds < 3600:
        n = max(1, round(seconds / 60))
        return (
            ngettext("in {n} minute", "in {n} minutes", n)
            if ahead
            else ngettext("{n} minute ago", "{n} minutes ago", n)
        ).format(n=n)
    if seconds < 86_400:
        n = round(seconds / 3600)
        return (
            ngettext("in {n} hour", "in {n} hours", n)
            if ahead
            else ngettext("{n} hour ago", "{n} hours ago", n)
        ).format(n=n)
    if seconds < 604_800:
        n = round(seconds / 86_400)
        return (
            ngettext("in {n} day", "in {n} days", n) if ahead else ngettext("{n} day ago", "{n} days ago", n)
        ).format(n=n)
    this_year = moment.year == now.year
    return date_format(moment, pgettext("date", "j M") if this_year else pgettext("date", "j M Y"))


@register.simple_tag(takes_context=True)
def language_choice(context: Context) -> list[dict]:
    """List the languages by their own names, the person's marked; pages for researchers are English for everybody."""
    request = context.get("request")
    chosen = languages.of(request) if hasattr(request, "user") else settings.LANGUAGE_CODE
    return [{"code": code, "name": name, "chosen": code == chosen} for code, name in settings.LANGUAGES]


@register.simple_tag
def query_with(request: object, **changes: object) -> str:
    """Give the request's query string with some values replaced; None removes one."""
    query = request.GET.copy()  # type: ignore[attr-defined]
    for key, value in changes.items():
        if value is None:
            query.pop(key, None)
        else:
            query[key] = value
    return query.urlencode()


@register.filter
def held(words: str) -> str:
    """The words with every number held together with its "%" at the end of a line."""
    return re.sub(r"(?<=\d) (?=%)", NO_BREAK, words)


@register.filter(name="grouped")
def grouped_filter(number: int) -> str:
    """Write a count with its thousands apart."""
    return grouped(number)


@register.filter(name="money")
def money_filter(amount: Decimal | str) -> str:
    """Write an amount of money with the digits a person reads."""
    return money(amount)


@register.filter
def without_placeholders(form: BaseForm) -> BaseForm:
    """Drop placeholders that only repeat the labels."""
    for field in form.fields.values():
        field.widget.attrs.pop("placeholder", None)
    return form


@register.filter
def focused(form: BaseForm) -> BaseForm:
    """Put the focus where a person needs it: on the first field with an error, else on the first one."""
    shown = form.visible_fields()
    wanted = next((field for field in shown if field.errors), shown[0] if shown else None)
    if wanted is not None:
        wanted.field.widget.attrs["autofocus"] = True
    return form


@register.simple_tag(takes_context=True)
def signup_open(context: Context) -> bool:
    """Say whether this visitor may make an account."""
    return get_adapter().is_open_for_signup(context["request"])


@register.simple_tag
def sign_in_with() -> dict | None:
    """Give the organisation's name and the address that begins the sign-in there; None where none is configured."""
    if not settings.OIDC_SERVER_URL:
        return None
    url = reverse("openid_connect_login", args=[settings.OIDC_PROVIDER])
    return {"name": settings.OIDC_NAME, "url": url}


@register.filter
def with_columns(row: Iterable, columns: Iterable) -> Iterable:
    """Pair a table row's cells with their columns."""
    return zip(columns, row, strict=False)


@register.filter
def markdown(text: str) -> SafeString:
    """Render one untrusted text through the cache; for many, call ``render_many`` in the view."""
    return render_many([text or ""])[0]
