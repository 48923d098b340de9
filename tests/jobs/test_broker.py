"""The embedded broker gives whole messages only, whoever was killed while writing one."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress

import pytest
from django.conf import settings
from kombu import Connection
from kombu.transport import virtual

from app.jobs import broker, tasks


@pytest.fixture
def connect(tmp_path, monkeypatch):
    monkeypatch.setattr(broker.Transport, "global_state", virtual.BrokerState())  # which queues are bound
    for name in ("queue", "control"):
        (tmp_path / name).mkdir()
    options = {
        "data_folder_in": str(tmp_path / "queue"),
        "data_folder_out": str(tmp_path / "queue"),
        "control_folder": str(tmp_path / "control"),
        "store_processed": False,
    }

    def made() -> Connection:
        return Connection("filesystem://", transport="app.jobs.broker:Transport", transport_options=options)

    return made


def received(queue) -> list:
    """What is there now, or within a moment."""
    found = []
    with suppress(queue.Empty):  # another reader may be first
        while True:
            message = queue.get(timeout=0.05)
            found.append(message.payload)
            message.ack()
    return found


def test_the_embedded_default_uses_it():
    from app.celery import app

    if not settings.CELERY_BROKER_URL.startswith("filesystem://"):
        pytest.skip("Redis is the broker here")
    with app.connection_for_write() as connection:
        assert isinstance(connection.transport, broker.Transport)


def test_parts_that_killed_writers_left_go_where_a_worker_starts(tmp_path, settings):
    control = tmp_path / "control"
    control.mkdir()
    old, fresh, bound = (
        control / "1_a.default.msg.part",
        control / "2_b.default.msg.part",
        control / "x.exchange",
    )
    for path in (old, fresh, bound):
        path.write_text("{")
    long_ago = time.time() - 2 * broker.PART_SECONDS
    for path in (old, bound):
        os.utime(path, (long_ago, long_ago))
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"control_folder": str(control)}
    tasks._sweep_parts()
    assert sorted(control.iterdir()) == sorted([fresh, bound])


@pytest.mark.parametrize("left", [b"", b'{"body": "W1', b"\xff\xfe"])
def test_what_a_killed_writer_left_is_passed_over(connect, tmp_path, left):
    with connect() as connection, connection.SimpleQueue("work") as queue:
        (tmp_path / "queue" / "0_killed.work.msg").write_bytes(left)
        queue.put({"job": 1})
        assert queue.get(timeout=30).payload == {"job": 1}
        assert list((tmp_path / "queue").iterdir()) == []


def test_a_writer_killed_while_writing_shows_nothing(connect, tmp_path, monkeypatch):
    with connect() as connection, connection.SimpleQueue("work") as queue:

        def killed(*paths):
            raise SystemExit

        monkeypatch.setattr(broker.os, "replace", killed)
        with pytest.raises(SystemExit):
            queue.put({"job": 1})
        assert list((tmp_path / "queue").iterdir()) == []


def test_bindings_left_empty_are_written_anew(connect, tmp_path, monkeypatch):
    monkeypatch.setattr(broker, "PAUSE_SECONDS", 0)
    (tmp_path / "control" / "work.exchange").write_bytes(b"")
    with connect() as connection, connection.SimpleQueue("work") as queue:
        queue.put({"job": 1})
        assert queue.get(timeout=30).payload == {"job": 1}


def test_every_message_arrives_once_while_others_write(connect):
    """Two writers and two readers on one folder, as two workers and two web processes."""
    each, seen, lock, ended = 150, [], threading.Lock(), threading.Event()

    def write(first: int) -> None:
        with connect() as connection, connection.SimpleQueue("work") as queue:
            for number in range(first, first + each):
                queue.put({"job": number, "text": "x" * 5_000})

    def read() -> None:
        with connect() as connection, connection.SimpleQueue("work") as queue:
            while not ended.is_set():
                found = received(queue)
                with lock:
                    seen.extend(payload["job"] for payload in found)
                    if len(seen) >= 2 * each:
                        ended.set()

    readers = [threading.Thread(target=read) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(first,)) for first in (0, each)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    ended.wait(120)
    ended.set()
    for thread in readers:
        thread.join()
    assert sorted(seen) == list(range(2 * each))
