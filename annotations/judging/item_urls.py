"""Addresses under the name `items`. The pages show judgments, so they stand one floor above the items."""

from django.urls import path

from . import assign_pages, batch_pages, import_pages, item_pages, media_pages

app_name = "items"
urlpatterns = [
    path("p/<slug:slug>/items/", item_pages.item_list, name="list"),
    path("p/<slug:slug>/items/batches/", batch_pages.batch_list, name="batches"),
    path("p/<slug:slug>/items/batches/new/", batch_pages.batch_new, name="batch_new"),
    path("p/<slug:slug>/items/batches/limits/", batch_pages.change_limits, name="limits"),
    path("p/<slug:slug>/items/batches/tags/", batch_pages.change_tags, name="tags"),
    path("p/<slug:slug>/items/batches/move/", batch_pages.move_items, name="move"),
    path("p/<slug:slug>/items/batches/<int:pk>/", batch_pages.batch_edit, name="batch"),
    path("p/<slug:slug>/items/batches/<int:pk>/delete/", batch_pages.batch_delete, name="batch_delete"),
    path("p/<slug:slug>/items/assign/", assign_pages.assign, name="assign"),
    path("p/<slug:slug>/items/assign/<int:pk>/take-back/", assign_pages.unassign, name="unassign"),
    path("p/<slug:slug>/items/<int:pk>/", item_pages.item_detail, name="detail"),
    path("p/<slug:slug>/items/<int:pk>/withdraw/", item_pages.item_withdraw, name="withdraw"),
    path("p/<slug:slug>/items/<int:pk>/route/", item_pages.item_route, name="route"),
    path("p/<slug:slug>/import/", import_pages.import_file, name="import"),
    path("p/<slug:slug>/import/<uuid:draft>/", import_pages.import_check, name="import_check"),
    path("p/<slug:slug>/import/<uuid:job>/errors.csv", import_pages.import_errors, name="import_errors"),
    path("p/<slug:slug>/media/", media_pages.media_list, name="media"),
    path("media/<slug:slug>/<str:name>", media_pages.media_file, name="media_file"),
    path("p/<slug:slug>/media/<str:name>/remove/", media_pages.media_remove, name="media_remove"),
]
