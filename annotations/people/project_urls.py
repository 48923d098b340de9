"""Addresses under the name `projects`: the overview, and the pages of the floors below."""

from django.urls import path

from annotations.judging.project_urls import urlpatterns as pages_below

from . import overview

app_name = "projects"
urlpatterns = [
    path("p/<slug:slug>/", overview.overview, name="overview"),
    path("p/<slug:slug>/live/", overview.live, name="overview_live"),
    path("p/<slug:slug>/overview/<slug:name>.csv", overview.table, name="overview_table"),
    *pages_below,
]
