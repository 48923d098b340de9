from django.apps import AppConfig


class AnalysisConfig(AppConfig):
    name = "annotations.analysis"
    label = "analysis"
    verbose_name = "Analysis"

    def ready(self) -> None:
        from annotations.projects import lifecycle

        from . import stored

        lifecycle.remove_files_with(stored.remove_files)
