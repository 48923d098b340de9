from django.apps import AppConfig


class FeaturesConfig(AppConfig):
    """Features of items: registers that a project's table goes with the project."""

    name = "routing.features"
    label = "features"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from annotations.projects import lifecycle

        from . import stored

        lifecycle.remove_files_with(stored.remove_files)
