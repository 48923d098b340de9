from django.apps import AppConfig


class RewardsConfig(AppConfig):
    name = "routing.rewards"
    label = "rewards"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from annotations.projects import lifecycle

        from . import registry

        lifecycle.remove_files_with(registry.remove_files)
