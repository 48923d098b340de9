"""Addresses under the name `work`: the start page, and the judging pages one floor below."""

from django.urls import path

from annotations.judging.urls import urlpatterns as judging_pages

from . import own_pages

app_name = "work"
urlpatterns = [
    path("work/", own_pages.start_page, name="index"),
    *judging_pages,
]
