"""Files of rows, written batch by batch in bounded memory; the same rows give the same bytes."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq
from msgspec.json import encode

from .beside import Beside
from .files import gzip_writer
from .formats import Table

ROW_GROUP = 10_000
ROW_GROUP_BYTES = 12 << 20
ARROW_BATCH = 2000  # rows held as JSON lines before they become columns, or
ARROW_BATCH_BYTES = 3 << 20  # as much text of them


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
        self.write_line(encode(row) + b"\n")

    def write_line(self, line: bytes) -> None:
        """Add a line that is JSON already and ends in a newline."""
        self._file.write(line)
        self.rows += 1

    def close(self) -> None:
        self._file.close()
        self._raw.close()


class ParquetWriter:
    """Parquet with an explicit schema, zstd, row groups of 10,000 rows or about 12 MB, whichever comes first.

    Rows become columns by way of JSON lines, which Arrow reads three times as fast as Python objects. It does so in
    one thread, and compresses in another, while the next lines are made: one batch and one row group are under way, no
    more. Columns lie in the system's memory, which takes it back after each row group: Arrow's own allocator keeps it.
    """

    def __init__(self, path: Path, table: Table, options: dict[str, str]):
        self.rows = 0
        self._schema = table.schema(options)
        self._to_arrow = table.to_arrow
        self._parse = pa.json.ParseOptions(explicit_schema=self._schema, unexpected_field_behavior="error")
        self._lines: list[bytes] = []
        self._line_bytes = 0
        self._tables: list[pa.Table] = []
        self._held = self._bytes = 0
        self._file = pq.ParquetWriter(path, self._schema, compression="zstd", version="2.6")
        self._reading, self._writing = Beside(), Beside()

    def write(self, row: dict[str, Any]) -> None:
        self.write_line(encode(row))

    def write_line(self, line: bytes) -> None:
        """Add a row that is JSON already."""
        if self._to_arrow:
            line = self._to_arrow(line)
        self._lines.append(line)
        self._line_bytes += len(line)
        self.rows += 1
        if len(self._lines) >= ARROW_BATCH or self._line_bytes >= ARROW_BATCH_BYTES:
            self._hand_over()

    def _hand_over(self) -> None:
        self._reading.call(self._add, b"\n".join(self._lines))
        self._lines, self._line_bytes = [], 0

    def _add(self, text: bytes) -> None:
        if text:
            reading = pa.json.ReadOptions(use_threads=False, block_size=len(text) + 1)
            columns = pa.json.read_json(
                pa.BufferReader(text), reading, self._parse, memory_pool=pa.system_memory_pool()
            )
            self._tables.append(columns)
            self._held += columns.num_rows
            self._bytes += columns.nbytes
        if self._held >= ROW_GROUP or self._bytes >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._tables:
            table = pa.concat_tables(self._tables)
            self._writing.call(self._write_group, table)
        self._tables, self._held, self._bytes = [], 0, 0

    def _write_group(self, table: pa.Table) -> None:
        self._file.write_table(table, row_group_size=max(ROW_GROUP, table.num_rows))
        pa.system_memory_pool().release_unused()

    def close(self) -> None:
        try:
            self._hand_over()
            self._reading.wait()
            self._flush()
            self._writing.wait()
        finally:
            self._reading.close()
            self._writing.close()
            self._file.close()


class CsvWriter:
    """CSV as RFC 4180 has it, with a header row; empty cells where there is nothing."""

    def __init__(self, path: Path, table: Table, options: dict[str, str]):
        self.rows = 0
        self._raw = path.open("wb")
        self._file = gzip_writer(self._raw) if path.suffix == ".gz" else self._raw
        self._text = io.TextIOWrapper(self._file, encoding="utf-8", newline="")
        self._csv = csv.DictWriter(self._text, table.schema(options).names)
        self._csv.writeheader()

    def write(self, row: dict[str, Any]) -> None:
        self._csv.writerow({key: _cell(value) for key, value in row.items()})
        self.rows += 1

    def close(self) -> None:
        self._text.close()
        self._raw.close()


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def open_writer(path: Path, table: Table, container: str, options: dict[str, str]) -> Writer:
    """The writer of this container."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if container.startswith("jsonl"):
        return JsonLinesWriter(path)
    if container == "parquet":
        return ParquetWriter(path, table, options)
    return CsvWriter(path, table, options)
