from django.apps import AppConfig


class ItemsConfig(AppConfig):
    name = "annotations.items"
    label = "items"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from annotations.projects import lifecycle

        from . import media

        lifecycle.remove_files_with(media.remove_files)
