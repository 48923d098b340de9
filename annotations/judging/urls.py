from django.urls import path

from . import views

app_name = "work"
urlpatterns = [
    path("work/", views.index, name="index"),
    path("work/<slug:slug>/", views.judge, name="judge"),
    path("work/<slug:slug>/acknowledge/", views.acknowledge, name="acknowledge"),
    path("work/<slug:slug>/submit/", views.submit_answer, name="submit"),
    path("work/<slug:slug>/draft/", views.save_draft, name="draft"),
    path("work/<slug:slug>/history/", views.history, name="history"),
    path("work/<slug:slug>/history/<uuid:uuid>/", views.correct, name="correct"),
]
