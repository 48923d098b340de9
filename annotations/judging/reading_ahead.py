"""Rows of a file, made ready for the database in a thread while the database works on those before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from annotations.items.readers import Problem

from .imported_items import Row


class Found(NamedTuple):
    """One row of a file, ready to be written."""

    file: str
    line: int
    what: Row | Problem
    personal: Sequence[tuple[str, str]] = ()
    """(field, kind) of what looks like personal data."""

    @property
    def size(self) -> int:
        return 0 if isinstance(self.what, Problem) else self.what.size


class ReadAhead:
    """The rows in their order, about a batch at a time; the next ones are read in a thread once `begin` is called.

    Begun before a commit, a file is parsed while the database checks foreign keys and writes to its disk; begun
    earlier, it would only take the interpreter from the batch that is being made. What the source raises is
    raised by the iteration, in the place of the rows that were being read.
    """

    def __init__(self, found: Iterator[Found], most: int, characters: int):
        self._found, self._most, self._characters = found, most, characters
        self._reader = ThreadPoolExecutor(1, "read-ahead")
        self._coming: Future[list[Found]] | None = None
        self._ended = False

    def begin(self) -> None:
        if self._coming is None and not self._ended:
            self._coming = self._reader.submit(self._take)

    def __iter__(self) -> Iterator[Found]:
        with self._reader:
            try:
                while some := self._next():
                    yield from some
            finally:
                self._ended = True

    def _next(self) -> list[Found]:
        coming, self._coming = self._coming, None
        return self._take() if coming is None else coming.result()

    def _take(self) -> list[Found]:
        some, size = [], 0
        for one in self._found:
            some.append(one)
            size += one.size
            if len(some) >= self._most or size >= self._characters:
                break
        return some
