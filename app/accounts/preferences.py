"""What a person likes: theme, text size, keys; one JSON document per person."""

from __future__ import annotations

from django.db import transaction

from .models import User


@transaction.atomic
def keep(*, user: User, name: str, value: object) -> User:
    """Keep one preference and leave the others; an empty value takes it away. Takes the person's row lock."""
    stored = User.objects.select_for_update().get(pk=user.pk)
    preferences = dict(stored.preferences) if isinstance(stored.preferences, dict) else {}
    if value:
        preferences[name] = value
    else:
        preferences.pop(name, None)
    stored.preferences = user.preferences = preferences
    stored.save(update_fields=["preferences"])
    return user
