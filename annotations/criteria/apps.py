from django.apps import AppConfig


class CriteriaConfig(AppConfig):
    name = "annotations.criteria"
    label = "criteria"
    default_auto_field = "django.db.models.BigAutoField"
