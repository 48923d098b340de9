"""What is made in a thread comes in order, a bounded way ahead, with its errors, and leaves no thread behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.datasets import writers
from annotations.datasets.beside import AHEAD, Beside, ahead
from annotations.datasets.formats import FORMATS, check_options


class Broken(Exception):
    pass


@given(st.lists(st.binary(min_size=1, max_size=4), max_size=20), st.booleans(), st.integers(0, 20))
def test_pieces_come_in_order_and_errors_where_they_were(pieces, breaks, used):
    made = []

    def source() -> Iterator[bytes]:
        for piece in pieces:
            made.append(piece)
            yield piece
        if breaks:
            raise Broken

    before = threading.active_count()
    found, error = [], None
    stream = ahead(source())
    try:
        for piece in stream:
            found.append(piece)
            assert len(made) <= len(found) + AHEAD
            if len(found) == used:
                break
    except Broken as raised:
        error = raised
    stream.close()
    assert found == pieces[: len(found)]
    assert len(found) == min(len(pieces), used or len(pieces))
    assert (error is not None) == (breaks and (used == 0 or used > len(pieces)))
    assert threading.active_count() == before


def test_calls_run_one_at_a_time_and_the_next_raises_what_one_raised():
    beside, running, most = Beside(), [], []

    def work(fails: bool) -> None:
        running.append(1)
        most.append(len(running))
        running.pop()
        if fails:
            raise Broken

    for _ in range(50):
        beside.call(work, False)
    beside.call(work, True)
    with pytest.raises(Broken):
        beside.call(work, False)
    beside.wait()
    beside.close()
    assert (max(most), len(most)) == (1, 51)


@pytest.mark.parametrize("breaks", ["read_json", "write_table"])
def test_a_parquet_file_that_cannot_be_written_says_so_and_leaves_no_thread(tmp_path, monkeypatch, breaks):
    monkeypatch.setattr(writers, "ARROW_BATCH", 10)
    monkeypatch.setattr(writers, "ROW_GROUP", 20)

    def full(*arguments: object, **settings: object) -> None:
        raise OSError(28, "No space left on device")

    before = threading.active_count()
    _, options = check_options("trl_preference", "parquet", {"columns": "schema", "style": "standard"})
    writer = writers.ParquetWriter(tmp_path / "x.parquet", FORMATS["trl_preference"].tables[0], options)
    row = {"prompt": "p", "chosen": "c", "rejected": "r", "margin": 1.0}
    monkeypatch.setattr(*((writers.pa.json, "read_json") if breaks == "read_json" else (pq.ParquetWriter, "write_table")),
                        full)  # fmt: skip
    with pytest.raises(OSError, match="No space left"):
        try:
            for _ in range(100):
                writer.write(row)
        finally:
            writer.close()
    assert threading.active_count() == before
