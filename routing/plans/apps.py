from django.apps import AppConfig


class PlansConfig(AppConfig):
    name = "routing.plans"
    label = "plans"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import tasks  # noqa: F401  registers the handlers of this room's jobs
