"""Addresses of this room's pages; `judging.project_urls` adds those that count items and judgments."""

from django.urls import path

from . import lifecycle_pages, views, webhook_pages

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
    path("p/<slug:slug>/guidelines/", views.guidelines_page, name="guidelines"),
    path("p/<slug:slug>/settings/", views.settings_page, name="settings"),
    path("p/<slug:slug>/settings/delete/", lifecycle_pages.delete_page, name="delete"),
    path("p/<slug:slug>/settings/webhooks/", webhook_pages.webhooks_page, name="webhooks"),
    path("p/<slug:slug>/settings/webhooks/<int:pk>/", webhook_pages.webhook_act, name="webhook_act"),
    path(
        "p/<slug:slug>/settings/webhooks/messages/<int:pk>/resend/",
        webhook_pages.delivery_resend,
        name="delivery_resend",
    ),
    path("deleted-projects/", lifecycle_pages.deleted_page, name="deleted"),
    path("deleted-projects/<int:pk>/restore/", lifecycle_pages.restore, name="restore"),
]
