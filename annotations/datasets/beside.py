"""Work done in a thread beside what uses it: unpacking, hashing, Arrow's reading and writing, all of which leave Python free."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

AHEAD = 2


def ahead(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces, two of them made in advance; an error comes where it would have come."""
    with ThreadPoolExecutor(1) as thread:
        made = deque(thread.submit(next, pieces, None) for _ in range(AHEAD))
        while (piece := made.popleft().result()) is not None:
            made.append(thread.submit(next, pieces, None))
            yield piece


class Beside:
    """Makes calls in a thread, one at a time: asking for the next waits for the one before and raises its error."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._running: Future[None] | None = None

    def call(self, work: Callable[..., None], *arguments: Any, **settings: Any) -> None:
        """Make this call once the one before is done."""
        self.wait()
        self._running = self._thread.submit(work, *arguments, **settings)

    def wait(self) -> None:
        """Until the call is done. Raises what it raised."""
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def close(self) -> None:
        """Until the thread is gone; errors nobody waited for go with it."""
        self._thread.shutdown()
