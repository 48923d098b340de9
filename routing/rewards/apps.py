from django.apps import AppConfig


class RewardsConfig(AppConfig):
    name = "routing.rewards"
    label = "rewards"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import tasks  # noqa: F401  registers the job handler in every process
