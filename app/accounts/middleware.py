"""The fence around guests: people whom a panel sent, signed in for one study only; and the way back after signing in."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseStopPolling, reswap, trigger_client_event

OPEN_TO_GUESTS = (
    "/work/",
    "/join/",
    "/me/data/",
    "/me/keys/",
    "/media/",
    "/static/",
    "/i18n/",
    "/accounts/logout/",
)
EXACTLY = ("/", "/healthz", "/readyz", "/favicon.ico")


class GuestMiddleware:
    """Guests reach their work and their own data; every other address is not there for them.

    What a guest may open stands here and is refused by default, so that a new page need not think of guests.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view, args, kwargs) -> None:
        path = request.path
        if path.startswith(OPEN_TO_GUESTS) or path in EXACTLY:
            return
        if getattr(request.user, "is_guest", False):
            raise Http404("Not for guests.")


class SignInAgainMiddleware:
    """Lets who has to sign in again go on at the page they stood on, and loses nothing that stands typed on it.

    `login_required` sends to the sign-in page and names the address that was asked for. A form's is no page, and after
    signing in it would be opened as one: the page that sent the form stands in for it. htmx would draw the sign-in page
    into a part of the page it is on, over what is typed there: it gets words, and a part that asks by itself stops.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not _asks_to_sign_in(response):
            return response
        if request.htmx:
            if request.method != "GET":
                return HttpResponse(_("Your session has ended."), status=403, headers={"X-Signed-Out": "1"})
            said = {"text": _("Your session has ended. Reload the page to sign in again."), "kind": "error"}
            return trigger_client_event(reswap(HttpResponseStopPolling(), "none"), "toast", said)
        page = _page_of(request)
        if request.method not in ("GET", "HEAD") and page:
            response["Location"] = redirect_to_login(page).url
        return response


def _asks_to_sign_in(response: HttpResponse) -> bool:
    if response.status_code != 302:
        return False
    to = urlsplit(response["Location"])
    return to.path == resolve_url(settings.LOGIN_URL) and "next" in parse_qs(to.query)


def _page_of(request: HttpRequest) -> str:
    """Path and query of the page of ours that sent the request, or nothing if the browser does not say."""
    said = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(said, {request.get_host()}):
        return ""
    return urlsplit(said)._replace(scheme="", netloc="", fragment="").geturl()
