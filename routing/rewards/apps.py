from django.apps import AppConfig


class RewardsConfig(AppConfig):
    name = "routing.rewards"
    label = "rewards"
    default_auto_field = "django.db.models.BigAutoField"
