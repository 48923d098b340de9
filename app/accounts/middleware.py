"""The fence around guests: people whom a panel sent, signed in for one study only."""

from __future__ import annotations

from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponse

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
