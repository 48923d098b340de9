from django.apps import AppConfig


class PlumblineConfig(AppConfig):
    """Wiring: loads the Celery application so that tasks bind to it in every process."""

    name = "app"
    label = "plumbline"

    def ready(self) -> None:
        from . import celery  # noqa: F401
