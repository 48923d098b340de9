from django.urls import path

from . import own_pages, pay_pages, project_pages, views

app_name = "people"
urlpatterns = [
    path("join/prolific/<slug:slug>/", views.join_from_panel, {"panel": "prolific"}, name="join_prolific"),
    path("join/panel/<slug:slug>/", views.join_from_panel, {"panel": "panel"}, name="join_panel"),
    path("join/open/<slug:slug>/", views.join_open, name="join_open"),
    path("work/<slug:slug>/consent/<str:digest>/", views.give_consent, name="consent"),
    path("work/<slug:slug>/place/", views.own_place, name="place"),
    path("work/<slug:slug>/place/return/", views.return_place, name="return_place"),
    path("me/data/", own_pages.my_data, name="my_data"),
    path("me/data/export/", own_pages.export_data, name="export_data"),
    path("me/data/erase/", own_pages.erase_me, name="erase_me"),
    path("work/<slug:slug>/pay/", pay_pages.own_statement, name="own_statement"),
    path("p/<slug:slug>/people/pay/", pay_pages.pay_page, name="pay"),
    path("p/<slug:slug>/people/pay.csv", pay_pages.pay_csv, name="pay_csv"),
    path("p/<slug:slug>/people/pay/rules/", pay_pages.change_pay, name="change_pay"),
    path("p/<slug:slug>/people/pay/bonus/", pay_pages.give_bonus, name="bonus"),
    path("p/<slug:slug>/people/pay/<int:pk>/", pay_pages.statement, name="statement"),
    path("p/<slug:slug>/people/entry/", project_pages.entry_page, name="entry"),
    path("p/<slug:slug>/people/places/", project_pages.places_page, name="places"),
    path("p/<slug:slug>/people/places.csv", project_pages.places_csv, name="places_csv"),
    path("p/<slug:slug>/people/places/submissions/", project_pages.upload_submissions, name="submissions"),
    path("p/<slug:slug>/people/places/<int:pk>/end/", project_pages.end_place, name="end_place"),
    path("p/<slug:slug>/people/participants/<int:pk>/unbind/", project_pages.unbind, name="unbind"),
]
