from django.urls import path

from . import views

app_name = "features"
urlpatterns = [
    path("p/<slug:slug>/features/", views.features, name="features"),
    path("p/<slug:slug>/features/read/", views.read_texts, name="read"),
]
