"""Addresses under the name `projects`: the room's own pages, and those that count items and judgments."""

from django.urls import path

from annotations.projects.urls import urlpatterns as own_pages

from . import import_pages, project_pages

app_name = "projects"
urlpatterns = [
    path("p/", project_pages.index, name="index"),
    path("new/", import_pages.new_basics, name="new"),
    path("new/<uuid:draft>/file/", import_pages.new_file, name="new_file"),
    path("new/<uuid:draft>/task/", import_pages.new_task, name="new_task"),
    path("new/<uuid:draft>/people/", import_pages.new_people, name="new_people"),
    path("p/<slug:slug>/", project_pages.overview, name="overview"),
    path("p/<slug:slug>/started/", import_pages.started, name="started"),
    *own_pages,
]
