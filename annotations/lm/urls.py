from django.urls import path

from . import views

app_name = "lm"
urlpatterns = [
    path("p/<slug:slug>/models/", views.lm_list, name="list"),
    path("p/<slug:slug>/models/baseline/", views.baseline_add, name="baseline"),
    path("p/<slug:slug>/models/<int:pk>/", views.lm_detail, name="detail"),
    path("p/<slug:slug>/models/<int:pk>/run/", views.lm_run, name="run"),
]
