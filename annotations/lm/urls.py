from django.urls import path

from . import annotator_views, endpoint_views, views

app_name = "lm"
urlpatterns = [
    path("p/<slug:slug>/models/", views.lm_list, name="list"),
    path("p/<slug:slug>/models/new/", annotator_views.annotator_new, name="new"),
    path("p/<slug:slug>/models/preview/", annotator_views.prompt_preview, name="preview"),
    path("p/<slug:slug>/models/prompts/", annotator_views.prompt_list, name="prompts"),
    path("p/<slug:slug>/models/baseline/", views.baseline_add, name="baseline"),
    path("p/<slug:slug>/models/<int:pk>/", views.lm_detail, name="detail"),
    path("p/<slug:slug>/models/<int:pk>/run/", views.lm_run, name="run"),
    path("p/<slug:slug>/models/<int:pk>/again/", annotator_views.annotator_again, name="again"),
    path("p/<slug:slug>/models/<int:pk>/canaries/", views.lm_canaries, name="canaries"),
    path("system/endpoints/", endpoint_views.endpoint_list, name="endpoints"),
    path("system/endpoints/new/", endpoint_views.endpoint_edit, name="endpoint_new"),
    path("system/endpoints/<int:pk>/", endpoint_views.endpoint_edit, name="endpoint"),
    path("system/endpoints/<int:pk>/try/", endpoint_views.endpoint_try, name="endpoint_try"),
]
