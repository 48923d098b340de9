"""Rows of Parquet and Arrow files as JSON values, a few hundred at a time; and the data files of a folder.

pyarrow is imported only where such a file is read.
"""

import base64
import math
import struct
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from . import bombs
from .checks import shown
from .records import MAX_LINE, Problem, UnknownFormat

PARQUET, ARROW_FILE, ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
SIGNS = (PARQUET, ARROW_FILE, ARROW_STREAM)
AT_ONCE = 256  # rows held as Python objects
TOO_LARGE = f"expected a row of at most {MAX_LINE >> 20} MB"
DATA = (".parquet", ".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv", ".csv.gz", ".tsv", ".arrow")
NO_DATA = (
    "dataset_info.json", "dataset_dict.json", "dataset_infos.json", "state.json", "manifest.json", "croissant.json",
    "posteriors.jsonl.gz",
)  # fmt: skip


def rows(path) -> Iterator[tuple[int, object]]:
    """(1-based row number, the row as a JSON object), read by row groups or batches.

    Raises UnknownFormat at the first row for a file that is no Parquet or Arrow after all.
    """
    import pyarrow as pa  # 0.2 s, of use to these files only

    number = 1
    try:
        for batch in _batches(path):
            names = batch.schema.names
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise UnknownFormat(path, f"expected each column once, found {shown(twice)} twice")
            for start in range(0, batch.num_rows, AT_ONCE):
                for row in _objects(batch.slice(start, AT_ONCE)):
                    yield number, plain(row) if row is not None else Problem(number, "", TOO_LARGE)
                    number += 1
    except UnknownFormat:
        raise
    except (
        pa.ArrowException,
        OSError,
        ValueError,
        OverflowError,
        struct.error,
    ) as error:  # texts and times that are none
        words = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        if number == 1:
            raise UnknownFormat(path, f"cannot be read as Parquet or Arrow: {words}") from None
        yield (
            number,
            Problem(number, "", f"the file is cut or damaged here, nothing after it was read ({words})"),
        )


def _batches(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open(path, "rb") as file:
        start = file.read(8)
    if start.startswith(PARQUET):
        with pq.ParquetFile(path) as parquet:
            way = bombs.way_to_read(path, parquet.metadata, AT_ONCE)
        with pq.ParquetFile(path, read_dictionary=way["read_dictionary"]) as parquet:
            yield from parquet.iter_batches(batch_size=way["batch_size"])
        return
    with pa.memory_map(str(path)) as mapped:
        is_file = start.startswith(ARROW_FILE)
        mapped.seek(len(ARROW_FILE) + 2 if is_file else 0)  # a file holds a stream
        bombs.check_arrow(path, pa.ipc.MessageReader.open_stream(mapped))
        mapped.seek(0)
        if is_file:
            reader = pa.ipc.open_file(mapped)
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)
        else:
            yield from pa.ipc.open_stream(mapped)


def _objects(batch) -> Iterator[dict | None]:
    """The batch's rows as objects, None for one too large to be; all at once where that takes little memory."""
    import pyarrow as pa

    def size(part) -> int:
        return bombs.size_as_text(pa.StructArray.from_arrays(part.columns, fields=list(part.schema)))

    if not batch.num_columns or size(batch) <= MAX_LINE:
        yield from batch.to_pylist()
        return
    for place in range(batch.num_rows):
        one = batch.slice(place, 1)
        yield one.to_pylist()[0] if size(one) <= MAX_LINE else None


def plain(value):
    """The value in JSON's own kinds: times as ISO 8601, bytes as base64, decimals and odd numbers as they print."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return float(value)
    return str(value)


def data_files(folder) -> list[Path]:
    """The data files below a folder, in order of their paths: a local Hugging Face dataset, or an export of ours.

    Raises UnknownFormat where there is none.
    """
    folder = Path(folder)
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.name.endswith(DATA)
        and path.name not in NO_DATA
        and not any(part.startswith((".", "cache-")) for part in path.relative_to(folder).parts)
    )
    if not found:
        raise UnknownFormat(
            folder, f"expected files that end in {', '.join(DATA)}, found none in this folder"
        )
    return found
