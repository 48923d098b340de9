from django.urls import path

from . import views

app_name = "plans"
urlpatterns = [
    path("p/<slug:slug>/routing/", views.plan_list, name="list"),
    path("p/<slug:slug>/routing/new/", views.plan_new, name="new"),
    path("p/<slug:slug>/routing/<int:number>/", views.plan_detail, name="detail"),
    path("p/<slug:slug>/routing/<int:number>/apply/", views.plan_apply, name="apply"),
    path("p/<slug:slug>/routing/<int:number>/discard/", views.plan_drop, name="drop"),
]
