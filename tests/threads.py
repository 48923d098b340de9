"""Actions that start at the same moment, each in a thread with connections of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from django.db import connections


def at_once(actions: Iterable[Callable[[], Any]]) -> list:
    """Run the actions in threads that start together; what each returned or raised, in order."""
    actions = list(actions)
    found: list = [None] * len(actions)
    ready = threading.Barrier(len(actions))

    def run(place: int, action: Callable[[], Any]) -> None:
        try:
            ready.wait(20)
            found[place] = action()
        except Exception as error:
            found[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    return found
