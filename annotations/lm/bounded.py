"""A transport that cuts off replies that are too large or trickle in too slowly."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx2

from .client import TooMuch


class _BoundedStream(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream, most_bytes: int, until: float):
        self._inner, self._most, self._until = inner, most_bytes, until

    def __iter__(self) -> Iterator[bytes]:
        got = 0
        for chunk in self._inner:
            got += len(chunk)
            if got > self._most:
                raise TooMuch("item", f"The reply is longer than {self._most:,} bytes.")
            if time.monotonic() > self._until:
                raise TooMuch("timeout", "The reply did not end in time.")
            yield chunk

    def close(self) -> None:
        self._inner.close()


class BoundedTransport(httpx2.BaseTransport):
    """Passes requests on; a reply may have `most_bytes` and take `seconds` in all."""

    def __init__(self, inner: httpx2.BaseTransport, most_bytes: int, seconds: float):
        self._inner, self._most, self._seconds = inner, most_bytes, seconds

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        until = time.monotonic() + self._seconds
        response = self._inner.handle_request(request)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            response.close()
            raise TooMuch("item", "The reply is compressed, which was not asked for.")
        response.stream = _BoundedStream(response.stream, self._most, until)
        return response

    def close(self) -> None:
        self._inner.close()
