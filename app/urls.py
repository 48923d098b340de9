"""Every page and resource; each room brings its own list."""

from django.contrib import admin
from django.urls import include, path

from app import system

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("metrics", system.metrics, name="metrics"),
    path("system/health/", system.health, name="health"),
    path("", include("app.web.urls")),
    path("", include("app.accounts.urls")),
    path("", include("app.jobs.urls")),
    path("", include("annotations.judging.project_urls")),
    path("", include("annotations.judging.item_urls")),
    path("", include("annotations.judging.urls")),
    path("", include("annotations.lm.urls")),
    path("", include("annotations.datasets.urls")),
    path("", include("routing.rewards.urls")),
    path("", include("routing.plans.urls")),
]
