from django.apps import AppConfig


class PlansConfig(AppConfig):
    """Routing plans and budgets: registers that the cap of human labels keeps a person from an item."""

    name = "routing.plans"
    label = "plans"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from annotations.judging import label_cap, stops

        stops.register("empty", label_cap.stop)  # after the stops of places, which end with a code
