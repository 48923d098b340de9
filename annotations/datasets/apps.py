from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    name = "annotations.datasets"
    label = "datasets"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from annotations.people import erase
        from annotations.projects import lifecycle

        from . import removal

        lifecycle.remove_files_with(removal.remove_files)
        erase.forget_with(removal.remove_named_exports)
