from django.apps import AppConfig


class JudgingConfig(AppConfig):
    name = "annotations.judging"
    label = "judging"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from annotations.projects import lifecycle

        from . import jobs

        lifecycle.remove_files_with(jobs.remove_files)
