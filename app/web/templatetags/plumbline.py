"""Template tags for the words and marks that every page shares."""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime

from allauth.account.adapter import get_adapter
from django import template
from django.forms import BaseForm
from django.template import Context
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from app.web.rendering import render_many

register = template.Library()

# (key of `rail`, word, URL name)
RAIL = (
    ("overview", "Overview", "projects:overview"),
    ("items", "Items", "items:list"),
    ("design", "Task design", "projects:design"),
    ("guidelines", "Guidelines", "projects:guidelines"),
    ("people", "People", "projects:people"),
    ("lm", "LM annotators", "lm:list"),
    ("routing", "Routing", "plans:list"),
    ("quality", "Quality", "analysis:quality"),
    ("rewards", "Reward models", "rewards:list"),
    ("datasets", "Datasets", "datasets:list"),
)
TOP = (("Judge", "work:index"), ("Projects", "projects:index"), ("Jobs", "jobs:list"))
SITE = (("Health", "health"), ("Workers", "jobs:workers"), ("Administration", "admin:index"))
ACCOUNT = (
    ("My account", "accounts:me"),
    ("API tokens", "accounts:tokens"),
    ("Audit log", "accounts:audit"),
    ("Email addresses", "account_email"),
    ("Change password", "account_change_password"),
    ("Two-factor sign-in", "mfa_index"),
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
    """List the project's pages, the one named by ``rail`` marked as current."""
    project, current = context["project"], context.get("rail")
    links = [
        {"words": words, "url": url, "current": key == current}
        for key, words, name in RAIL
        if (url := optional_url(name, project.slug))
    ]
    return {"links": links}


@register.inclusion_tag("parts/links.html", takes_context=True)
def top_links(context: Context) -> dict:
    """List the site's main pages in the top bar."""
    return {"links": _links(TOP, context["request"].path), "listed": False}


@register.inclusion_tag("parts/links.html", takes_context=True)
def account_links(context: Context) -> dict:
    """List a person's own pages in the menu, and the site's for its admins."""
    user = context["request"].user
    names = [*ACCOUNT, *(SITE if user.is_staff else ())]
    return {"links": _links(names, context["request"].path), "listed": True}


def _links(names: Iterable[tuple[str, str]], path: str) -> list[dict]:
    return [
        {"words": words, "url": url, "current": path == url or (url != "/" and path.startswith(url))}
        for words, name in names
        if (url := optional_url(name))
    ]


@register.inclusion_tag("parts/estimate.html")
def estimate(est: Mapping | None, digits: int = 2, percent: bool = False, unit: str = "") -> dict:
    """Show ``{"value", "lo", "hi", "n"}`` as "0.61 [0.58, 0.64], n 677"; ``percent`` multiplies by 100."""
    if not est or est.get("value") is None or not math.isfinite(est["value"]):
        return {"value": None}
    factor, suffix = (100, " %") if percent else (1, f" {unit}" if unit else "")

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
def when(moment: datetime | None, empty: str = "never") -> SafeString | str:
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
    for limit, size, unit in (
        (45, 0, ""),
        (3600, 60, "minute"),
        (86400, 3600, "hour"),
        (604800, 86400, "day"),
    ):
        if seconds < limit:
            if not unit:
                return "in a moment" if ahead else "just now"
            count = max(1, round(seconds / size))
            words = f"{count} {unit}{'' if count == 1 else 's'}"
            return f"in {words}" if ahead else f"{words} ago"
    year = "" if moment.year == now.year else f" {moment.year}"
    return f"{moment.day} {moment:%b}{year}"


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


@register.filter
def with_columns(row: Iterable, columns: Iterable) -> Iterable:
    """Pair a table row's cells with their columns."""
    return zip(columns, row, strict=False)


@register.filter
def markdown(text: str) -> SafeString:
    """Render one untrusted text through the cache; for many, call ``render_many`` in the view."""
    return render_many([text or ""])[0]
