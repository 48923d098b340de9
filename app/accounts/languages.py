"""Which language a page is in: pages for people who judge are translated, all others are English as a whole.

A page that is not translated must not be half so: Django's own words, dates and decimal commas follow the language
in force. So the addresses of translated pages stand here, and everything else (researchers' pages, the API) is
served in `settings.LANGUAGE_CODE`, whatever the browser asks for.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers

TRANSLATED = ("/work/", "/join/", "/me/", "/accounts/")
PREFERENCE = "language"
COOKIE_SECONDS = 365 * 86_400


def is_known(code: object) -> bool:
    return isinstance(code, str) and code in dict(settings.LANGUAGES)


def of(request: HttpRequest) -> str:
    """The language of the person who asks: what they chose, else the cookie's, else the browser's."""
    user = request.user
    if user.is_authenticated and isinstance(user.preferences, dict):
        chosen = user.preferences.get(PREFERENCE)
        if is_known(chosen):
            return chosen
    return translation.get_language_from_request(request)


def remember(response: HttpResponse, code: str) -> HttpResponse:
    """Keep the language in this browser, for the pages before anybody has signed in."""
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        code,
        max_age=COOKIE_SECONDS,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


class LanguageMiddleware:
    """Sets the language of the request; behind the sign-in, so that a person's own choice is known without a query."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        translated = request.path_info.startswith(TRANSLATED)
        code = of(request) if translated else settings.LANGUAGE_CODE
        with translation.override(code):
            response = self.get_response(request)
        if translated:
            patch_vary_headers(response, ["Accept-Language", "Cookie"])
        if response.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault("Content-Language", code)
        return response
