"""Files of rows, written batch by batch in bounded memory; the same rows give the same bytes."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic_core import to_json

from .files import gzip_writer
from .formats import Format

ROW_GROUP = 10_000
ROW_GROUP_BYTES = 64 << 20
ARROW_BATCH = 500  # rows held as Python objects before they become columns


class Writer(Protocol):
    rows: int

    def write(self, row: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


class JsonLinesWriter:
    """One JSON object a line, UTF-8, keys in the format's order; gzipped if the name ends in .gz."""

    def __init__(self, path: Path):
        self.rows = 0
        self._raw = path.open("wb", buffering=1 << 18)
        self._file = gzip_writer(self._raw) if path.suffix == ".gz" else self._raw

    def write(self, row: dict[str, Any]) -> None:
        self.write_line(to_json(row) + b"\n")

    def write_line(self, line: bytes) -> None:
        """Add a line that is JSON already and ends in a newline."""
        self._file.write(line)
        self.rows += 1

    def close(self) -> None:
        self._file.close()
        self._raw.close()


class ParquetWriter:
    """Parquet with an explicit schema, zstd, row groups of 10,000 rows or about 64 MB, whichever comes first."""

    def __init__(self, path: Path, format: Format, options: dict[str, str]):
        self.rows = 0
        self._schema = format.schema(options)
        self._to_arrow = format.to_arrow
        self._held: list[dict[str, Any]] = []
        self._batches: list[pa.RecordBatch] = []
        self._batched = self._bytes = 0
        self._file = pq.ParquetWriter(path, self._schema, compression="zstd", version="2.6")

    def write(self, row: dict[str, Any]) -> None:
        self._held.append(self._to_arrow(row) if self._to_arrow else row)
        self.rows += 1
        if len(self._held) >= ARROW_BATCH:
            self._batch()

    def _batch(self) -> None:
        if self._held:
            batch = pa.RecordBatch.from_pylist(self._held, schema=self._schema)
            self._held = []
            self._batches.append(batch)
            self._batched += batch.num_rows
            self._bytes += batch.nbytes
        if self._batched >= ROW_GROUP or self._bytes >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._batches:
            table = pa.Table.from_batches(self._batches, self._schema)
            self._file.write_table(table, row_group_size=max(ROW_GROUP, table.num_rows))
        self._batches, self._batched, self._bytes = [], 0, 0

    def close(self) -> None:
        self._batch()
        self._flush()
        self._file.close()


class CsvWriter:
    """CSV as RFC 4180 has it, with a header row; empty cells where there is nothing."""

    def __init__(self, path: Path, format: Format, options: dict[str, str]):
        self.rows = 0
        self._raw = path.open("wb")
        self._file = gzip_writer(self._raw) if path.suffix == ".gz" else self._raw
        self._text = io.TextIOWrapper(self._file, encoding="utf-8", newline="")
        self._csv = csv.DictWriter(self._text, format.schema(options).names)
        self._csv.writeheader()

    def write(self, row: dict[str, Any]) -> None:
        self._csv.writerow({key: _cell(value) for key, value in row.items()})
        self.rows += 1

    def close(self) -> None:
        self._text.close()
        self._raw.close()


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def open_writer(path: Path, format: Format, container: str, options: dict[str, str]) -> Writer:
    """The writer of this container."""
    if container.startswith("jsonl"):
        return JsonLinesWriter(path)
    if container == "parquet":
        return ParquetWriter(path, format, options)
    return CsvWriter(path, format, options)
