from django.apps import AppConfig


class PeopleConfig(AppConfig):
    """Ways in, places and pay: registers what keeps a person from being given an item."""

    name = "annotations.people"
    label = "people"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from annotations.judging import stops

        from . import checks

        stops.register("before", checks.place)
        stops.register("before", checks.consent)
        stops.register("before", checks.budget)
        stops.register("empty", checks.nothing_left)
