"""App configuration of the shared page parts."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    """Rendering, page parts and plots that every room uses."""

    name = "app.web"
    label = "web"
    verbose_name = "Web"
    default_auto_field = "django.db.models.BigAutoField"
