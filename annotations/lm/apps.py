from django.apps import AppConfig


class LmConfig(AppConfig):
    name = "annotations.lm"
    label = "lm"
    default_auto_field = "django.db.models.BigAutoField"
