"""Addresses of this room's pages; `judging.project_urls` adds those that count items and judgments."""

from django.urls import path

from . import views

urlpatterns = [
    path("join/<str:token>/", views.join, name="join"),
    path("preview/markdown/", views.markdown_preview, name="markdown_preview"),
    path("p/<slug:slug>/people/", views.people_page, name="people"),
    path("p/<slug:slug>/people/invite/", views.invite, name="invite"),
    path(
        "p/<slug:slug>/people/invitations/<int:pk>/revoke/", views.revoke_invitation, name="revoke_invitation"
    ),
    path("p/<slug:slug>/people/<int:pk>/role/", views.change_role, name="change_role"),
    path("p/<slug:slug>/people/<int:pk>/remove/", views.remove_member, name="remove_member"),
    path("p/<slug:slug>/people/annotators/<int:pk>/pause/", views.pause_annotator, name="pause_annotator"),
    path("p/<slug:slug>/design/", views.design_page, name="design"),
    path("p/<slug:slug>/design/preview/", views.design_preview, name="design_preview"),
    path("p/<slug:slug>/design/<int:number>/use/", views.use_version, name="use_version"),
    path("p/<slug:slug>/guidelines/", views.guidelines_page, name="guidelines"),
    path("p/<slug:slug>/settings/", views.settings_page, name="settings"),
]
