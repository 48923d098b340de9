from django.urls import path

from . import views

app_name = "accounts"
urlpatterns = [
    path("i18n/language/", views.choose_language, name="language"),
    path("me/", views.me, name="me"),
    path("me/tokens/", views.token_list, name="tokens"),
    path("me/tokens/<str:key>/revoke/", views.token_revoke, name="token_revoke"),
    path("system/audit/", views.audit_log, name="audit"),
]
