"""Addresses of the judging pages; `people.work_urls` adds the start page and gives them the name `work`."""

from django.urls import path

from . import key_pages, views

urlpatterns = [
    path("me/keys/", key_pages.keys, name="keys"),
    path("work/<slug:slug>/", views.judge, name="judge"),
    path("work/<slug:slug>/acknowledge/", views.acknowledge, name="acknowledge"),
    path("work/<slug:slug>/submit/", views.submit_answer, name="submit"),
    path("work/<slug:slug>/text/", views.response_text, name="text"),
    path("work/<slug:slug>/draft/", views.save_draft, name="draft"),
    path("work/<slug:slug>/training/<uuid:uuid>/", views.explained, name="explained"),
    path("work/<slug:slug>/history/", views.history, name="history"),
    path("work/<slug:slug>/history/<uuid:uuid>/", views.correct, name="correct"),
]
