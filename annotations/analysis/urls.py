"""Addresses of analysis, beneath a project's quality pages."""

from django.urls import path

from . import views

app_name = "analysis"
urlpatterns = [
    path("p/<slug:slug>/quality/agreement/", views.agreement, name="agreement"),
    path("p/<slug:slug>/quality/rankings/", views.rankings, name="rankings"),
    path("p/<slug:slug>/quality/bias/", views.bias, name="bias"),
    path("p/<slug:slug>/quality/annotators/", views.annotators, name="annotators"),
    path("p/<slug:slug>/quality/selection/", views.selection, name="selection"),
    path("p/<slug:slug>/quality/paper/", views.paper_pack, name="paper"),
]
