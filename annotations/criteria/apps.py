from django.apps import AppConfig


class CriteriaConfig(AppConfig):
    name = "annotations.criteria"
    label = "criteria"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from annotations.people import erase

        from . import interviews

        erase.forget_with(interviews.forget_erased)
