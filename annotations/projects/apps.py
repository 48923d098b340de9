from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    name = "annotations.projects"
    label = "projects"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from app.jobs.access import register_scopes
        from app.web import navigation

        from .access import job_scopes, only_judges

        register_scopes(job_scopes)
        navigation.register(only_judges)
