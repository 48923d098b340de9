"""Every page and resource; each room brings its own list."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from app import system
from app.web import api_docs

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("api/v1/", include("app.api_urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="api_schema"),
    path("api/docs/", api_docs.docs, name="api_docs"),
    path("metrics", system.metrics, name="metrics"),
    path("system/health/", system.health, name="health"),
    path("", include("app.web.urls")),
    path("", include("app.accounts.urls")),
    path("", include("app.jobs.urls")),
    path("", include("annotations.people.urls")),
    path("", include("annotations.people.project_urls")),
    path("", include("annotations.judging.item_urls")),
    path("", include("annotations.judging.quality_urls")),
    path("", include("annotations.analysis.urls")),
    path("", include("annotations.people.work_urls")),
    path("", include("annotations.lm.urls")),
    path("", include("annotations.criteria.urls")),
    path("", include("annotations.datasets.urls")),
    path("", include("routing.rewards.urls")),
    path("", include("routing.features.urls")),
    path("", include("routing.plans.urls")),
]
