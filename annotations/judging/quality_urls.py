"""Addresses under the name `quality`: people's quality, gates, reviews, experiment arms."""

from django.urls import path

from . import quality_pages as pages
from . import review_pages

app_name = "quality"
urlpatterns = [
    path("p/<slug:slug>/quality/", pages.people, name="people"),
    path("p/<slug:slug>/quality/people/<int:pk>/pause/", pages.pause, name="pause"),
    path("p/<slug:slug>/quality/people/<int:pk>/quarantine/", pages.quarantine_person, name="quarantine"),
    path("p/<slug:slug>/quality/people/<int:pk>/ready/", pages.let_in, name="let_in"),
    path("p/<slug:slug>/quality/rules/", pages.gate_rules, name="rules"),
    path("p/<slug:slug>/quality/rules/identity/", pages.identity_rule, name="identity"),
    path("p/<slug:slug>/quality/gates/", pages.gate_list, name="gates"),
    path("p/<slug:slug>/quality/gates/<int:pk>/", pages.gate_item, name="gate"),
    path("p/<slug:slug>/quality/arms/", pages.arms_page, name="arms"),
    path("p/<slug:slug>/quality/review/", review_pages.review_list, name="reviews"),
    path("p/<slug:slug>/quality/review/<int:pk>/", review_pages.review_item, name="review"),
]
