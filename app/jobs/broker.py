"""The embedded default's broker: kombu's message files, written so that a reader never sees half of one.

kombu opens a message's file under its final name and then writes it, and the same with the files that bind queues. A
worker that looks in between, or after the writer was killed there, reads nothing, and stops for good. Messages only
say "look at this Job row", and the sweep says it again: so what cannot be read is left out.
"""

from __future__ import annotations

import os
import time
import uuid
from contextlib import suppress
from pathlib import Path

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps

PART_SECONDS = 600  # a message is written in less, by far
TRIES = 50
PAUSE_SECONDS = 0.02


def sweep_parts(control_folder: str | os.PathLike) -> int:
    """Remove what writers left that were killed in the middle of a message; returns how many files. Their jobs are
    sent again from the rows."""
    swept = 0
    for part in Path(control_folder).glob("*.part"):
        with suppress(FileNotFoundError):  # whole by now, or another worker was first
            if time.time() - part.stat().st_mtime > PART_SECONDS:
                part.unlink()
                swept += 1
    return swept


class Channel(filesystem.Channel):
    """A channel over files that appear whole."""

    def _put(self, queue, payload, **kwargs):
        name = f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        whole = os.path.join(self.data_folder_out, name)
        part = os.path.join(self.control_folder, f"{name}.part")  # same disk, and no queue looks there
        try:
            with open(part, "w", encoding="utf-8") as file:
                file.write(dumps(payload))
            os.replace(part, whole)
        except OSError as exc:
            raise ChannelError(f"Cannot add file {whole!r} to directory") from exc

    def _get(self, queue):
        while True:
            try:
                return super()._get(queue)  # takes the file away first, so this ends
            except ValueError:
                continue

    def _queue_bind(self, exchange, routing_key, pattern, queue):
        for _ in range(TRIES):
            try:
                return super()._queue_bind(exchange, routing_key, pattern, queue)
            except ValueError:
                time.sleep(PAUSE_SECONDS)
        self._exchange_file(exchange).unlink(missing_ok=True)  # whoever began it is dead
        return super()._queue_bind(exchange, routing_key, pattern, queue)

    def get_table(self, exchange):
        for _ in range(TRIES):
            try:
                return super().get_table(exchange)
            except ValueError:
                time.sleep(PAUSE_SECONDS)
        return []


class Transport(filesystem.Transport):
    """`CELERY_BROKER_TRANSPORT` of the embedded default."""

    Channel = Channel
