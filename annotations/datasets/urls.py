"""Datasets' pages and files."""

from django.urls import path

from . import push_views, views

app_name = "datasets"
urlpatterns = [
    path("p/<slug:slug>/datasets/", views.dataset_list, name="list"),
    path("p/<slug:slug>/datasets/new/", views.snapshot_new, name="new"),
    path("p/<slug:slug>/datasets/<int:number>/", views.snapshot_detail, name="detail"),
    path("p/<slug:slug>/datasets/<int:number>/since/<int:earlier>/", views.snapshot_diff, name="diff"),
    path("p/<slug:slug>/datasets/<int:number>/export/", views.export_new, name="export"),
    path("p/<slug:slug>/datasets/exports/<int:pk>/push/", push_views.push, name="push"),
    path("p/<slug:slug>/datasets/files/<int:pk>/<path:name>", views.download, name="download"),
    path("p/<slug:slug>/datasets/links/<int:pk>/<path:name>", views.link, name="link"),
    path("datasets/shared/<str:token>/", views.shared, name="shared"),
]
