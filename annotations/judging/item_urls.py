"""Addresses under the name `items`. The pages show judgments, so they stand one floor above the items."""

from django.urls import path

from . import import_pages, item_pages

app_name = "items"
urlpatterns = [
    path("p/<slug:slug>/items/", item_pages.item_list, name="list"),
    path("p/<slug:slug>/items/<int:pk>/", item_pages.item_detail, name="detail"),
    path("p/<slug:slug>/items/<int:pk>/withdraw/", item_pages.item_withdraw, name="withdraw"),
    path("p/<slug:slug>/items/<int:pk>/route/", item_pages.item_route, name="route"),
    path("p/<slug:slug>/import/", import_pages.import_file, name="import"),
    path("p/<slug:slug>/import/<uuid:draft>/", import_pages.import_check, name="import_check"),
    path("p/<slug:slug>/import/<uuid:job>/errors.csv", import_pages.import_errors, name="import_errors"),
]
