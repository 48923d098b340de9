from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    name = "annotations.projects"
    label = "projects"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from app.jobs.access import register_scopes

        from .access import job_scopes

        register_scopes(job_scopes)
