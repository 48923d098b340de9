"""The product's settings with sessions, CSRF and sign-in only, and one view."""

from app.settings import *  # noqa: F403

ROOT_URLCONF = "bench.bare.urls"
WSGI_APPLICATION = "bench.bare.wsgi.application"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
INSTALLED_APPS = [  # allauth wants its middleware, and the admin wants allauth
    name
    for name in INSTALLED_APPS  # noqa: F405
    if not name.startswith(("allauth", "django.contrib.admin"))
]
