"""How often one address may knock; counted in the cache that all web processes share."""

from __future__ import annotations

import time

from django.core.cache import cache
from django.http import HttpRequest


def allow(request: HttpRequest, what: str, *, per_minute: int) -> bool:
    """Count this request; False beyond `per_minute` from one network address."""
    key = f"limit:{what}:{request.META.get('REMOTE_ADDR', '')}:{int(time.time() // 60)}"
    if cache.add(key, 1, 120):
        return True
    try:
        return cache.incr(key) <= per_minute
    except ValueError:  # expired between the two calls
        return True
