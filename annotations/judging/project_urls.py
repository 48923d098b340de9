"""Pages of projects that count items; `people.project_urls` adds the overview and gives all the name `projects`."""

from django.urls import path

from annotations.projects.designs import SCHEMA_PATH
from annotations.projects.urls import urlpatterns as own_pages

from . import design_pages, import_pages, project_pages

urlpatterns = [
    path("p/", project_pages.index, name="index"),
    path("new/", import_pages.new_basics, name="new"),
    path("new/<uuid:draft>/file/", import_pages.new_file, name="new_file"),
    path("new/<uuid:draft>/task/", import_pages.new_task, name="new_task"),
    path("new/<uuid:draft>/people/", import_pages.new_people, name="new_people"),
    path("p/<slug:slug>/settings/overlap/<int:before>/", project_pages.overlap, name="overlap"),
    path("p/<slug:slug>/started/", import_pages.started, name="started"),
    path("p/<slug:slug>/design/", design_pages.design_page, name="design"),
    path("p/<slug:slug>/design/edit/", design_pages.designer, name="design_edit"),
    path("p/<slug:slug>/design/preview/", design_pages.preview, name="design_preview"),
    path("p/<slug:slug>/design/<int:number>/use/", design_pages.use_version, name="use_version"),
    path("p/<slug:slug>/design/<int:number>/ask-again/", design_pages.ask_again, name="ask_again"),
    path("p/<slug:slug>/design/<int:number>.json", design_pages.design_file, name="design_file"),
    path(SCHEMA_PATH.removeprefix("/"), design_pages.design_schema, name="design_schema"),
    *own_pages,
]
